"""Numbers with a bound on their error, on mpmath's functions: what has cancelled is known to have cancelled."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from mpmath import libmp

from ._functions import ELEMENTARY

Float = Any  # mpmath's raw (sign, mantissa, exponent, bits)
_ROUGH = 30  # bits of an error bound, which is rounded up
_LARGEST = 1 << 15  # bits before the point beyond which e^u is taken for its limit and sin(u) for undefined

_NEARLY_NOTHING = 1 << 40  # 2^-this stands for e^u where u lies below minus this
_VERY_NEGATIVE = libmp.from_int(-_NEARLY_NOTHING)

_ZERO = libmp.fzero
NAN = libmp.fnan


class Vague(Exception):
    """At this precision it cannot be told which side of an edge a number lies on."""


class Ball(NamedTuple):
    """A number within `error` of `middle`."""

    middle: Float
    error: Float = _ZERO

    @property
    def sign(self) -> int:
        """-1 or 1 where that is sure, 0 for an exact zero; raises Vague. NaN has 0."""
        if self.middle == NAN or (self.middle == _ZERO and self.error == _ZERO):
            return 0
        if libmp.mpf_le(libmp.mpf_abs(self.middle), self.error):
            raise Vague
        return libmp.mpf_sign(self.middle)


def _up(*parts: Float) -> Float:
    total = _ZERO
    for part in parts:
        total = libmp.mpf_add(total, part, _ROUGH, "u")
    return total


def _times(*parts: Float) -> Float:
    total = libmp.fone
    for part in parts:
        total = libmp.mpf_mul(total, libmp.mpf_abs(part), _ROUGH, "u")
    return total


def _magnitude(value: Float) -> int:
    """How many bits stand before the point."""
    return value[2] + value[3]


def _finite(*values: Float) -> bool:
    return all(value[1] or value == _ZERO for value in values)


class Arithmetic:
    """Balls at a working precision. With `decided`, what is still vague counts as lying on the edge."""

    def __init__(self, bits: int, *, decided: bool = False):
        self.bits, self.decided = bits, decided

    def sign(self, u: Ball) -> int:
        try:
            return u.sign
        except Vague:
            if self.decided:
                return 0
            raise

    def rounded(self, middle: Float, error: Float = _ZERO, *, exact: bool = False) -> Ball:
        """A computed number: it is off by less than a unit in the last place, besides the error that it inherits."""
        if not _finite(middle, error):
            return Ball(middle)
        if not exact and middle != _ZERO:
            error = _up(error, libmp.mpf_shift(libmp.fone, _magnitude(middle) - self.bits))
        return Ball(middle, error)

    def rational(self, value: Fraction) -> Ball:
        top, below = value.numerator, value.denominator
        exact = below & (below - 1) == 0 and top.bit_length() <= self.bits
        return self.rounded(libmp.from_rational(top, below, self.bits, "n"), exact=exact)

    def constant(self, name: str) -> Ball:
        return self.rounded((libmp.mpf_pi if name == "pi" else libmp.mpf_e)(self.bits, "n"))

    def add(self, u: Ball, v: Ball) -> Ball:
        a, b = u.middle, v.middle
        span = max(_magnitude(a), _magnitude(b)) + 1 - min(a[2], b[2])
        exact = _ZERO in (a, b) or span <= self.bits
        return self.rounded(libmp.mpf_add(a, b, self.bits, "n"), _up(u.error, v.error), exact=exact)

    def negative(self, u: Ball) -> Ball:
        return Ball(libmp.mpf_neg(u.middle), u.error)

    def mul(self, u: Ball, v: Ball) -> Ball:
        a, b = u.middle, v.middle
        if Ball(_ZERO) in (u, v) and _finite(a, b):
            return Ball(_ZERO)
        error = _up(_times(a, v.error), _times(b, u.error), _times(u.error, v.error))
        return self.rounded(libmp.mpf_mul(a, b, self.bits, "n"), error, exact=a[3] + b[3] <= self.bits)

    def reciprocal(self, u: Ball) -> Ball:
        """1/u; NaN for an exact zero."""
        a = u.middle
        if self.sign(u) == 0 or not _finite(a):
            return Ball(_ZERO if a in (libmp.finf, libmp.fninf) else NAN)
        least = libmp.mpf_sub(libmp.mpf_abs(a), u.error, self.bits, "d")
        error = libmp.mpf_div(u.error, libmp.mpf_mul(libmp.mpf_abs(a), least, _ROUGH, "d"), _ROUGH, "u")
        return self.rounded(libmp.mpf_rdiv_int(1, a, self.bits, "n"), error)

    def small(self, error: Float) -> bool:
        """Whether an error is at most 1/8, so that first-order bounds, doubled, hold; raises Vague if the precision may grow."""
        if libmp.mpf_le(error, libmp.from_float(0.125)):
            return True
        if not self.decided:
            raise Vague
        return False

    def apply(self, name: str, u: Ball) -> Ball:
        """An elementary function; NaN outside of its domain."""
        if not _finite(u.middle):
            return self.beyond(name, u.middle)
        if not self.inside(name, u):
            return Ball(NAN)
        if _magnitude(u.middle) > _LARGEST and name in _FAST:
            return self.beyond(name, libmp.fninf if u.middle[0] else libmp.finf)
        if name == "exp" and libmp.mpf_lt(libmp.mpf_add(u.middle, u.error, _ROUGH, "u"), _VERY_NEGATIVE):
            return Ball(_ZERO, libmp.mpf_shift(libmp.fone, -_NEARLY_NOTHING))
        value = _FUNCTIONS[name](u.middle, self.bits + 10, "n")
        value = libmp.mpf_pos(value, self.bits, "n")
        exact = name == "sqrt" and libmp.mpf_mul(value, value) == u.middle
        return self.rounded(value, _ZERO if u.error == _ZERO else self.inherited(name, u, value), exact=exact)

    def inside(self, name: str, u: Ball) -> bool:
        """Whether u lies in the function's domain."""
        if name == "log":
            return self.sign(u) > 0
        if name == "sqrt":
            return self.sign(u) >= 0
        if name in ("asin", "acos"):
            return self.sign(self.add(Ball(libmp.fone), self.negative(Ball(libmp.mpf_abs(u.middle), u.error)))) >= 0
        return True

    def beyond(self, name: str, u: Float) -> Ball:
        """The limit at an infinity, where it is one of the harmless ones."""
        if u == NAN or name in ("sin", "cos", "tan", "asin", "acos"):
            return Ball(NAN)
        if name in ("log", "sqrt") and u == libmp.fninf:
            return Ball(NAN)
        return Ball(_FUNCTIONS[name](u, self.bits, "n"))

    def inherited(self, name: str, u: Ball, value: Float) -> Float:
        """How far the function may carry the error of its argument: at least its steepest slope nearby, times the error."""
        slope = self.slope(name, libmp.mpf_abs(u.middle), value, u)
        return _times(u.error, slope)

    def slope(self, name: str, size: Float, value: Float, u: Ball) -> Float:
        one, least = libmp.fone, libmp.mpf_sub(size, u.error, self.bits, "d")
        match name:
            case "exp" | "sinh" | "cosh":
                self.small(u.error)
                return _times(_TWO, value if name == "exp" else _up(libmp.mpf_abs(value), one))
            case "log" | "sqrt" if libmp.mpf_gt(least, _ZERO):
                return libmp.mpf_div(one, least if name == "log" else libmp.mpf_sqrt(least, _ROUGH, "d"), _ROUGH, "u")
            case "tan":
                steep = _times(_TWO, _up(one, _times(value, value)))
                self.small(_times(u.error, steep))
                return steep
            case "asin" | "acos":
                gap = libmp.mpf_sub(one, libmp.mpf_add(size, u.error, self.bits, "u"), self.bits, "d")
                if libmp.mpf_gt(gap, _ZERO):
                    return libmp.mpf_div(one, libmp.mpf_sqrt(gap, _ROUGH, "d"), _ROUGH, "u")
                self.small(one)
            case "erfc" if libmp.mpf_gt(u.middle, one):  # about 2 u erfc(u)
                self.small(_times(u.error, size))
                return _times(libmp.from_int(8), value, size)
            case "asinh" | "atan" | "tanh" | "erf" | "erfc" if libmp.mpf_gt(
                least, one
            ):  # below 1/u, and the others 1/u^2
                below = least if name == "asinh" else libmp.mpf_mul(least, least, _ROUGH, "d")
                return libmp.mpf_div(one, below, _ROUGH, "u")
        return _TWO


_TWO = libmp.ftwo
_FAST = {"exp", "sinh", "cosh", "sin", "cos", "tan", "tanh", "erf", "erfc"}
_FUNCTIONS: dict[str, Callable[[Float, int, str], Float]] = {
    name: getattr(libmp, f"mpf_{name}") for name in ELEMENTARY if name not in ("log1p", "expm1")
}


def digits_to_bits(digits: int) -> int:
    """Bits that hold so many decimal digits."""
    return math.ceil(digits * math.log2(10)) + 2
