"""Arithmetic beyond one rounding: sums and products as a rounded result and what rounding left out.

A pair (high, low) stands for high + low. Where `high` is not finite, `low` is 0, so that limits survive.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

Number = float | Tensor
Pair = tuple[Tensor, Number]  # the low part is the number 0 where there is none

# How pairs are computed: "exact" by any device's operations, "fused" in float32 by fused multiply-adds, "single" with no low parts,
# which is enough in float32 for results that are rounded to half types. Kernels are traced under the latter two.
_arithmetic = "exact"


@contextmanager
def arithmetic(kind: str) -> Iterator[None]:
    """Trace activations under another arithmetic."""
    global _arithmetic
    before, _arithmetic = _arithmetic, kind
    try:
        yield
    finally:
        _arithmetic = before


def _none(low: Number) -> bool:
    """Whether there is no low part."""
    return not torch.is_tensor(low) and low == 0


def _fma(a: Tensor, b: Number, c: Number) -> Tensor:
    """a b + c, rounded once; only in kernels."""
    from torch._inductor.inductor_prims import fma

    b, c = (one if torch.is_tensor(one) else torch.full_like(a, one) for one in (b, c))
    return fma(a, b, c)


def _low(high: Tensor, low: Tensor) -> Tensor:
    if _arithmetic == "fused":  # a high part that is not finite makes a low part that is not a number
        return torch.where(low.abs() < 1e30, low, torch.zeros_like(low))
    return torch.where(low.isfinite() & high.isfinite(), low, torch.zeros_like(low))


def total(a: Tensor, b: Number) -> Pair:
    """a + b (Knuth's two-sum), with b at its full precision even where it is a Python number beside a float32 tensor."""
    if _arithmetic == "single":
        return a + b, 0.0
    rest = 0.0
    if not torch.is_tensor(b) and a.dtype == torch.float32:
        b, rest = _short(b)
    high = a + b
    part = high - a
    return high, _low(high, (a - (high - part)) + (b - part) + rest)


def _short(b: float) -> tuple[float, float]:
    """The 24 digits of a number that a float32 holds, and what is left."""
    scaled = b * 536870913.0  # 2^29 + 1
    short = scaled - (scaled - b)
    return short, b - short


def _halves(a: Number) -> tuple[Number, Number]:
    """Two numbers of half the digits that add up to `a` (Veltkamp, for float64)."""
    scaled = a * 134217729.0  # 2^27 + 1
    high = scaled - (scaled - a)
    return high, a - high


def product(a: Tensor, b: Number) -> Pair:
    """a * b, with b at its full precision even where it is a Python number beside a float32 tensor."""
    high = a * b
    if isinstance(b, float | int) and (b == 0 or abs(math.frexp(b)[0]) == 0.5):  # a power of two: nothing is left out
        return high, 0.0
    kind = _arithmetic
    if kind == "single":
        return high, 0.0
    if kind == "fused" and high.dtype == torch.float32:
        short, rest = (b, 0.0) if torch.is_tensor(b) else _short(b)
        low = _fma(a, short, -high)
        return high, _low(high, low if _none(rest) else low + a * rest)
    if high.dtype == torch.float32 and a.device.type != "mps":  # where there is float64, it holds the whole product
        exact = a.double() * (b.double() if torch.is_tensor(b) else b)
        return high, _low(high, (exact - high.double()).float())
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return high, _low(high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2)


def quotient(a: Tensor, b: Number) -> Pair:
    """a / b."""
    high = a / b
    if _arithmetic == "single":
        return high, 0.0
    back, error = product(high, b)
    return high, _low(high, ((a - back) - error) / b)


def scaled(pair: Pair, b: Number) -> Pair:
    """A pair times b."""
    high, low = product(pair[0], b)
    return high, low + _low(high, pair[1] * b) if torch.is_tensor(pair[1]) else low


def within(pair: Pair, limit: float) -> Pair:
    """A pair cut off at -limit and limit."""
    high, low = pair
    return high.clamp(-limit, limit), torch.where(high.abs() < limit, low, torch.zeros_like(high)) if torch.is_tensor(
        low
    ) else low


def times(a: Tensor, b: Number) -> Tensor:
    """a * b rounded once."""
    high, low = product(a, b)
    return high + low


def exp(pair: Pair) -> Tensor:
    """exp(high + low)."""
    result = torch.exp(pair[0])
    return result if _none(pair[1]) else result + _low(result, result * pair[1])


def negated(pair: Pair) -> Pair:
    """-(high + low)."""
    return -pair[0], -pair[1]


def minus_abs(pair: Pair) -> Pair:
    """-|high + low|, with the slope of its right side at 0."""
    high, low = pair
    right = high >= 0
    return torch.where(right, -high, high), low if _none(low) else torch.where(right, -low, low)


def minus_square(x: Tensor) -> Pair:
    """-x^2."""
    return negated(product(x, x))


def sigmoid(pair: Pair) -> Tensor:
    """1 / (1 + exp(-(high + low))), accurate on both sides."""
    return _share(exp(minus_abs(pair)), pair[0] >= 0)


def _share(e: Tensor, right: Tensor) -> Tensor:
    """1 / (1 + e) or e / (1 + e), for e up to 1, with what the sum leaves out put back."""
    whole = 1 + e
    part = torch.where(right, torch.ones_like(e), e)
    kind = _arithmetic
    if kind == "single":
        return part / whole
    rest = (1 - whole) + e
    if kind == "fused":  # one division for both quotients
        inverse = 1 / whole
        quotient = part * inverse
        return _fma(_fma(-quotient, whole, part) - quotient * rest, inverse, quotient)
    quotient = part / whole
    return quotient - quotient * (rest / whole)


def bell(e: Tensor) -> Tensor:
    """e / (1 + e)^2, for e up to 1, with what the sum leaves out put back."""
    whole = 1 + e
    kind = _arithmetic
    if kind == "single":
        return e / (whole * whole)
    rest = (1 - whole) + e
    if kind == "fused":
        inverse = 1 / whole
        quotient = e * inverse
        return _fma(_fma(-quotient, whole, e) - 2 * quotient * rest, inverse, quotient) * inverse
    quotient = e / whole
    return (quotient - 2 * quotient * (rest / whole)) / whole


def sech_squared(pair: Pair) -> Tensor:
    """1 / cosh(high + low)^2; 1 - tanh^2 would be 0 from 9 on in float32."""
    return 4 * bell(exp(minus_abs((2 * pair[0], 2 * pair[1]))))


def gauss(x: Tensor) -> Tensor:
    """exp(-x^2)."""
    return exp(minus_square(x.clamp(-40, 40)))  # beyond, it is 0 in every type


def alone(x: Tensor) -> Pair:
    """x as a pair."""
    return x, 0.0


def logistic(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), accurate on both sides."""
    return sigmoid((x, 0.0))


_SQRT_HALF = math.sqrt(0.5)
_SQRT_HALF_LOW = -4.833646656726457e-17  # sqrt(1/2) - float(sqrt(1/2))


def normal_cdf(pair: Pair) -> Tensor:
    """Distribution function of the standard normal at high + low, accurate in the left tail.

    erfc amplifies an error of its argument z by about 2 z^2, so what rounding leaves out of z is put back by the first derivative;
    -erfc'(z)/erfc(z) lies within 4 % of z + sqrt(z^2 + 4/pi) for z > 0 (Abramowitz & Stegun 7.1.13).
    """
    if _arithmetic != "exact":
        return _normal_cdf_in_float(pair)
    z, low = scaled(negated(pair), _SQRT_HALF)
    low = low - pair[0].clamp(-40, 40) * _SQRT_HALF_LOW
    ratio = z.clamp(0, 30)
    ratio = ratio + torch.sqrt(ratio * ratio + 4 / math.pi)
    tail = torch.special.erfc(z)
    return 0.5 * (tail - torch.where(z > 0.5, tail * low * ratio, torch.zeros_like(z)))


def normal_density(pair: Pair) -> Tensor:
    """Density of the standard normal at high + low."""
    z = pair[0].clamp(-40, 40)  # beyond, it is 0 in every type
    high, low = minus_square(z)
    low = 0.5 * low
    return 0.3989422804014327 * exp((0.5 * high, low if _none(pair[1]) else low - z * pair[1]))


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """coefficients[0] + coefficients[1] x + ... by Horner's rule."""
    result = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = _fma(result, x, coefficient) if _arithmetic != "exact" else result * x + coefficient
    return result


def near(x: Pair, root: tuple[float, float], coefficients: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Where x lies within 0.4 of a root, and there the function with that root and these Taylor coefficients from the first on.

    The terms of such a function cancel at its root; the series keeps every digit. `root` is a pair.
    """
    d = (x[0] - root[0]) + (x[1] - root[1])
    if _arithmetic != "exact" and d.dtype == torch.float32:
        short, rest = _short(root[0])
        d = (x[0] - short) + (x[1] - rest)
        coefficients = [
            one for place, one in enumerate(coefficients) if abs(one) * 0.4**place > 1e-9 * abs(coefficients[0])
        ]
    close = d.abs() < 0.4
    d = torch.where(close, d, torch.zeros_like(d))
    return close, d * polynomial(d, coefficients)


# (t + 3.5) Phi(-t) exp(t^2/2) for t in [0, 15], by powers of (t - 3.5) / (t + 3.5): within 8e-9
_TAIL = (
    0.744416073592799, -0.5655617392425928, 0.3154250913139411, -0.11605317479202168, 0.017405821431238255, 0.0064937270961885896,
    -0.0031728293197803305, -0.0004950402824450895, 0.000418324022595408, 0.00010869427671604007,
)  # fmt: skip


def _normal_cdf_in_float(pair: Pair) -> Tensor:
    """The same for float32 within kernels, where erfc would be dear: a polynomial times the density."""
    x = pair[0]
    t = x.abs().clamp(max=15)
    inverse = 1 / (t + 3.5)
    square, low = product(x.clamp(-15, 15), x.clamp(-15, 15))
    low = -0.5 * low if _none(pair[1]) else -0.5 * low - x.clamp(-15, 15) * pair[1]
    tail = exp((-0.5 * square, low)) * (polynomial((t - 3.5) * inverse, _TAIL) * inverse)
    return torch.where(x > 0, 1 - tail, torch.where(x < -15, torch.zeros_like(x), tail))
