"""A tree in normal form as a JavaScript arrow function of x and the parameters."""

import re
from collections.abc import Callable
from fractions import Fraction

from ._functions import ELEMENTARY
from ._prelude import JAVASCRIPT_PRELUDE
from ._source import Dialect, Piece, write
from ._tree import Node, children_first

# Names that a parameter may have and JavaScript or the prelude means otherwise; "$" cannot occur in a formula.
_TAKEN = {
    "abstract", "arguments", "await", "boolean", "break", "byte", "case", "catch", "char", "class", "const",
    "continue", "debugger", "default", "delete", "do", "double", "else", "enum", "eval", "export", "extends",
    "false", "final", "finally", "float", "for", "function", "goto", "if", "implements", "import", "in",
    "instanceof", "int", "interface", "let", "long", "native", "new", "null", "package", "private", "protected",
    "public", "return", "short", "static", "super", "switch", "synchronized", "this", "throw", "throws", "transient",
    "true", "try", "typeof", "undefined", "var", "void", "volatile", "while", "with", "yield", "Infinity", "Math",
    "NaN", "Number",
    *re.findall(r"^const (\w+)", JAVASCRIPT_PRELUDE, re.MULTILINE),
}  # fmt: skip


def _math(name: str) -> Callable[..., str]:
    return lambda *arguments: f"Math.{name}({', '.join(arguments)})"


def _plain(name: str) -> Callable[..., str]:
    return lambda *arguments: f"{name}({', '.join(arguments)})"


_CALLS: dict[str, Callable[..., str]] = {
    **{name: _math(name) for name in (*ELEMENTARY, "abs", "sign", "max", "min", "hypot")},
    **{name: _plain(name) for name in ("erf", "erfc", "sigmoid", "softplus", "logaddexp", "bounded", "rise")},
    "slant": lambda u, c: f"(({u}) / Math.hypot({u}, {c}))",
    "sinc": lambda u, order: f"sinc({u})" if order == "0" else f"sinc({u}, {order})",
    "where": lambda condition, u, v: f"({condition} ? {u} : {v})",
}


def _power(base: Piece, n: Fraction | None, exponent: Piece) -> str:
    if n == 2 and re.fullmatch(r"[\w$]+", base[0]):
        return f"({base[0]} * {base[0]})"
    return f"Math.pow({base[0]}, {exponent[0]})"


def arrow(root: Node, parameters: tuple[str, ...]) -> str:
    """The function, for use after `JAVASCRIPT_PRELUDE`; its arguments are x and the parameters in their order."""
    names = {name: f"{name}$" for name in parameters if name in _TAKEN}
    text = write(root, Dialect(_CALLS, _CALLS, {**names, "pi": "Math.PI", "e": "Math.E"}, _power))
    chooses = any(node.function == "where" for node in children_first(root)) or "x" not in root.names
    arguments = ", ".join(["x", *(names.get(name, name) for name in parameters)])
    return f"({arguments}) => {f'Number.isNaN(x) ? NaN : {text}' if chooses else text}"
