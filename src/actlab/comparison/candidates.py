"""Candidates as networks: one seed draws the same numbers for all of them, scaled to what each activation wants."""

import math
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn

from .. import activations
from .._exchanging import known_as
from ..properties import measure
from ..train.seeds import derive

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_START = 3  # purpose of the random numbers, beside those of `train.seeds`


GATES = {"glu": "sigmoid", "reglu": "relu", "geglu": "gelu", "swiglu": "silu"}  # Shazeer 2020, arXiv:2002.05202


def matched_start(
    model: nn.Module, activation: str, seed: int, *, after: Collection[int] | None = None, keep: Collection[str] = (),
) -> nn.Module:  # fmt: skip
    """Draw the weights of linear and convolutional layers anew: gain of the activation * N(0, 1) / sqrt(fan-in), biases 0.

    The gain keeps the second moment of what an activation puts out for inputs from N(0, 1). Only layers that read an activation have it,
    `after` by their numbers (`after_activation`); by default all but the first. Layer by layer the normal numbers depend on the seed
    alone, so that two candidates of one seed differ in scale only: pairs are pairs. Layers in `keep` stay as they are. A gate has the gain of its activation. Other weights
    (embeddings, recurrent layers, normalisation) stay as they are. Source of the gain: He et al. 2015, arXiv:1502.01852, for any f.
    """
    gain = measure(activations.get(GATES.get(activation, activation))).gain
    gain = gain if math.isfinite(gain) else 1.0
    layers = [(name, one) for name, one in model.named_modules() if isinstance(one, _WEIGHTED)]
    with torch.no_grad():
        for number, (name, one) in enumerate(layers):
            if name in keep:
                continue
            draw = torch.Generator().manual_seed(derive(seed, _START, number))
            normal = torch.randn(one.weight.shape, generator=draw, dtype=torch.float64)
            reads_one = number > 0 if after is None else number in after
            scale = (gain if reads_one else 1.0) * (one.weight.numel() / one.weight.shape[0]) ** -0.5
            one.weight.copy_(normal * scale)
            if one.bias is not None:
                one.bias.zero_()
    return model


def drawn_by_no_seed(one: nn.Module, other: nn.Module) -> tuple[str, ...]:
    """Linear and convolutional layers whose weights are the same in two networks of different seeds, or that are not trained."""
    pairs = zip(one.named_modules(), other.modules(), strict=True)
    return tuple(
        name
        for (name, a), b in pairs
        if isinstance(a, _WEIGHTED) and isinstance(b, _WEIGHTED) and (not a.weight.requires_grad or torch.equal(a.weight, b.weight))
    )  # fmt: skip


def after_activation(model: nn.Module, run: Callable[[nn.Module], Any]) -> frozenset[int] | None:
    """Which of the linear and convolutional layers read what an activation put out, when `run(model)` calls it once.

    That is the first such layer that runs after an activation; layers that read the same tensor share the answer, as queries, keys and
    values do. None where no activation known here runs as a module.
    """
    layers = [one for one in model.modules() if isinstance(one, _WEIGHTED)]
    numbers: dict[nn.Module, int] = {one: number for number, one in enumerate(layers)}
    found: set[int] = set()
    read: list[tuple[torch.Tensor, bool]] = []  # inputs seen, and the answers to them
    fresh, any_ran = False, False

    def activated(*_: Any) -> None:
        nonlocal fresh, any_ran
        fresh = any_ran = True

    def reads(layer: nn.Module, given: tuple[Any, ...]) -> None:
        nonlocal fresh
        known = [answer for tensor, answer in read if given and tensor is given[0]]
        answer = known[0] if known else fresh
        if not known:
            read.extend((one, answer) for one in given[:1])
            fresh = False
        if answer:
            found.add(numbers[layer])

    hooks = [one.register_forward_pre_hook(reads) for one in layers]
    hooks += [one.register_forward_hook(activated) for one in model.modules() if known_as(one) is not None]
    try:
        run(model)
    finally:
        for hook in hooks:
            hook.remove()
    return frozenset(found) if any_ran else None


def matched_dropout(model: nn.Module, activation: str) -> nn.Module:
    """Alpha dropout in place of dropout for SELU, whose fixed point it keeps (Klambauer et al. 2017, arXiv:1706.02515)."""
    if activation in GATES or activations.get(activation).name != "selu":
        return model
    for name, one in list(model.named_modules()):
        if type(one) is nn.Dropout and one.p:
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], nn.AlphaDropout(one.p))
    return model
