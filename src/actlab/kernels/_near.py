"""An activation or its slope not far from 0 by pieces of polynomials: for kernels, which compute the usual way only where inputs lie further.

The pieces are fitted to the entry's own arithmetic in float64. So every function that is smooth but for 0 takes as few steps as tanh does,
whatever it is made of, and every digit is kept near the roots of its slope.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product, starmap
from typing import NamedTuple

import torch
from torch import Tensor

from ..activations import _pieces as pieces
from ..activations import get
from ..activations._fits import Side, fit
from ..activations._float32 import fma
from ..activations._pieces import Pieces
from ._cells import Cells
from ._cells import fit as fit_cells
from ._dividing import Division, Function, Shape
from ._half import every, off_by
from ._variant import Variant

_FAR = 5.9  # a reach
_DEGREES = range(2, 10)
_ENOUGH = {torch.float32: 4e-9, torch.float16: 1.5e-6, torch.bfloat16: 3e-5}  # of the value
_LOPSIDED = 1.7  # where one side falls too fast for that: the left one reaches so much further
_LARGEST = torch.finfo(torch.float32).max
# By how much of it a function may differ from what it comes to far away; the second of values that it is rounded to anyway.
_CONSTANT = {torch.float32: (2e-8,), torch.float16: (1.5e-6, 2.3e-4), torch.bfloat16: (1.2e-5, 1.9e-3)}
# In ulp of float32, of one function of |x|, of two sides and along x, at so many numbers a tenth to three tenths less than over all: two
# sides share them, and along x intervals are wider and errors lie in fewer places.
_WORST = {"value": (1.8, 1.7, 1.6), "slope": (3.1, 3.1, 3.1)}
_VANISHES = 2.0**-26  # beside 1
_HALF = 0.506  # ulp of half types
_WITHIN = 0.05  # ulp, of slopes in bfloat16, which are multiplied before they are rounded


class Way(NamedTuple):
    """A way to tell a function by pieces."""

    degree: int
    division: Division
    careful: bool
    direct: bool

    def steps(self) -> tuple[float, int, float]:
        """What makes one better than another: few steps, of which a degree more takes two, and of those alike no end on a side and a long reach."""
        sides = 2 * (len(self.division.sides) - 1) + self.division.mirrored
        found = self.degree + 2 * self.careful + sides
        less = 0.5 * self.direct + (0.35 if self.direct else 0.75) * self.division.binary
        return found - less - (self.division.reach >= _FAR), -sum(self.division.constant), -self.division.reach


class Near(NamedTuple):
    """What an activation or its slope is for inputs from `low` to `high`: pieces, x times them or their squares; of x, of both sides or of |x|.

    If `mirrored`, -|x| times them, and x besides where that is right of 0.
    """

    table: Pieces
    sides: bool
    times: bool
    low: float
    high: float
    squared: bool = False
    careful: bool = False
    least: float | None = None  # beyond these it is what it is there, though it has x for a factor
    most: float | None = None
    line: bool = False  # of x, without sides
    ends: tuple[float | None, float | None] = (None, None)  # beyond which pieces of x are constant
    mirrored: bool = False

    def at(self, x: Tensor) -> Tensor:
        """It at x of float32."""
        factor = _clamped(x, self.least, self.most)
        place = _clamped(x, *self.ends) if self.line else factor.abs()
        first, rest = pieces.looked_up(place, factor if self.sides else place, self.table, careful=self.careful)
        if self.squared:
            return first * first
        if self.mirrored:
            left = -factor.abs()
            more = torch.where(x < 0, 0.0, x)  # -0 stays
            return fma(left, first, more if rest is None else fma(left, rest, more))
        if rest is None:
            return factor * first if self.times else first
        return fma(factor, first, factor * rest) if self.times else first + rest

    @property
    def everywhere(self) -> bool:
        """Whether it is right for all x, infinite ones too."""
        return self.low == -_LARGEST and self.high == _LARGEST

    def holds(self, x: Tensor) -> Tensor:
        """Where x lies between `low` and `high`."""
        return (x >= self.low) & (x <= self.high)


@cache
def near(variant: Variant, kind: str, dtype: torch.dtype) -> Near | None:
    """The "value" or the "slope" of a variant near 0, good enough for results of this type; None where there is no such."""
    entry = variant.entry
    if entry.pieces_of:
        found = near(Variant(get(entry.pieces_of), (), ()), kind, dtype)
        (kink,) = entry.points(entry.kinks, **dict(variant.fixed))
        return found and found._replace(high=min(found.high, pieces.below(kink)))
    taken = kind in entry.pieces or (dtype != torch.float32 and f"half {kind}" in entry.pieces)
    if variant.learnt or not taken or not pieces.in_one_step():
        return None
    order, values = ("value", "slope").index(kind), dict(variant.fixed)

    def evaluated(x: Tensor, more: int = 0) -> Tensor:
        return entry.evaluate(x, order + more, **values)

    shape = Shape.of(evaluated, kinked=0.0 in entry.kinks, slope=kind == "slope")
    cells = None
    if dtype == torch.bfloat16 and not shape.squared:
        cells = Cells.of(evaluated, _WITHIN if kind == "slope" else None)
    tables: dict[tuple[int, Division | tuple[Side, ...], bool], Pieces | None] = {}
    for way in _ways(shape, kind, dtype, by_cells=cells is not None):
        place = (way.degree, way.division if cells else way.division.sides, way.direct)
        if place not in tables:
            tables[place] = _table(way, kind, dtype, cells, times=shape.times)
        table = tables[place]
        if table is not None:
            found = _limited(shape, table, way.division)._replace(careful=way.careful)
            if _suffices(found, evaluated, kind, dtype, shape.roots):
                return found
    return None


def _ways(shape: Shape, kind: str, dtype: torch.dtype, *, by_cells: bool) -> Iterator[Way]:
    """All there are, best first; those of which the left side reaches further come last."""
    pairs = _in_pairs(kind, dtype)
    up = not any(shape.roots)  # at roots intervals must have theirs in the middle
    for further in (1.0, _LOPSIDED) if kind == "slope" else (1.0,):
        divisions = dict.fromkeys(
            one
            for of in filter(None, (shape, shape.mirror if pairs else None))
            for tolerance in _CONSTANT[dtype][: 1 + (kind == "value")]
            for ends in [of.ends(tolerance)]
            for one in (*of.divided(up, further, ends), *of.lines(ends, careful=pairs, kinked=by_cells))
        )
        ways = starmap(Way, product(_DEGREES, divisions, (False, True)[: 1 + pairs], (False, True)[: 1 + by_cells]))
        # Along x what comes after the first terms is not small in wide intervals.
        yield from sorted((way for way in ways if not (way.careful and way.division.line)), key=Way.steps)


def _in_pairs(kind: str, dtype: torch.dtype) -> bool:
    """Whether first coefficients are kept as sums of two: values of float32."""
    return dtype == torch.float32 and kind == "value"


def _table(way: Way, kind: str, dtype: torch.dtype, cells: Cells | None, *, times: bool) -> Pieces | None:
    """The pieces of a way, None where they are not good enough: of what is rounded right, if cells are given, else of what is near."""
    division, degree = way.division, way.degree
    if cells is not None:
        found = fit_cells(cells, division, degree, times=times, direct=way.direct)
    else:
        more = {"low": _in_pairs(kind, dtype), "up": division.up, "free": dtype != torch.float32}
        found = fit(division.sides, degree, _ENOUGH[dtype], **more)
    return found and Pieces.of(found, division.sides, division.reaches, up=division.up, direct=way.direct)


def _clamped(x: Tensor, least: float | None, most: float | None) -> Tensor:
    return x if least is None and most is None else x.clamp(least, most)


def _limited(shape: Shape, table: Pieces, division: Division) -> Near:
    """The pieces with the limits within which they tell the function: none on a side where it is constant beyond them."""
    lasts = [pieces.below(reach) for reach in division.reaches]
    if division.mirrored:
        vanishes = division.sides[0].function(torch.tensor(lasts[0], dtype=torch.float64)) < _VANISHES
        table, high = (table, _LARGEST) if vanishes else (table._replace(lasts=(_LARGEST,)), lasts[0])
        return Near(table, False, shape.times, -lasts[0], high, mirrored=True)
    sides = list(zip(lasts, division.constant, division.whole, strict=True))
    limits = [_LARGEST if constant else last for last, constant, _ in sides]
    ends = [last if constant and whole else None for last, constant, whole in sides]
    least = None if ends[-1] is None else -ends[-1]
    if division.line or all(limit != _LARGEST or end is not None for limit, end in zip(limits, ends, strict=True)):
        table = table._replace(lasts=(_LARGEST,) * len(table.lasts))  # nothing from beyond them comes there
    found = Near(
        table, len(division.sides) == 2, shape.times, -limits[-1], limits[0], shape.squared, least=least, most=ends[0]
    )
    if not division.line:
        return found
    right, left = (last if constant else None for last, constant, _ in sides)
    return found._replace(line=True, ends=(None if left is None else -left, right))


def _suffices(
    found: Near, function: Function, kind: str, dtype: torch.dtype, roots: tuple[tuple[float, ...], ...]
) -> bool:
    """Whether it is as good as rounded once, at every number of a half type, and of float32 nearly so throughout and beside the roots."""
    if dtype != torch.float32:
        x = every(dtype)
        x = x[found.holds(x.float())]
        return off_by(found.at(x.float()), function(x.double()), dtype) <= _HALF
    beside = torch.logspace(-7, -1, 3000, dtype=torch.float32)
    near_roots = [
        sign * root * (1 + step)
        for sign, side in zip((1, -1), roots if len(roots) == 2 else roots * 2, strict=True)
        for root in side
        for step in (beside, -beside)
    ]
    worst = _WORST[kind][2 if found.line else found.sides]
    low, high = max(found.low, -10), min(found.high, -found.low if found.mirrored else 10)
    for count in (10_000, 60_000, 400_000):
        one = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        x = torch.cat([low + (high - low) * one[::2], 2 * one[1::2] - 1])  # errors change fastest near 0
        if found.mirrored:  # and are largest where it falls fastest
            x = torch.cat([x, low + 1.25 * one])
        x = torch.cat([x, x.new_zeros(1), *near_roots]).clamp(found.low, found.high)
        exact = function(x.double())
        unit = torch.exp2(exact.abs().clamp(min=torch.finfo(dtype).tiny).log2().floor() - 23)
        if not ((found.at(x).double() - exact).abs() <= worst * unit).all():
            return False
    return True
