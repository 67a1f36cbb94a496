"""Functions as pieces of polynomials, for kernels in float32: fitted from the definition in float64 when a kernel is made.

A processor that looks up 32 numbers in one step takes a polynomial of degree 5 with coefficients of its own for each of 32 intervals; one
for all of them would need more than twice the terms, and a function with sides would need one for each.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

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


def sides(x: Tensor, side: Tensor, right: Function, left: Function, last: float, *, term: bool = False) -> Tensor:
    """right(x) or left(x) by the sign of `side`, for x >= 0; constant beyond `last`.

    `term` says that it is added to something as large as it ever is: where it is small, its digits do not matter.
    """
    return _asked(x, side, _fitted((right, left), last, term=term))


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
def _fitted(functions: tuple[Function, ...], last: float, *, low: bool = False, term: bool = False) -> Pieces:
    """Pieces of one function, or of one for the right and one for the left, of the lowest degree that is good enough."""
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes(), torch._C.DisableTorchFunction(), torch.no_grad():  # a kernel is being traced
        error = math.inf
        for degree in range(2, _MOST + 1):
            found, error = _fit(functions, last, degree, low=low, term=term)
            if error < (_ENOUGH if degree < _MOST else 3 * _ENOUGH):
                return found
    raise ValueError(
        f"expected a function that polynomials of degree {_MOST} tell within {3 * _ENOUGH}; got {error:.1e}"
    )


def _fit(functions: tuple[Function, ...], last: float, degree: int, *, low: bool, term: bool) -> tuple[Pieces, float]:
    """Pieces of that degree, and how far off they are before their coefficients are rounded to float32."""
    count = _COUNT // len(functions)
    scale = _scale(last, count)
    nodes = 4 * degree + 4
    places = 0.5 * torch.cos(math.pi * (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes).expand(count, nodes)
    places = torch.cat([places[:1].abs(), places[1:]])  # there is nothing left of 0
    centres = torch.arange(count, dtype=torch.float64)[:, None]
    first = torch.cat([function(centres / scale) for function in functions])
    values = torch.cat([function((centres + places) / scale) for function in functions])
    places = places.repeat(len(functions), 1)
    # Errors are measured by the value itself where the first is 0, else by no less than an eighth of the largest.
    sizes = values.abs()
    sizes = torch.where(first == 0, sizes, torch.maximum(sizes, 0.125 * sizes.amax(1, keepdim=True))).clamp(min=1e-30)
    if term:
        sizes = torch.maximum(sizes, 0.1 * sizes.max())
    exact = _coefficients(first, values, places, sizes, degree, torch.float64)
    error = ((places[..., None] ** torch.arange(degree + 1) * exact[:, None]).sum(-1) - values).abs() / sizes
    left_out = first - first.float() if low else torch.zeros_like(first)
    rounded = _coefficients(first - left_out, values - left_out, places, sizes, degree, torch.float32)
    below = torch.nextafter(torch.tensor(last, dtype=torch.float32), torch.tensor(0.0)).item()
    powers = tuple(tuple(one) for one in rounded.T.tolist())
    return Pieces(scale, below, powers, tuple(left_out[:, 0].float().tolist()) if low else ()), float(error.max())


def _scale(last: float, count: int) -> float:
    """The largest number of few digits by which what is below `last` comes into the last of so many intervals."""
    most = (count - 0.5) / last
    step = 2.0 ** (math.floor(math.log2(most)) - 6)
    return math.floor(most / step) * step


def _coefficients(
    first: Tensor, values: Tensor, places: Tensor, sizes: Tensor, degree: int, kind: torch.dtype
) -> Tensor:
    """In rows, for first values, which are at 0, and others: each is rounded before those of higher powers are fitted to what is left."""
    found = [first.to(kind).double()]
    rest = values - found[0]
    for power in range(1, degree + 1):
        terms = places[..., None] ** torch.arange(power, degree + 1)
        solution = torch.linalg.lstsq(terms / sizes[..., None], (rest / sizes)[..., None]).solution
        found.append(solution[:, 0].to(kind).double())
        rest = rest - found[-1] * places**power
    return torch.cat(found, 1)
