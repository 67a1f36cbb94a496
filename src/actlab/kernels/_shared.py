"""Slopes from outputs where many inputs share one: near a minimum the slope that the output itself would have is none of theirs.

What is least off in the mean square is their mean, as inputs are distributed; with it gradients are right on average, too. An output
with such a slope stands in for the one that is shared.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ._half import every, unit

_MOST = 2  # outputs; of hard_swish, GELU and their like these bring nearly all that can be
_LEAST = {True: 0.01, False: 0.05}  # of the mean square error, that one must spare: if it takes one step, if two
_STEPS = 4001  # numbers of an output's cell and of its neighbours'

Function = Callable[[Tensor], Tensor]
Slope = Callable[..., Tensor]


class StandIn(NamedTuple):
    """A number for an output; `end` is 1 for the largest of all outputs, -1 for the least."""

    output: float
    instead: float
    end: int

    @property
    def clamps(self) -> bool:
        """Whether it lies within the outputs, so that one step takes it instead of two."""
        return self.end * (self.output - self.instead) > 0

    def put(self, y: Tensor, into: Tensor) -> Tensor:
        """The number where y is this output, the rest of `into`, which is y but for others put there before."""
        if self.clamps:
            return into.clamp(max=self.instead) if self.end > 0 else into.clamp(min=self.instead)
        return torch.where(y == self.output, self.instead, into)


def stand_ins(
    value: Function, exact: Function, slope: Slope, side: Function | None, dtype: torch.dtype
) -> tuple[StandIn, ...]:
    """Those that it is worth for, with `slope(y)` or `slope(y, side(x))` and normal inputs of a half type.

    Empty where outputs tell the slope as well as this type could hold it.
    """
    x = every(dtype).double().unique()
    y, right = value(x).to(dtype), exact(x)
    rising = torch.zeros_like(x, dtype=torch.bool) if side is None else side(x)
    found = _slopes(slope, side, y.float(), rising)
    known = y.isfinite() & right.isfinite() & found.isfinite()
    outputs, place = y[known].float().unique(return_inverse=True)
    group = 2 * place + rising[known]
    share = _shares(x)[known]

    def total(of: Tensor) -> Tensor:
        return torch.zeros(2 * len(outputs), dtype=torch.float64).index_add_(0, group, share * of[known]).view(-1, 2)

    shares = total(torch.ones_like(x))
    means, taken = total(right) / shares, total(found) / shares  # NaN where no input is
    error, rounding = total((found - right).square()).sum(), total(unit(right, dtype).square() / 12).sum()
    if error <= 1.1 * rounding:
        return ()
    spared = (shares * (taken - means).square()).nan_to_num(0.0).sum(1)
    chosen = []
    for one in spared.topk(min(_MOST, len(spared))).indices.tolist():
        instead = _nearest(slope, side, outputs[one].to(dtype), shares[one], means[one])
        found = StandIn(float(outputs[one]), instead, (one == len(outputs) - 1) - (one == 0))
        if spared[one] > _LEAST[found.clamps] * error:
            chosen.append(found)
    return tuple(sorted(chosen, key=lambda one: not one.clamps))


def standing_in(slope: Slope, known: tuple[StandIn, ...]) -> Slope:
    """The slope with these in their places."""

    def corrected(y: Tensor, *side: Tensor) -> Tensor:
        inner = y
        for one in known:
            inner = one.put(y, inner)
        return slope(inner, *side)

    return corrected


def _nearest(slope: Slope, side: Function | None, output: Tensor, shares: Tensor, means: Tensor) -> float:
    """The number next to an output whose slopes on both sides are nearest to these."""
    far = torch.tensor(torch.inf, dtype=output.dtype)
    low, high = (float(torch.nextafter(output, one)) for one in (-far, far))
    numbers = torch.linspace(low, high, _STEPS, dtype=torch.float64).float()
    off = torch.zeros(_STEPS, dtype=torch.float64)
    for rising in (0, 1):
        if shares[rising] > 0:
            found = _slopes(slope, side, numbers, torch.full((_STEPS,), bool(rising)))
            off += shares[rising] * (found - means[rising]).square().nan_to_num(torch.inf)
    return float(numbers[off.argmin()])


def _slopes(slope: Slope, side: Function | None, y: Tensor, rising: Tensor) -> Tensor:
    return (slope(y) if side is None else slope(y, rising)).double()


def _shares(x: Tensor) -> Tensor:
    """How many of all normal numbers are next to each of these, in order."""
    between = torch.special.ndtr((x[1:] + x[:-1]) / 2)
    return torch.diff(torch.cat([between.new_zeros(1), between, between.new_ones(1)]))
