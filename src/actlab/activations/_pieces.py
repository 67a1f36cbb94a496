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
    """In interval i, from i / scale to (i + 1) / scale, the sum of coefficients[k][i] (scale x - i)^k; constant from `last` on.

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
        return f"static constexpr {kind} {name} = {{{self.scale!r}f, {self.last!r}f, {{\n{rows}}},\n{{{numbers[-1]}}}}};\n"

    def at(self, x: Tensor, side: Tensor, part: str = "whole") -> Tensor:
        """Its value at x, not negative, of float32, or a part of it; the left side is where `side` has a minus sign, nowhere if it is x."""
        x = torch.where(x > self.last, self.last, x)
        whole = torch.floor(x * self.scale)
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


@cache
def are_quick() -> bool:
    """Whether the processor looks numbers up within a register."""
    from torch._inductor.cpu_vec_isa import VecAVX512, pick_vec_isa

    return isinstance(pick_vec_isa(), VecAVX512)


def along(x: Tensor, function: Function, last: float) -> Tensor:
    """function(x) for x >= 0, which is function(last) beyond `last`."""
    return _asked(x, x, _fitted((function,), last))


def sides(x: Tensor, side: Tensor, right: Function, left: Function, last: float) -> Tensor:
    """right(x) or left(x) by the sign of `side`, for x >= 0; constant beyond `last`."""
    return _asked(x, side, _fitted((right, left), last))


def sides_as_pair(x: Tensor, side: Tensor, right: Function, left: Function, last: float) -> tuple[Tensor, Tensor]:
    """The same as a sum of two, so that it need not be rounded."""
    fitted = _fitted((right, left), last, low=True)
    return _asked(x, side, fitted, "first"), _asked(x, side, fitted, "rest")


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

    operation = make_prim("actlab_pieces(Tensor x, Tensor side, float number) -> Tensor", evaluated, doc="a polynomial for each interval")
    register_lowering(operation, type_promotion_kind=None)(lowered)
    return operation


@cache
def _fitted(functions: tuple[Function, ...], last: float, *, low: bool = False) -> Pieces:
    """Pieces of one function, or of one for the right and one for the left, of the lowest degree that is good enough."""
    from torch.utils._python_dispatch import _disable_current_modes

    count = _COUNT // len(functions)
    scale = _scale(last, count)
    for degree in range(2, _MOST + 1):
        nodes = 0.5 - 0.5 * np.cos(np.pi * (np.arange(4 * degree + 4) + 0.5) / (4 * degree + 4))
        x = (np.arange(count)[:, None] + np.concatenate([[0.0], nodes])) / scale
        with _disable_current_modes(), torch._C.DisableTorchFunction():  # a kernel is being traced
            values = np.concatenate([function(torch.from_numpy(x)).numpy() for function in functions])
        if degree == _MOST or max(_off(row, nodes, _fit(row, nodes, degree, np.float64)) for row in values) < _ENOUGH:
            left_out = values[:, 0] - np.float32(values[:, 0]) if low else np.zeros(_COUNT)
            powers = [_fit(row - one, nodes, degree, np.float32) for row, one in zip(values, left_out, strict=True)]
            rows = tuple(tuple(float(one) for one in power) for power in zip(*powers, strict=True))
            below = float(np.nextafter(np.float32(last), np.float32(0)))
            return Pieces(scale, below, rows, tuple(float(np.float32(one)) for one in left_out) if low else ())
    raise AssertionError


def _scale(last: float, count: int) -> float:
    """The largest number of few digits by which what is below `last` comes into the last of so many intervals."""
    step = 2.0 ** (np.floor(np.log2(count / last)) - 6)
    return float(np.floor(count / last / step) * step)


def _sizes(values: np.ndarray) -> np.ndarray:
    """What errors are measured by: the value itself where the first is 0, else no less than an eighth of the largest."""
    sizes = np.abs(values[1:])
    return np.maximum(sizes, 0.125 * sizes.max() + 1e-30) if values[0] else sizes


def _fit(values: np.ndarray, nodes: np.ndarray, degree: int, kind: type) -> list[float]:
    """Coefficients through the first value, which is at 0: each is rounded before those of higher powers are fitted to what is left."""
    weight = 1 / _sizes(values)
    found = [float(kind(values[0]))]
    rest = values[1:] - found[0]
    for power in range(1, degree + 1):
        terms = nodes[:, None] ** np.arange(power, degree + 1)
        first = np.linalg.lstsq(terms * weight[:, None], rest * weight, rcond=None)[0][0]
        found.append(float(kind(first)))
        rest = rest - found[-1] * nodes**power
    return found


def _off(values: np.ndarray, nodes: np.ndarray, coefficients: list[float]) -> float:
    return float(np.max(np.abs(np.polynomial.polynomial.polyval(nodes, coefficients) - values[1:]) / _sizes(values)))
