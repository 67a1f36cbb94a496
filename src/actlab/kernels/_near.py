"""An activation or its slope not far from 0 by pieces of polynomials: for kernels, which compute the usual way only where inputs lie further.

The pieces are fitted to the entry's own arithmetic in float64. So every function that is smooth but for 0 takes as few steps as tanh does,
whatever it is made of, and every digit is kept near the roots of its slope.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from ..activations import _pieces as pieces
from ..activations import get
from ..activations._fits import Side, fit
from ..activations._float32 import fma, signed
from ..activations._pieces import COUNT, Pieces
from ._cells import Cells
from ._cells import fit as fit_cells
from ._dividing import Division, Function, Shape
from ._half import every, off_by
from ._variant import Variant

_FAR = 5.9  # a reach
_DEGREES = range(2, 10)
_ENOUGH = {torch.float32: 5e-8, torch.float16: 1.5e-6, torch.bfloat16: 3e-5}  # of the value
_LOPSIDED = 1.7  # where one side falls too fast for that: the left one reaches so much further
_LARGEST = torch.finfo(torch.float32).max
# By how much of it a function may differ from what it comes to far away; the second of values that it is rounded to anyway.
_CONSTANT = {torch.float32: (2e-8,), torch.float16: (1.5e-6, 2.3e-4), torch.bfloat16: (1.2e-5, 1.9e-3)}
_WORST = {"value": 1.8, "slope": 3.1}  # ulp of float32, at so many numbers up to two tenths less than over all
_VANISHES = 2.0**-26  # beside 1
_HALF = 0.506  # ulp of half types
_WITHIN = 0.05  # ulp, of slopes in bfloat16, which are multiplied before they are rounded


class Way(NamedTuple):
    """A way to tell a function by pieces."""

    degree: int
    shape: Shape
    division: Division
    pairs: bool  # with what rounding leaves out of the first coefficients
    careful: bool
    direct: bool

    def steps(self) -> tuple[float, float]:
        """What makes one better than another: few steps, of which a degree more takes two, no end on a side, and a long reach."""
        division = self.division
        sides = 2 * (len(division.sides) - 1) + 0.5 * (self.shape.mirrored or self.put_before)
        terms = 0.75 * self.pairs + 1.5 * self.careful + (0.5 + 0.5 * self.pairs) * self.shape.times
        endless = 2.0 * all(division.constant) or 0.5 * any(division.constant)
        less = (
            0.5 * self.direct + (0.35 if self.direct else 0.75) * division.binary + endless + (division.reach >= _FAR)
        )
        return self.degree + sides + terms - less, -division.reach

    @property
    def put_before(self) -> bool:
        """Whether it is of |x| and has the sign of x put before it."""
        return self.shape.odd and not self.shape.times


class Near(NamedTuple):
    """What an activation or its slope is for inputs from `low` to `high`: pieces, x times them or their squares; of x, of both sides or of |x|.

    If `mirrored` they, or |x| times them, are taken from x right of 0 and from 0 left of it; if `signed` they have the sign of x.
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
    signed: bool = False

    def at(self, x: Tensor) -> Tensor:
        """It at x of float32."""
        factor = _clamped(x, self.least, self.most)
        place = _clamped(x, *self.ends) if self.line else factor.abs()
        first, rest = pieces.looked_up(place, factor if self.sides else place, self.table, careful=self.careful)
        if self.squared:
            return first * first
        if self.mirrored:
            left, more = -factor.abs(), x.clamp(min=0)
            if not self.times:
                return more - first
            return fma(left, first, more if rest is None else fma(left, rest, more))
        if self.signed:
            return signed(first, x)
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
    tables: dict[tuple[int, Division | tuple[Side, ...], bool, bool], Pieces | None] = {}
    for way in _ways(shape, kind, dtype, by_cells=cells is not None):
        place = (way.degree, way.division if cells else way.division.sides, way.pairs, way.direct)
        if place not in tables:
            tables[place] = _table(way, dtype, cells)
        table = tables[place]
        if table is not None:
            found = _limited(way, table)
            if _suffices(found, evaluated, kind, dtype, shape.roots):
                return found
    return None


def _ways(shape: Shape, kind: str, dtype: torch.dtype, *, by_cells: bool) -> Iterator[Way]:
    """All there are, best first; those of which the left side reaches further come last."""
    full = dtype == torch.float32 and kind == "value"
    shapes = [shape]
    if kind == "value" and not by_cells:
        mirror = shape.mirror
        shapes += filter(None, (mirror if full else None, shape.whole, mirror and mirror.whole))
    for further in (1.0, _LOPSIDED) if kind == "slope" else (1.0,):
        ways = []
        for of in shapes:
            up = not any(of.roots)  # at roots intervals must have theirs in the middle
            divisions = dict.fromkeys(
                one
                for tolerance in _CONSTANT[dtype][: 1 + (kind == "value")]
                for ends in [of.ends(tolerance)]
                for one in (*of.divided(up, further, ends), *of.lines(ends, careful=full, kinked=by_cells))
            )
            # A product is rounded once more; along x what comes after the first terms is not small in wide intervals.
            pairs = full and of.times
            ways += [
                Way(degree, of, division, pairs, careful, direct)
                for degree, division, careful, direct in product(
                    _DEGREES, divisions, (False, True)[: 1 + pairs], (False, True)[: 1 + by_cells]
                )
                if not (careful and division.line)
            ]
        yield from sorted(ways, key=Way.steps)


def _table(way: Way, dtype: torch.dtype, cells: Cells | None) -> Pieces | None:
    """The pieces of a way, None where they are not good enough: of what is rounded right, if cells are given, else of what is near."""
    division, degree = way.division, way.degree
    if cells is not None:
        found = fit_cells(cells, division, degree, times=way.shape.times, direct=way.direct)
    else:
        more = {"low": way.pairs, "up": division.up, "free": dtype != torch.float32}
        found = fit(division.sides, degree, _ENOUGH[dtype], **more)
    return found and Pieces.of(found, division.sides, division.reaches, up=division.up, direct=way.direct)


def _clamped(x: Tensor, least: float | None, most: float | None) -> Tensor:
    return x if least is None and most is None else x.clamp(least, most)


def _limited(way: Way, table: Pieces) -> Near:
    """The pieces with the limits within which they tell the function: none on a side where it is constant beyond them."""
    shape, division = way.shape, way.division
    lasts = [pieces.below(reach) for reach in division.reaches]
    if shape.mirrored:
        at_end = division.sides[0].function(torch.tensor(lasts[0], dtype=torch.float64))
        vanishes = at_end < _VANISHES * (1 if shape.times else lasts[0])
        table, high = (table, _LARGEST) if vanishes else (table._replace(lasts=(_LARGEST,)), lasts[0])
        return Near(table, False, shape.times, -lasts[0], high, careful=way.careful, mirrored=True)
    sides = list(zip(lasts, division.constant, division.whole, strict=True))
    limits = [_LARGEST if constant else last for last, constant, _ in sides]
    ends = [last if constant and whole else None for last, constant, whole in sides]
    least = None if ends[-1] is None else -ends[-1]
    if division.line or all(limit != _LARGEST or end is not None for limit, end in zip(limits, ends, strict=True)):
        table = table._replace(lasts=(_LARGEST,) * len(table.lasts))  # nothing from beyond them comes there
    found = Near(
        table, len(division.sides) == 2, shape.times, -limits[-1], limits[0], shape.squared, way.careful, least, ends[0]
    )
    if not division.line:
        return found._replace(signed=way.put_before)
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
    # Polynomials are furthest from it at the ends of their intervals.
    beyond = torch.linspace(-0.01, 0.01, 200, dtype=torch.float32)
    halves = torch.arange(-2 * COUNT, 2 * COUNT + 1, dtype=torch.float32)[:, None] / 2 + beyond
    ends = [(halves / scale).flatten() for scale in found.table.scales]
    low, high = max(found.low, -10), min(found.high, -found.low if found.mirrored else 10)
    for count in (10_000, 60_000, 400_000):
        one = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        close = 2 * one[1::2] - 1  # errors change fastest near 0
        x = torch.cat([low + (high - low) * one[::2], close, close * torch.exp2(-12 * one[::2])])
        if found.mirrored:  # and are largest where it falls fastest
            x = torch.cat([x, low + 1.25 * one])
        tiny = torch.logspace(-30, 0, 3000, dtype=torch.float32)
        x = torch.cat([x, x.new_zeros(1), tiny, -tiny, *ends, *near_roots]).clamp(found.low, found.high)
        exact = function(x.double())
        unit = torch.exp2(exact.abs().clamp(min=torch.finfo(dtype).tiny).log2().floor() - 23)
        if not ((found.at(x).double() - exact).abs() <= _WORST[kind] * unit).all():
            return False
    return True
