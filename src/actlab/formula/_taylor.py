"""Taylor series of a parsed formula around a point, coefficient by coefficient, in numbers with error bounds."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from mpmath import libmp

from ._ball import NAN, Arithmetic, Ball
from ._tree import ONE, TWO, Node, constants_last, number

Series = list[Ball]
_NOTHING = Ball(libmp.fzero)
_LONGEST_POWER = 4096  # of an exponent that is multiplied out


class Evaluation:
    """One pass over the tree at one precision, of so many derivatives by x."""

    def __init__(self, arithmetic: Arithmetic, given: Mapping[str, Any], order: int):
        self.of, self.given, self.length = arithmetic, given, order + 1
        self.done: dict[Node, Series] = {}

    def derivative(self, tree: Node) -> Ball:
        """The last one."""
        return self.of.mul(self.series(tree)[-1], self.of.rational(Fraction(math.factorial(self.length - 1))))

    def series(self, node: Node) -> Series:
        """The value, and then the derivatives over factorials; all NaN where the value is."""
        if node not in self.done:
            found = self.compute(node)
            self.done[node] = self.constant(found[0], everywhere=True) if found[0].middle == NAN else found
        return self.done[node]

    def compute(self, node: Node) -> Series:
        if node.function == "number":
            return self.constant(self.of.rational(node.number))
        if node.function == "name":
            return self.variable(node.name)
        if node.function == "where":  # the branch not taken may be undefined, so it is not looked at
            condition, taken, other = node.arguments
            return self.series(taken if self.holds(condition) else other)
        if node.function in ("max", "min"):
            return self.extreme(node)
        if node.function in _DEFINITIONS:
            return self.series(_DEFINITIONS[node.function](*node.arguments))
        arguments = [self.series(argument) for argument in node.arguments]
        if any(one.middle == NAN for argument in arguments for one in argument):
            return self.constant(Ball(NAN), everywhere=True)
        if node.function in _METHODS:
            return getattr(self, _METHODS[node.function])(*arguments)
        return self.elementary(node.function, *arguments)

    def constant(self, value: Ball, *, everywhere: bool = False) -> Series:
        return [value] + [value if everywhere else _NOTHING] * (self.length - 1)

    def variable(self, name: str) -> Series:
        if name not in self.given:
            return self.constant(self.of.constant(name))
        value = self.given[name]
        found = self.constant(self.of.rational(value) if isinstance(value, Fraction) else Ball(value))
        if name == "x" and self.length > 1:
            found[1] = Ball(libmp.fone)
        return found

    # Arithmetic of series.

    def add(self, *terms: Series) -> Series:
        found, *rest = terms
        for term in rest:
            found = [self.of.add(a, b) for a, b in zip(found, term, strict=True)]
        return found

    def negative(self, u: Series) -> Series:
        return [self.of.negative(a) for a in u]

    def mul(self, *factors: Series) -> Series:
        found, *rest = factors
        for factor in rest:
            found = [self.dot(found[: k + 1], factor[k::-1]) for k in range(self.length)]
        return found

    def dot(self, u: Series, v: Series) -> Ball:
        total = _NOTHING
        for a, b in zip(u, v, strict=True):
            total = self.of.add(total, self.of.mul(a, b))
        return total

    def scaled(self, u: Ball, factor: Fraction) -> Ball:
        return self.of.mul(u, self.of.rational(factor))

    def reciprocal(self, u: Series) -> Series:
        first = self.of.reciprocal(u[0])
        found = [first]
        for k in range(1, self.length):
            found.append(self.of.negative(self.of.mul(first, self.dot(u[1 : k + 1], found[::-1]))))
        return found

    def integral(self, first: Ball, slope: Series | None, u: Series) -> Series:
        """The series of f(u) from f(u0) and the series of f'(u); None: f' is f."""
        found = [first]
        for k in range(1, self.length):
            weighted = [self.scaled(u[j], Fraction(j, k)) for j in range(1, k + 1)]
            found.append(self.dot(weighted, (found if slope is None else slope)[k - 1 :: -1][:k]))
        return found

    # Choices.

    def holds(self, condition: Node) -> bool:
        low, high = (self.series(side)[0] for side in condition.arguments)
        gap = self.of.add(low, self.of.negative(high))
        sign = self.of.sign(gap)
        return gap.middle != NAN and (sign < 0 or (sign == 0 and condition.function == "<="))

    def extreme(self, node: Node) -> Series:
        found, *rest = constants_last(node.arguments)
        for one in rest:
            if any(self.series(side)[0].middle == NAN for side in (found, one)):
                return self.constant(Ball(NAN), everywhere=True)
            low, high = (found, one) if node.function == "max" else (one, found)
            found = one if self.holds(Node("<=", low, high)) else found
        return self.series(found)

    def abs(self, u: Series) -> Series:
        sign = self.of.sign(u[0])
        return [self.scaled(a, Fraction(sign)) for a in u]

    def step(self, u: Series) -> Series:
        return self.constant(self.of.rational(Fraction(self.of.sign(u[0]))))

    # Powers.

    def power(self, u: Series, v: Series) -> Series:
        exponent = _whole(v)
        if exponent is not None and abs(exponent) <= _LONGEST_POWER:
            return self.multiplied(u if exponent >= 0 else self.reciprocal(u), abs(exponent))
        sign = self.of.sign(u[0])
        if sign < 0 and exponent is not None:
            even = self.power(self.negative(u), v)
            return self.negative(even) if exponent % 2 else even
        if sign <= 0:
            return self.zero_power(v[0]) if sign == 0 else self.constant(Ball(NAN), everywhere=True)
        if any(a != _NOTHING for a in v[1:]):
            return self.elementary("exp", self.mul(v, self.elementary("log", u)))
        return self.raised(u, v[0])

    def multiplied(self, u: Series, times: int) -> Series:
        found, square = self.constant(Ball(libmp.fone)), u
        while times:
            found = self.mul(found, square) if times & 1 else found
            times >>= 1
            square = self.mul(square, square) if times else square
        return found

    def zero_power(self, exponent: Ball) -> Series:
        """0 to a power that is no whole number: as many derivatives are 0 as the power has room for."""
        return [_NOTHING if libmp.mpf_gt(exponent.middle, libmp.from_int(k)) else Ball(NAN) for k in range(self.length)]

    def raised(self, u: Series, exponent: Ball) -> Series:
        """A positive series to a constant power, by u p' = exponent p u'."""
        first = self.of.apply("exp", self.of.mul(exponent, self.of.apply("log", u[0])))
        found, inverse = [first], self.of.reciprocal(u[0])
        for k in range(1, self.length):
            weights = [self.of.add(self.scaled(exponent, Fraction(j, k)), self.of.rational(Fraction(j - k, k))) for j in range(1, k + 1)]  # fmt: skip
            terms = [self.of.mul(weights[j - 1], u[j]) for j in range(1, k + 1)]
            found.append(self.of.mul(inverse, self.dot(terms, found[::-1])))
        return found

    # Functions.

    def elementary(self, name: str, u: Series) -> Series:
        first = self.of.apply(name, u[0])
        return [first] if self.length == 1 else self.integral(first, self.slope(name, u), u)

    def slope(self, name: str, u: Series) -> Series | None:
        """The series of f'(u); None for exp."""
        if name == "exp":
            return None
        if name in ("sin", "cos", "sinh", "cosh"):
            return self.circular(name, u)
        if name in ("tan", "tanh"):
            return self.reciprocal(self.multiplied(self.elementary(name.replace("tan", "cos"), u), 2))
        if name == "log":
            return self.reciprocal(u)
        if name == "sqrt":
            return self.reciprocal([self.scaled(a, Fraction(2)) for a in self.root(u)])
        square = self.mul(u, u)
        if name in ("erf", "erfc"):
            factor = self.of.reciprocal(self.of.apply("sqrt", self.of.constant("pi")))
            factor = self.scaled(factor, Fraction(2 if name == "erf" else -2))
            return [self.of.mul(factor, a) for a in self.elementary("exp", self.negative(square))]
        inside = self.add(
            self.constant(Ball(libmp.fone)), square if name in ("atan", "asinh") else self.negative(square)
        )
        below = self.reciprocal(inside if name == "atan" else self.root(inside))
        return self.negative(below) if name == "acos" else below

    def root(self, u: Series) -> Series:
        """The square root, whose coefficients follow from those of its square."""
        first = self.of.apply("sqrt", u[0])
        found, inverse = [first], self.of.reciprocal(self.scaled(first, Fraction(2)))
        for k in range(1, self.length):
            rest = self.of.negative(self.dot(found[1:], found[:0:-1]))
            found.append(self.of.mul(inverse, self.of.add(u[k], rest)))
        return found

    def circular(self, name: str, u: Series) -> Series:
        """The derivative of sin, cos, sinh or cosh of u, together with the function itself, as each is the other's slope."""
        partner = {"sin": "cos", "cos": "sin", "sinh": "cosh", "cosh": "sinh"}[name]
        own, other = [self.of.apply(name, u[0])], [self.of.apply(partner, u[0])]
        signs = {"sin": (1, -1), "cos": (-1, 1)}.get(name, (1, 1))  # of own' and other'
        for k in range(1, self.length):
            weighted = [self.scaled(u[j], Fraction(j, k)) for j in range(1, k + 1)]
            rises, falls = self.dot(weighted, other[::-1]), self.dot(weighted, own[::-1])
            own.append(self.scaled(rises, Fraction(signs[0])))
            other.append(self.scaled(falls, Fraction(signs[1])))
        return [self.scaled(a, Fraction(signs[0])) for a in other]

    def sinc(self, u: Series) -> Series:
        """sin(u)/u, near 0 by the power series of its derivatives."""
        if libmp.mpf_gt(libmp.mpf_abs(u[0].middle), libmp.from_float(2.0**-16)):
            return self.mul(self.elementary("sin", u), self.reciprocal(u))
        found, shift = self.constant(_NOTHING), [_NOTHING, *u[1:]]
        for k in reversed(range(self.length)):
            found = self.add(self.mul(found, shift), self.constant(self.sinc_coefficient(u[0], k)))
        return found

    def sinc_coefficient(self, u: Ball, k: int) -> Ball:
        """The k-th derivative over k!: the sum over n of (-1)^n binomial(2n, k) u^(2n-k) / (2n+1)!."""
        n = (k + 1) // 2
        square, total = self.of.mul(u, u), _NOTHING
        term = self.scaled(
            u if k % 2 else Ball(libmp.fone), Fraction((-1) ** n * math.comb(2 * n, k), math.factorial(2 * n + 1))
        )
        smallest = libmp.mpf_shift(libmp.fone, -2 * self.of.bits)
        while n <= k + 2 or libmp.mpf_gt(libmp.mpf_abs(term.middle), smallest):
            total = self.of.add(total, term)
            ratio = Fraction(-(2 * n + 1), (2 * n + 3) * (2 * n + 2 - k) * (2 * n + 1 - k))
            term, n = self.scaled(self.of.mul(term, square), ratio), n + 1
        return total


def _whole(series: Series) -> int | None:
    """The whole number that a series is, if it is one."""
    first = series[0]
    if first.error != libmp.fzero or any(a != _NOTHING for a in series[1:]):
        return None
    sign, mantissa, exponent, bits = first.middle
    if exponent < 0 or (not mantissa and first != _NOTHING) or exponent + bits > 1100:
        return None
    return (-1) ** sign * (int(mantissa) << exponent)


_METHODS = {
    "+": "add", "-": "negative", "*": "mul", "/": "reciprocal", "^": "power", "abs": "abs", "sign": "step", "sinc": "sinc"
}  # fmt: skip


def _one_plus(u: Node) -> Node:
    return Node("+", ONE, u)


_DEFINITIONS: dict[str, Callable[..., Node]] = {
    "relu": lambda u: Node("max", u, number(0)),
    "clip": lambda u, low, high: Node("min", Node("max", u, low), high),
    "log1p": lambda u: Node("log", _one_plus(u)),
    "expm1": lambda u: Node("+", Node("exp", u), number(-1)),
    "sigmoid": lambda u: Node("/", _one_plus(Node("exp", Node("-", u)))),
    "softplus": lambda u: Node("log", _one_plus(Node("exp", u))),
    "logaddexp": lambda u, v: Node("log", Node("+", Node("exp", u), Node("exp", v))),
    "Phi": lambda u: Node("*", _one_plus(Node("erf", Node("*", u, Node("/", Node("sqrt", TWO))))), Node("/", TWO)),
}
