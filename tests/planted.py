"""Faults planted in the small networks: for each a network, data, how it is looked at, the rule that must speak, and where."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from actlab.diagnosis import diagnose, watch
from actlab.models import SelfAttention
from networks import (
    CLASSES,
    Block,
    Cells,
    Encoder,
    Functional,
    Recurrent,
    Residual,
    cnn,
    mlp,
    pictures,
    rows,
    sequences,
)


def looked(model, data):
    return diagnose(model, data)


def trained(model, data, optimizer, rate, steps=60):
    """A training loop of the user's own, watched."""
    optimizer = getattr(torch.optim, optimizer)(model.parameters(), lr=rate)
    with watch(model) as w:
        for number in range(steps):
            x, y = data[number % len(data)]
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            w.loss(loss)
    return w.diagnosis()


def after_wild_steps(model, data):
    """Trained for a moment at a rate that is far too high, then looked at."""
    optimizer = torch.optim.SGD(model.parameters(), lr=30.0)
    for x, y in data[:3]:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return diagnose(model, data)


def changed(model, change):
    with torch.no_grad():
        change(model)
    return model


def lower_bias(layer):
    layer.bias -= 20


def scale(by, *layers):
    for one in layers:
        one.weight *= by


def shuffled(data):
    draw = torch.Generator().manual_seed(7)
    return [(x, y[torch.randperm(len(y), generator=draw)]) for x, y in data]


class Logarithm(nn.Module):
    def forward(self, x):
        return x.log()


class Division(nn.Module):
    def forward(self, x):
        return x / (x.amax((2, 3), keepdim=True) - x.amax((2, 3), keepdim=True))


class Root(nn.Module):
    def forward(self, x):
        return (x - 1e3).sqrt()


def in_the_middle(model, place, module):
    layers = list(model)
    return nn.Sequential(*layers[:place], module, *layers[place:])


class BadEncoder(Encoder):
    def __init__(self):
        super().__init__()
        self.root = Root()

    def forward(self, x):
        return self.out(self.root(self.encoder(self.inputs(x))).mean(1))


class SpareEncoder(Encoder):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(3, 3)


def deep_cnn(activation=nn.Sigmoid, depth=12):
    layers = []
    for number in range(depth):
        layers += [nn.Conv2d(8 if number else 1, 8, 3, padding=1), activation()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 4))


def linear_layers(model):
    return [one for one in model.modules() if isinstance(one, nn.Linear | nn.Conv2d)]


def frozen(layer):
    layer.requires_grad_(False)


def zero_queries(layer):
    layer.in_proj_weight[:64] = 0
    layer.in_proj_bias[:64] = 0


def recurrent_gain(by, layer):
    for name, weight in layer.named_parameters():
        if "weight_hh" in name:
            weight *= by


def evaluating(model, *layers):
    for one in layers:
        one.eval()
    return model


class Tokens(nn.Module):
    """An encoder over words, of which the last ones are padding (0)."""

    def __init__(self, masked=True):
        super().__init__()
        self.embedding, self.masked = nn.Embedding(20, 32, padding_idx=0), masked
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.1)
        self.encoder, self.out = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(32, 4)

    def forward(self, x):
        real = x != 0
        found = self.encoder(self.embedding(x), src_key_padding_mask=~real if self.masked else None)
        return self.out((found * real[..., None]).sum(1) / real.sum(1, keepdim=True))


def words(seed=0):
    """Sentences of 4 to 12 words, filled up with 0; the class is told by the first word."""
    draw, found = torch.Generator().manual_seed(seed), []
    for _ in range(16):
        x = torch.randint(1, 20, (32, 12), generator=draw)
        real = torch.arange(12) < torch.randint(4, 13, (32, 1), generator=draw)
        found.append((x * real, x[:, 0] % CLASSES))
    return found


def alike(layer):
    layer.weight.fill_(0.05)
    layer.bias.zero_()


PLANTED = {
    # name: (make the network, data, look, rule, layer or layers)
    "dead: bias, MLP": (lambda: changed(mlp(), lambda m: lower_bias(m[2])), rows, looked, "dead-unit", "3"),
    "dead: bias, CNN in place": (lambda: changed(cnn(False), lambda m: lower_bias(m[3])), pictures, looked, "dead-unit", "4"),
    "dead: bias, functions": (lambda: changed(Functional(), lambda m: lower_bias(m.layers[0])), rows, looked, "dead-unit", "relu"),
    "dead: wild rate, MLP": (mlp, rows, after_wild_steps, "dead-unit", None),
    "saturated: sigmoid MLP": (lambda: changed(mlp(nn.Sigmoid), lambda m: scale(300, m[2])), rows, looked, "saturated", "3"),
    "saturated: tanh MLP": (lambda: changed(mlp(nn.Tanh), lambda m: scale(100, m[2])), rows, looked, "saturated", "3"),
    "saturated: sigmoid CNN": (lambda: changed(cnn(False, nn.Sigmoid), lambda m: scale(400, m[3])), pictures, looked, "saturated", "4"),
    "saturated: raw inputs": (lambda: mlp(nn.Tanh), lambda seed=0: [(255 * x, y) for x, y in rows(seed)], looked, "saturated", "1"),
    "vanishing: 20 sigmoid layers": (lambda: mlp(nn.Sigmoid, 20), rows, looked, "vanishing", "0"),
    "vanishing: 15 sigmoid functions": (lambda: Functional(15, torch.sigmoid), rows, looked, "vanishing", "layers.0"),
    "vanishing: 12 sigmoid convolutions": (deep_cnn, pictures, looked, "vanishing", "0"),
    "exploding: RNN": (lambda: changed(Recurrent(nn.RNN, nonlinearity="relu"), lambda m: recurrent_gain(8, m.recurrent)), lambda seed=0: sequences(seed, time=40), looked, "exploding", "recurrent"),
    "exploding: two layers of RNN": (lambda: changed(Recurrent(nn.RNN, nonlinearity="relu", num_layers=2), lambda m: recurrent_gain(8, m.recurrent)), lambda seed=0: sequences(seed, time=40), looked, "exploding", "recurrent"),
    "exploding: cells": (lambda: changed(Cells(), lambda m: recurrent_gain(8, m.cell)), lambda seed=0: sequences(seed, time=30), looked, "exploding", "cell"),
    "gain: ReLU MLP": (lambda: changed(mlp(nn.ReLU, 8), lambda m: scale(8, *linear_layers(m))), rows, looked, "signal-at-init", None),
    "gain: GELU MLP": (lambda: changed(mlp(nn.GELU, 6), lambda m: scale(0.05, *linear_layers(m))), rows, looked, "signal-at-init", None),
    "gain: one convolution": (lambda: changed(cnn(False), lambda m: scale(1000, m[3])), pictures, looked, "signal-at-init", "3"),
    "rate too high: MLP": (mlp, rows, partial(trained, optimizer="SGD", rate=30.0), "update-ratio", None),
    "rate too high: CNN": (cnn, pictures, partial(trained, optimizer="SGD", rate=50.0), "update-ratio", None),
    "rate too high: Transformer": (Encoder, sequences, partial(trained, optimizer="Adam", rate=1.0), "update-ratio", None),
    "rate too low: MLP": (lambda: mlp(nn.GELU), rows, partial(trained, optimizer="SGD", rate=1e-6), "update-ratio", None),
    "rate too low: ResNet-like": (Residual, pictures, partial(trained, optimizer="Adam", rate=1e-8), "update-ratio", None),
    "rate too low: LSTM": (Recurrent, sequences, partial(trained, optimizer="Adam", rate=1e-8), "update-ratio", None),
    "NaN: logarithm": (lambda: in_the_middle(mlp(), 3, Logarithm()), rows, looked, "not-finite", "3"),
    "NaN: division": (lambda: in_the_middle(cnn(), 4, Division()), pictures, looked, "not-finite", "4"),
    "NaN: root": (BadEncoder, sequences, looked, "not-finite", "root"),
    "NaN: a weight": (lambda: changed(mlp(), lambda m: m[2].weight.fill_(torch.nan)), rows, looked, "not-finite", "2"),
    "labels: MLP": (mlp, lambda seed=0: shuffled(rows(seed)), looked, "loss-sanity", ""),
    "labels: CNN": (cnn, lambda seed=0: shuffled(pictures(seed)), looked, "loss-sanity", ""),
    "labels: LSTM": (Recurrent, lambda seed=0: shuffled(sequences(seed)), looked, "loss-sanity", ""),
    "frozen: MLP": (lambda: changed(mlp(), lambda m: frozen(m[2])), rows, looked, "wrong-mode", "2"),
    "frozen: ResNet-like": (lambda: changed(Residual(), lambda m: frozen(m.stem)), pictures, looked, "wrong-mode", "stem"),
    "unused: Transformer": (SpareEncoder, sequences, looked, "wrong-mode", "spare"),
    "mode: BatchNorm": (lambda: (lambda m: evaluating(m, m[1]))(cnn()), pictures, looked, "wrong-mode", "1"),
    "mode: dropout": (lambda: (lambda m: evaluating(m, m.encoder.layers[1].dropout))(Encoder()), sequences, looked, "wrong-mode", "encoder.layers.1.dropout"),
    "mode: training in evaluation mode": (lambda: cnn().eval(), pictures, partial(trained, optimizer="Adam", rate=1e-3), "wrong-mode", ("1", "5")),
    "uniform: encoder": (lambda: changed(Encoder(), lambda m: zero_queries(m.encoder.layers[0].self_attn)), sequences, looked, "attention", "encoder.layers.0.self_attn"),
    "uniform: function": (lambda: changed(Block(), lambda m: m.qkv.weight[:64].zero_() + m.qkv.bias[:64].zero_().sum()), sequences, looked, "attention", "attention"),
    "uniform: ours": (lambda: changed(SelfAttention(8, 32, 4, layers=2, summary="mean"), lambda m: [p.zero_() for p in m.layers[1].attention.query.parameters()]), sequences, looked, "attention", "layers.1.attention"),
    "padding: encoder": (lambda: Tokens(masked=False), words, looked, "attention", ("encoder.layers.0.self_attn", "encoder.layers.1.self_attn")),
    "copies: MLP": (lambda: changed(mlp(), lambda m: alike(m[2])), rows, looked, "constant-units", "2"),
    "copies: CNN": (lambda: changed(cnn(), lambda m: alike(m[4])), pictures, looked, "constant-units", "4"),
    "copies: encoder": (lambda: changed(Encoder(), lambda m: alike(m.encoder.layers[0].linear1)), sequences, looked, "constant-units", "encoder.layers.0.linear1"),
    "plateau: GELU MLP": (lambda: changed(mlp(nn.GELU, 4), lambda m: scale(0.8, *linear_layers(m))), rows, partial(trained, optimizer="SGD", rate=1e-2, steps=100), "plateau", ""),
    "plateau: tanh MLP": (lambda: changed(mlp(nn.Tanh, 4), lambda m: scale(0.6, *linear_layers(m))), rows, partial(trained, optimizer="SGD", rate=1e-2, steps=100), "plateau", ""),
    "collapsed: encoder": (lambda: changed(Encoder(), lambda m: m.encoder.layers[0].self_attn.in_proj_weight[:64].mul_(300)), sequences, looked, "attention", "encoder.layers.0.self_attn"),
}  # fmt: skip
