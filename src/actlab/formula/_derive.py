"""Derivatives of trees in normal form, by the chain rule. At a kink, the derivative of the side that `_tree.constants_last` names."""

from collections.abc import Callable
from fractions import Fraction

from ._algebra import add, call, falls, mul, power
from ._common import over_common
from ._error import too_large
from ._tree import ONE, PI, TWO, ZERO, Node, children_first, fold, number

MOST_ORDER = 8
_MOST_NODES, _MOST_WORK = 5_000, 100_000
# Functions that level off so fast that what grows inside of them no longer matters: the inner derivative may be cut at the largest number.
LEVELLING = {"exp", "expm1", "tanh", "sigmoid", "erf", "erfc", "atan"}

HALF, MINUS = number(Fraction(1, 2)), number(-1)


def _over(u: Node) -> Node:
    return power(u, MINUS)


def _one_minus_square(u: Node) -> Node:
    return add(ONE, mul(MINUS, power(u, TWO)))


def _bell(u: Node) -> Node:
    return mul(TWO, _over(call("sqrt", PI)), call("exp", mul(MINUS, power(u, TWO))))


def _levels_of_tanh(u: Node) -> Node:
    """1 - tanh(u)^2 without the difference, and without the overflow of 1/cosh(u)^2."""
    return mul(number(4), call("sigmoid", mul(TWO, u)), call("sigmoid", mul(number(-2), u)))


_OF_ONE: dict[str, Callable[[Node], Node]] = {
    "exp": lambda u: call("exp", u),
    "expm1": lambda u: call("exp", u),
    "log": _over,
    "log1p": lambda u: _over(add(ONE, u)),
    "sqrt": lambda u: mul(HALF, _over(call("sqrt", u))),
    "sin": lambda u: call("cos", u),
    "cos": lambda u: mul(MINUS, call("sin", u)),
    "tan": lambda u: add(ONE, power(call("tan", u), TWO)),
    "asin": lambda u: power(_one_minus_square(u), number(Fraction(-1, 2))),
    "acos": lambda u: mul(MINUS, power(_one_minus_square(u), number(Fraction(-1, 2)))),
    "atan": lambda u: _over(add(ONE, power(u, TWO))),
    "sinh": lambda u: call("cosh", u),
    "cosh": lambda u: call("sinh", u),
    "tanh": lambda u: _one_minus_square(call("tanh", u)),
    "asinh": lambda u: power(add(power(u, TWO), ONE), number(Fraction(-1, 2))),
    "erf": _bell,
    "erfc": lambda u: mul(MINUS, _bell(u)),
    "abs": lambda u: call("sign", u),
    "sign": lambda u: ZERO,
    "sigmoid": lambda u: mul(call("sigmoid", u), call("sigmoid", mul(MINUS, u))),
    "softplus": lambda u: call("sigmoid", u),
    "bounded": lambda u: ONE,
}
_STABLE_OF_ONE = {
    **_OF_ONE,
    "tanh": _levels_of_tanh,
    "asinh": lambda u: _over(call("hypot", u, ONE)),
    "asin": lambda u: power(mul(add(ONE, mul(MINUS, u)), add(ONE, u)), number(Fraction(-1, 2))),
    "acos": lambda u: mul(MINUS, power(mul(add(ONE, mul(MINUS, u)), add(ONE, u)), number(Fraction(-1, 2)))),
}


def derive(root: Node, variable: str, order: int = 1, *, stable: bool = False) -> Node:
    """The derivative by x or a parameter. `stable` is for trees that `_recognise` has been over: forms for machines, not for reading."""
    for _ in range(order):
        nodes = children_first(root)
        if len(nodes) > _MOST_NODES or sum(len(node.arguments) ** 2 for node in nodes) > _MOST_WORK:
            raise too_large(order)
        root = fold(root, lambda node, below: _slope(node, below, variable, stable))
    return root


def _slope(node: Node, below: list[Node], variable: str, stable: bool) -> Node:
    """The derivative of a node from those of its arguments."""
    if all(one is ZERO for one in below):
        return ONE if node.function == "name" and node.name == variable else ZERO
    arguments = node.arguments
    if node.function == "+":
        return add(*below)
    if node.function == "*":
        slopes = [mul(*arguments[:i], d, *arguments[i + 1 :]) for i, d in enumerate(below) if d is not ZERO]
        return over_common(add(*slopes))
    if node.function == "^":
        return _power_slope(node, below, variable, stable)
    if node.function in _OF_ONE:
        partial = (_STABLE_OF_ONE if stable else _OF_ONE)[node.function](*arguments)
        return mul(partial, _inner(below[0], stable and node.function in LEVELLING | {"bounded"}))
    return _OF_MANY[node.function](arguments, below)


def _inner(slope: Node, levelled: bool) -> Node:
    return call("bounded", slope) if levelled else slope


def _power_slope(node: Node, below: list[Node], variable: str, stable: bool) -> Node:
    (u, v), (du, dv) = node.arguments, below
    if variable not in v.names:
        return mul(v, power(u, add(v, MINUS)), _inner(du, stable and falls(node)))
    return mul(node, add(mul(dv, call("log", u)), mul(v, du, _over(u))))


def _slant(arguments: tuple[Node, ...], below: list[Node]) -> Node:
    u, c = arguments  # c is a number
    return mul(power(c, TWO), power(call("hypot", u, c), number(-3)), call("bounded", below[0]))


def _logaddexp(arguments: tuple[Node, ...], below: list[Node]) -> Node:
    u, v = arguments
    gate = add(u, mul(MINUS, v))
    return add(mul(call("sigmoid", gate), below[0]), mul(call("sigmoid", mul(MINUS, gate)), below[1]))


_OF_MANY: dict[str, Callable[[tuple[Node, ...], list[Node]], Node]] = {
    "<": lambda arguments, below: ZERO,
    "<=": lambda arguments, below: ZERO,
    "where": lambda arguments, below: call("where", arguments[0], below[1], below[2]),
    "max": lambda arguments, below: call("where", call("<=", *arguments), below[1], below[0]),
    "min": lambda arguments, below: call("where", call("<=", *reversed(arguments)), below[1], below[0]),
    "sinc": lambda arguments, below: mul(call("sinc", arguments[0], add(arguments[1], ONE)), below[0]),
    "hypot": lambda arguments, below: mul(call("slant", *arguments), below[0]),
    "rise": lambda arguments, below: mul(call("slant", *arguments), below[0]),
    "slant": _slant,
    "logaddexp": _logaddexp,
}
