"""An activation x q(bx) with a parameter b that learns, by pieces of polynomials of |bx|: for kernels, where that is not large.

With f(t) = t q(t), its value is x q(bx), its slope f'(bx) and its derivative by b x^2 q'(bx). So the same polynomials hold for every b. Taken
are activations with q(-t) = 1 - q(t): then f' is such a function too, and q' is even. A table by |bx| takes 16 intervals, which processors look
up in fewer cycles than 32 along bx.
"""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..activations import Activation
from ..activations import _pieces as pieces
from ..activations._fits import Fit, Side, fit, scale_of
from ._dividing import Function, crossed
from ._lowering import Split
from ._variant import Variant

_COUNT = 16
_STEP = 164 / 256  # swish's slope has its root nearly in the middle of an interval then
_REACH = (_COUNT - 0.6) * _STEP
_DEGREES = range(3, 9)
_ENOUGH = 5e-8
_TINY = 1e-9

Rows = tuple[tuple[float, ...], ...]


class OfProduct(NamedTuple):
    """In interval i, where `scale` times |bx| is nearest to i, the sum of coefficients[k][i] r^k, and another one.

    r is what |bx| lies beyond centres[i]: rounded once, so that every digit is kept where that is a root.
    """

    scale: float
    coefficients: Rows
    more: Rows
    centres: tuple[float, ...]

    @classmethod
    def of(cls, function: Function, *others: Function) -> "OfProduct":
        """That of one or two functions of float64 for t >= 0, the first of which may have roots."""
        roots = crossed(function)
        found = [_fitted(Side(one, scale_of(_STEP), _COUNT, roots)) for one in (function, *others)]
        shifts = found[0].shifts or (0.0,) * _COUNT
        centres = tuple(place * _STEP + shift for place, shift in enumerate(shifts))
        rows = [one.coefficients for one in found]
        return cls(scale_of(_STEP), rows[0], rows[1] if others else (), centres)

    def code(self, name: str) -> str:
        """It as a constant of C++."""
        first, more, centres = (
            ",\n".join(f"{{{', '.join(f'{one!r}f' for one in row)}}}" for row in rows)
            for rows in (self.coefficients, self.more or ((0.0,),), (self.centres,))
        )
        kind = f"actlab::OfProduct<{len(self.coefficients)}, {len(self.more)}>"
        return f"static constexpr {kind} {name} = {{{self.scale!r}f, {{\n{first}}},\n{{\n{more}}},\n{centres}}};\n"

    def at(self, x: Tensor, side: Tensor, part: str) -> Tensor:
        """Its value for x and b, which is `side`, of float32; with the part "other" that of the other polynomials."""
        product = (x.double() * side.double()).abs()
        place = (self.scale * product).clamp(max=_COUNT - 1).nan_to_num().round().long()
        rows = self.more if part == "other" else self.coefficients
        table = torch.tensor((*rows, self.centres), dtype=torch.float32)
        rest = (product - table[-1][place].double()).float().double()
        result = table[-2][place]
        for row in table[:-2].flip(0):
            result = (result.double() * rest + row[place]).float()
        return result


def _fitted(side: Side) -> Fit:
    """Of the lowest degree that is good enough; raises ValueError where none is."""
    for degree in _DEGREES:
        found = fit((side,), degree, _ENOUGH)
        if found is not None:
            return found
    raise ValueError(f"expected a function that polynomials of degree {_DEGREES[-1]} tell; got another")


class Products(NamedTuple):
    """q(-|t|); f'(-|t|) and q'(|t|)."""

    gate: OfProduct
    slopes: OfProduct
    reach: float  # of |bx|

    def value(self, x: Tensor, b: Tensor) -> Tensor:
        """x q(bx)."""
        b = b.expand_as(x)
        return x * _mirrored(pieces.asked(x, b, self.gate), x * b)

    def derivatives(self, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Its derivatives by x and b."""
        b = b.expand_as(x)
        slope, gate_slope = (pieces.asked(x, b, self.slopes, part) for part in ("whole", "other"))
        return _mirrored(slope, x * b), x * (x * gate_slope)

    @property
    def forward(self) -> Split:
        """For kernels of x and b."""
        # what is traced must not have `self` among its arguments
        return Split(lambda x, b: self.value(x, b), -self.reach, self.reach, product=True)

    @property
    def backward(self) -> Split:
        """For kernels of a gradient g, x and b, which give g times the one derivative and the sum of g times the other."""

        def both(g: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            by_x, by_b = self.derivatives(x, b)
            return g * by_x, (g * by_b).sum()

        return Split(both, -self.reach, self.reach, product=True, sums=1)


def _mirrored(left: Tensor, t: Tensor) -> Tensor:
    """A function by what it is left of 0."""
    return torch.where(t >= 0, 1 - left, left)


def products(variant: Variant, dtype: torch.dtype) -> Products | None:
    """Those of a variant whose one parameter is a factor of x and learns, for results of float32; None where there are no such."""
    of = variant.entry.along
    possible = (
        of
        and list(variant.entry.values()) == [*variant.learnt] == [of]
        and dtype == torch.float32
        and pieces.in_one_step()
    )
    return _tables(variant.entry) if possible else None


@cache
def _tables(entry: Activation) -> Products:

    def evaluate(t: Tensor, order: int = 0) -> Tensor:
        return entry.evaluate(t, order, **{entry.along: 1.0})

    def gate(t: Tensor) -> Tensor:
        t = t.clamp(min=_TINY)
        return evaluate(-t) / -t

    def gate_slope(t: Tensor) -> Tensor:
        t = t.clamp(min=_TINY)
        return entry.bodies[entry.along](t, 1.0) / t.square()

    def slope(t: Tensor) -> Tensor:
        return evaluate(-t, 1)

    return Products(OfProduct.of(gate), OfProduct.of(slope, gate_slope), _REACH)
