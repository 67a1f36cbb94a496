"""How a training went, and what its first step would have been otherwise: evidence for why a loss stays where it began."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean, median
from typing import Any

import torch
from torch import nn

from ..records import Finding
from ._probe import Probe
from ._streams import thinned
from .remedies import REMEDIES

Optimizers = Callable[[nn.Module], Sequence[torch.optim.Optimizer]]
_BATCHES = 4  # that the size of the signal at the start is told from


@dataclass(frozen=True)
class Past:
    """Losses by step, and the relative size of the first step: as the training began, and with one thing changed."""

    steps: Sequence[int]  # after which a loss was noted
    losses: Sequence[float]  # mean since the one before
    update: float | None = None  # ||change|| / ||weight|| of the first step, median over the layers
    tries: dict[str, float] = field(default_factory=dict)  # the same after a remedy, by its name
    signal: float | None = None  # size of what the last layer puts out over its size after a matched start
    inputs: dict[str, float] = field(default_factory=dict)  # their mean and deviation

    @property
    def begins(self) -> float:
        """The first loss, mean over the first tenth of the notes."""
        return mean(self.losses[: max(1, len(self.losses) // 10)])

    def flat(self, level: float, tolerance: float) -> int:
        """The longest run of steps in which the loss is within that share of `level`."""
        longest = run = 0
        for (before, after), value in zip(pairwise([0, *self.steps]), self.losses, strict=True):
            run = run + after - before if abs(value - level) <= tolerance * abs(level) else 0
            longest = max(longest, run)
        return longest


def past(
    model: nn.Module,
    batches: list[tuple[Any, Any]],
    loss: Callable[[Any, Any], Any],
    optimizers: Optimizers,
    *,
    steps: Sequence[int],
    losses: Sequence[float],
) -> Past:
    """The past of a training that began with `model` and took steps by `optimizers(model)`; works on copies."""
    batches = batches[:_BATCHES]
    inputs = moments(batches)
    finding = Finding(rule="plateau", severity="note", value=0, threshold=0, source="", samples=0, details=inputs)
    tries, sizes = {}, {}
    with torch.random.fork_rng():
        size, update = _first_step(copy.deepcopy(model), batches, loss, optimizers)
        for name, remedy in REMEDIES["plateau"]:
            torch.manual_seed(0)
            treated = remedy(copy.deepcopy(model), finding)
            if treated is not None:
                sizes[name], tries[name] = _first_step(treated.model, batches, loss, optimizers)
    matched = sizes.get("matched start")
    return Past(
        steps, losses, update, {name: one for name, one in tries.items() if math.isfinite(one)},
        size / matched if matched else None, inputs,
    )  # fmt: skip


def moments(batches: list[tuple[Any, Any]]) -> dict[str, float]:
    """Mean and deviation of all inputs, where they are one tensor of numbers."""
    given = [one for one, _ in batches]
    if not all(torch.is_tensor(one) and one.is_floating_point() for one in given):
        return {}
    every = torch.cat([thinned(one).double() for one in given])
    return {"mean": float(every.mean()), "deviation": float(every.std())}


def _first_step(model: nn.Module, batches: Any, loss: Any, optimizers: Optimizers) -> tuple[float, float]:
    """Root mean square of what the last layer puts out, and the relative size of one step, median over the layers."""
    from .diagnosing import call

    probe = Probe(model)
    try:
        with torch.no_grad():
            for inputs, _ in batches:
                call(model, inputs)
    finally:
        probe.close()
    weights = {name: one for name, one in model.named_parameters() if one.dim() >= 2 and one.requires_grad}
    before = {name: one.detach().clone() for name, one in weights.items()}
    loss(call(model, batches[0][0]), batches[0][1]).backward()
    for optimizer in optimizers(model):
        optimizer.step()
    ratios = [float((weights[name].detach() - one).norm() / one.norm()) for name, one in before.items() if float(one.norm())]  # fmt: skip
    layers = list(probe.layers.values())
    return (layers[-1].rms if layers else math.nan), median(ratios) if ratios else math.nan
