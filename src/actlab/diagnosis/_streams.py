"""Statistics over everything that passes by, in memory that does not grow with it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

BINS, REACH = 800, math.asinh(2000.0)  # of a histogram: bins of equal width in asinh(z), up to |z| = 2000
Slopes = Callable[[Tensor], tuple[Tensor, Tensor]]  # of numbers: f and f'
_KEPT = 256  # figures of steps that are remembered
_SAMPLE = 8_192  # numbers of one call that enter the statistics; dead units are judged by all of them


def edges() -> list[float]:
    """Borders of the bins."""
    return torch.linspace(-REACH, REACH, BINS + 1, dtype=torch.float64).sinh().tolist()


def kept(values: list[Any], value: Any, first: int = 0) -> None:
    """Append, and of more than 256 forget the older half, but for the `first`."""
    values.append(value)
    if len(values) > first + _KEPT:
        del values[first : first + _KEPT // 2]


def thinned(x: Tensor, most: int = _SAMPLE) -> Tensor:
    """At most so many of the numbers, evenly spaced by `spacing`."""
    return x.detach().reshape(-1)[:: spacing(x.numel(), most)]


def spacing(count: int, most: int = _SAMPLE) -> int:
    """A prime distance, or 1, so that a sample of an array meets every unit, whatever the array's sizes (but for multiples of it)."""
    step = -(-count // most)
    while step > 1 and any(step % one == 0 for one in range(2, math.isqrt(step) + 1)):
        step += 1
    return max(1, step)


@dataclass
class SiteStream:
    """Inputs of one activation, unit by unit where it matters.

    Flatness, moments and histogram are told from a sample of every call; whether a unit is dead, from all numbers of those units that have
    not been seen to work yet.
    """

    name: str
    activation: str
    order: int
    largest_slope: float
    curve: Tensor  # (z, f, f') in rows
    after: str = ""  # the layer with weights that ran before it
    again: bool = False  # whether units that have worked are looked at again, to see those that cease to
    one_sided: bool = False  # grows without bound on the right and is off on the left, as ReLU and its like
    count: int = 0
    looked: int = 0  # numbers in the samples
    flat: int = 0  # of these
    off: int = 0
    total: float = 0.0
    squares: float = 0.0
    worked: Tensor | None = None  # of each unit the pass in which it last worked, 0 for never
    since: int = 1  # units that have not worked from this pass on are called dead
    histogram: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.long))

    def take(self, z: Tensor, slopes: Slopes, axis: int, *, pointwise: bool, turn: int) -> None:
        """One call, in pass `turn` (from 1), with inputs `z`; `slopes` gives outputs and slopes of numbers, or of all of `z` where not `pointwise`; units along `axis`."""
        z = z.detach()
        whole = None if pointwise else slopes(z)
        step = spacing(z.numel())
        some = thinned(z)
        out, slope = slopes(some) if whole is None else (one.reshape(-1)[::step] for one in whole)
        flat = slope.abs() < 1e-3 * self.largest_slope
        silent = flat & (some <= 0) if self.one_sided else torch.zeros_like(flat)
        self.count += z.numel()
        self.looked += some.numel()
        self.off += int(silent.sum())
        self.flat += int(flat.sum()) - int(silent.sum())
        finite = some if bool(some.sum().isfinite()) else some[some.isfinite()]
        finite = finite.double()
        self.total += float(finite.sum())
        self.squares += float((finite**2).sum())
        if finite.numel():
            self.histogram += torch.histc(finite.asinh().clamp(-REACH, REACH).float(), BINS, -REACH, REACH).long().cpu()
        units = z.shape[axis] if z.dim() else 1
        if self.worked is None:
            self.worked = torch.zeros(units, dtype=torch.int32, device=z.device)
        before = turn if self.again else 1
        if len(self.worked) == units and bool(
            (self.worked < before).any()
        ):  # inputs of another size: units cannot be followed
            inner = math.prod(z.shape[axis + 1 :]) if z.dim() else 1
            unit = torch.arange(0, z.numel(), step, device=z.device) // inner % units
            self.worked[unit[self._works(out, slope)]] = turn
            self._rest(z, slopes, whole, axis, before, turn)

    def _rest(self, z: Tensor, slopes: Slopes, whole: tuple[Tensor, Tensor] | None, axis: int, before: int, turn: int) -> None:  # fmt: skip
        """All numbers of the units that have not worked since pass `before`."""
        assert self.worked is not None
        waiting = (self.worked < before).nonzero().flatten()
        if len(waiting) and z.dim():
            found = slopes(z.index_select(axis, waiting)) if whole is None else (one.index_select(axis, waiting) for one in whole)  # fmt: skip
            works = self._works(*found).movedim(axis, -1).reshape(-1, len(waiting)).any(0)
            self.worked[waiting[works]] = turn

    def _works(self, out: Tensor, slope: Tensor) -> Tensor:
        return (slope.abs() > 1e-6 * self.largest_slope) | (out.abs() > 1e-6)

    @property
    def units(self) -> int:
        """How many there are."""
        return 0 if self.worked is None else len(self.worked)

    @property
    def silent(self) -> tuple[int, ...]:
        """Those that have not worked from pass `since` on."""
        return () if self.worked is None else tuple((self.worked < self.since).nonzero().flatten().tolist())

    @property
    def dead(self) -> int:
        """How many these are."""
        return len(self.silent)


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
    normed: bool = False  # whether a normalisation stands between it and the layer before
    calls: int = 0
    updates: list[float] = field(default_factory=list)
    lags: list[list[float]] = field(
        default_factory=list
    )  # of a recurrent layer: gradient norm at each step of its input

    def take(self, out: Tensor, axis: int) -> None:
        """One call."""
        some = thinned(out).float()
        self.squares += float(some.norm()) ** 2
        self.count += some.numel()
        self.calls += 1
        if out.dim() >= 2 and (self.calls <= 4 or self.calls % 16 == 0):
            self.units = out.shape[axis]
            self.ranks = [*self.ranks, effective_rank(out, axis)][-4:]

    @property
    def rms(self) -> float:
        """Root mean square of the outputs."""
        return math.sqrt(self.squares / self.count) if self.count and self.squares >= 0 else math.nan

    @property
    def gradient(self) -> float:
        """Mean over the batches."""
        return sum(self.gradients) / len(self.gradients) if self.gradients else math.nan


def effective_rank(out: Tensor, axis: int) -> float:
    """exp of the entropy of the squared singular values of (samples, units), at most 128 of each, after taking off each unit's mean.

    0 where every unit is the same for every sample. Source: Roy & Vetterli 2007, EUSIPCO.
    """
    matrix = out.detach().movedim(axis, -1).reshape(-1, out.shape[axis])
    matrix = matrix[:: -(-len(matrix) // 128)][:, :128].double()
    if not matrix.isfinite().all() or len(matrix) < 2:
        return math.nan
    size = float(matrix.norm())
    matrix = matrix - matrix.mean(0)
    if float(matrix.norm()) <= 1e-6 * size:
        return 0.0
    gram = matrix @ matrix.T if len(matrix) < matrix.shape[1] else matrix.T @ matrix  # its eigenvalues are the squares
    share = torch.linalg.eigvalsh(gram).clamp(min=0)
    share = share[share > 0] / share.sum()
    return float(torch.exp(-(share * share.log()).sum()))
