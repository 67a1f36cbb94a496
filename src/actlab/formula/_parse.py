"""Tokens to a tree, by recursive descent with bounds; nothing is ever handed to Python's own parser.

    sum = product (("+" | "-") product)*        product = signed (("*" | "/") signed)*
    signed = ("+" | "-") signed | power         power = atom (("^" | "**") signed)?
    atom = number | name | "(" sum ")" | function "(" ... ")"

So -x^2 is -(x^2), 2^3^2 is 2^(3^2) and 2^-x needs no parentheses.
"""

from .._language import say
from ._error import FormulaError, expected, unknown
from ._functions import ALIASES, CONSTANTS, FUNCTIONS, Function
from ._tokens import Token, tokens, value
from ._tree import Node, name, number

MOST_NODES, DEEPEST = 300, 40
_COMPARISONS = ("<", "<=", ">", ">=")


def read(text: str, parameters: tuple[str, ...]) -> tuple[Node, dict[Node, int]]:
    """The tree of the text, and for each node the position where it first stands. Constants are not yet judged (`_constants.check`)."""
    reader = _Reader(tokens(text), parameters)
    tree = reader.sum()
    reader.end()
    return tree, reader.positions


class _Reader:
    def __init__(self, found: list[Token], parameters: tuple[str, ...]):
        self.tokens, self.place, self.variables = found, 0, ("x", *parameters, *CONSTANTS)
        self.nodes, self.depth = 0, 0
        self.positions: dict[Node, int] = {}
        self.heights: dict[Node, int] = {}

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self, *signs: str) -> Token | None:
        """The next token if it is one of these signs."""
        token = self.next
        if token.kind != "sign" or token.text not in signs:
            return None
        self.place += 1
        return token

    def need(self, what_en: str, what_zh: str, *signs: str) -> Token:
        """The next token, which must be one of these signs; what is expected is said in both languages."""
        if token := self.take(*signs):
            return token
        raise self.wrong(what_en, what_zh)

    def wrong(self, what_en: str, what_zh: str) -> FormulaError:
        token = self.next
        return expected(what_en, what_zh, token.position, None if token.kind == "end" else token.text)

    def end(self) -> None:
        token = self.next
        if token.kind == "end":
            return
        hint = ("", "")
        if token.kind in ("name", "number") or token.text == "(":
            hint = ("; a product is written with '*'", "；乘积要写“*”")
        elif token.text in _COMPARISONS:
            hint = (
                "; a comparison stands only in where(...) or Piecewise(...)",
                "；比较只能写在 where(...) 或 Piecewise(...) 中",
            )
        raise expected("an operator or the end", "运算符或结尾", token.position, token.text, hint)

    def node(self, made: Node, token: Token) -> Node:
        self.nodes += 1
        self.heights[made] = 1 + max((self.heights[argument] for argument in made.arguments), default=0)
        if self.nodes > MOST_NODES:
            raise self.beyond(f"{MOST_NODES} parts", f" {MOST_NODES} 个组成部分", token)
        if self.heights[made] > DEEPEST:
            raise self.beyond(f"{DEEPEST} levels of nesting", f" {DEEPEST} 层嵌套", token)
        self.positions.setdefault(made, token.position)
        return made

    def beyond(self, what_en: str, what_zh: str, token: Token) -> FormulaError:
        return FormulaError(
            say(
                f"formula: expected at most {what_en}; exceeded at position {token.position}",
                f"公式：最多{what_zh}；第 {token.position} 个字符处超出",
            )
        )

    def sum(self) -> Node:
        start, terms = self.next, [self.product()]
        while sign := self.take("+", "-"):
            term = self.product()
            terms.append(self.node(Node("-", term), sign) if sign.text == "-" else term)
        return terms[0] if len(terms) == 1 else self.node(Node("+", *terms), start)

    def product(self) -> Node:
        start, factors = self.next, [self.signed()]
        while sign := self.take("*", "/"):
            factor = self.signed()
            factors.append(self.node(Node("/", factor), sign) if sign.text == "/" else factor)
        return factors[0] if len(factors) == 1 else self.node(Node("*", *factors), start)

    def signed(self) -> Node:
        """Every nesting passes through here, so here it is bounded."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.beyond(f"{DEEPEST} levels of nesting", f" {DEEPEST} 层嵌套", self.next)
        sign = self.take("+", "-")
        if sign is None:
            made = self.power()
        else:
            made = self.signed()
            made = self.node(Node("-", made), sign) if sign.text == "-" else made
        self.depth -= 1
        return made

    def power(self) -> Node:
        start, base = self.next, self.atom()
        if self.take("^", "**") is None:
            return base
        return self.node(Node("^", base, self.signed()), start)

    def atom(self) -> Node:
        token = self.next
        if self.take("("):
            inside = self.sum()
            self.need("an operator or ')'", "运算符或“)”", ")")
            return inside
        if token.kind == "number":
            self.place += 1
            return self.node(number(value(token)), token)
        if token.kind == "name":
            self.place += 1
            variable = self.next.text != "(" or token.text in self.variables
            return self.variable(token) if variable else self.call(token)
        raise self.wrong("a number, a name, '-' or '('", "数、名称、“-”或“(”")

    def variable(self, token: Token) -> Node:
        if token.text in self.variables:
            return self.node(name(token.text), token)
        if ALIASES.get(token.text, token.text) in FUNCTIONS:
            raise self.wrong(f"'(' after {token.text}", f" {token.text} 之后的“(”")
        raise unknown("name", "名称", token.text, token.position, self.variables)

    def call(self, token: Token) -> Node:
        function = FUNCTIONS.get(ALIASES.get(token.text, token.text))
        if function is None:
            raise unknown("function", "函数", token.text, token.position, (*FUNCTIONS, *ALIASES))
        self.take("(")
        if function.name == "Piecewise":
            return self.piecewise(token)
        arguments = [self.condition() if function.name == "where" else self.sum()]
        while self.take(","):
            arguments.append(self.sum())
        self.need("an operator, ',' or ')'", "运算符、“,”或“)”", ")")
        if len(arguments) < function.least or (function.most is not None and len(arguments) > function.most):
            raise self.miscounted(function, len(arguments), token)
        return self.node(Node(function.name, *arguments), token)

    def miscounted(self, function: Function, count: int, token: Token) -> FormulaError:
        call, plural = token.text + function.signature, "s" if count > 1 else ""
        return FormulaError(
            say(
                f"formula: expected {call} at position {token.position}; got {count} argument{plural}",
                f"公式：第 {token.position} 个字符处应为 {call}；得到 {count} 个参数",
            )
        )

    def condition(self) -> Node:
        start, left = self.next, self.sum()
        sign = self.need("'<', '<=', '>' or '>='", "“<”“<=”“>”或“>=”", *_COMPARISONS)
        right = self.sum()
        low, high = (left, right) if "<" in sign.text else (right, left)
        return self.node(Node("<=" if "=" in sign.text else "<", low, high), start)

    def piecewise(self, token: Token) -> Node:
        """As nested `where`; the last pair must be for True, so that every x has a value."""
        pairs: list[tuple[Node, Node]] = []
        while True:
            self.need("a pair (u, condition)", "一对 (u, 条件)", "(")
            branch = self.sum()
            self.need("an operator or ','", "运算符或“,”", ",")
            if self.next.text == "True":
                break
            pairs.append((self.condition(), branch))
            self.need("an operator or ')'", "运算符或“)”", ")")
            self.need("',' and at the end a pair (v, True)", "“,”以及最后的 (v, True)", ",")
        self.place += 1
        self.need("')'", "“)”", ")")
        self.need("')'", "“)”", ")")
        for condition, one in reversed(pairs):
            branch = self.node(Node("where", condition, one, branch), token)
        return branch
