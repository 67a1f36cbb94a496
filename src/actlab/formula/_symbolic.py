"""A tree as a sympy expression of real symbols."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import sympy

from .._language import say
from ._error import FormulaError
from ._functions import ELEMENTARY
from ._tree import Node, fold

_LARGEST = 10**6


def expression(root: Node) -> sympy.Expr:
    """The expression, with every function that sympy lacks written out; raises FormulaError where sympy finds it is not real."""
    _check(root)
    try:
        return fold(root, _convert)
    except (TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        text = (str(error) or type(error).__name__).splitlines()[0]
        raise FormulaError(
            say(f"formula: expected a real expression; sympy says: {text}", f"公式：应为实数表达式；sympy 报告：{text}")
        ) from error


def _check(root: Node) -> None:
    """sympy turns e^(n log(2x)) into 2^n x^n and would write out 2^n to the last digit."""

    def rule(node: Node, below: list[tuple[bool, Fraction]]) -> tuple[bool, Fraction]:
        logarithm = node.function in ("log", "log1p") or any(one for one, _ in below)
        size = max(Fraction(1), abs(node.number)) if node.function == "number" else math.prod(n for _, n in below)
        if logarithm and size > _LARGEST and node.function in _WITH_EXP:
            raise FormulaError(
                say(
                    f"formula: expected numbers whose product is at most {_LARGEST} beside a log within an exp or a power",
                    f"公式：指数或幂中含有对数时，各数之积应不超过 {_LARGEST}",
                )
            )
        return logarithm, min(Fraction(size), Fraction(_LARGEST + 1))

    fold(root, rule)


def _convert(node: Node, below: list[Any]) -> Any:
    if node.function == "number":
        return sympy.Rational(node.number.numerator, node.number.denominator)
    if node.function == "name":
        return {"pi": sympy.pi, "e": sympy.E}.get(node.name) or sympy.Symbol(node.name, real=True)
    return _BUILD[node.function](*below)


def _extreme(kind: Any) -> Callable[..., Any]:
    """Max or Min, simplified by sympy if it is short: its work grows with the cube of the length."""

    def build(*arguments: Any) -> Any:
        flat = [one for argument in arguments for one in (argument.args if isinstance(argument, kind) else (argument,))]
        return kind(*flat, evaluate=len(flat) <= 8)

    return build


def _plain(*sides: Any) -> bool:
    """Whether sympy may look into a comparison; with a Max of many it would take minutes."""
    return not any(side.has(sympy.Max, sympy.Min, sympy.Piecewise) for side in sides)


def _sinc(u: Any, order: Any = sympy.Integer(0)) -> Any:
    v = sympy.Dummy(real=True)
    return sympy.diff(sympy.sinc(v), v, int(order)).subs(v, u) if order else sympy.sinc(u)


_WITH_EXP = {"exp", "expm1", "^", "sigmoid", "softplus", "logaddexp", "sinh", "cosh", "tanh"}
_BUILD: dict[str, Callable[..., Any]] = {
    "+": lambda *terms: sympy.Add(*terms),
    "-": lambda u: -u,
    "*": lambda *factors: sympy.Mul(*factors),
    "/": lambda u: sympy.Pow(u, -1),
    "^": sympy.Pow,
    "<": lambda u, v: sympy.Lt(u, v, evaluate=_plain(u, v)),
    "<=": lambda u, v: sympy.Le(u, v, evaluate=_plain(u, v)),
    "where": lambda condition, u, v: sympy.Piecewise((u, condition), (v, True), evaluate=_plain(condition)),
    "max": _extreme(sympy.Max),
    "min": _extreme(sympy.Min),
    "clip": lambda u, low, high: sympy.Min(sympy.Max(u, low), high),
    "relu": lambda u: sympy.Max(u, 0),
    "log1p": lambda u: sympy.log(1 + u),
    "expm1": lambda u: sympy.exp(u) - 1,
    "sigmoid": lambda u: 1 / (1 + sympy.exp(-u)),
    "softplus": lambda u: sympy.log(1 + sympy.exp(u)),
    "logaddexp": lambda u, v: sympy.log(sympy.exp(u) + sympy.exp(v)),
    "Phi": lambda u: (1 + sympy.erf(u / sympy.sqrt(2))) / 2,
    "sinc": _sinc,
    "abs": sympy.Abs,
    **{name: getattr(sympy, name) for name in (*ELEMENTARY, "sign") if hasattr(sympy, name)},
}
