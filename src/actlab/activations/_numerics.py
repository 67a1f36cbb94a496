"""Arithmetic beyond one rounding: sums and products as a rounded result and what rounding left out.

A pair (high, low) stands for high + low. Where `high` is not finite, `low` is 0, so that limits survive.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import get_ident

import torch
from torch import Tensor

from . import _float32 as float32
from ._float32 import scales as scales
from ._float32 import short as short

Number = float | Tensor
Pair = tuple[Tensor, Number]  # the low part is the number 0 where there is none

# How pairs are computed. "exact": by any device's operations. Kernels are traced under the others: "fused" in float32 by fused
# multiply-adds; "plain" with no low parts, enough in float32 for results in half types and in float64 for results in float32; "library"
# the same, with elementary functions of the device's library and none of our own for the CPU.
_arithmetic: dict[int, str] = {}  # of the threads that trace kernels; all others compute exactly


@contextmanager
def arithmetic(kind: str) -> Iterator[None]:
    """Trace activations under another arithmetic, in this thread."""
    thread = get_ident()
    before = _arithmetic.get(thread)
    _arithmetic[thread] = kind
    try:
        yield
    finally:
        if before is None:
            del _arithmetic[thread]
        else:
            _arithmetic[thread] = before


def precision() -> str:
    """The arithmetic in force."""
    return _arithmetic.get(get_ident(), "exact") if _arithmetic else "exact"


def has_pairs() -> bool:
    """Whether what rounding leaves out is kept."""
    return precision() in ("exact", "fused")


def _low(high: Tensor, low: Tensor) -> Tensor:
    if precision() == "fused":  # a high part that is not finite makes a low part that is not a number
        return torch.where(low.abs() < 1e30, low, torch.zeros_like(low))
    return torch.where(low.isfinite() & high.isfinite(), low, torch.zeros_like(low))


def total(a: Tensor, b: Number) -> Pair:
    """a + b (Knuth's two-sum), with b at its full precision even where it is a Python number beside a float32 tensor."""
    if not has_pairs():
        return a + b, 0.0
    rest = 0.0
    if not torch.is_tensor(b) and a.dtype == torch.float32:
        b, rest = short(b)
    high = a + b
    part = high - a
    return high, _low(high, (a - (high - part)) + (b - part) + rest)


def added(a: Tensor, b: float) -> Tensor:
    """a + b rounded once or nearly so, with b at its full precision."""
    if a.dtype == torch.float32 and short(b)[1] == 0:
        return a + b
    high, low = total(a, b)
    return high + low


def _halves(a: Number) -> tuple[Number, Number]:
    """Two numbers of half the digits that add up to `a` (Veltkamp, for float64)."""
    scaled = a * 134217729.0  # 2^27 + 1
    high = scaled - (scaled - a)
    return high, a - high


def product(a: Tensor, b: Number) -> Pair:
    """a * b, with b at its full precision even where it is a Python number beside a float32 tensor."""
    high = a * b
    if scales(b) or not has_pairs():
        return high, 0.0
    if precision() == "fused" and high.dtype == torch.float32:
        return high, _low(high, left_out(a, b, high))
    if high.dtype == torch.float32 and a.device.type != "mps":  # where there is float64, it holds the whole product
        exact = a.double() * (b.double() if torch.is_tensor(b) else b)
        return high, _low(high, (exact - high.double()).float())
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return high, _low(high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2)


def left_out(a: Tensor, b: Number, high: Tensor) -> Tensor:
    """a * b - high in kernels in float32, where that is finite."""
    known, rest = (b, 0.0) if torch.is_tensor(b) else short(b)
    low = float32.fma(a, known, -high)
    return low if float32.is_none(rest) else low + a * rest


def quotient(a: Tensor, b: Number) -> Pair:
    """a / b."""
    if precision() == "fused" and torch.is_tensor(b):
        inverse = 1 / b
        high = a * inverse
        return high, float32.fma(-high, b, a) * inverse
    high = a / b
    if not has_pairs():
        return high, 0.0
    back, error = product(high, b)
    return high, _low(high, ((a - back) - error) / b)


def over(a: Tensor, b: Tensor) -> Tensor:
    """a / b, for b far from 0 and infinity; in kernels in float32 by the inverse, which is rounded for itself."""
    return a * (1 / b) if is_kernel_in_float32(b) else a / b


def quotient_once(a: Tensor, b: Tensor) -> Tensor:
    """a / b in kernels in float32, for b far from 0 and infinity: rounded once for results in float32."""
    inverse = 1 / b
    q = a * inverse
    return q if not has_pairs() else float32.fma(float32.fma(-q, b, a), inverse, q)


def scaled(pair: Pair, b: Number) -> Pair:
    """A pair times b."""
    high, low = product(pair[0], b)
    return high, low + _low(high, pair[1] * b) if torch.is_tensor(pair[1]) else low


def divided(pair: Pair, b: float) -> Pair:
    """A pair by a number; in kernels in float32 by its inverse."""
    high, low = pair
    if is_kernel_in_float32(high):
        q, rest = product(high, 1 / b)
        return q, rest + low * (1 / b)
    q, rest = quotient(high, b)
    return q, rest + low / b


def within(pair: Pair, limit: float) -> Pair:
    """A pair cut off at -limit and limit."""
    high, low = pair
    return high.clamp(-limit, limit), torch.where(high.abs() < limit, low, torch.zeros_like(high)) if torch.is_tensor(
        low
    ) else low


def fma(a: Tensor, b: Number, c: Number) -> Tensor:
    """a b + c, rounded once in kernels in float32."""
    return float32.fma(a, b, c) if is_kernel_in_float32(a) else a * b + c


def times(a: Tensor, b: Number) -> Tensor:
    """a * b rounded once."""
    high, low = product(a, b)
    return high + low


def exp(pair: Pair, weight: Tensor | None = None, weight_low: Number = 0.0, *, shared: bool = False) -> Tensor:
    """(weight + weight_low) exp(high + low); in a kernel with several of one pair, `shared` lets them share their steps."""
    if precision() == "fused":
        return float32.exp(*pair, weight, weight_low, shared=shared)
    result = torch.exp(pair[0])
    result = result if float32.is_none(pair[1]) else result + _low(result, result * pair[1])
    if weight is None:
        return result
    return result * weight if float32.is_none(weight_low) else result * weight + result * weight_low


def negated(pair: Pair) -> Pair:
    """-(high + low)."""
    return -pair[0], -pair[1]


def minus_abs(pair: Pair) -> Pair:
    """-|high + low|, with the slope of its right side at 0."""
    high, low = pair
    right = high >= 0
    return torch.where(right, -high, high), low if float32.is_none(low) else torch.where(right, -low, low)


def minus_square(x: Tensor) -> Pair:
    """-x^2."""
    return negated(product(x, x))


def sigmoid(pair: Pair, weight: Tensor | None = None, weight_low: Number = 0.0) -> Tensor:
    """(weight + weight_low) / (1 + exp(-(high + low))), accurate on both sides."""
    if precision() == "fused":
        return _sigmoid_in_float32(pair, weight, weight_low)
    right = pair[0] >= 0
    e = exp(minus_abs(pair))
    whole = 1 + e
    quotient = over(torch.where(right, torch.ones_like(e), e), whole)
    if precision() == "exact":
        quotient = quotient - quotient * (((1 - whole) + e) / whole)
    if weight is None:
        return quotient
    return quotient * weight if float32.is_none(weight_low) else quotient * weight + quotient * weight_low


def _sigmoid_in_float32(pair: Pair, weight: Tensor | None, weight_low: Number) -> Tensor:
    """The same by the inverse of 2^k (1 + exp(-x)) with one rounding; the power of two comes last, so that no weight meets what is 0 without it."""
    high, low = within(pair, 240)  # far away a low part alone may be larger than that
    below, k = float32.falling_parts(high.clamp(max=20), low)
    power = float32.scaled(torch.ones_like(k), k)
    whole = 1 + power
    whole = whole + (((1 - whole) + power) - below)
    inverse = 1 / whole
    if weight is None:
        return float32.scaled(inverse, k)
    quotient = weight * inverse
    missing = float32.fma(-quotient, whole, weight)
    missing = missing if float32.is_none(weight_low) else missing + weight_low
    result = float32.fma(missing, inverse, quotient)
    return float32.scaled(torch.where(result.isnan(), quotient, result), k)  # of an infinite weight


def gated_slope(gate: Pair, lever: Pair) -> Tensor:
    """s + lever s (1 - s) with s = sigmoid(gate): the slope of x sigmoid(u) where the lever is x du/dx. Not near its root."""
    u, (v, low) = gate[0], lever
    if not is_kernel_in_float32(u):
        return sigmoid(gate, 1 + v * sigmoid(negated(gate)))
    right, falling = u >= 0, minus_abs(gate)
    e = exp(falling, shared=True)
    weight = over(torch.where(right, float32.fma(v, e, 1 + e), (1 + v) + (e + low)), float32.fma(e, 2 + e, 1.0))
    return torch.where(right, weight, exp(falling, weight))


def bell(e: Tensor) -> Tensor:
    """e / (1 + e)^2, for e up to 1, with what the sum leaves out put back."""
    if precision() != "exact":
        return over(e, fma(e, 2 + e, 1.0))
    whole = 1 + e
    quotient = e / whole
    return (quotient - 2 * quotient * (((1 - whole) + e) / whole)) / whole


def log1p_unit(e: Tensor) -> Tensor:
    """ln(1 + e), for e from 0 to 1."""
    return float32.log1p_unit(e) if is_kernel_in_float32(e) else torch.log1p(e)


def log1p_excess(e: Tensor) -> Tensor:
    """ln(1 + e) / e - 1, for e from 0 to 1."""
    return float32.log1p_excess(e) if is_kernel_in_float32(e) else _ratio(torch.log1p, e) - 1


def tanh_excess(z: Tensor) -> Tensor:
    """tanh(z) / z - 1, for |z| below 0.6."""
    return float32.tanh_excess(z * z) if is_kernel_in_float32(z) else _ratio(torch.tanh, z) - 1


def is_kernel() -> bool:
    """Whether a kernel for the CPU is traced."""
    return precision() in ("fused", "plain")


def is_kernel_in_float32(x: Tensor) -> bool:
    """Whether a kernel for the CPU is traced that computes in float32."""
    return is_kernel() and x.dtype == torch.float32


def _ratio(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """f(z) / z of an odd function with slope 1 at 0."""
    size = z.abs().clamp(min=torch.finfo(z.dtype).tiny)
    return function(size) / size


def lacking(pair: Pair) -> Tensor:
    """1 - tanh(high + low), for high > 0."""
    return 2 * sigmoid((-2 * pair[0], -2 * pair[1]))


def sech_squared(pair: Pair, weight: Tensor | None = None, weight_low: Number = 0.0) -> Tensor:
    """(weight + weight_low) / cosh(high + low)^2; 1 - tanh^2 would be 0 from 9 on in float32."""
    falling = minus_abs((2 * pair[0], 2 * pair[1]))
    e = exp(falling)
    if weight is None or precision() == "exact":
        squared = 4 * bell(e)
        return squared if weight is None else squared * weight + squared * weight_low
    return over(4 * exp(falling, weight, weight_low), 1 + e * (2 + e))


def gauss(x: Tensor, weight: Tensor | None = None) -> Tensor:
    """weight exp(-x^2)."""
    return exp(minus_square(x.clamp(-40, 40)), weight)  # beyond, it is 0 in every type


def alone(x: Tensor) -> Pair:
    """x as a pair."""
    return x, 0.0


def logistic(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), accurate on both sides."""
    return sigmoid((x, 0.0))


_SQRT_HALF = math.sqrt(0.5)
_SQRT_HALF_LOW = -4.833646656726457e-17  # sqrt(1/2) - float(sqrt(1/2))


def normal_cdf(pair: Pair, weight: Tensor | None = None, weight_low: Number = 0.0) -> Tensor:
    """weight + weight_low times the distribution function of the standard normal at high + low, accurate in the left tail.

    erfc amplifies an error of its argument z by about 2 z^2, so what rounding leaves out of z is put back by the first derivative;
    -erfc'(z)/erfc(z) lies within 4 % of z + sqrt(z^2 + 4/pi) for z > 0 (Abramowitz & Stegun 7.1.13).
    """
    z, low = scaled(negated(pair), _SQRT_HALF)
    low = low - pair[0].clamp(-40, 40) * _SQRT_HALF_LOW
    ratio = z.clamp(0, 30)
    ratio = ratio + torch.sqrt(ratio * ratio + 4 / math.pi)
    tail = torch.special.erfc(z)
    result = 0.5 * (tail - torch.where(z > 0.5, tail * low * ratio, torch.zeros_like(z)))
    if weight is None:
        return result
    return weight * result if float32.is_none(weight_low) else weight * result + weight_low * result


def normal_density(pair: Pair, weight: Tensor | None = None, weight_low: Number = 0.0) -> Tensor:
    """weight + weight_low times the density of the standard normal at high + low."""
    z, rest = within(pair, 40)  # beyond, it is 0 in every type
    high, low = minus_square(z)
    low = 0.5 * low
    exponent = (0.5 * high, low if float32.is_none(rest) else low - z * rest)
    if weight is None:
        return 0.3989422804014327 * exp(exponent)
    return exp(exponent, *scaled((weight, weight_low), 0.3989422804014327))


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """coefficients[0] + coefficients[1] x + ... by Horner's rule."""
    if precision() != "exact":
        return float32.polynomial(x, coefficients)
    result = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


def beyond(x: Pair, root: tuple[float, float]) -> Tensor:
    """x - root, with every digit kept near it; `root` is a pair."""
    high, low = root if precision() == "exact" else short(root[0])
    return (x[0] - high) + (x[1] - low)


def near(
    x: Pair, root: tuple[float, float], coefficients: Sequence[float], *, reach: float = 0.7
) -> tuple[Tensor, Tensor]:
    """Where x lies near a root, and there the function with that root and these Taylor coefficients from the first on.

    The terms of such a function cancel at its root; the series keeps every digit. `root` is a pair; `reach` says how near in kernels
    in float32.
    """
    width, least = {
        "exact": (0.4, 0.0),
        "fused": (reach, 1e-8),
    }.get(precision(), (0.4, 1e-9 if x[0].dtype == torch.float64 else 3e-6))
    d = beyond(x, root)
    close = d.abs() < width
    if not is_kernel():  # what is not asked for may be infinite there
        d = torch.where(close, d, torch.zeros_like(d))
    if least:
        coefficients = _shortened(tuple(coefficients), width, least * abs(coefficients[0]))
    return close, d * polynomial(d, coefficients)


@cache
def _shortened(coefficients: tuple[float, ...], width: float, most: float) -> tuple[float, ...]:
    """A polynomial of lower degree that differs from this by at most so much for |x| up to `width`.

    Chebyshev's economisation: of each last term as much is left out as the least polynomial with that term is large.
    """
    terms = [one * width**power for power, one in enumerate(coefficients)]
    while len(terms) > 1:
        share = terms[-1] / _chebyshev(len(terms) - 1)[-1]
        most -= abs(share)
        if most < 0:
            break
        terms = [one - share * other for one, other in zip(terms, _chebyshev(len(terms) - 1), strict=True)][:-1]
    return tuple(one / width**power for power, one in enumerate(terms))


@cache
def _chebyshev(degree: int) -> tuple[float, ...]:
    """Coefficients of the polynomial that lies between -1 and 1 for |x| up to 1 and grows fastest beyond."""
    if degree < 2:
        return (1.0,) if degree == 0 else (0.0, 1.0)
    twice, less = (0.0, *(2 * one for one in _chebyshev(degree - 1))), (*_chebyshev(degree - 2), 0.0, 0.0)
    return tuple(one - other for one, other in zip(twice, less, strict=True))
