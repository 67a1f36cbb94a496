"""Statistics over everything that passes by, in memory that does not grow with it."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

BINS, REACH = 800, math.asinh(2000.0)  # of a histogram: bins of equal width in asinh(z), up to |z| = 2000
_KEPT = 1000  # figures of steps that are remembered
_SAMPLE = 65_536  # numbers of one call that enter the histogram


def edges() -> list[float]:
    """Borders of the bins."""
    return torch.linspace(-REACH, REACH, BINS + 1, dtype=torch.float64).sinh().tolist()


def kept(values: list[Any], value: Any, first: int = 0) -> None:
    """Append, and of more than a thousand forget the older half, but for the `first`."""
    values.append(value)
    if len(values) > _KEPT:
        del values[first : first + _KEPT // 2]


def thinned(x: Tensor, most: int = _SAMPLE) -> Tensor:
    """At most so many of the numbers, evenly spaced."""
    flat = x.detach().reshape(-1)
    return flat[:: -(-flat.numel() // most)] if flat.numel() > most else flat


@dataclass
class SiteStream:
    """Inputs of one activation, unit by unit where it matters."""

    name: str
    activation: str
    order: int
    largest_slope: float
    curve: list[tuple[float, float, float]]
    one_sided: bool = False  # grows without bound on the right and is off on the left, as ReLU and its like
    count: int = 0
    flat: int = 0
    off: int = 0
    total: float = 0.0
    squares: float = 0.0
    alive: Tensor | None = None
    histogram: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.long))

    def take(self, z: Tensor, out: Tensor, slope: Tensor, axis: int) -> None:
        """One call: inputs, outputs and slopes of the same shape; units along `axis`."""
        z, out, slope = z.detach(), out.detach(), slope.detach()
        flat = slope.abs() < 1e-3 * self.largest_slope
        silent = flat & (z <= 0) if self.one_sided else torch.zeros_like(flat)
        flat = flat & ~silent
        self.count += z.numel()
        self.flat += int(flat.sum())
        self.off += int(silent.sum())
        some = thinned(z).double()
        finite = some[some.isfinite()]
        weight = z.numel() / max(1, some.numel())
        self.total += float(finite.sum()) * weight
        self.squares += float((finite**2).sum()) * weight
        if finite.numel():
            self.histogram += torch.histc(finite.asinh().clamp(-REACH, REACH).float(), BINS, -REACH, REACH).long().cpu()
        works = (slope.abs() > 1e-6 * self.largest_slope) | (out.abs() > 1e-6)
        working = works.movedim(axis, -1).reshape(-1, z.shape[axis]).any(0).cpu() if z.dim() else works.reshape(1)  # fmt: skip
        if self.alive is None or self.alive.shape != working.shape:
            self.alive = (
                working if self.alive is None else self.alive
            )  # inputs of another size: units cannot be followed
        else:
            self.alive |= working

    @property
    def units(self) -> int:
        """How many there are."""
        return 0 if self.alive is None else len(self.alive)

    @property
    def dead(self) -> int:
        """How many never worked."""
        return 0 if self.alive is None else int((~self.alive).sum())


@dataclass
class LayerStream:
    """Outputs of one layer with weights, and the gradients that come back to them."""

    name: str
    kind: str
    order: int
    squares: float = 0.0
    count: int = 0
    gradients: list[float] = field(default_factory=list)
    passes: int = 0  # the last forward pass whose gradient has arrived
    ranks: list[float] = field(default_factory=list)
    units: int = 0
    updates: list[float] = field(default_factory=list)
    lags: list[list[float]] = field(
        default_factory=list
    )  # of a recurrent layer: gradient norm at each step of its input

    def take(self, out: Tensor, axis: int) -> None:
        """One call."""
        some = thinned(out).double()
        self.squares += float((some**2).sum())
        self.count += some.numel()
        if out.dim() >= 2 and len(self.ranks) < 4:
            self.units = out.shape[axis]
            self.ranks.append(effective_rank(out, axis))

    @property
    def rms(self) -> float:
        """Root mean square of the outputs."""
        return math.sqrt(self.squares / self.count) if self.count and self.squares >= 0 else math.nan

    @property
    def gradient(self) -> float:
        """Mean over the batches."""
        return sum(self.gradients) / len(self.gradients) if self.gradients else math.nan


def effective_rank(out: Tensor, axis: int) -> float:
    """exp of the entropy of the squared singular values of (samples, units), at most 256 of each, after taking off each unit's mean.

    0 where every unit is the same for every sample. Source: Roy & Vetterli 2007, EUSIPCO.
    """
    matrix = out.detach().movedim(axis, -1).reshape(-1, out.shape[axis])
    matrix = matrix[:: -(-len(matrix) // 256)][:, :256].double()
    if not matrix.isfinite().all() or len(matrix) < 2:
        return math.nan
    size = float(matrix.norm())
    matrix = matrix - matrix.mean(0)
    if float(matrix.norm()) <= 1e-6 * size:
        return 0.0
    share = torch.linalg.svdvals(matrix) ** 2
    share = share[share > 0] / share.sum()
    return float(torch.exp(-(share * share.log()).sum()))
