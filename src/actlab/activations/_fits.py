"""Polynomials for the intervals of functions: by least squares in float64, each coefficient rounded before the next ones are fitted to what is left."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]

_PARTS = 256  # of 1: steps are whole numbers of them


class Side(NamedTuple):
    """A function in so many intervals around the whole numbers from `first` on that `scale` takes x to, and where it is 0. Of x >= 0 if `first` is 0."""

    function: Function
    scale: float
    intervals: int
    roots: tuple[float, ...] = ()
    first: int = 0

    def numbers(self) -> Tensor:
        """The whole numbers."""
        return torch.arange(self.first, self.first + self.intervals, dtype=torch.float64)


def scale_of(step: float) -> float:
    """The scale of float32 that takes a step to 1."""
    return torch.tensor(1 / step, dtype=torch.float32).item()


def steps(scales: Iterable[float]) -> tuple[float, ...] | None:
    """What the scales take to 1, where it has so few digits that x less whole numbers of it loses none; None unless that is so for all."""
    found = [(round(_PARTS / abs(scale)) / _PARTS, abs(scale)) for scale in scales]
    return tuple(step for step, _ in found) if all(step and scale_of(step) == scale for step, scale in found) else None


def lengths(sides: tuple[Side, ...]) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """How far it is from one whole number to the next on each side, and its steps where these are exact."""
    exact = steps(side.scale for side in sides)
    if exact is None:
        return tuple(1 / side.scale for side in sides), None
    return tuple(math.copysign(step, side.scale) for step, side in zip(exact, sides, strict=True)), exact


class Fit(NamedTuple):
    """Coefficients in rows of one power each, with what else `_pieces.Pieces` has."""

    coefficients: tuple[tuple[float, ...], ...]
    low: tuple[float, ...]
    shifts: tuple[float, ...]


@torch.no_grad()
def fit(
    sides: tuple[Side, ...],
    degree: int,
    enough: float,
    *,
    low: bool = False,
    up: bool = False,
    term: bool = False,
    free: bool = False,
) -> Fit | None:
    """The polynomials of that degree for all intervals, one side after the other; None if they are off by more than `enough` of the value.

    With `low` what rounding leaves out of the first coefficients is kept. With `up` an interval ends at its whole number. `term` says
    that the function is added to something as large as it ever is: where it is small, its digits do not matter. With `free` its values
    at whole numbers need not be kept either, but for those at 0 and at roots.
    """
    distances, exact = lengths(sides)
    counts = torch.tensor([side.intervals for side in sides])
    units = torch.tensor(exact or (1.0,) * len(sides), dtype=torch.float64).repeat_interleave(counts)[:, None]
    asked = [_places(*one, degree, up) for one in zip(sides, distances, strict=True)]
    found = [_roots(*one, exact is not None) for one in zip(sides, distances, strict=True)]
    shifts, at_roots = (torch.cat(of) for of in zip(*found, strict=True))
    first, values, places = (torch.cat(of) for of in zip(*asked, strict=True))
    if not (torch.maximum(first.abs(), values.abs()) < 1e30).all():  # float32 must hold them; or they are no numbers
        return None
    rooted = ~at_roots.isnan()
    first, places = torch.where(rooted, at_roots, first), places - shifts
    # Errors are measured by the value itself where the first is that at a root, else by no less than an eighth of the largest.
    sizes = values.abs()
    sizes = torch.where(rooted, sizes, torch.maximum(sizes, 0.125 * sizes.amax(1, keepdim=True))).clamp(min=1e-30)
    if term:
        sizes = torch.maximum(sizes, 0.1 * sizes.max())
    off = values - first
    error = off - _best(off, places, sizes, range(1, degree + 1))[1]
    if free:
        terms, best = _best(off, places, sizes, range(degree + 1))
        movable = ~rooted & torch.cat([side.numbers() != 0 for side in sides])[:, None]
        error = torch.where(movable, off - best, error)
        first = torch.where(movable, first + terms[:, :1], first)
    if not (error.abs() / sizes).max() <= enough:
        return None
    left_out = first - first.float() if low else torch.zeros_like(first)
    rounded = _coefficients(first - left_out, values - left_out, places, sizes, degree, units)
    return Fit(
        tuple(tuple(one) for one in rounded.T.tolist()),
        tuple(left_out[:, 0].float().tolist()) if low else (),
        tuple((shifts * units)[:, 0].tolist()) if shifts.any() else (),
    )


def _places(side: Side, length: float, degree: int, up: bool) -> tuple[Tensor, Tensor, Tensor]:
    """In rows, for each interval of this length: the value at its whole number, values throughout, and where these are from that number."""
    nodes = 4 * degree + 4
    places = 0.5 * torch.cos(math.pi * (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes) - 0.5 * up
    places = places.expand(side.intervals, nodes)
    if side.first == 0:
        places = torch.cat([places[:1].abs(), places[1:]])  # there is nothing left of 0
    whole = side.numbers()[:, None]
    return side.function(whole * length), side.function((whole + places) * length), places


def _roots(side: Side, length: float, exact: bool) -> tuple[Tensor, Tensor]:
    """In rows, for each interval, where the root in it is from its whole number, and the value there; 0 and NaN without one.

    Where steps are exact it is the root as float32 has it, so that x less it is exact too; the function is not quite 0 there.
    """
    shifts = torch.zeros(side.intervals, 1, dtype=torch.float64)
    values = torch.full_like(shifts, math.nan)
    for root in side.roots:
        number = round(root * side.scale)
        interval = number - side.first
        if 0 <= interval < side.intervals:
            at = torch.tensor([root], dtype=torch.float32 if exact else torch.float64).double()
            shifts[interval], values[interval] = at / length - number, side.function(at) if exact else 0.0
    return shifts, values


def _best(values: Tensor, places: Tensor, sizes: Tensor, powers: range) -> tuple[Tensor, Tensor]:
    """In rows, the polynomial of these powers that is nearest to the values: its coefficients, and what it is at all places."""
    terms = places[..., None] ** torch.tensor(powers)
    solution = torch.linalg.lstsq(terms / sizes[..., None], (values / sizes)[..., None]).solution
    return solution[..., 0], (terms @ solution)[..., 0]


def _coefficients(first: Tensor, values: Tensor, places: Tensor, sizes: Tensor, degree: int, units: Tensor) -> Tensor:
    """In rows, from those that are known on, of powers of places times their units."""
    found = [first.float().double()]
    rest = values - found[0]
    for power in range(1, degree + 1):
        terms = places[..., None] ** torch.arange(power, degree + 1)
        solution = torch.linalg.lstsq(terms / sizes[..., None], (rest / sizes)[..., None]).solution
        found.append((solution[:, 0] / units**power).float().double())
        rest = rest - found[-1] * (places * units) ** power
    return torch.cat(found, 1)
