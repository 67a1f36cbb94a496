"""Functions as pieces of polynomials, for kernels in float32: fitted from the definition in float64 when a kernel is made.

A processor that looks up 32 numbers in one step takes a polynomial of degree 5 with coefficients of its own for each of 32 intervals; one
for all of them would need more than twice the terms, and a function with sides would need one for each.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_COUNT = 32
_ENOUGH = 4e-9  # of the value; float32 rounds it by 6e-8
_MOST = 8

Function = Callable[[Tensor], Tensor]


class Pieces(NamedTuple):
    """In interval i, where scale x is nearest to i, the sum of coefficients[k][i] (scale x - i)^k; constant from `last` on.

    With sides the first 16 intervals are for the right and the others, which count from 0 again, for the left one. `low` is what
    rounding has left out of coefficients[0], empty where that does not matter.
    """

    scale: float
    last: float
    coefficients: tuple[tuple[float, ...], ...]
    low: tuple[float, ...] = ()

    def code(self, name: str) -> str:
        """It as a constant of C++."""
        numbers = [", ".join(f"{one!r}f" for one in row) for row in (*self.coefficients, self.low or (0.0,))]
        rows = ",\n".join(f"{{{row}}}" for row in numbers[:-1])
        kind = f"actlab::Pieces<{len(self.coefficients)}, {'true' if self.low else 'false'}>"
        return (
            f"static constexpr {kind} {name} = {{{self.scale!r}f, {self.last!r}f, {{\n{rows}}},\n{{{numbers[-1]}}}}};\n"
        )

    def at(self, x: Tensor, side: Tensor, part: str = "whole") -> Tensor:
        """Its value at x, not negative, of float32, or a part of it; the left side is where `side` has a minus sign, nowhere if it is x."""
        x = torch.where(x > self.last, self.last, x)
        whole = torch.round(x * self.scale)
        place = torch.where(x.isnan(), 0.0, whole).long() + torch.where(torch.signbit(side), _COUNT // 2, 0)
        rest = (x.double() * self.scale - whole.double()).float().double()
        table = torch.tensor(self.coefficients, dtype=torch.float32)
        if part == "first":
            return table[0][place]
        result = table[-1][place]
        for row in [*table[1:-1].flip(0), torch.tensor(self.low) if part == "rest" else table[0]]:
            result = (result.double() * rest + row[place]).float()
        return result


_KNOWN: list[Pieces] = []
_NUMBERS: dict[Pieces, int] = {}


_PARTS = ("whole", "first", "rest")


def numbered(number: int) -> tuple[Pieces, str]:
    """What a kernel asks for by this number: pieces, and which part of them."""
    return _KNOWN[number // len(_PARTS)], _PARTS[number % len(_PARTS)]


def along(x: Tensor, function: Function, last: float) -> Tensor:
    """function(x) for x >= 0, which is function(last) beyond `last`."""
    return _asked(x, x, _fitted((function,), last))


def along_as_pair(x: Tensor, function: Function, last: float) -> tuple[Tensor, Tensor]:
    """The same as a sum of two, so that it need not be rounded."""
    return _pair(x, x, _fitted((function,), last, low=True))


def sides(x: Tensor, side: Tensor, right: Function, left: Function, last: float) -> Tensor:
    """right(x) or left(x) by the sign of `side`, for x >= 0; constant beyond `last`."""
    return _asked(x, side, _fitted((right, left), last))


def sides_as_pair(x: Tensor, side: Tensor, right: Function, left: Function, last: float) -> tuple[Tensor, Tensor]:
    """The same as a sum of two."""
    return _pair(x, side, _fitted((right, left), last, low=True))


def _pair(x: Tensor, side: Tensor, pieces: Pieces) -> tuple[Tensor, Tensor]:
    return _asked(x, side, pieces, "first"), _asked(x, side, pieces, "rest")


def _asked(x: Tensor, side: Tensor, pieces: Pieces, part: str = "whole") -> Tensor:
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
def _fitted(functions: tuple[Function, ...], last: float, *, low: bool = False) -> Pieces:
    """Pieces of one function, or of one for the right and one for the left, of the lowest degree that is good enough."""
    from torch.utils._python_dispatch import _disable_current_modes

    count = _COUNT // len(functions)
    scale = _scale(last, count)
    for degree in range(2, _MOST + 1):
        nodes = 0.5 * np.cos(np.pi * (np.arange(4 * degree + 4) + 0.5) / (4 * degree + 4))
        places = np.concatenate(
            [[abs(nodes)], np.broadcast_to(nodes, (count - 1, len(nodes)))]
        )  # there is nothing left of 0
        centres = np.arange(count)[:, None]
        with _disable_current_modes(), torch._C.DisableTorchFunction():  # a kernel is being traced
            first, others = (
                np.concatenate([function(torch.from_numpy(x / scale)).numpy() for function in functions])
                for x in (centres + 0.0, centres + places)
            )
        rows = list(zip(first[:, 0], others, np.tile(places, (len(functions), 1)), strict=True))
        if degree == _MOST or all(_off(*row, _fit(*row, degree, np.float64)) < _ENOUGH for row in rows):
            left_out = [float(value - np.float32(value)) if low else 0.0 for value in first[:, 0]]
            powers = [
                _fit(value, others - one, at, degree, np.float32)
                for one, (value, others, at) in zip(left_out, rows, strict=True)
            ]
            below = float(np.nextafter(np.float32(last), np.float32(0)))
            left_out = [float(np.float32(one)) for one in left_out]
            return Pieces(scale, below, tuple(zip(*powers, strict=True)), tuple(left_out) if low else ())
    raise AssertionError


def _scale(last: float, count: int) -> float:
    """The largest number of few digits by which what is below `last` comes into the last of so many intervals."""
    most = (count - 0.5) / last
    step = 2.0 ** (np.floor(np.log2(most)) - 6)
    return float(np.floor(most / step) * step)


def _sizes(first: float, values: np.ndarray) -> np.ndarray:
    """What errors are measured by: the value itself where the first is 0, else no less than an eighth of the largest."""
    sizes = np.abs(values)
    return np.maximum(sizes, 0.125 * sizes.max() + 1e-30) if first else sizes


def _fit(first: float, values: np.ndarray, places: np.ndarray, degree: int, kind: type) -> list[float]:
    """Coefficients for a first value, which is at 0, and others: each is rounded before those of higher powers are fitted to what is left."""
    weight = 1 / _sizes(first, values)
    found = [float(kind(first))]
    rest = values - found[0]
    for power in range(1, degree + 1):
        terms = places[:, None] ** np.arange(power, degree + 1)
        found.append(float(kind(np.linalg.lstsq(terms * weight[:, None], rest * weight, rcond=None)[0][0])))
        rest = rest - found[-1] * places**power
    return found


def _off(first: float, values: np.ndarray, places: np.ndarray, coefficients: list[float]) -> float:
    return float(
        np.max(np.abs(np.polynomial.polynomial.polyval(places, coefficients) - values) / _sizes(first, values))
    )
