"""A parsed formula to as many digits as asked for: Taylor series of numbers with error bounds, at a precision that rises until it suffices.

Nothing is differentiated symbolically and nothing rewritten here, so this judges `_derive` and `_recognise` independently.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import libmp

from .._language import say
from ._ball import NAN, Arithmetic, Ball, Vague, digits_to_bits
from ._error import FormulaError, wrong_parameters
from ._taylor import Evaluation
from ._tree import Node

MOST_DIGITS = 1000
# Enough for 1 + erf, 1 - tanh^2 and log(1 + e^x) at +-10,000. A result that needs more, such as one below 10^-9800 that is left over
# when two numbers near 1 cancel, comes out as 0; what cannot even be told from a double, such as sin(exp(1e6)), as NaN.
_MOST_BITS, _NOTHING = 1 << 15, libmp.mpf_shift(libmp.fone, -1100)


def function(tree: Node, parameters: tuple[str, ...], order: int, digits: int) -> Callable[..., Any]:
    """The callable of x and the parameters by name: an mpmath.mpf of that many digits, NaN where the formula is undefined."""
    if not isinstance(digits, int) or not 1 <= digits <= MOST_DIGITS:
        raise FormulaError(
            say(
                f"formula: expected 1 to {MOST_DIGITS} digits; got {digits!r}",
                f"公式：位数应为 1 至 {MOST_DIGITS}；得到 {digits!r}",
            )
        )

    def call(x: Any, **values: Any) -> Any:
        if values.keys() != set(parameters):
            raise wrong_parameters(parameters, values)
        given = {name: _number(value) for name, value in {"x": x, **values}.items()}
        return mpmath.mp.make_mpf(_to_bits(tree, given, order, digits_to_bits(digits)))

    return call


def _number(value: Any) -> Any:
    """A number exactly as it is, a float as the binary number it is: a Fraction or mpmath's raw form."""
    if isinstance(value, Fraction):
        return value
    try:
        if isinstance(value, mpmath.mpf):
            raw = value._mpf_
        else:
            raw = libmp.from_int(value) if isinstance(value, int) else libmp.from_float(float(value))
    except (TypeError, ValueError, RuntimeError):
        raw = None
    if raw in (None, libmp.finf, libmp.fninf) or isinstance(value, str):
        raise FormulaError(
            say(f"formula: expected a finite number; got {value!r}", f"公式：应为有限数；得到 {value!r}")
        )
    return raw


def _to_bits(tree: Node, given: Mapping[str, Any], order: int, wanted: int) -> Any:
    """The raw result; the precision rises until no more than the wanted bits are sure, or there is no more to be had."""
    if NAN in given.values():
        return NAN
    bits, most = wanted + 100, max(_MOST_BITS, 4 * wanted)
    while bits < most:
        try:
            ball = Evaluation(Arithmetic(bits), given, order).derivative(tree)
        except Vague:
            bits *= 2
            continue
        missing = wanted - _sure_bits(ball)
        if missing <= 0:
            return _tame(libmp.mpf_pos(ball.middle, wanted, "n"))
        bits = 2 * bits if missing >= wanted else bits + missing + 20
    ball = Evaluation(Arithmetic(most, decided=True), given, order).derivative(tree)
    if _sure_bits(ball) > 0:
        return _tame(libmp.mpf_pos(ball.middle, wanted, "n"))
    return libmp.fzero if libmp.mpf_lt(ball.error, _NOTHING) else NAN


def _tame(raw: Any) -> Any:
    """Without exponents that mpmath itself cannot print."""
    size = raw[2] + raw[3]
    if not raw[1] or abs(size) < 1 << 60:
        return raw
    return libmp.fzero if size < 0 else libmp.fninf if raw[0] else libmp.finf


def _sure_bits(ball: Ball) -> int:
    """How many of the leading bits are right."""
    if ball.error == libmp.fzero or ball.middle in (NAN, libmp.finf, libmp.fninf):
        return 1 << 60
    if ball.middle == libmp.fzero:
        return 0
    return max(0, ball.middle[2] + ball.middle[3] - ball.error[2] - ball.error[3])
