"""A tree in normal form as a line of source text; what differs between languages is a `Dialect`."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from .._language import say
from ._algebra import factors, split
from ._constants import worth
from ._error import FormulaError
from ._tree import ONE, Node, children_first, depends

_LONGEST = 20_000
SUM, PRODUCT, POWER, ATOM = range(4)  # how tightly a piece of text holds together


@dataclass(frozen=True)
class Dialect:
    """How a language writes what is no sum and no product.

    `functions` writes what depends on x or a parameter, "max_constant" for a max whose last argument does not; `constants` writes what
    does not, as a plain number where it has no entry. Without "bounded" there, that guard is left out.
    """

    functions: dict[str, Callable[..., str]]
    constants: dict[str, Callable[..., str]]
    names: dict[str, str]
    power: Callable[["Piece", Fraction | None, "Piece"], str]


Piece = tuple[str, int]


def write(root: Node, dialect: Dialect) -> str:
    """The text; raises FormulaError if it would be longer than anybody reads."""

    known: dict[Node, Piece] = {}
    for node in children_first(root):
        known[node] = _piece(node, known, dialect)
        if len(known[node][0]) > _LONGEST:
            raise FormulaError(
                say(
                    f"formula: expected at most {_LONGEST} characters of code; this derivative takes more",
                    f"公式：生成的代码最多 {_LONGEST} 个字符；此导数超出",
                )
            )
    return known[root][0]


def parenthesised(piece: Piece, holds: int) -> str:
    """The text, in parentheses unless it holds together at least as tightly."""
    return piece[0] if piece[1] >= holds else f"({piece[0]})"


def decimal(value: Fraction) -> tuple[str, str]:
    """A positive number as the texts of what to multiply and what to divide by: ("0.08", ""), ("2", "3"), ("", "2")."""
    top, below = value.numerator, value.denominator
    if below == 1:
        return ("" if top == 1 else _digits(value)), ""
    short = below if below & (below - 1) or below > 64 else 3  # halves, quarters, ... are read as divisions
    while short % 2 == 0:
        short //= 2
    while short % 5 == 0:
        short //= 5
    if short == 1:
        return _digits(value), ""
    return ("" if top == 1 else _digits(Fraction(top))), _digits(Fraction(below))


def _digits(value: Fraction) -> str:
    if value.denominator == 1 and value < 10**15:
        return str(value.numerator)
    return scientific(value)


def scientific(value: Fraction) -> str:
    """As Python writes floats, also for what no float holds."""
    try:
        return repr(float(value))
    except OverflowError:
        return f"{Decimal(value.numerator) / Decimal(value.denominator):.16e}"


def quotient(product: Node) -> tuple[bool, Fraction, list[tuple[Node, Fraction]], list[tuple[Node, Fraction]]]:
    """Whether a product is negative, its number, and its factors above and below the bar as bases and positive exponents.

    A factor to a power that is no number counts as a base to the power of one.
    """
    coefficient, rest = split(product)
    above, below = [], []
    for factor in factors(rest):
        base, exponent = factor.arguments if factor.function == "^" else (factor, ONE)
        n = exponent.number if exponent.function == "number" else Fraction(0)
        if n < 0:
            below.append((base, -n))
        else:
            above.append((base, n) if n else (factor, Fraction(1)))
    return coefficient < 0, abs(coefficient), above, below


def _piece(node: Node, known: dict[Node, Piece], dialect: Dialect) -> Piece:
    if node.function == "name":
        return dialect.names.get(node.name, node.name), ATOM
    if node.function == "+":
        return _sum(node, known), SUM
    if node.function == "number":
        return _number(node.number)
    if node.function == "*" or (node.function == "^" and quotient(node)[3]):
        return _product(node, known, dialect)
    if node.function == "^":
        base, exponent = node.arguments
        n = exponent.number if exponent.function == "number" else None
        return dialect.power(known[base], n, known[exponent]), POWER
    if node.function in ("<", "<="):
        return _comparison(node, known), SUM
    calls = dialect.functions if depends(node) else dialect.constants
    if not depends(node) and node.function not in calls:
        value = constant(node)
        return repr(value), PRODUCT if value < 0 else ATOM
    if node.function == "bounded" and "bounded" not in calls:
        return known[node.arguments[0]]
    special = f"{node.function}_constant"
    write_call = calls[special if special in calls and not depends(node.arguments[-1]) else node.function]
    return write_call(*(known[argument][0] for argument in node.arguments)), ATOM


def _number(value: Fraction) -> Piece:
    """A number that stands alone: as a decimal if it is one."""
    exact = value.denominator == 1 or Fraction(scientific(value)) == value
    text = _digits(abs(value)) if exact else f"{abs(value.numerator)} / {value.denominator}"
    return ("-" if value < 0 else "") + text, ATOM if exact and value >= 0 else PRODUCT


def _comparison(node: Node, known: dict[Node, Piece]) -> str:
    """With what depends on nothing on the right."""
    low, high = node.arguments
    if depends(low):
        return f"{known[low][0]} {node.function} {known[high][0]}"
    return f"{known[high][0]} {node.function.replace('<', '>')} {known[low][0]}"


def _sum(node: Node, known: dict[Node, Piece]) -> str:
    return joined([known[term][0] for term in node.arguments])


def joined(terms: list[str]) -> str:
    """A sum of terms, which begins with one that is not subtracted, if there is one."""
    first = next((i for i, term in enumerate(terms) if not term.startswith("-")), 0)
    text = terms[first]
    for term in terms[:first] + terms[first + 1 :]:
        text += f" - {term[1:]}" if term.startswith("-") else f" + {term}"
    return text


def _product(node: Node, known: dict[Node, Piece], dialect: Dialect) -> Piece:
    negative, coefficient, above, below = quotient(node)
    times, over = decimal(coefficient)
    top, bottom = [times] if times else [], [over] if over else []
    guarded = [base for base, _ in above if base.function == "bounded" and "bounded" in dialect.functions]
    top += [_factor(base, n, known, dialect) for base, n in above if base not in guarded]
    bottom += [_factor(base, n, known, dialect) for base, n in below]
    text = " * ".join(top or ["1"])
    if bottom:
        text += f" / {bottom[0]}" if len(bottom) == 1 else f" / ({' * '.join(bottom)})"
    for base, n in above:  # last: 0 / inf * large is 0, large / inf may be NaN
        text += f" * {_factor(base, n, known, dialect)}" if base in guarded else ""
    single = len(top) <= 1 and not bottom and not negative and not guarded
    return ("-" if negative else "") + text, POWER if single else PRODUCT


def _factor(base: Node, n: Fraction, known: dict[Node, Piece], dialect: Dialect) -> str:
    if n == 1:
        return parenthesised(known[base], POWER)
    exponent = _number(n)
    if base.function == "bounded" and "bounded" in dialect.functions:
        return dialect.functions["bounded"](dialect.power(known[base.arguments[0]], n, exponent))
    return dialect.power(known[base], n, exponent)


def constant(node: Node) -> float:
    """The value of a part without x and parameters."""
    value = worth(node)
    assert value is not None
    return float(value)
