"""Polynomials for a function that is rounded to bfloat16 afterwards: they need only come to where its results are rounded right.

A result may lie anywhere in the cell of the real numbers that are rounded to the right number, and only at the 65,536 inputs there are. Where
few of these lie in an interval, that takes a degree less than to be near to the function throughout. After RLIBM (Lim and Nagarakatte, "High
performance correctly rounded math libraries for 32-bit floating point representations", PLDI 2021), which asks a linear program; here it is
the polynomial that lies deepest in its cells, by exchanges.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..activations._fits import Fit, Function, lengths
from ..activations._pieces import below
from ._dividing import Division
from ._half import every, unit

Numbers = NDArray[np.float64]

_SMALLEST = 2.0**-16  # inputs; below it a polynomial is what it is at 0
_TIES = 0.006  # ulp: what lies so near to the middle between two numbers may become either
_BEYOND = 0.05  # ulp beyond that middle
_FURTHEST = 0.997  # of half a cell from its middle: arithmetic in float32 takes some
_ENOUGH = 0.7  # no need to look for what lies deeper


class Cells(NamedTuple):
    """Places, in order, and the lowest and highest results that are rounded right at each; NaN where these are not finite."""

    at: Numbers
    low: Numbers
    high: Numbers

    @classmethod
    def of(cls, function: Function, within: float | None = None) -> "Cells":
        """Those of a function of float64 at numbers of bfloat16; with `within` no further from it than so many ulp, for what is multiplied before it is rounded."""
        x = every(torch.bfloat16)
        x = x[(x.abs() >= _SMALLEST) | (x == 0)].double().unique()
        exact = function(x)
        right, ulp = exact.float().bfloat16(), unit(exact, torch.bfloat16)

        def middle(towards: float) -> Tensor:
            return (right.double() + torch.nextafter(right, right.new_tensor(towards)).double()) / 2

        low, high = middle(-torch.inf), middle(torch.inf)
        low = torch.where(exact - low < _TIES * ulp, torch.minimum(low, exact - _BEYOND * ulp), low)
        high = torch.where(high - exact < _TIES * ulp, torch.maximum(high, exact + _BEYOND * ulp), high)
        if within is not None:
            low, high = torch.maximum(low, exact - within * ulp), torch.minimum(high, exact + within * ulp)
        known = low.isfinite() & high.isfinite()
        return cls(*(one.numpy() for one in (x, low.where(known, torch.nan), high.where(known, torch.nan))))

    def where(self, some: NDArray[np.bool_]) -> "Cells":
        """Some of them."""
        return Cells(*(one[some] for one in self))

    def over(self, x: Numbers | float) -> "Cells":
        """The same of what x is multiplied by."""
        ends = self.low / x, self.high / x
        return Cells(self.at, np.minimum(*ends), np.maximum(*ends))

    def at_once(self, place: float) -> "Cells":
        """One at another place, of a result that is right at all of them that are known."""
        known = ~np.isnan(self.low)
        ends = (self.low[known].max(), self.high[known].min()) if known.any() else (np.nan, np.nan)
        return Cells(np.array([place]), *map(np.array, ([one] for one in ends)))


class _Interval(NamedTuple):
    """What the polynomial of an interval has to come to by the distance from `shift` or by x itself, and whether it is 0 at 0."""

    cells: Cells
    shift: float
    rooted: bool


def fit(cells: Cells, division: Division, degree: int, *, times: bool, direct: bool) -> Fit | None:
    """Polynomials of that degree for all intervals; None if none are right. Of x itself if `direct`, else of what is left of scale x."""
    intervals = _intervals(cells, division, times=times, direct=direct)
    goals = [Goal.of(one.cells, rooted=one.rooted) for one in intervals]
    if not all(goal.reached(degree - one.rooted) for goal, one in zip(goals, intervals, strict=True)):
        return None
    rows = []
    for goal, one in zip(goals, intervals, strict=True):
        row = goal.rounded(degree - one.rooted)
        if row is None:
            return None
        rows.append((0.0, *row) if one.rooted else row)
    powers = zip(*rows, strict=True)
    shifts = tuple(one.shift for one in intervals)
    return Fit(tuple(powers), (), shifts if any(shifts) else ())


def _intervals(cells: Cells, division: Division, *, times: bool, direct: bool) -> list[_Interval]:
    """Those of all sides, one after the other."""
    found = []
    distances, exact = lengths(division.sides)
    for number, side in enumerate(division.sides):
        unit, scale = exact[number] if exact else 1.0, 1 / distances[number]
        of_side = _of_side(cells, division, number, times)
        scaled = of_side.at * scale
        whole = np.ceil(scaled) if division.up else np.rint(scaled)
        for place in range(side.first, side.first + side.intervals):
            here = of_side.where(whole == place)
            if direct:
                found.append(_Interval(here, 0.0, False))
                continue
            roots = [unit * (root * scale - place) for root in side.roots if round(root * scale) == place]
            shift = roots[0] if roots else 0.0
            found.append(
                _Interval(here._replace(at=unit * (scaled[whole == place] - place) - shift), shift, bool(roots))
            )
    return found


def _of_side(cells: Cells, division: Division, number: int, times: bool) -> Cells:
    """What one side's polynomials have to come to, or those along x: as far as it reaches, and at its end for all beyond if it is constant there."""
    parts = []
    for place, sign in enumerate((1, -1)) if division.line else ((number, 1 - 2 * number),):
        last, on_side = below(division.reaches[place]), sign * cells.at > 0
        if not times and (place == 0 or not division.line):
            on_side |= cells.at == 0  # the left side has -0
        near = cells.where(on_side & (abs(cells.at) <= last))
        parts.append(near.over(near.at) if times else near)
        if division.constant[place]:
            beyond, at_end = cells.where(on_side & (abs(cells.at) > last)), sign * last
            whole = times and division.whole[place]
            one = (beyond.over(beyond.at) if times and not whole else beyond).at_once(at_end)
            parts.append(one.over(at_end) if whole else one)
    joined = Cells(*(np.concatenate(of) for of in zip(*parts, strict=True)))
    if not division.line:
        joined = joined._replace(at=abs(joined.at))
    order = np.argsort(joined.at, kind="stable")
    return Cells(*(one[order] for one in joined))


class Goal(NamedTuple):
    """What a polynomial has to come to: no further than `half` from `middle`."""

    at: Numbers
    middle: Numbers
    half: Numbers

    @classmethod
    def of(cls, cells: Cells, *, rooted: bool) -> "Goal":
        """That of a polynomial that lies in these cells; if `rooted`, of what `at` is multiplied by."""
        if rooted:
            some = cells.where(cells.at != 0)
            cells = some.over(some.at)
        return cls(cells.at, (cells.low + cells.high) / 2, (cells.high - cells.low) / 2)

    def reached(self, degree: int) -> bool:
        """Whether a polynomial of that degree comes to it."""
        return bool((self.half > 0).all()) and self.deepest(degree) is not None

    def rounded(self, degree: int) -> tuple[float, ...] | None:
        """Coefficients of float32, that of 1 first, each rounded before those below it are looked for; None if there are none."""
        found: list[float] = []
        left = self
        for power in range(degree, -1, -1):
            first = left.deepest(power)
            if first is None:
                return None
            found.insert(0, float(np.float32(first)))
            left = left._replace(middle=left.middle - found[0] * left.at**power)
        return tuple(found)

    def deepest(self, degree: int) -> float | None:
        """The first coefficient of a polynomial of that degree that is near enough to the middle everywhere; None if there is none.

        By the exchange algorithm of Remez and Stiefel, on so many places: the largest distance from what is best at degree + 2 of them
        is at least the best of all.
        """
        count = degree + 2
        if len(self.at) <= degree:
            return 0.0
        centre, span = (self.at[-1] + self.at[0]) / 2, (self.at[-1] - self.at[0]) / 2 or 1.0
        terms = np.vander((self.at - centre) / span, degree + 1, increasing=True)
        if len(self.at) < count:
            return float(np.linalg.solve(terms, self.middle)[-1]) / span**degree
        signs = (-1.0) ** np.arange(count)
        known = _spread(self.at, centre - span * np.cos(np.pi * np.arange(count) / (count - 1)))
        for _ in range(100):
            solution = np.linalg.solve(np.column_stack([terms[known], signs * self.half[known]]), self.middle[known])
            depth = (terms @ solution[:-1] - self.middle) / self.half
            worst, level = int(np.argmax(abs(depth))), abs(solution[-1])
            if level > _FURTHEST:
                return None
            if abs(depth[worst]) <= max(_ENOUGH, level * (1 + 1e-6)):
                return float(solution[-2]) / span**degree
            known = _exchanged(known, worst, np.sign(depth[known]) == np.sign(depth[worst]))
        return None


def _spread(at: Numbers, wanted: Numbers) -> NDArray[np.int_]:
    """As many different places, near to those that are wanted."""
    order = np.arange(len(wanted))
    near = np.searchsorted((at[1:] + at[:-1]) / 2, wanted)
    near = np.maximum.accumulate(near - order) + order  # each after the one before
    return np.minimum(near, len(at) - len(wanted) + order)


def _exchanged(known: NDArray[np.int_], new: int, alike: NDArray[np.bool_]) -> NDArray[np.int_]:
    """The places with a new one for that neighbour beside it whose sign is the same, or for the other end."""
    place = int(np.searchsorted(known, new))
    if place == 0 and not alike[0]:
        return np.array([new, *known[:-1]])
    if place == len(known) and not alike[-1]:
        return np.array([*known[1:], new])
    known = known.copy()
    known[place if place < len(known) and alike[place] else place - 1] = new
    return known
