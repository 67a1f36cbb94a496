"""Functions as pieces of polynomials, for kernels in float32: fitted from the definition in float64 when a kernel is made.

A processor that looks up 32 numbers in one step takes a polynomial of degree 5 with coefficients of its own for each of 32 intervals; one
for all of them would need more than twice the terms, and a function with sides would need one for each.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from functools import cache
from threading import Lock
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ._fits import Fit, Function, Side, fit, steps

COUNT = 32
_ENOUGH = 4e-9  # of the value; float32 rounds it by 6e-8
_MOST = 8


class Pieces(NamedTuple):
    """In interval i, where scale x is nearest to i, the sum of coefficients[k][i] r^k; constant from the last x on.

    Where 1 / scale has so few digits that none is lost, r is (scale x - i) / |scale|, else scale x - i.
    With sides there are two scales and two last x, and the intervals from `left` on, which count from 0 again, are for the left one. With `up` interval
    i is where scale x lies between i - 1 and i: of a function that falls, no terms cancel there. `low` is what rounding has left out of
    coefficients[0], empty where that does not matter; `shifts` what r is at a root of the function in that interval, to be
    taken off so that every digit is kept near it, empty where there are none. Of one side that reaches left of 0, too, interval -1 is the
    last one. With `direct` it is the sum of coefficients[k][i] x^k: a step or two less, and some digits of float32.
    """

    scales: tuple[float, ...]
    left: int
    lasts: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]
    low: tuple[float, ...] = ()
    shifts: tuple[float, ...] = ()
    up: bool = False
    direct: bool = False

    @classmethod
    def of(
        cls, found: Fit, sides: tuple[Side, ...], lasts: Iterable[float], *, up: bool = False, direct: bool = False
    ) -> "Pieces":
        """Those of a fit."""
        scales, lasts = tuple(side.scale for side in sides), tuple(map(below, lasts))
        at_zero = -sides[0].first  # processors look up by the last digits: what belongs to -1 lies last
        low, shifts, *rows = [
            (*row[at_zero:], *row[:at_zero]) for row in (found.low, found.shifts, *found.coefficients)
        ]
        return cls(scales, sides[0].intervals % COUNT, lasts, tuple(rows), low, shifts, up, direct)

    def code(self, name: str) -> str:
        """It as a constant of C++."""
        *rows, low, shifts = [
            f"{{{', '.join(f'{one!r}f' for one in row or (0.0,))}}}"
            for row in (*self.coefficients, self.low, self.shifts)
        ]
        exact = steps(self.scales)
        kind = "binary" if binary(self.scales) else "exact" if exact else "scaled"
        low_too, shifted, up, direct = (
            "true" if one else "false" for one in (self.low, self.shifts, self.up, self.direct)
        )
        table, ends = (
            ",\n".join(rows),
            ", ".join(f"{of[side]!r}f" for of in (self.scales, exact or (1.0,), self.lasts) for side in (0, -1)),
        )
        return (
            f"static constexpr actlab::Pieces<{len(rows)}, {low_too}, {shifted}, {up}, actlab::Steps::{kind}, {direct}> {name} = "
            f"{{{ends}, {self.left}, {{\n{table}}},\n{low},\n{shifts}}};\n"
        )

    def at(self, x: Tensor, side: Tensor, part: str = "whole") -> Tensor:
        """Its value at x, not negative, of float32, or a part of it; the left side is where `side` has a minus sign, nowhere if it is x."""
        on_left = torch.signbit(side)
        last, scale = (torch.where(on_left, of[-1], of[0]) for of in (self.lasts, self.scales))
        within = torch.where(x > last, last, x)
        product = within.double() * scale
        whole = (torch.ceil if self.up else torch.round)(product)
        place = (torch.where(whole.abs() < 2**24, whole, 0.0).long() + torch.where(on_left, self.left, 0)) % COUNT
        exact = steps(self.scales)
        if exact is None:
            rest = (product - whole.double()).float()
        else:
            directed = math.copysign(1.0, self.scales[0]) * within.double()
            rest = (directed - whole.double() * torch.where(on_left, exact[-1], exact[0]).double()).float()
        if self.shifts:
            rest = rest - _single(self.shifts)[place]
        rest = (within if self.direct else rest).double()
        table = _single(self.coefficients)
        if part == "first":
            return table[0][place]
        line = (table[1][place].double() * rest + table[0][place]).float()
        if part == "line":
            return line
        result = table[-1][place]
        for row in table[1 if part != "bend" else 2 : -1].flip(0):
            result = (result.double() * rest + row[place]).float()
        if part == "bend":
            lost = (table[1][place].double() * rest + (table[0][place] - line)).float() + _single(self.low)[place]
            return ((rest * rest).float().double() * result + lost).float()
        last = _single(self.low) if part == "rest" else table[0]
        return (result.double() * rest + last[place]).float()


def binary(scales: Iterable[float]) -> bool:
    """Whether all are powers of two: a processor then finds an interval by a sum, and what is left of x by another."""
    return all(math.frexp(abs(scale))[0] == 0.5 for scale in scales)


def _single(given: object) -> Tensor:
    """As float32, whatever torch's default is."""
    return torch.tensor(given, dtype=torch.float32)


def below(limit: float) -> float:
    """The number of float32 before a limit."""
    return torch.nextafter(_single(limit), _single(0.0)).item()


class Table(Hashable, Protocol):
    """What a kernel may look up: `Pieces`, or pieces of something else that two numbers tell."""

    def code(self, name: str) -> str:
        """It as a constant of C++, for which pieces.h has a function `pieces`."""
        ...

    def at(self, x: Tensor, side: Tensor, part: str) -> Tensor:
        """Its value, as a kernel computes it."""
        ...


_KNOWN: list[Table] = []
_NUMBERS: dict[Table, int] = {}
_NUMBERING = Lock()


# All of a polynomial; its first coefficient and all but that; its first two terms, rounded, and all but that; all of another one.
_PARTS = ("whole", "first", "rest", "line", "bend", "other")


def numbered(number: int) -> tuple[Table, str]:
    """What a kernel asks for by this number: pieces, and which part of them."""
    return _KNOWN[number // len(_PARTS)], _PARTS[number % len(_PARTS)]


@cache
def in_one_step() -> bool:
    """Whether kernels look pieces up in one step here; with AVX2 each number takes one of its own, which other ways do without."""
    from torch._inductor.cpu_vec_isa import VecAVX512, pick_vec_isa

    try:
        return isinstance(pick_vec_isa(), VecAVX512)
    except Exception:  # it asks the C++ compiler, and there is none: there will be no kernels
        return False


def along(x: Tensor, function: Function, last: float, *, enough: float = _ENOUGH) -> Tensor:
    """function(x) for x >= 0, which is function(last) beyond `last`; up to `enough` of it."""
    return asked(x, x, _fitted((function,), last, enough=enough))


def along_as_pair(x: Tensor, function: Function, last: float) -> tuple[Tensor, Tensor]:
    """The same as a sum of two, so that it need not be rounded."""
    return _pair(x, x, _fitted((function,), last, low=True))


def sides(x: Tensor, side: Tensor, right: Function, left: Function, last: float, *, term: bool = False) -> Tensor:
    """right(x) or left(x) by the sign of `side`, for x >= 0; constant beyond `last`.

    `term` says that it is added to something as large as it ever is: where it is small, its digits do not matter.
    """
    return asked(x, side, _fitted((right, left), last, term=term))


def looked_up(x: Tensor, side: Tensor, pieces: Pieces, *, careful: bool = False) -> tuple[Tensor, Tensor | None]:
    """The pieces at x, of the side that the sign of `side` tells if that is not x: as a sum of two where they have low parts, the second small if `careful`."""
    return _pair(x, side, pieces, careful=careful) if pieces.low else (asked(x, side, pieces), None)


def sides_as_pair(x: Tensor, side: Tensor, right: Function, left: Function, last: float) -> tuple[Tensor, Tensor]:
    """The same as a sum of two."""
    return _pair(x, side, _fitted((right, left), last, low=True))


def _pair(x: Tensor, side: Tensor, pieces: Pieces, *, careful: bool = False) -> tuple[Tensor, Tensor]:
    parts = ("line", "bend") if careful else ("first", "rest")
    return asked(x, side, pieces, parts[0]), asked(x, side, pieces, parts[1])


def asked(x: Tensor, side: Tensor, pieces: Table, part: str = "whole") -> Tensor:
    """Pieces at x, or a part of them, with what else they are of."""
    with _NUMBERING:
        if pieces not in _NUMBERS:
            _NUMBERS[pieces] = len(_KNOWN)
            _KNOWN.append(pieces)
    return _operation()(x, side, float(len(_PARTS) * _NUMBERS[pieces] + _PARTS.index(part)))


@cache
def _operation() -> Callable[[Tensor, Tensor, float], Tensor]:
    """An operation of torch's compiler: it writes it as two that nothing else here uses, which the kernel's code has ours in place of."""
    from torch._inductor.inductor_prims import make_prim
    from torch._inductor.lowering import make_pointwise, register_lowering
    from torch._inductor.virtualized import ops

    def evaluated(x: Tensor, side: Tensor, number: float) -> Tensor:
        if type(x) is not Tensor or x.device.type != "cpu":  # traced
            return torch.empty_like(x)
        pieces, part = numbered(int(number))
        return pieces.at(x, side, part)

    def lowered(x: object, side: object, number: float) -> object:
        step = make_pointwise(lambda x, side: ops.hypot(ops.nextafter(x, ops.constant(number, torch.float32)), side))
        return step(x, side)

    operation = make_prim(
        "actlab_pieces(Tensor x, Tensor side, float number) -> Tensor", evaluated, doc="a polynomial for each interval"
    )
    register_lowering(operation, type_promotion_kind=None)(lowered)
    return operation


@cache
def _fitted(
    functions: tuple[Function, ...], last: float, *, low: bool = False, term: bool = False, enough: float = _ENOUGH
) -> Pieces:
    """Pieces of one function, or of one for the right and one for the left, of the lowest degree that is good enough."""
    from torch.utils._python_dispatch import _disable_current_modes

    count = COUNT // len(functions)
    scale = _scale(last, count)
    sides = tuple(Side(function, scale, count) for function in functions)
    with _disable_current_modes(), torch._C.DisableTorchFunction(), torch.no_grad():  # a kernel is being traced
        for degree in range(2, _MOST + 1):
            found = fit(sides, degree, enough if degree < _MOST else 3 * enough, low=low, term=term)
            if found is not None:
                return Pieces.of(found, sides, [last] * len(sides))
    raise ValueError(f"expected a function that polynomials of degree {_MOST} tell within {3 * enough}; got another")


def _scale(last: float, count: int) -> float:
    """The largest number of few digits by which what is below `last` comes into the last of so many intervals."""
    most = (count - 0.5) / last
    step = 2.0 ** (math.floor(math.log2(most)) - 6)
    return math.floor(most / step) * step
