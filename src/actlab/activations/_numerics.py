"""Arithmetic beyond one rounding: sums and products as a rounded result and what rounding left out.

A pair (high, low) stands for high + low. Where `high` is not finite, `low` is 0, so that limits survive.
"""

import math

import torch
from torch import Tensor

Number = float | Tensor


def _low(high: Tensor, low: Tensor) -> Tensor:
    return torch.where(low.isfinite() & high.isfinite(), low, torch.zeros_like(low))


def total(a: Tensor, b: Number) -> tuple[Tensor, Tensor]:
    """a + b (Knuth's two-sum), with b at its full precision even where it is a Python number beside a float32 tensor."""
    rest = 0.0
    if not torch.is_tensor(b) and a.dtype == torch.float32:
        scaled = b * 536870913.0  # 2^29 + 1: what is left are the 24 digits of a float32
        short = scaled - (scaled - b)
        b, rest = short, b - short
    high = a + b
    part = high - a
    return high, _low(high, (a - (high - part)) + (b - part) + rest)


def _halves(a: Number) -> tuple[Number, Number]:
    """Two numbers of half the digits that add up to `a` (Veltkamp, for float64)."""
    scaled = a * 134217729.0  # 2^27 + 1
    high = scaled - (scaled - a)
    return high, a - high


def product(a: Tensor, b: Number) -> tuple[Tensor, Tensor]:
    """a * b, with b at its full precision even where it is a Python number beside a float32 tensor."""
    high = a * b
    if isinstance(b, float | int) and abs(math.frexp(b)[0]) == 0.5:  # a power of two: nothing is left out
        return high, torch.zeros_like(high)
    if high.dtype == torch.float32 and a.device.type != "mps":  # where there is float64, it holds the whole product
        exact = a.double() * (b.double() if torch.is_tensor(b) else b)
        return high, _low(high, (exact - high.double()).float())
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return high, _low(high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2)


def quotient(a: Tensor, b: Number) -> tuple[Tensor, Tensor]:
    """a / b."""
    high = a / b
    back, error = product(high, b)
    return high, _low(high, ((a - back) - error) / b)


def scaled(pair: tuple[Tensor, Tensor], b: Number) -> tuple[Tensor, Tensor]:
    """A pair times b."""
    high, low = product(pair[0], b)
    return high, low + _low(high, pair[1] * b)


def times(a: Tensor, b: Number) -> Tensor:
    """a * b rounded once."""
    high, low = product(a, b)
    return high + low


def exp(pair: tuple[Tensor, Tensor]) -> Tensor:
    """exp(high + low)."""
    result = torch.exp(pair[0])
    return result + _low(result, result * pair[1])


def negated(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """-(high + low)."""
    return -pair[0], -pair[1]


def minus_abs(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """-|high + low|."""
    high, low = pair
    return torch.where(high >= 0, -high, high), torch.where(
        high >= 0, -low, low
    )  # with the slope of its right side at 0


def minus_square(x: Tensor) -> tuple[Tensor, Tensor]:
    """-x^2."""
    return negated(product(x, x))


def sigmoid(pair: tuple[Tensor, Tensor]) -> Tensor:
    """1 / (1 + exp(-(high + low))), accurate on both sides."""
    return _share(exp(minus_abs(pair)), pair[0] >= 0)


def _share(e: Tensor, right: Tensor) -> Tensor:
    """1 / (1 + e) or e / (1 + e), for e up to 1, with what the sum leaves out put back."""
    whole = 1 + e
    rest = (1 - whole) + e
    quotient = torch.where(right, torch.ones_like(e), e) / whole
    return quotient - quotient * (rest / whole)


def bell(e: Tensor) -> Tensor:
    """e / (1 + e)^2, for e up to 1, with what the sum leaves out put back."""
    whole = 1 + e
    rest = ((1 - whole) + e) / whole
    quotient = e / whole
    return (quotient - 2 * quotient * rest) / whole


def sech_squared(pair: tuple[Tensor, Tensor]) -> Tensor:
    """1 / cosh(high + low)^2; 1 - tanh^2 would be 0 from 9 on in float32."""
    return 4 * bell(exp(minus_abs((2 * pair[0], 2 * pair[1]))))


def gauss(x: Tensor) -> Tensor:
    """exp(-x^2)."""
    return exp(minus_square(x.clamp(-40, 40)))  # beyond, it is 0 in every type


def alone(x: Tensor) -> tuple[Tensor, Tensor]:
    """x as a pair."""
    return x, torch.zeros_like(x)


def logistic(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), accurate on both sides."""
    return _share(torch.exp(torch.where(x >= 0, -x, x)), x >= 0)


_SQRT_HALF = math.sqrt(0.5)
_SQRT_HALF_LOW = -4.833646656726457e-17  # sqrt(1/2) - float(sqrt(1/2))


def normal_cdf(pair: tuple[Tensor, Tensor]) -> Tensor:
    """Distribution function of the standard normal at high + low, accurate in the left tail.

    erfc amplifies an error of its argument z by about 2 z^2, so what rounding leaves out of z is put back by the first derivative;
    -erfc'(z)/erfc(z) lies within 4 % of z + sqrt(z^2 + 4/pi) for z > 0 (Abramowitz & Stegun 7.1.13).
    """
    z, low = scaled(negated(pair), _SQRT_HALF)
    low = low - pair[0].clamp(-40, 40) * _SQRT_HALF_LOW
    ratio = z.clamp(0, 30)
    ratio = ratio + torch.sqrt(ratio * ratio + 4 / math.pi)
    tail = torch.special.erfc(z)
    return 0.5 * (tail - torch.where(z > 0.5, tail * low * ratio, torch.zeros_like(z)))


def normal_density(pair: tuple[Tensor, Tensor]) -> Tensor:
    """Density of the standard normal at high + low."""
    z = pair[0].clamp(-40, 40)  # beyond, it is 0 in every type
    high, low = minus_square(z)
    return 0.3989422804014327 * exp((0.5 * high, 0.5 * low - z * pair[1]))


def polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """coefficients[0] + coefficients[1] x + ... by Horner's rule."""
    result = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


def near(x: tuple[Tensor, Tensor], root: tuple[float, float], coefficients: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Where x lies within 0.4 of a root, and there the function with that root and these Taylor coefficients from the first on.

    The terms of such a function cancel at its root; the series keeps every digit. `root` is a pair.
    """
    d = (x[0] - root[0]) + (x[1] - root[1])
    close = d.abs() < 0.4
    d = torch.where(close, d, torch.zeros_like(d))
    return close, d * polynomial(d, coefficients)
