"""Small networks and data for the tests of diagnosis: healthy ones of many kinds, and the faults planted in them."""

import torch
from torch import nn
from torch.nn import functional as F

from actlab.models import TDNN, ImageAttention, LeNet, SelfAttention

CLASSES = 4


def rows(seed=0, batches=16, size=64, wide=20):
    """Vectors, and the largest of a few linear functions of them."""
    draw = torch.Generator().manual_seed(seed)
    rule = torch.randn(wide, CLASSES, generator=draw)
    inputs = [torch.randn(size, wide, generator=draw) for _ in range(batches)]
    return [(x, (x @ rule).argmax(1)) for x in inputs]


def pictures(seed=0, batches=12, size=32, side=14):
    """Images in which a bar lies in one of four places."""
    draw, found = torch.Generator().manual_seed(seed), []
    for _ in range(batches):
        y = torch.randint(0, CLASSES, (size,), generator=draw)
        x = 0.5 * torch.randn(size, 1, side, side, generator=draw)
        for one, place in zip(x, y.tolist(), strict=True):
            one[0, 3 * place + 1 : 3 * place + 4] += 1.5
        found.append((x, y))
    return found


def sequences(seed=0, batches=16, size=32, time=12, wide=8):
    """Sequences of vectors, and which of four of their channels has the largest mean."""
    draw = torch.Generator().manual_seed(seed)
    inputs = [torch.randn(size, time, wide, generator=draw) for _ in range(batches)]
    return [(x, x.mean(1)[:, :CLASSES].argmax(1)) for x in inputs]


def mlp(activation=nn.ReLU, depth=3, width=64, wide=20):
    layers = []
    for number in range(depth):
        layers += [nn.Linear(width if number else wide, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, CLASSES))


def selu_mlp():
    model = mlp(nn.SELU, 6)
    for one in model:
        if isinstance(one, nn.Linear):
            nn.init.kaiming_normal_(one.weight, nonlinearity="linear")
            nn.init.zeros_(one.bias)
    return model


def cnn(norm=True, activation=lambda: nn.ReLU(inplace=True)):
    def block(a, b):
        return [nn.Conv2d(a, b, 3, padding=1), *([nn.BatchNorm2d(b)] if norm else []), activation(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(1, 8), *block(8, 16), nn.Flatten(), nn.Linear(16 * 9, CLASSES))


class Functional(nn.Module):
    """Activations as functions, in place and not."""

    def __init__(self, depth=3, act=F.relu):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(20 if not number else 64, 64) for number in range(depth))
        self.out, self.act = nn.Linear(64, CLASSES), act

    def forward(self, x):
        for layer in self.layers:
            x = self.act(layer(x))
        return self.out(x)


class Residual(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width))
            for _ in range(3)
        )  # fmt: skip
        self.relu, self.out = nn.ReLU(), nn.Linear(width, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = self.relu(x + block(x))  # one module, used three times
        return self.out(F.adaptive_avg_pool2d(x, 7).amax((2, 3)))


class Recurrent(nn.Module):
    def __init__(self, kind=nn.LSTM, **how):
        super().__init__()
        self.recurrent, self.out = kind(8, 32, batch_first=True, **how), nn.Linear(32, CLASSES)

    def forward(self, x):
        return self.out(self.recurrent(x)[0].mean(1))


class Cells(nn.Module):
    """A cell called step by step; the answer after the last."""

    def __init__(self, nonlinearity="relu"):
        super().__init__()
        self.cell, self.out = nn.RNNCell(8, 32, nonlinearity=nonlinearity), nn.Linear(32, CLASSES)

    def forward(self, x):
        state = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.out(state)


class Encoder(nn.Module):
    def __init__(self, layers=2):
        super().__init__()
        self.inputs = nn.Linear(8, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.1)
        self.encoder, self.out = nn.TransformerEncoder(layer, layers), nn.Linear(32, CLASSES)

    def forward(self, x):
        return self.out(self.encoder(self.inputs(x)).mean(1))


class Block(nn.Module):
    """Attention by torch's function, as GPT-like code has it."""

    def __init__(self):
        super().__init__()
        self.inputs, self.qkv, self.out = nn.Linear(8, 32), nn.Linear(32, 96), nn.Linear(32, CLASSES)

    def forward(self, x):
        x = self.inputs(x)
        q, k, v = (one.unflatten(-1, (4, 8)).transpose(1, 2) for one in self.qkv(x).chunk(3, -1))
        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        return self.out(F.gelu(x).mean(1))


HEALTHY = {
    "ReLU MLP": (mlp, rows),
    "GELU MLP": (lambda: mlp(nn.GELU, 4), rows),
    "SiLU MLP": (lambda: mlp(nn.SiLU), rows),
    "tanh MLP": (lambda: mlp(nn.Tanh, 4), rows),
    "sigmoid MLP": (lambda: mlp(nn.Sigmoid, 2), rows),
    "SELU MLP": (selu_mlp, rows),
    "functions": (Functional, rows),
    "CNN with BatchNorm": (cnn, pictures),
    "CNN": (lambda: cnn(False), pictures),
    "ResNet-like": (Residual, pictures),
    "LSTM": (Recurrent, sequences),
    "GRU": (lambda: Recurrent(nn.GRU), sequences),
    "RNN": (lambda: Recurrent(nn.RNN), sequences),
    "cells": (lambda: Cells("tanh"), sequences),
    "Transformer encoder": (Encoder, sequences),
    "attention by function": (Block, sequences),
    "our self-attention": (lambda: SelfAttention(8, 32, CLASSES, layers=2, summary="mean"), sequences),
    "our LeNet": (lambda: LeNet(CLASSES, activation="relu", pooling="max"), lambda seed=0: pictures(seed, side=28)),
    "our image attention": (lambda: ImageAttention(CLASSES, size=28, patch=7), lambda seed=0: pictures(seed, side=28)),
    "our TDNN": (lambda: TDNN(8, 32, CLASSES, summary="mean"), lambda seed=0: sequences(seed, time=40)),
}
