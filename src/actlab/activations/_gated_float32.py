"""Functions x g(x) that fall off to the left like an exponential, in kernels in float32.

Left of 0 the gate is that exponential times a factor near to constant, right of 0 there is the gate alone. Factor and gate are pieces of
polynomials, so that each function takes about as many steps as swish. The exponential's power of two comes last: nothing is lost far left.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from . import _float32 as float32
from . import _pieces as pieces

_TWO_OVER_ROOT_PI = 1.1283791670955126

Function = Callable[[Tensor], Tensor]


class Gate(NamedTuple):
    """A gate g by its parts: `right(x)` and `left(e)` e with e = exp(x); the derivatives of g by x and of left(e) e by e.

    From `reach` on the gate is constant. With `by_exponential` functions of the right side take exp(-x), and `reach` is 1.
    """

    right: Function
    left: Function
    right_slope: Function
    left_slope: Function
    reach: float = 1.0
    by_exponential: bool = False

    def value(self, x: Tensor) -> Tensor:
        """x g(x)."""
        x = x.clamp(min=-800)
        grown, k, place = self._parts(x)
        first, rest = self._pieces(pieces.sides_as_pair, place, x, self.right, self.left)
        weight = x * first
        more = float32.fma(x, rest, float32.fma(x, first, -weight))
        result = float32.scaled(weight + float32.fma(grown, weight + more, more), k)
        return torch.where(x < torch.inf, result, x)

    def slope(self, x: Tensor) -> Tensor:
        """g(x) + x g'(x), with x between -800 and 800. Not near its root."""
        grown, k, place = self._parts(x)
        gate = self._pieces(pieces.sides, place, x, self.right, self.left)
        rise = self._pieces(partial(pieces.sides, term=True), place, x, self.right_slope, self.left_slope)
        slope = float32.fma(x if self.by_exponential else x.clamp(max=self.reach), rise, gate)
        return float32.scaled(float32.fma(grown, slope, slope), k)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """exp(x) - 1 as a part and a power of two, both 0 on the right; and where the pieces are to be looked up."""
        if not self.by_exponential:
            grown, k = float32.exp_parts(x.clamp(max=0))
            return grown, k, torch.where(x < 0, float32.scaled(1 + grown, k) * self._stretch(), x)
        grown, k = float32.exp_parts(-x.abs())
        e, none = float32.scaled(1 + grown, k), torch.zeros_like(x)
        return torch.where(x < 0, grown, none), torch.where(x < 0, k, none), e

    def _stretch(self) -> float:
        """The power of two that takes numbers up to 1 to numbers up to `reach`."""
        return 2.0 ** math.floor(math.log2(self.reach))

    def _pieces(self, found: Callable[..., Any], place: Tensor, x: Tensor, right: Function, left: Function) -> Any:
        x = x + 0.0  # -0 is on the right
        return found(place, x, right, _Stretched(left, self._stretch()), self.reach)


class _Stretched(NamedTuple):
    """A function of x / stretch."""

    function: Function
    stretch: float

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x / self.stretch)


SERF = Gate(
    lambda x: torch.erf(softplus(x)),
    lambda e: float32.erf_ratio(torch.log1p(e)) * float32.log1p_ratio(e),
    lambda x: _TWO_OVER_ROOT_PI * torch.exp(-softplus(x).square()) * torch.sigmoid(x),
    lambda e: _TWO_OVER_ROOT_PI * torch.exp(-torch.log1p(e).square()) / (1 + e),
    reach=4.75,
)

TANH_EXP = Gate(
    lambda x: torch.tanh(torch.exp(x)),
    float32.tanh_ratio,
    lambda x: torch.exp(x) / torch.cosh(torch.exp(x)).square(),
    lambda e: 1 / torch.cosh(e).square(),
    reach=2.75,
)

LOGISH = Gate(
    lambda e: torch.log1p(1 / (1 + e)),
    lambda e: 2 * float32.log1p_ratio(2 * e) - float32.log1p_ratio(e),
    lambda e: e / ((1 + e) * (2 + e)),
    lambda e: 1 / ((1 + e) * (1 + 2 * e)),
    by_exponential=True,
)
