"""Candidates as networks: one seed draws the same numbers for all of them, scaled to what each activation wants."""

import math

import torch
from torch import nn

from .. import activations
from ..properties import measure
from ..train.seeds import derive

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_START = 3  # purpose of the random numbers, beside those of `train.seeds`


def matched_start(model: nn.Module, activation: str, seed: int) -> nn.Module:
    """Draw the weights of linear and convolutional layers anew: gain of the activation * N(0, 1) / sqrt(fan-in), biases 0.

    The gain keeps the second moment of what an activation puts out for inputs from N(0, 1); the first layer, which reads the data, has gain
    1. Layer by layer the normal numbers depend on the seed alone, so that two candidates of one seed differ in scale only: pairs are pairs.
    Other weights (embeddings, recurrent layers, normalisation) stay as they are. Source of the gain: He et al. 2015, arXiv:1502.01852, for any f.
    """
    gain = measure(activations.get(activation)).gain
    gain = gain if math.isfinite(gain) else 1.0
    layers = [one for one in model.modules() if isinstance(one, _WEIGHTED)]
    with torch.no_grad():
        for number, one in enumerate(layers):
            draw = torch.Generator().manual_seed(derive(seed, _START, number))
            normal = torch.randn(one.weight.shape, generator=draw, dtype=torch.float64)
            scale = (gain if number else 1.0) * (one.weight.numel() / one.weight.shape[0]) ** -0.5
            one.weight.copy_(normal * scale)
            if one.bias is not None:
                one.bias.zero_()
    return model


def matched_dropout(model: nn.Module, activation: str) -> nn.Module:
    """Alpha dropout in place of dropout for SELU, whose fixed point it keeps (Klambauer et al. 2017, arXiv:1706.02515)."""
    if activations.get(activation).name != "selu":
        return model
    for name, one in list(model.named_modules()):
        if type(one) is nn.Dropout and one.p:
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], nn.AlphaDropout(one.p))
    return model
