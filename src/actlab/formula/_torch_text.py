"""A tree in normal form as torch code to read: the mathematics of `_torch`, without its guards against overflow and for branches not taken."""

from collections.abc import Callable
from fractions import Fraction

from ._functions import ELEMENTARY
from ._source import ATOM, Dialect, Piece, parenthesised, write
from ._tree import Node


def _torch(name: str) -> Callable[..., str]:
    return lambda *arguments: f"torch.{name}({', '.join(arguments)})"


def _math(name: str) -> Callable[..., str]:
    return lambda *arguments: f"math.{name}({', '.join(arguments)})"


def _sinc(u: str, order: str) -> str:
    """By recurrence, as one would write it down; `_torch` takes the series near 0."""
    if order == "0":
        return f"torch.sinc({u if u.isidentifier() else f'({u})'} / math.pi)"
    k = int(order)
    wave = ["torch.sin({})", "torch.cos({})", "-torch.sin({})", "-torch.cos({})"][k % 4].format(u)
    at_zero = 0 if k % 2 else Fraction((-1) ** (k // 2), k + 1)
    before, below = _sinc(u, str(k - 1)), u if u.isidentifier() else f"({u})"
    return f"torch.where({below} == 0, {at_zero}, ({wave} - {f'{k} * ' if k > 1 else ''}{before}) / {below})"


def _hypot(u: str, c: str) -> str:
    return f"torch.hypot({u}, torch.full_like({u}, {c}))"


_TORCH: dict[str, Callable[..., str]] = {
    **{name: _torch(name) for name in (*ELEMENTARY, "abs", "sign", "sigmoid", "logaddexp", "where")},
    "max": _torch("maximum"),
    "min": _torch("minimum"),
    "max_constant": lambda u, c: f"torch.relu({u})" if c == "0" else f"torch.clamp({u}, min={c})",
    "min_constant": lambda u, c: f"torch.clamp({u}, max={c})",
    "logaddexp_constant": lambda u, c: f"torch.logaddexp({u}, torch.full_like({u}, {c}))",
    "softplus": lambda u: f"torch.nn.functional.softplus({u}, threshold=40)",
    "sinc": _sinc,
    "hypot": _hypot,
    "rise": lambda u, c: f"({_hypot(u, c)} - {c})",
    "slant": lambda u, c: f"({u} / {_hypot(u, c)})" if u.isidentifier() else f"(({u}) / {_hypot(u, c)})",
}
_MATH: dict[str, Callable[..., str]] = {
    **{name: _math(name) for name in (*ELEMENTARY, "hypot")},
    "abs": lambda u: f"abs({u})",
    "max": lambda u, v: f"max({u}, {v})",
    "min": lambda u, v: f"min({u}, {v})",
}


def _power(base: Piece, n: Fraction | None, exponent: Piece) -> str:
    return f"{parenthesised(base, ATOM)} ** {parenthesised(exponent, ATOM)}"


def code(root: Node) -> str:
    """The expression of x and the parameters, all of them tensors."""
    return write(root, Dialect(_TORCH, _MATH, {"pi": "math.pi", "e": "math.e"}, _power))
