"""Elementary functions of float32 by operations that every compiler turns into vector instructions: for kernels alone.

Errors are below one unit in the last place or little above, over all inputs; the calls of vector libraries that they stand for take
longer (tanh, log1p, atan) or lose small arguments (expm1, erf). Polynomials are minimax fits with the errors stated, by least squares
with weights raised where the error is largest.
"""

from collections.abc import Callable, Sequence
from functools import cache

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

# (exp(r) - 1 - r) / r^2 for |r| <= ln(2)/2, within 2.4e-10 of exp(r) - 1
_EXP = (
    0.5000000044157475,
    0.1666666637050761,
    0.041666360942897974,
    0.00833338936337887,
    0.0013940624827775473,
    0.0001984587769404117,
)
# (tanh(z) - z) / z^3 by powers of z^2, z < 0.6, within 2.7e-9
_TANH = (-0.3333329927209314, 0.13331958243212488, -0.05378668360468984, 0.020805384679219722, -0.005905868500975783)
# (z - tanh(z)) / z^3 by powers of z^2, z < 1.2, within 7.6e-10: the first coefficient as a float32 with its rest, and the others
_SHRUNK_FIRST = (0.3333333432674408, -1.0186103516218736e-08)
_SHRUNK = (
    -0.13333329820835627, 0.053967436689520275, -0.02186201592742805, 0.008827959364348385,
    -0.0034941990467227315, 0.0012841131425091027, -0.0003914307689221574, 8.24782720774017e-05, -8.532672266848827e-06,
)  # fmt: skip
# log(cosh(z/2)) / z^2 by powers of z^2, z < 1, within 4.6e-11
_LOG_COSH = (0.12499999999432779, -0.005208332919038122, 0.0003472173127727739, -2.6330316556449053e-05, 2.093208380499449e-06, -1.4032728084206562e-07)  # fmt: skip
# erf(z) / z by powers of z^2, z < 1, within 1.2e-9: the first coefficient as a float32 with its rest, and the others
_ERF_FIRST = (1.1283791065216064, 5.939201197513455e-08)
_ERF = (
    -0.376126271350019,
    0.11283600164943076,
    -0.02685444410693203,
    0.005189534400655321,
    -0.0008020832911799839,
    7.889091572696463e-05,
)
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
# (t + 3.5) Phi(-t) exp(t^2/2) for t in [0, 15], by powers of (t - 3.5) / (t + 3.5), within 8e-9
_TAIL = (0.744416073592799, -0.5655617392425928, 0.3154250913139411, -0.11605317479202168, 0.017405821431238255, 0.0064937270961885896, -0.0031728293197803305, -0.0004950402824450895, 0.000418324022595408, 0.00010869427671604007)  # fmt: skip
_TAIL_SLOPE = (_TAIL[1], 2 * _TAIL[2], 3 * _TAIL[3], 4 * _TAIL[4])  # roughly, for what is tiny anyway


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


def _erf_ratio(x: Tensor) -> Tensor:
    """erf(x) / x less the digits of its value at 0 that a float32 has no room for."""
    return erf_ratio(x) - _ERF_FIRST[1]


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


def expm1(x: Tensor, low: Number = 0.0) -> Tensor:
    """exp(x + low) - 1."""
    if x.dtype == torch.float64:  # for a result in float32
        near = x * (1 + x * (1 / 2 + x * (1 / 6 + x / 24)))
        return torch.where(x.abs() < 1e-3, near, torch.exp(x) - 1)
    k, r = _reduced(x.clamp(-30, 89), low)
    scale = scaled(torch.full_like(k, 0.5), k)  # half of it: 2^128 is no float32
    part = fma(r * r, polynomial(r, _EXP), r)
    return 2 * fma(scale, part, scale - 0.5)


def signed(size: Tensor, x: Tensor) -> Tensor:
    """`size`, which is not negative, with the sign of x: torch's has no vector instructions of its own."""
    return (size.view(torch.int32) | (x.view(torch.int32) & -(2**31))).view(torch.float32)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    if pieces.are_quick():
        return (x * pieces.along(x.abs(), tanh_ratio, 9.14)).clamp(-1, 1)
    size = x.abs()
    e = exp(-2 * size)
    square = x * x
    near = fma(square * x, polynomial(square, _TANH), x)
    return torch.where(size < 0.55, near, signed(1 - 2 * (e * (1 / (1 + e))), x))


def tanh_excess(square: Tensor) -> Tensor:
    """tanh(z) / z - 1 for a square z^2 below 0.36."""
    return square * polynomial(square, _TANH)


def tanh_shrunk(x: Tensor) -> Tensor:
    """x - tanh(x)."""
    size = x.abs()
    square = x * x
    cube = square * x
    lost = fma(square, x, -cube) + fma(x, x, -square) * x
    inner = fma(square, polynomial(square, _SHRUNK), _SHRUNK_FIRST[1])
    e = exp(-2 * size)
    far = signed((size - 1) + 2 * (e * (1 / (1 + e))), x)
    near = fma(cube, _SHRUNK_FIRST[0], fma(cube, inner, lost * (_SHRUNK_FIRST[0] + inner)))
    return torch.where(size < 1.2, near, far)


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


def erf_parts(x: Tensor, low: Number) -> tuple[Tensor, Tensor]:
    """erf(x + low) for |x| below 1, as a pair."""
    square = x * x
    high = _ERF_FIRST[0] * x
    rest = x * fma(square, polynomial(square, _ERF), _ERF_FIRST[1])
    lost = fma(x, _ERF_FIRST[0], -high) + rest
    return high, lost if is_none(low) else lost + _ERF_FIRST[0] * exp(-square) * low


def rough_expm1(x: Tensor) -> Tensor:
    """exp(x) - 1 within 1e-6 of it, for results in half types."""
    near = x * (1 + x * (1 / 2 + x * (1 / 6 + x * (1 / 24 + x / 120))))
    return torch.where(x.abs() < 0.2, near, torch.exp(x) - 1)


def rough_erf(x: Tensor) -> Tensor:
    """Error function within 1e-6 of it, for results in half types."""
    square = x * x
    near = fma(x, _ERF_FIRST[0], x * square * polynomial(square, _ERF))
    t = 1 / (1 + 0.3275911 * x.abs())  # Abramowitz & Stegun 7.1.26
    far = 1 - t * polynomial(t, (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)) * torch.exp(
        -square
    )
    return torch.where(square < 1, near, signed(far, x))


def atan(x: Tensor) -> Tensor:
    """Inverse tangent."""
    size = x.abs()
    outside = size > 1
    z = torch.where(outside, 1 / size, size)
    square = z * z
    inner = fma(square * z, polynomial(square, _ATAN), z)
    return signed(torch.where(outside, (_HALF_PI - inner) - _HALF_PI_REST, inner), x)


def normal_tail(
    square: Tensor, low: Number, t: Tensor, weight: Tensor | None = None, weight_low: Number = 0.0, *, t_low: Number = 0.0, careful: bool = False
) -> Tensor:  # fmt: skip
    """(weight + weight_low) Phi(-(t + t_low)) for t >= 0, given -(t + t_low)^2/2 as square + low. If `careful`, what quotients leave out is put back."""
    factor, factor_low = tail_factor(t.clamp(max=15), t_low, careful=careful)
    if not careful:
        tail = factor * torch.exp(square + low)
        return tail if weight is None else tail * weight
    if weight is None:
        return exp(square, low, factor, factor_low)
    product = factor * weight
    rest = fma(factor, weight, -product) + factor_low * weight
    return exp(square, low, product, rest if is_none(weight_low) else fma(factor, weight_low, rest))


def tail_factor(t: Tensor, t_low: Number = 0.0, *, careful: bool) -> Pair:
    """Phi(-(t + t_low)) exp((t + t_low)^2/2) for t from 0 to 15; with a low part if `careful`."""
    below = t + 3.5
    inverse = 1 / below
    above = t - 3.5
    s = above * inverse
    if not careful:
        return polynomial(s, _TAIL) * inverse, 0.0
    back = below - t
    missing = (t - (below - back)) + (3.5 - back)  # of `below`, and of `above` it is t - (above + 3.5)
    lost = t - (above + 3.5)
    if not is_none(t_low):
        missing, lost = missing + t_low, lost + t_low
    s_low = ((fma(-s, below, above) + lost) - s * missing) * inverse
    inner = polynomial(s, _TAIL[1:])
    value = fma(inner, s, _TAIL[0])
    value_low = fma(inner, s, _TAIL[0] - value) + s_low * polynomial(s, _TAIL_SLOPE)
    factor = value * inverse
    return factor, (fma(-factor, below, value) - factor * missing + value_low) * inverse


def erf(x: Tensor) -> Tensor:
    """Error function."""
    if pieces.are_quick():
        return fma(x, pieces.along(x.abs(), _erf_ratio, 4.0), _ERF_FIRST[1] * x).clamp(-1, 1)
    size = x.abs().clamp(max=8)
    square = size * size
    near = fma(x, _ERF_FIRST[0], x * fma(square, polynomial(square, _ERF), _ERF_FIRST[1]))
    far = 1 - 2 * normal_tail(-square, -fma(size, size, -square), 1.4142135623730951 * size)
    return torch.where(size < 1, near, signed(far, x))
