"""sin(pi x) / (pi x) and its slope for kernels: x less the nearest whole number is exact, so polynomials of its square tell the rest.

Polynomials are Chebyshev series over half a turn, the short ones within 4e-11 for arithmetic in float32, the others within 1e-18.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ._numerics import fma, polynomial, quotient_once

# by powers of r^2, |r| <= 1/2: (sin(pi r) / (pi r) - 1) / r^2, (cos(pi r) - 1) / r^2, and the slope of the first function by 2 r
_SHAPE = (-1.6449340668482264, 0.8117424252833536, -0.19075182412208389, 0.026147847817640922, -0.002346081035170168, 0.00014842878972770888, -6.975851212142348e-06, 2.5303274566671434e-07, -7.114052818770147e-09)  # fmt: skip
_COSINE = (-4.934802200544679, 4.0587121264167685, -1.3352627688545824, 0.23533063035860233, -0.025806891384027284, 0.0019295742401671152, -0.00010463763434072599, 4.301203720851614e-06, -1.3479054836358117e-07)  # fmt: skip
_SLOPE = (-1.6449340668482264, 1.6234848505667072, -0.5722554723662493, 0.1045913912704807, -0.011730405174428558, 0.0008905727252197031, -4.883089156429182e-05, 2.02408548759245e-06, -6.383824777240552e-08)  # fmt: skip
_SHORT_SHAPE = (
    -1.6449340665733154,
    0.8117423702881529,
    -0.19075006208997916,
    0.02612805885863882,
    -0.0022550628168998606,
)
_SHORT_COSINE = (-4.934802200532585, 4.0587121229329455, -1.3352626061553212, 0.23532784935188983, -0.025785374788406677, 0.0018525902544749779)  # fmt: skip
_SHORT_SLOPE = (-1.6449340668425836, 1.623484848941344, -0.5722553964591085, 0.10459009377825901, -0.011720366251605401, 0.0008546526705834336)  # fmt: skip


class _Turned(NamedTuple):
    """x as a whole number and r with |r| <= 1/2; -1 where that number is odd, else 1; whether x is r itself, and x where it is not, else 1."""

    rest: Tensor
    square: Tensor
    sign: Tensor
    alone: Tensor
    away: Tensor


def _turned(x: Tensor) -> _Turned:
    whole = torch.round(x)
    rest, half, alone = x - whole, 0.5 * whole, whole == 0
    sign = 1 - 4 * (half - torch.round(half)).abs()
    return _Turned(rest, rest * rest, sign, alone, torch.where(alone, torch.ones_like(x), x))


def value(x: Tensor) -> Tensor:
    """sin(pi x) / (pi x)."""
    return _vanishing(x, _value(_turned(x)))


def _value(turned: _Turned) -> Tensor:
    bend = polynomial(turned.square, _SHORT_SHAPE if turned.square.dtype == torch.float32 else _SHAPE)
    ratio = quotient_once(turned.sign * turned.rest, turned.away)
    ratio = torch.where(turned.alone, torch.ones_like(ratio), ratio)
    return fma(ratio * turned.square, bend, ratio)


def slope(x: Tensor) -> Tensor:
    """Its derivative, (cos(pi x) - sin(pi x) / (pi x)) / x."""
    turned, short = _turned(x), x.dtype == torch.float32
    square = turned.square
    near = 2 * turned.rest * polynomial(square, _SHORT_SLOPE if short else _SLOPE)
    cosine = turned.sign * fma(square, polynomial(square, _SHORT_COSINE if short else _COSINE), 1.0)
    far = (cosine - _value(turned)) / turned.away
    return _vanishing(x, torch.where(turned.alone, near, far))


def _vanishing(x: Tensor, y: Tensor) -> Tensor:
    """y, but 0 where x is infinite."""
    return torch.where(x.abs() < torch.inf, y, torch.where(x.isnan(), x, torch.zeros_like(x)))
