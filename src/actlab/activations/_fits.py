"""Polynomials for the intervals of functions: by least squares in float64, each coefficient rounded before the next ones are fitted to what is left."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


class Root(NamedTuple):
    """Where a function is 0, and how many times."""

    at: float
    times: int = 1


class Side(NamedTuple):
    """A function of x >= 0, in so many intervals around the whole numbers that `scale` takes x to."""

    function: Function
    scale: float
    intervals: int
    roots: tuple[Root, ...] = ()


class Fit(NamedTuple):
    """Coefficients in rows of one power each, with what else `_pieces.Pieces` has."""

    coefficients: tuple[tuple[float, ...], ...]
    low: tuple[float, ...]
    shifts: tuple[float, ...]


@torch.no_grad()
def fit(
    sides: tuple[Side, ...], degree: int, enough: float, *, low: bool = False, up: bool = False, term: bool = False
) -> Fit | None:
    """The polynomials of that degree for all intervals, one side after the other; None if they are off by more than `enough` of the value.

    With `low` what rounding leaves out of the first coefficients is kept. With `up` an interval ends at its whole number. `term` says
    that the function is added to something as large as it ever is: where it is small, its digits do not matter.
    """
    asked = [_places(side, degree, up) for side in sides]
    shifts, times = (torch.cat(of) for of in zip(*[_roots(side) for side in sides], strict=True))
    first, values, places = (torch.cat(of) for of in zip(*asked, strict=True))
    if not (torch.maximum(first.abs(), values.abs()) < 1e30).all():  # float32 must hold them; or they are no numbers
        return None
    first, places = first.masked_fill(times > 0, 0.0), places - shifts
    # Errors are measured by the value itself where the first is 0, else by no less than an eighth of the largest.
    sizes = values.abs()
    sizes = torch.where(first == 0, sizes, torch.maximum(sizes, 0.125 * sizes.amax(1, keepdim=True))).clamp(min=1e-30)
    if term:
        sizes = torch.maximum(sizes, 0.1 * sizes.max())
    off = (values - first - _best(values - first, places, sizes, degree, times)).abs() / sizes
    if not off.max() <= enough:
        return None
    left_out = first - first.float() if low else torch.zeros_like(first)
    rounded = _coefficients(first - left_out, values - left_out, places, sizes, degree, times)
    return Fit(
        tuple(tuple(one) for one in rounded.T.tolist()),
        tuple(left_out[:, 0].float().tolist()) if low else (),
        tuple(shifts[:, 0].float().tolist()) if shifts.any() else (),
    )


def _places(side: Side, degree: int, up: bool) -> tuple[Tensor, Tensor, Tensor]:
    """In rows, for each interval: the value at its whole number, values throughout, and where these are from that number."""
    nodes = 4 * degree + 4
    places = 0.5 * torch.cos(math.pi * (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes) - 0.5 * up
    places = places.expand(side.intervals, nodes)
    places = torch.cat([places[:1].abs(), places[1:]])  # there is nothing left of 0
    whole = torch.arange(side.intervals, dtype=torch.float64)[:, None]
    return side.function(whole / side.scale), side.function((whole + places) / side.scale), places


def _roots(side: Side) -> tuple[Tensor, Tensor]:
    """In rows, for each interval, where the root in it is from its whole number, and how many times the function is 0 there."""
    shifts, times = torch.zeros(side.intervals, 1, dtype=torch.float64), torch.zeros(side.intervals, 1)
    for root in side.roots:
        interval = round(root.at * side.scale)
        if interval < side.intervals:
            shifts[interval], times[interval] = root.at * side.scale - interval, root.times
    return shifts, times


def _best(values: Tensor, places: Tensor, sizes: Tensor, degree: int, times: Tensor) -> Tensor:
    """In rows, at all places the polynomial without a first term that is nearest to these values."""
    powers = torch.arange(1, degree + 1)
    terms = (places[..., None] ** powers).masked_fill(times[..., None] > powers, 0.0)
    solution = torch.linalg.lstsq(terms / sizes[..., None], (values / sizes)[..., None], driver="gelsd").solution
    return (terms @ solution)[..., 0]


def _coefficients(first: Tensor, values: Tensor, places: Tensor, sizes: Tensor, degree: int, times: Tensor) -> Tensor:
    """In rows, from those that are known on. At a root of several times the powers below are 0."""
    found = [first.float().double()]
    rest = values - found[0]
    for power in range(1, degree + 1):
        terms = places[..., None] ** torch.arange(power, degree + 1)
        solution = torch.linalg.lstsq(terms / sizes[..., None], (rest / sizes)[..., None]).solution
        found.append(solution[:, 0].float().double().masked_fill(times > power, 0.0))
        rest = rest - found[-1] * places**power
    return torch.cat(found, 1)
