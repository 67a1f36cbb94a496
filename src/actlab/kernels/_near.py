"""An activation or its slope not far from 0 by pieces of polynomials: for kernels, which compute the usual way only where inputs lie further.

The pieces are fitted to the entry's own arithmetic in float64. So every function that is smooth but for 0 takes as few steps as tanh does,
whatever it is made of, and every digit is kept near the roots of its slope.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from ..activations import _pieces as pieces
from ..activations._fits import Side, fit
from ..activations._float32 import fma
from ..activations._pieces import COUNT, Pieces
from ..formula import parse
from ._half import every, off_by
from ._variant import Variant

_SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)  # of few digits: what lies between whole numbers is told exactly
_LEAST, _FAR, _MOST = 4.9, 5.9, 12.0  # reaches
_DEGREES = range(2, 10)
_ENOUGH = {torch.float32: 4e-9, torch.float16: 1.5e-6, torch.bfloat16: 1.2e-5}  # of the value
_LOPSIDED = 1.7  # where one side falls too fast for that: the left one reaches so much further
_LARGEST = torch.finfo(torch.float32).max
# By how much of it a function may differ from what it comes to far away; the second of values that it is rounded to anyway.
_CONSTANT = {torch.float32: (2e-8,), torch.float16: (1.5e-6, 2.3e-4), torch.bfloat16: (1.2e-5, 1.9e-3)}
_TINY = 1e-9
_WORST = {"value": 1.8, "slope": 3.1}  # ulp of float32, at so many numbers a tenth or so less than over all
_HALF = 0.506  # ulp of half types

Function = Callable[[Tensor], Tensor]


class Near(NamedTuple):
    """What an activation or its slope is for inputs from `low` to `high`: pieces, x times them or their squares; of both sides, or of |x|."""

    table: Pieces
    sides: bool
    times: bool
    low: float
    high: float
    squared: bool = False
    careful: bool = False
    least: float | None = None  # beyond these it is what it is there, though it has x for a factor
    most: float | None = None

    def at(self, x: Tensor) -> Tensor:
        """It at x of float32."""
        if self.least is not None or self.most is not None:
            x = x.clamp(self.least, self.most)
        first, rest = pieces.looked_up(x, self.table, sides=self.sides, careful=self.careful)
        if self.squared:
            return first * first
        if rest is None:
            return x * first if self.times else first
        return fma(x, first, x * rest) if self.times else first + rest

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
    taken = kind in entry.pieces or (dtype != torch.float32 and f"half {kind}" in entry.pieces)
    if variant.learnt or not taken or not pieces.in_one_step():
        return None
    order, values = ("value", "slope").index(kind), dict(variant.fixed)

    def evaluated(x: Tensor, more: int = 0) -> Tensor:
        return entry.evaluate(x, order + more, **values)

    shape = _Shape.of(evaluated, kinked=0.0 in entry.kinks, slope=kind == "slope")
    up = not any(shape.roots)  # at roots intervals must have theirs in the middle
    pairs = dtype == torch.float32 and kind == "value"
    # A square has twice the error of its root: where that lies above the entry's stated bound near zeros, it is measured as that is.
    floor = parse(entry.bounds[kind].floor).torch() if shape.squared and kind in entry.bounds else torch.zeros_like
    for further in (1.0, _LOPSIDED) if kind == "slope" else (1.0,):
        divisions = dict.fromkeys(
            one
            for tolerance in _CONSTANT[dtype][: 1 + (kind == "value")]
            for one in shape.divided(up, further, shape.ends(tolerance))
        )
        ways = product(_DEGREES, divisions, (False, True)[: 1 + pairs])
        tables: dict[tuple[int, tuple[Side, ...]], Pieces | None] = {}
        for degree, division, careful in sorted(ways, key=_steps):
            place = (degree, division.sides)
            if place not in tables:
                fitted = fit(division.sides, degree, _ENOUGH[dtype], low=pairs, up=up, free=dtype != torch.float32)
                tables[place] = fitted and Pieces.of(fitted, division.sides, division.reaches, up=up)
            table = tables[place]
            if table is not None:
                found = shape.limited(table, division)._replace(careful=careful)
                if _suffices(found, evaluated, kind, dtype, shape.roots, floor):
                    return found
    return None


class _End(NamedTuple):
    """Where a function of the distance from 0 becomes constant, infinity where it does not, and whether it does only times x."""

    start: float
    whole: bool


class _Division(NamedTuple):
    """The intervals of the sides, how far they reach, which sides are constant from there on, and whether times x."""

    sides: tuple[Side, ...]
    reaches: tuple[float, ...]
    constant: tuple[bool, ...]
    whole: tuple[bool, ...]

    @property
    def reach(self) -> float:
        """How far the sides are told, on that which is told less far."""
        return min(math.inf if of_side else reach for reach, of_side in zip(self.reaches, self.constant, strict=True))


def _steps(way: tuple[int, _Division, bool]) -> tuple[float, float]:
    """What makes one way better than another: few steps, and of those alike a long reach."""
    degree, division, careful = way
    return degree + 2 * careful - (division.reach >= _FAR), -division.reach


class _Shape(NamedTuple):
    """How a function is told by functions of the distance from 0: of one for both sides, or of one for the right and one for the left."""

    functions: tuple[Function, ...]
    times: bool  # x is a factor beside them
    squared: bool  # it is their square
    roots: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, function: Callable[..., Tensor], *, kinked: bool, slope: bool) -> "_Shape":
        x = torch.linspace(0.01, 12.0, 500, dtype=torch.float64)
        right, left = function(x), function(-x)
        size = right.abs() + left.abs()
        even, odd = (bool(((right + sign * left).abs() <= 1e-13 * size).all()) for sign in (-1, 1))
        at_zero = function(torch.zeros(1, dtype=torch.float64)).item()
        times = odd or (not even and not slope and at_zero == 0)

        def of_side(sign: float) -> Function:
            def found(t: Tensor) -> Tensor:
                inner = sign * (t.clamp(min=_TINY) if times or kinked else t)
                value = function(inner) / inner if times else function(inner)
                return torch.where(t == 0, function(torch.zeros_like(t), 1), value) if times and not kinked else value

            return found

        signs = (1.0,) if even or odd else (1.0, -1.0)
        functions = tuple(of_side(sign) for sign in signs)
        slopes = [None if times else partial(lambda sign, t: function(sign * t, 1), sign) for sign in signs]
        roots = tuple(_crossed(one) for one in functions)
        touched = tuple(_touched(*one) for one in zip(functions, slopes, strict=True))
        squared = any(touched) and not any(roots)
        if squared:  # without a root of its own it has those of its square root, whose sign changes there
            functions, roots = tuple(map(_Rooted, functions, touched)), touched
        elif not kinked and functions[0](torch.zeros(1, dtype=torch.float64)).item() == 0:
            roots = tuple((0.0, *one) for one in roots)
        return cls(functions, times, squared, roots)

    def ends(self, tolerance: float) -> tuple["_End", ...]:
        """How each of the functions comes to something, up to this much of that; if it does not, but x times it does, that."""
        even, far = (
            torch.linspace(0.001, 12.0, 12000, dtype=torch.float64),
            torch.logspace(1.08, 13.0, 60, dtype=torch.float64),
        )
        x = torch.cat([even, far])

        def start(values: Tensor) -> float:
            near_end = ((values - values[-1]).abs() <= tolerance * values[-1].abs()) & (values[-1] != 0)
            others = (~near_end).nonzero()
            first = int(others[-1]) + 1 if len(others) else 0
            return x[first].item() if first < len(x) - 30 else math.inf

        found = []
        for one in self.functions:
            values = one(x)
            first = start(values)
            whole = self.times and math.isinf(first)
            found.append(_End(start(x * values) if whole else first, whole))
        return tuple(found)

    def divided(self, up: bool, left_further: float, ends: tuple["_End", ...]) -> Iterator[_Division]:
        """Ways to divide the intervals among the sides: so that they reach about as far, or the left one so much further, or one to its end."""
        starts = [one.start for one in ends]
        end = 1.0 if up else 0.5
        for scales in product(*[_scales(roots) for roots in self.roots]):
            shares = [scales[0], *(scale * left_further for scale in scales[1:])]
            firsts = {round(end + (COUNT - len(scales) * end) * shares[0] / sum(shares))}
            if len(scales) == 2:
                firsts |= {
                    abs(side * COUNT - math.ceil(start * scale + end + 1e-4))
                    for side, (start, scale) in enumerate(zip(starts, scales, strict=True))
                    if start < COUNT
                }
            for first in sorted(firsts):
                counts = (first, COUNT - first)[: len(scales)]
                if min(counts) < 2:
                    continue
                reaches = tuple((count - end - 1e-5) / scale for count, scale in zip(counts, scales, strict=True))
                middles = all(
                    abs(root * scale - round(root * scale)) < 1e-4
                    for scale, roots, reach in zip(scales, self.roots, reaches, strict=True)
                    for root in roots
                    if root < reach
                )
                constant = tuple(reach >= start for reach, start in zip(reaches, starts, strict=True))
                sides = tuple(map(Side, self.functions, scales, counts, self.roots))
                found = _Division(sides, reaches, constant, tuple(one.whole for one in ends))
                if middles and (all(constant) or _LEAST < found.reach * left_further < _MOST):
                    yield found

    def limited(self, table: Pieces, division: _Division) -> Near:
        """The pieces with the limits within which they tell the function: none on a side where it is constant beyond them."""
        sides = list(zip(table.lasts, division.constant, division.whole, strict=True))
        limits = [_LARGEST if constant else last for last, constant, _ in sides]
        ends = [last if constant and whole else None for last, constant, whole in sides]
        least = None if ends[-1] is None else -ends[-1]
        if all(limit != _LARGEST or end is not None for limit, end in zip(limits, ends, strict=True)):
            table = table._replace(lasts=(_LARGEST,) * len(sides))  # nothing from beyond them comes there
        return Near(table, len(sides) == 2, self.times, -limits[-1], limits[0], self.squared, least=least, most=ends[0])


def _scales(roots: tuple[float, ...]) -> tuple[float, ...]:
    """Scales that take the first of the roots to a whole number, as float32 has them."""
    known = [root for root in roots if root > 0]
    if known:
        return tuple(torch.arange(1, COUNT).div(known[0]).float().tolist())
    return _SCALES


class _Rooted(NamedTuple):
    """The root of a function that touches 0 at some places, with a sign that changes at each."""

    function: Function
    touched: tuple[float, ...]

    def __call__(self, t: Tensor) -> Tensor:
        found = self.function(t).clamp(min=0).sqrt()
        for root in self.touched:
            found = torch.where(t < root, -found, found)
        return found


def _crossed(function: Function) -> tuple[float, ...]:
    """Where a function of the distance from 0 changes its sign, 0 itself left out."""
    x = torch.linspace(0.01, 12.0, 3001, dtype=torch.float64)
    y = function(x)
    places = (y[:-1] * y[1:] < 0).nonzero()[:, 0].tolist()
    return tuple(_bisected(function, x[one].item(), x[one + 1].item()) for one in places)


def _touched(function: Function, slope: Function | None) -> tuple[float, ...]:
    """Where it is 0 as its slope is."""
    if slope is None:
        return ()
    at = torch.tensor(_crossed(slope), dtype=torch.float64)
    largest = function(torch.linspace(0.01, 12.0, 3001, dtype=torch.float64)).abs().max()
    return tuple(at[function(at).abs() < 1e-15 * largest].tolist())


def _bisected(function: Function, low: float, high: float) -> float:
    """Where the sign changes between two numbers."""
    rising = function(torch.tensor([high], dtype=torch.float64)).item() > 0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if (function(torch.tensor([middle], dtype=torch.float64)).item() > 0) == rising:
            high = middle
        else:
            low = middle
    return 0.5 * (low + high)


def _suffices(
    found: Near,
    function: Function,
    kind: str,
    dtype: torch.dtype,
    roots: tuple[tuple[float, ...], ...],
    floor: Function,
) -> bool:
    """Whether it is as good as rounded once, at every number of a half type, and of float32 nearly so throughout and beside the roots.

    The error in float32 is one of the larger of the result and `floor`.
    """
    if dtype != torch.float32:
        x = every(dtype)
        x = x[found.holds(x.float())]
        return off_by(found.at(x.float()), function(x.double()), dtype) <= _HALF
    beside = torch.logspace(-7, -1, 3000, dtype=torch.float32)
    near_roots = [
        sign * root * (1 + step)
        for sign, side in zip((1, -1), roots if found.sides else roots * 2, strict=True)
        for root in side
        for step in (beside, -beside)
    ]
    low, high = max(found.low, -20), min(found.high, 20)
    for count in (10_000, 300_000):
        x = low + (high - low) * torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        x = torch.cat([x, x.new_zeros(1), *near_roots]).clamp(found.low, found.high)
        exact = function(x.double())
        size = torch.maximum(exact.abs(), floor(x.double())).clamp(min=torch.finfo(dtype).tiny)
        unit = torch.exp2(size.log2().floor() - 23)
        if not ((found.at(x).double() - exact).abs() <= _WORST[kind] * unit).all():
            return False
    return True
