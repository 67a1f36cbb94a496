"""What the constant parts of a formula are worth, in double precision, and which of them are refused."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from .._language import say
from ._error import FormulaError
from ._functions import ELEMENTARY
from ._tree import Node, fold

LARGEST_POWER = 1000  # of a constant exponent; x^1000 overflows at 2.04 already
_HEAVIEST = 20_000  # bits that a constant, or the coefficient of a power, may need when written out exactly


def sigmoid(u: float) -> float:
    """1 / (1 + e^-u)."""
    return 1.0 / (1.0 + math.exp(-u)) if u >= 0 else math.exp(u) / (1.0 + math.exp(u))


def logaddexp(u: float, v: float) -> float:
    """log(e^u + e^v)."""
    return max(u, v) + math.log1p(math.exp(-abs(u - v)))


def sign(u: float) -> float:
    """-1, 0 or 1."""
    return float((u > 0) - (u < 0))


def sinc(u: float, order: float = 0.0) -> float:
    """The derivative of that order of sin(u)/u."""
    if abs(u) <= 1.0 + order:
        k, total, n = int(order), 0.0, (int(order) + 1) // 2
        while n < k + 30:
            total += (-1) ** n * u ** (2 * n - k) / (math.factorial(2 * n - k) * (2 * n + 1))
            n += 1
        return total
    before = order * sinc(u, order - 1.0) if order else 0.0
    return (math.sin(u + order * math.pi / 2) - before) / u


_EVALUATE: dict[str, Callable[..., float]] = {
    "+": lambda *terms: math.fsum(terms),
    "-": lambda u: -u,
    "*": lambda *factors: math.prod(factors),
    "/": lambda u: 1.0 / u,
    "^": math.pow,
    "<": lambda u, v: u < v,
    "<=": lambda u, v: u <= v,
    "where": lambda condition, u, v: u if condition else v,
    "clip": lambda u, low, high: min(max(u, low), high),
    "relu": lambda u: max(u, 0.0),
    "sigmoid": sigmoid,
    "softplus": lambda u: logaddexp(u, 0.0),
    "logaddexp": logaddexp,
    "Phi": lambda u: math.erfc(-u / math.sqrt(2.0)) / 2.0,
    "sinc": sinc,
    "sign": sign,
    "abs": math.fabs,
    "max": max,
    "min": min,
    "bounded": lambda u: u,
    "rise": lambda u, c: u * (u / (math.hypot(u, c) + c)),
    "slant": lambda u, c: u / math.hypot(u, c),
    **{name: getattr(math, name) for name in (*ELEMENTARY, "hypot")},
}


def _worth(node: Node, arguments: list[float | None], known: Mapping[str, float]) -> float | None:
    """NaN for what is undefined or overflows, None for what depends on a name that is not known."""
    if node.function == "number":
        return float(node.number) if abs(node.number) < Fraction(10) ** 308 * 17 / 10 else math.nan
    if node.function == "name":
        return known.get(node.name)
    if node.function == "*" and 0.0 in arguments:
        return 0.0
    if None in arguments:
        return None
    try:
        return _EVALUATE[node.function](*arguments)
    except (ValueError, OverflowError, ZeroDivisionError):
        return math.nan


def worth(root: Node, **known: float) -> float | None:
    """The value in double precision; NaN if undefined or infinite, None if it depends on a name that is not among `known`."""
    names = {"pi": math.pi, "e": math.e, **known}
    return fold(root, lambda node, arguments: _worth(node, arguments, names))


def check(root: Node, positions: Mapping[Node, int]) -> None:
    """Refuse constant parts that are undefined, infinite or absurd to write out, such as log(-1), 1/0 and 9^9^9.

    Without this, exact rational arithmetic would fill the memory before anything could be said.
    """
    names = {"pi": math.pi, "e": math.e}

    def rule(node: Node, below: list[tuple[float | None, float]]) -> tuple[float | None, float]:
        value = _worth(node, [one for one, _ in below], names)
        weight = _weight(node, below)
        if (value is not None and not math.isfinite(value)) or weight > _HEAVIEST:
            raise _absurd(positions.get(node, 1))
        return value, weight

    fold(root, rule)


def _weight(node: Node, below: list[tuple[float | None, float]]) -> float:
    """Bits of the numbers in it, raised to their powers."""
    if node.function == "number":
        return float(node.number.numerator.bit_length() + node.number.denominator.bit_length())
    if node.function == "^":
        (_, base), (exponent, own) = below
        if exponent is not None:
            return base * max(1.0, abs(exponent)) + own if abs(exponent) <= LARGEST_POWER else math.inf
    return 1.0 + sum(weight for _, weight in below)


def _absurd(position: int) -> FormulaError:
    return FormulaError(
        say(
            f"formula: expected constants of bearable size; the one at position {position} is undefined, infinite or takes too many digits",
            f"公式：第 {position} 个字符处的常数无定义、无穷大，或位数过多",
        )
    )
