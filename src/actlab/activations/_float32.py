"""Elementary functions of float32 by operations that every compiler turns into vector instructions: for kernels alone.

Errors are below one unit in the last place or little above, over all inputs; the calls of vector libraries that they stand for take
longer (tanh, log1p, atan) or lose small arguments (expm1, erf). Polynomials are minimax fits with the errors stated, by least squares
with weights raised where the error is largest.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from . import _pieces as pieces

Number = float | Tensor
Pair = tuple[Tensor, Number]

_LOG2_E = 1.4426950408889634
_LN2 = 0.693145751953125  # its first bits, so that small multiples of it are exact
_LN2_REST = 1.4286068203094172e-06
_HALF_PI = 1.5707963705062866  # as a float32, and what it has too much
_HALF_PI_REST = 4.371139000186241e-08

# (exp(r) - 1 - r) / r^2 for |r| <= ln(2)/2, within 4e-9 of exp(r)
_EXP = (0.5, 0.16666533803244035, 0.04166723877301089, 0.008367509158126198, 0.0013863756680737827)
# (1 - exp(-r) - r) / r^2
_FALL = tuple(-one if power % 2 == 0 else one for power, one in enumerate(_EXP))
# (exp(r) - 1 - r) / r^2 within 2.4e-10 of exp(r) - 1
_EXPM1 = (
    0.5000000044157475,
    0.1666666637050761,
    0.041666360942897974,
    0.00833338936337887,
    0.0013940624827775473,
    0.0001984587769404117,
)
# (exp(x) - 1 - x) / x^2, -1 <= x <= 0, within 2e-8 of itself
_EXCESS = (
    0.5, 0.16666598618030548, 0.041658915579319, 0.008300237357616425, 0.0013237659586593509, 0.0001370077079627663
)  # fmt: skip
# (sin(r) - r) / r^3 by powers of r^2, r < pi/4, within 1.2e-9 of sin(r)
_SINE = (-0.166666546, 0.00833215958, -0.000195151194)
# (sin(d) / d)^2 by powers of d^2, d < pi/2, within 1.4e-8
_SINE_RATIO_SQUARED = (
    1.0, -0.33333298563957214, 0.044442903250455856, -0.003172097494825721, 0.00013921354548074305, -3.6095025279792026e-06,
)  # fmt: skip
# (tanh(z) - z) / z^3 by powers of z^2, z < 0.6, within 2.7e-9
_TANH = (-0.3333329927209314, 0.13331958243212488, -0.05378668360468984, 0.020805384679219722, -0.005905868500975783)
# log(cosh(z/2)) / z^2 by powers of z^2, z < 1, within 4.6e-11
_LOG_COSH = (0.12499999999432779, -0.005208332919038122, 0.0003472173127727739, -2.6330316556449053e-05, 2.093208380499449e-06, -1.4032728084206562e-07)  # fmt: skip
# (log(1 + f) - f + f^2/2) / f^3 for f from sqrt(1/2) - 1 to sqrt(2) - 1, within 7.3e-10
_LOG = (
    0.3333331042098061,
    -0.24999986724573722,
    0.20002228149504103,
    -0.16669243976093318,
    0.14218617660486121,
    -0.12384458331108406,
    0.11873419843861202,
    -0.11789267389620725,
    0.0691360140289422,
)
# log(1 + e) / e for e from 0 to 1, within 1e-10
_LOG_UNIT = (
    0.9999999999001898, -0.49999996940260394, 0.3333317781066495, -0.24996887327744566, 0.1996749390022472, -0.16463094495911224,
    0.13456264936008025, -0.10179876876711914, 0.06467371587213061, -0.030668566706409345, 0.009289782250572086, -0.0013185609190425492,
)  # fmt: skip
# (atan(z) - z) / z^3 by powers of z^2, z < 1, within 3.6e-10
_ATAN = (
    -0.3333332743384914,
    0.1999969262983384,
    -0.142801309997558,
    0.11060246290076889,
    -0.08818854971230969,
    0.06759587525072475,
    -0.04494666528574879,
    0.022760529542825172,
    -0.007422727296299787,
    0.0011348963938305882,
)


def fma(a: Tensor, b: Number, c: Number) -> Tensor:
    """a b + c, rounded once."""
    from torch._inductor.inductor_prims import fma as operation

    b, c = (one if torch.is_tensor(one) else torch.full_like(a, one) for one in (b, c))
    return operation(a, b, c)


def tanh_ratio(x: Tensor) -> Tensor:
    """tanh(x) / x of float64."""
    x = x.clamp(min=1e-9)
    return torch.tanh(x) / x


def erf_ratio(x: Tensor) -> Tensor:
    """erf(x) / x of float64."""
    x = x.clamp(min=1e-9)
    return torch.erf(x) / x


def log1p_ratio(x: Tensor) -> Tensor:
    """ln(1 + x) / x of float64."""
    x = x.clamp(min=1e-17)
    return torch.log1p(x) / x


def expm1_ratio(t: Tensor) -> Tensor:
    """(1 - exp(-t)) / t."""
    t = t.clamp(min=1e-9)
    return -torch.expm1(-t) / t


def odd(x: Tensor, ratio: Callable[[Tensor], Tensor], last: float, limit: float = 1.0) -> Tensor:
    """x ratio(|x|), which is `limit` from `last` on."""
    first, rest = pieces.along_as_pair(x.abs(), ratio, last)
    return (x * (first + rest)).clamp(-limit, limit)


def short(b: float) -> tuple[float, float]:
    """The 24 digits of a number that a float32 holds, and what is left."""
    scaled = b * 536870913.0  # 2^29 + 1
    high = scaled - (scaled - b)
    return high, b - high


def scales(b: Number) -> bool:
    """Whether products with b leave nothing out: it is 0 or a power of two."""
    return not torch.is_tensor(b) and (b == 0 or abs(math.frexp(b)[0]) == 0.5)


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """coefficients[0] + coefficients[1] x + ... by Horner's rule."""
    result = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = fma(result, x, coefficient)
    return result


def is_none(low: Number) -> bool:
    """Whether there is no low part."""
    return not torch.is_tensor(low) and low == 0


def _power_of_two(k: Tensor) -> Tensor:
    """2^k for whole k (int32) from -126 to 127."""
    return ((k + 127) << 23).view(torch.float32)


def scaled(x: Tensor, k: Tensor) -> Tensor:
    """x 2^k for whole k (float32), rounded once."""
    return _ldexp()(x, k)


@cache
def _ldexp() -> Callable[[Tensor, Tensor], Tensor]:
    """An operation of torch's compiler, which has this one but offers it to whole numbers alone."""
    from torch._inductor.inductor_prims import make_prim
    from torch._inductor.ir import ops_wrapper
    from torch._inductor.lowering import make_pointwise, register_lowering

    operation = make_prim("actlab_ldexp(Tensor x, Tensor k) -> Tensor", torch.ldexp, doc="x 2^k, rounded once")
    register_lowering(operation, type_promotion_kind=None)(make_pointwise(ops_wrapper("ldexp")))
    return operation


def _reduced(x: Tensor, low: Number) -> tuple[Tensor, Tensor]:
    """k and r with exp(x + low) = 2^k exp(r) and |r| at most about ln(2)/2."""
    k = torch.round(x * _LOG2_E)
    r = fma(k, -_LN2_REST, fma(k, -_LN2, x))
    return k, r if is_none(low) else r + low


def exp(
    x: Tensor, low: Number = 0.0, weight: Tensor | None = None, weight_low: Number = 0.0, *, shared: bool = False
) -> Tensor:
    """(weight + weight_low) exp(x + low), which may be in range where exp(x) alone is not.

    `shared` takes the steps of the weighted one without a weight too, so that a kernel with both computes them once.
    """
    if weight is None and is_none(low) and not shared:
        return torch.exp(x)
    grown, k = exp_parts(x.clamp(max=130), low)
    part = 1 + grown
    if weight is not None:
        rest = weight * ((1 - part) + grown)
        part = fma(part, weight, rest if is_none(weight_low) else fma(part, weight_low, rest))
    return scaled(part, k)


def exp_parts(x: Tensor, low: Number = 0.0) -> tuple[Tensor, Tensor]:
    """exp(x + low) for x up to 130, as a part from sqrt(1/2) to sqrt(2) less 1, and the power of two that it is to be multiplied by."""
    k, r = _reduced(x.clamp(min=-240), low)  # less than exp(-240) times any weight is 0
    return fma(r * r, polynomial(r, _EXP), r), k


def falling_parts(x: Tensor, low: Number = 0.0) -> tuple[Tensor, Tensor]:
    """What exp(-x - low) 2^k lies below 1, and k, for x from -240 to 240: no sign is turned on the way."""
    k, r = _reduced(x, low)
    return fma(r * r, polynomial(r, _FALL), r), k


def expm1(x: Tensor, low: Number = 0.0) -> Tensor:
    """exp(x + low) - 1."""
    if x.dtype == torch.float64:  # for a result in float32
        near = x * (1 + x * (1 / 2 + x * (1 / 6 + x / 24)))
        return torch.where(x.abs() < 1e-3, near, torch.exp(x) - 1)
    k, r = _reduced(x.clamp(-30, 89), low)
    scale = scaled(torch.full_like(k, 0.5), k)  # half of it: 2^128 is no float32
    part = fma(r * r, polynomial(r, _EXPM1), r)
    return 2 * fma(scale, part, scale - 0.5)


def exp_excess(x: Tensor) -> Tensor:
    """exp(x) - 1 - x for x from -1 to 0."""
    return x * x * polynomial(x, _EXCESS)


def signed(size: Tensor, x: Tensor) -> Tensor:
    """`size`, which is not negative, with the sign of x: torch's has no vector instructions of its own."""
    return (size.view(torch.int32) | (x.view(torch.int32) & -(2**31))).view(torch.float32)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return odd(x, tanh_ratio, 9.14)


def scaled_tanh(x: Tensor, A: float, S: float) -> Tensor:
    """A tanh(S x)."""
    return odd(x, _ScaledTanhRatio(A, S), 9.14 / S, A)


class _ScaledTanhRatio(NamedTuple):
    """A tanh(S x) / x of float64."""

    A: float
    S: float

    def __call__(self, x: Tensor) -> Tensor:
        return self.A * self.S * tanh_ratio(self.S * x)


def tanh_excess(square: Tensor) -> Tensor:
    """tanh(z) / z - 1 for a square z^2 below 0.36."""
    return square * polynomial(square, _TANH)


def tanh_shrunk(x: Tensor, *, rough: bool) -> Tensor:
    """x - tanh(x); if `rough`, within 5e-7 of it."""
    last = 15.75  # with it, intervals are halves; from there on tanh is 1
    size = x.abs()
    square = x * x
    cube = square * x
    if rough:
        near = cube * pieces.along(size, _shrunk_ratio, last, enough=4e-7)
    else:
        lost = fma(square, x, -cube) + fma(x, x, -square) * x
        first, rest = pieces.along_as_pair(size, _shrunk_ratio, last)
        near = fma(cube, first, fma(cube, rest, lost * first))
    return torch.where(size < last, near, x - signed(torch.ones_like(x), x))


def _shrunk_ratio(x: Tensor) -> Tensor:
    """(x - tanh(x)) / x^3 of float64."""
    square = x * x
    series = 1 / 3 + square * (-2 / 15 + square * (17 / 315 + square * (-62 / 2835 + square * (1382 / 155925))))
    return torch.where(x < 0.02, series, (x - torch.tanh(x)) / x.clamp(min=0.01) ** 3)


def log1p(x: Tensor) -> Tensor:
    """ln(1 + x), for x from -0.9 on."""
    large = x > 2.0**64
    x, one = torch.where(large, x * 2.0**-64, x), torch.where(large, 0.0, 1.0)
    k = ((x + one).view(torch.int32) - 0x3F3504F3) >> 23  # 1 + x lies in 2^k [sqrt(1/2), sqrt(2)]
    scale = _power_of_two(-k)
    f = fma(x, scale, one * scale - 1)
    square = f * f
    rest = fma(square * f, polynomial(f, _LOG), -0.5 * square)
    exponent = k.to(torch.float32) + torch.where(large, 64.0, 0.0)
    result = fma(exponent, _LN2, f + fma(exponent, _LN2_REST, rest))
    return torch.where(x < torch.inf, result, x)


def log1p_unit(e: Tensor) -> Tensor:
    """ln(1 + e), for e from 0 to 1: without taking numbers apart."""
    return e * polynomial(e, _LOG_UNIT)


def log1p_excess(e: Tensor) -> Tensor:
    """ln(1 + e) / e - 1, for e from 0 to 1."""
    return e * polynomial(e, _LOG_UNIT[1:])


def log_cosh(x: Tensor) -> Tensor:
    """ln(cosh(x / 2)) for |x| below 1."""
    square = x * x
    return square * polynomial(square, _LOG_COSH)


def one_less_exp(t: Tensor) -> Tensor:
    """1 - exp(-t) for t >= 0, within 4e-7 of it."""
    last = 15.75  # with it, intervals are halves; from there on it is 1
    near = t * pieces.along(t, expm1_ratio, last, enough=4e-7)
    return torch.where(t >= last, 1.0, near)


def cosine_squared(y: Tensor) -> Tensor:
    """cos(y)^2 for |y| up to pi/2, within 1e-7 of it."""
    left = (_HALF_PI - y.abs()) - _HALF_PI_REST
    square = left * left
    return square * polynomial(square, _SINE_RATIO_SQUARED)


def rough_expm1(x: Tensor) -> Tensor:
    """exp(x) - 1 within 1e-6 of it, for results in half types."""
    near = x * (1 + x * (1 / 2 + x * (1 / 6 + x * (1 / 24 + x / 120))))
    return torch.where(x.abs() < 0.2, near, torch.exp(x) - 1)


def atan(x: Tensor) -> Tensor:
    """Inverse tangent."""
    size = x.abs()
    outside = size > 1
    z = torch.where(outside, 1 / size, size)
    square = z * z
    inner = fma(square * z, polynomial(square, _ATAN), z)
    return signed(torch.where(outside, (_HALF_PI - inner) - _HALF_PI_REST, inner), x)


def erf(x: Tensor) -> Tensor:
    """Error function."""
    return odd(x, erf_ratio, 4.0)


def squared_sum_of_waves(x: Tensor, a: float) -> Tensor:
    """(sin(y) + cos(y))^2 = 2 sin(y + pi/4)^2 for y = a x up to 30 in size, to the last digits at its zeros too."""
    known, rest = short(a)
    y = x * known
    turns = torch.round(y * (1 / (_HALF_PI - _HALF_PI_REST)) + 0.5)
    whole = turns - 0.5  # y + pi/4 is so many quarter turns and r
    first = fma(whole, -_HALF_PI, y)
    second, lost = _doubled(whole, _HALF_PI_REST)
    if not scales(a):  # what rounding has left out of a x may be as large as the second part
        below, lowest = _doubled(x, rest)
        for low in (fma(x, known, -y), below):
            both = second + low
            part = both - second
            lost = lost + ((second - (both - part)) + (low - part))
            second = both
        lost = lost + lowest
    r = first + second
    lost = lost + ((first - r) + second)
    square = r * r
    sine = r + fma(r * square, polynomial(square, _SINE), lost)
    twice = 2 * sine * sine
    odd = turns != 2 * torch.round(0.5 * turns)
    return torch.where(odd, 2 - twice, twice)


def _doubled(x: Tensor, b: float) -> Pair:
    """x b with twice the digits."""
    first, rest = short(b)
    high = x * first
    return high, fma(x, first, -high) + x * rest
