"""A tree as LaTeX: as it was written, or, for derivatives, in normal form."""

from fractions import Fraction

from .._language import say
from ._algebra import falls
from ._source import decimal, joined, scientific
from ._tree import Node, children_first

SUM, PRODUCT, POWER, ATOM = 0, 1, 2, 3  # how tightly a piece holds together; a power may not be the base of another one
Piece = tuple[str, int]

_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu",
    "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda",
    "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
}  # fmt: skip
_COMMANDS = {"log": r"\ln", "sin": r"\sin", "cos": r"\cos", "tan": r"\tan", "asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan", "sinh": r"\sinh", "cosh": r"\cosh", "tanh": r"\tanh", "max": r"\max", "min": r"\min", "Phi": r"\Phi", "sigmoid": r"\sigma"}  # fmt: skip
_INFIX = {"+", "-", "*", "/", "^", "where", "exp", "expm1", "sqrt", "abs", "sinc"}
_OPERATORS = {"asinh": "arsinh", "sign": "sgn", "relu": "ReLU"}


def latex(root: Node, *, written: bool) -> str:
    """LaTeX for mathematics mode; `written` is for trees as parsed, whose numbers stay as they are and where they are."""
    writer = _Writer(written)
    for node in children_first(root):
        writer.pieces[node] = writer.piece(node)
    return writer.pieces[root][0]


def spelled(name: str) -> str:
    r"""A name: \alpha for alpha, \beta_{2} for beta_2 and beta2, upright for words."""
    stem, _, index = name.partition("_")
    if not index:
        bare = stem.rstrip("0123456789")
        stem, index = (bare, stem[len(bare) :]) if bare else (stem, "")
    if not stem or (len(stem) > 1 and stem not in _GREEK) or "_" in index:
        return _upright(name)
    letter = f"\\{stem}" if stem in _GREEK else stem
    if not index:
        return letter
    return f"{letter}_{{{index if len(index) == 1 or index.isdigit() else _upright(index)}}}"


def _upright(word: str) -> str:
    return r"\mathrm{" + word.replace("_", r"\_") + "}"


def _digits(value: Fraction) -> Piece:
    """A number as a decimal, with a power of ten if it is very large or small."""
    if value.denominator == 1 and abs(value) < 10**15:
        return str(value), ATOM
    mantissa, _, exponent = scientific(value).partition("e")
    if not exponent:
        return mantissa, ATOM
    power = f"10^{{{int(exponent)}}}"
    return (power, POWER) if mantissa == "1" else (rf"{mantissa.removesuffix('.0')} \cdot {power}", PRODUCT)


def _inside(piece: Piece, holds: int) -> str:
    return piece[0] if piece[1] >= holds else rf"\left({piece[0]}\right)"


def _juxtaposed(pieces: list[str]) -> str:
    """A product without signs, but for a dot before a digit."""
    text = pieces[0] if pieces else "1"
    for piece in pieces[1:]:
        text += rf" \cdot {piece}" if piece[0].isdigit() else f" {piece}"
    return text


class _Writer:
    def __init__(self, written: bool):
        self.written = written
        self.pieces: dict[Node, Piece] = {}

    def piece(self, node: Node) -> Piece:
        below = [self.pieces[argument] for argument in node.arguments]
        match node.function:
            case "number":
                return _digits(node.number) if self.written or node.number.denominator == 1 else self.product(node)
            case "name":
                return spelled(node.name), ATOM
            case "+":
                return joined([piece[0] for piece in below]), SUM
            case "-":
                return f"-{_inside(below[0], PRODUCT)}", SUM
            case "*" | "/":
                return self.product(node)
            case "^":
                return self.product(node) if falls(node) else (self.raised(node.arguments[0], below[1][0]), POWER)
            case "where":
                return self.cases(node), ATOM
            case _:
                return self.call(node.function, below)

    def product(self, node: Node) -> Piece:
        negative, above, below = False, list[Piece](), list[Piece]()
        for factor in node.arguments if node.function == "*" else (node,):
            if factor.function == "-" and not above and not below:
                negative, factor = not negative, factor.arguments[0]
            if factor.function == "number" and not self.written:
                negative ^= factor.number < 0
                above, below = self.number(abs(factor.number), above, below)
            elif factor.function == "/":
                below.append(self.pieces[factor.arguments[0]])
            elif falls(factor):
                below.append(self.divisor(factor.arguments[0], -factor.arguments[1].number))
            else:
                above.append(self.pieces[factor])
        above = [piece for piece in above if piece[0] != "1"]
        if below:
            text = rf"\frac{{{self.side(above)}}}{{{self.side(below)}}}"
        else:
            text = _juxtaposed([_inside(piece, PRODUCT) for piece in above])
        return ("-" if negative else "") + text, SUM if negative else PRODUCT

    def number(self, value: Fraction, above: list[Piece], below: list[Piece]) -> tuple[list[Piece], list[Piece]]:
        times, over = (Fraction(text) if text else Fraction(1) for text in decimal(value))
        return [*above, _digits(times)], [*below, _digits(over)] if over != 1 else below

    def divisor(self, base: Node, n: Fraction) -> Piece:
        if n == 1:
            return self.pieces[base]
        if base.function == "sqrt" and not self.written:
            return f"{_inside(self.pieces[base.arguments[0]], ATOM)}^{{{n}/2}}", POWER
        return self.raised(base, _digits(n)[0]), POWER

    def raised(self, base: Node, exponent: str) -> str:
        """A power; that of a function is written on its name."""
        name, _, rest = self.pieces[base][0].partition(r"\left(")
        if base.arguments and name and rest and base.function not in _INFIX:
            return rf"{name}^{{{exponent}}}\left({rest}"
        return f"{_inside(self.pieces[base], ATOM)}^{{{exponent}}}"

    def side(self, pieces: list[Piece]) -> str:
        """One side of a fraction bar."""
        return pieces[0][0] if len(pieces) == 1 else _juxtaposed([_inside(piece, PRODUCT) for piece in pieces])

    def cases(self, node: Node) -> str:
        rows = []
        while node.function == "where":
            condition, taken, node = node.arguments
            rows.append(f"{self.pieces[taken][0]} & {self.condition(condition)}")
        rows.append(rf"{self.pieces[node][0]} & \text{{{say('otherwise', '其他')}}}")
        return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"

    def condition(self, node: Node) -> str:
        """With x on the left, if only one side holds it."""
        low, high = node.arguments
        signs = ("<", ">") if node.function == "<" else (r"\le", r"\ge")
        if not low.arguments and low.function == "number":
            return f"{self.pieces[high][0]} {signs[1]} {self.pieces[low][0]}"
        return f"{self.pieces[low][0]} {signs[0]} {self.pieces[high][0]}"

    def call(self, function: str, below: list[Piece]) -> Piece:
        u = below[0][0]
        if function in ("exp", "expm1"):
            return (f"e^{{{u}}}", POWER) if function == "exp" else (f"e^{{{u}}} - 1", SUM)
        if function == "sqrt":
            return rf"\sqrt{{{u}}}", ATOM
        if function == "abs":
            return rf"\left|{u}\right|", ATOM
        if function in ("<", "<="):
            return "", ATOM  # written by `condition`
        if function == "log1p":
            function, u = "log", f"1 + {_inside(below[0], PRODUCT) if u.startswith('-') else u}"
        name = _COMMANDS.get(function, rf"\operatorname{{{_OPERATORS.get(function, function)}}}")
        arguments = [u, *(piece[0] for piece in below[1:])]
        if function == "sinc" and len(arguments) > 1:  # (u, order of the derivative)
            name, arguments = name + "'" * int(arguments[1]), [u]
        return rf"{name}\left({', '.join(arguments)}\right)", ATOM
