"""How a function is told by functions of the distance from 0 or of x, and how 32 intervals are divided among them."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from ..activations._fits import Side, scale_of, steps
from ..activations._pieces import COUNT, binary


def _of_steps(*parts: int) -> tuple[float, ...]:
    """The scales that take so many parts of 256 to 1; of few digits, so that what x is beyond whole numbers of them is told exactly."""
    return tuple(scale_of(one / 256) for one in parts)


_SCALES = _of_steps(256, 176, 128, 114, 88, 76, 64, 44, 32)
_ALONG = (*_of_steps(256, 208, 176, 144, 128, 114, 112, 104, 96, 93, 88, 80, 72, 64), 3.5)  # where both sides are one
_MIRRORED = _of_steps(64, 60, 56, 52, 48, 44, 40)  # where the other side is x and the same
_LEAST, _MOST = 4.9, 12.0  # reaches
_TINY = 1e-9
_ASIDE = 0.4  # from the middle of an interval

Function = Callable[[Tensor], Tensor]


class End(NamedTuple):
    """Where a function of the distance from 0 becomes constant, infinity where it does not, and whether it does only times x."""

    start: float
    whole: bool


class Division(NamedTuple):
    """The intervals of the sides or of one function of x, how far they reach on each side, which are constant from there on, and whether times x.

    With `up` they end at their whole numbers.
    """

    sides: tuple[Side, ...]
    reaches: tuple[float, ...]
    constant: tuple[bool, ...]
    whole: tuple[bool, ...]
    up: bool

    @classmethod
    def of(cls, sides: tuple[Side, ...], reaches: tuple[float, ...], ends: tuple[End, ...], *, up: bool) -> "Division":
        """With these ends of the functions."""
        constant = tuple(reach >= one.start for reach, one in zip(reaches, ends, strict=True))
        return cls(sides, reaches, constant, tuple(one.whole for one in ends), up)

    def useful(self, left_further: float = 1.0) -> bool:
        """Whether it reaches far enough, the left side so much further, and has roots in the middle of intervals.

        Where steps are exact, not far from it will do.
        """
        spans = [(-self.reaches[1], self.reaches[0])] if self.line else [(-1.0, reach) for reach in self.reaches]
        aside = _ASIDE if steps(side.scale for side in self.sides) else 1e-4
        middles = all(
            abs(root * side.scale - round(root * side.scale)) < aside
            for side, (low, high) in zip(self.sides, spans, strict=True)
            for root in side.roots
            if low < root < high
        )
        return middles and (all(self.constant) or _LEAST < self.reach * left_further < _MOST)

    @property
    def line(self) -> bool:
        """Whether it is one function of x."""
        return self.sides[0].first < 0

    @property
    def binary(self) -> bool:
        """Whether all scales are powers of two, which takes two steps less: nearly as many as a degree."""
        return binary(side.scale for side in self.sides)

    @property
    def reach(self) -> float:
        """How far the sides are told, on that which is told less far."""
        return min(math.inf if of_side else reach for reach, of_side in zip(self.reaches, self.constant, strict=True))


class Shape(NamedTuple):
    """How a function is told by functions of the distance from 0: of one for both sides, or of one for the right and one for the left."""

    functions: tuple[Function, ...]
    times: bool  # x is a factor beside them
    squared: bool  # it is their square
    roots: tuple[tuple[float, ...], ...]
    smooth: bool  # they are one function
    mirrored: bool = False  # it is the left one, and to the right of 0 x is added to what it is left of it
    odd: bool = False  # that of x left of 0 is less that of |x|

    @classmethod
    def of(cls, function: Callable[..., Tensor], *, kinked: bool, slope: bool) -> "Shape":
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
        roots = tuple(crossed(one) for one in functions)
        touched = tuple(_touched(*one) for one in zip(functions, slopes, strict=True))
        squared = any(touched) and not any(roots)
        if squared:  # without a root of its own it has those of its square root, whose sign changes there
            functions, roots = tuple(map(_Rooted, functions, touched)), touched
        elif not kinked and functions[0](torch.zeros(1, dtype=torch.float64)).item() == 0:
            roots = tuple((0.0, *one) for one in roots)
        return cls(functions, times, squared, roots, not kinked, odd=odd)

    @property
    def mirror(self) -> "Shape | None":
        """It by its left side alone, where f(x) = f(-x) + x, as of x times a distribution function: one half as wide to divide."""
        if len(self.functions) == 1 or not self.times or not self.smooth or any(self.roots):
            return None
        x = torch.linspace(0.0, 12.0, 500, dtype=torch.float64)
        right, left = (one(x) for one in self.functions)
        alike = ((right + left - 1).abs() <= 1e-13).all()
        return self._replace(functions=self.functions[1:], roots=self.roots[1:], mirrored=True) if alike else None

    @property
    def whole(self) -> "Shape | None":
        """It without x for a factor, whose product would be rounded once more: 0 is in the middle of an interval then."""
        if not self.times:
            return None
        if self.odd and (any(self.roots) or self.functions[0](torch.ones(1, dtype=torch.float64)).item() < 0):
            return None  # its sign is put before what has none
        functions = tuple(map(_Times, self.functions, (1.0, -1.0)))
        return self._replace(functions=functions, times=False, roots=tuple((0.0, *one) for one in self.roots))

    def ends(self, tolerance: float) -> tuple["End", ...]:
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
            found.append(End(start(x * values) if whole else first, whole))
        return tuple(found)

    def divided(self, up: bool, left_further: float, ends: tuple["End", ...]) -> Iterator[Division]:
        """Ways to divide the intervals among the sides: so that they reach about as far, or the left one so much further, or one to its end."""
        starts = [one.start for one in ends]
        end = 1.0 if up else 0.5
        for scales in product(*([_MIRRORED] if self.mirrored else [_scales(one, _SCALES) for one in self.roots])):
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
                sides = tuple(map(Side, self.functions, scales, counts, self.roots))
                found = Division.of(sides, reaches, ends, up=up)
                if found.useful(left_further):
                    yield found

    def lines(self, ends: tuple["End", ...], *, careful: bool, kinked: bool) -> Iterator[Division]:
        """Ways to divide the intervals along x: so that both sides reach as far, or one to its end.

        If `careful`, along -x too, where what rises falls; if `kinked`, with 0 between two of them where the sides are not one function.
        """
        if len(self.functions) == 1 or self.squared or not (self.smooth or (kinked and not any(self.roots))):
            return
        roots = (*self.roots[0], *(-root for root in self.roots[1] if root))
        along = _Along(*self.functions)
        scales = _scales(tuple(sorted(map(abs, roots))), _ALONG)
        mirrored = (False, True) if careful and self.smooth and not roots else (False,)
        for scale, mirror in product(scales, mirrored):
            up = mirror or not self.smooth
            more = (
                (1.0, 0.0) if mirror else (0.0, 1.0) if up else (0.5, 0.5)
            )  # right and left, beyond the last whole numbers
            lefts = {COUNT // 2, COUNT // 2 - 1}
            for side, one in enumerate(ends):
                if one.start < COUNT / scale:
                    enough = math.ceil(one.start * scale - more[side] + 1e-4)
                    lefts.add(enough if side else COUNT - 1 - enough)
            for left in sorted(lefts):
                counts = (COUNT - 1 - left, left)
                if min(counts) < 1:
                    continue
                reaches = tuple((count + beyond - 1e-5) / scale for count, beyond in zip(counts, more, strict=True))
                side = Side(along, -scale if mirror else scale, COUNT, roots, -counts[not mirror])
                found = Division.of((side,), reaches, ends, up=up)
                if found.useful():
                    yield found


class _Times(NamedTuple):
    """What a function is times the distance from 0, with a sign."""

    function: Function
    sign: float

    def __call__(self, t: Tensor) -> Tensor:
        return self.sign * t * self.function(t)


class _Along(NamedTuple):
    """A function of x by those of the distance from 0."""

    right: Function
    left: Function

    def __call__(self, x: Tensor) -> Tensor:
        return torch.where(x < 0, self.left(x.abs()), self.right(x.abs()))


def _scales(roots: tuple[float, ...], usual: tuple[float, ...]) -> tuple[float, ...]:
    """The usual ones, of exact steps, and those that take the first of the roots to a whole number, as float32 has them."""
    known = [root for root in roots if root > 0]
    return (*usual, *(torch.arange(1, COUNT).div(known[0]).float().tolist() if known else ()))


class _Rooted(NamedTuple):
    """The root of a function that touches 0 at some places, with a sign that changes at each."""

    function: Function
    touched: tuple[float, ...]

    def __call__(self, t: Tensor) -> Tensor:
        found = self.function(t).clamp(min=0).sqrt()
        for root in self.touched:
            found = torch.where(t < root, -found, found)
        return found


def crossed(function: Function) -> tuple[float, ...]:
    """Where a function of the distance from 0 changes its sign, 0 itself left out."""
    x = torch.linspace(0.01, 12.0, 3001, dtype=torch.float64)
    y = function(x)
    places = (y[:-1] * y[1:] < 0).nonzero()[:, 0].tolist()
    return tuple(_bisected(function, x[one].item(), x[one + 1].item()) for one in places)


def _touched(function: Function, slope: Function | None) -> tuple[float, ...]:
    """Where it is 0 as its slope is."""
    if slope is None:
        return ()
    at = torch.tensor(crossed(slope), dtype=torch.float64)
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
