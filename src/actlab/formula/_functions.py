"""The functions a formula may call: their names, and how many arguments they take."""

from typing import NamedTuple


class Function(NamedTuple):
    """How a function is called; `most` None is any number from `least` on."""

    name: str
    least: int
    most: int | None
    signature: str


def _of_one(*names: str) -> dict[str, Function]:
    return {name: Function(name, 1, 1, "(u)") for name in names}


# Those that go by the same name nearly everywhere.
ELEMENTARY = ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "erf", "erfc")  # fmt: skip
FUNCTIONS: dict[str, Function] = {
    **_of_one(*ELEMENTARY, "abs", "sign", "relu", "sigmoid", "softplus", "Phi", "sinc"),
    "max": Function("max", 2, None, "(u, v, ...)"),
    "min": Function("min", 2, None, "(u, v, ...)"),
    "clip": Function("clip", 3, 3, "(u, lo, hi)"),
    "logaddexp": Function("logaddexp", 2, 2, "(u, v)"),
    "where": Function("where", 3, 3, "(condition, u, v)"),
    "Piecewise": Function("Piecewise", 1, None, "((u, condition), ..., (v, True))"),
}
ALIASES = {"ln": "log", "arctan": "atan", "Abs": "abs", "Max": "max", "Min": "min"}
CONSTANTS = ("pi", "e")
RESERVED = {"x", "True", *CONSTANTS, *FUNCTIONS, *ALIASES}
