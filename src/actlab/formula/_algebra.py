"""The normal form of a formula: sums and products over many, numbers collected in front, and the small laws that keep derivatives short."""

from collections.abc import Callable
from fractions import Fraction
from math import isqrt

from ._constants import LARGEST_POWER, worth
from ._tree import ONE, TWO, ZERO, E, Node, children_first, constants_last, depends, fold, number

_ODD = {"tanh", "erf", "sin", "atan", "asinh", "sinh", "asin", "tan", "sign"}
_EVEN = {"cosh", "cos", "abs"}
_GROWS_FAST = {"exp", "expm1", "sinh", "cosh", "^"}


def falls(node: Node) -> bool:
    """Whether it is a power with a negative number above."""
    return node.function == "^" and node.arguments[1].function == "number" and node.arguments[1].number < 0


def split(term: Node) -> tuple[Fraction, Node]:
    """A term as its number and the rest; the rest of a number is 1."""
    if term.function == "number":
        return term.number, ONE
    if term.function == "*" and term.arguments[0].function == "number":
        first, *rest = term.arguments
        return first.number, Node("*", *rest) if len(rest) > 1 else rest[0]
    return Fraction(1), term


def factors(node: Node) -> tuple[Node, ...]:
    """The factors of a product; of anything else, itself; of 1, none."""
    if node is ONE:
        return ()
    return node.arguments if node.function == "*" else (node,)


def collect(terms: "tuple[Node, ...] | list[Node]") -> dict[Node, Fraction]:
    """The coefficient of each different rest, in order of appearance."""
    collected: dict[Node, Fraction] = {}
    for term in terms:
        for one in term.arguments if term.function == "+" else (term,):
            coefficient, rest = split(one)
            collected[rest] = collected.get(rest, Fraction(0)) + coefficient
    return {rest: coefficient for rest, coefficient in collected.items() if coefficient}


def add(*terms: Node) -> Node:
    """The sum, with like terms collected."""
    parts = [scaled(coefficient, rest) for rest, coefficient in collect(terms).items()]
    return Node("+", *parts) if len(parts) > 1 else parts[0] if parts else ZERO


def scaled(coefficient: Fraction, rest: Node) -> Node:
    """A number times what `split` leaves of a term."""
    if coefficient == 1 or rest is ONE or rest.function == "+":
        return rest if coefficient == 1 else mul(number(coefficient), rest)
    return Node("*", number(coefficient), *factors(rest))


def mul(*given: Node) -> Node:
    """The product, with its number in front, equal bases collected and exponentials merged into one."""
    coefficient, bases, exponents = Fraction(1), dict[Node, Fraction](), list[Node]()
    waiting = list(reversed(given))
    while waiting:
        one = waiting.pop()
        if one.function == "*":
            waiting += reversed(one.arguments)
        elif one.function == "number":
            coefficient *= one.number
        elif one.function == "exp":
            exponents.append(one.arguments[0])
            bases.setdefault(E, Fraction(0))
        else:
            base, exponent = _base(one)
            bases[base] = bases.get(base, Fraction(0)) + exponent
    if not coefficient:
        return ZERO
    _join_signs(bases)
    parts = sorted(_powers(bases, exponents), key=_rank)
    if any(part.function in ("number", "*") for part in parts):  # a power came out as a number or fell apart
        return mul(number(coefficient), *parts)
    if coefficient == -1 and len(parts) == 1 and parts[0].function == "+":
        return add(*(mul(number(-1), term) for term in parts[0].arguments))
    if coefficient != 1 or not parts:
        parts.insert(0, number(coefficient))
    return Node("*", *parts) if len(parts) > 1 else parts[0]


def _join_signs(bases: dict[Node, Fraction]) -> None:
    """u sign(u) is |u|."""
    for base in [base for base in bases if base.function == "sign" and base.arguments[0] in bases]:
        u = base.arguments[0]
        if bases[base] == 1 and bases[u] >= 1:
            del bases[base]
            bases[u] -= 1
            size = call("abs", u)
            bases[size] = bases.get(size, Fraction(0)) + 1


def _rank(factor: Node) -> tuple[int, str, int]:
    """Constants, parameters, x, functions: the order in which factors are written, and in which equal products are equal."""
    base = factor.arguments[0] if factor.function == "^" else factor
    if not depends(factor):
        return 0, "", factor.mark
    if base.function == "name":
        return (2 if base.name == "x" else 1), base.name, factor.mark
    last = base.function == "bounded"  # 0 * large * large is 0, large * large * 0 is NaN
    return (4 if last else 3), base.function, factor.mark


def _base(factor: Node) -> tuple[Node, Fraction]:
    if factor.function == "^" and factor.arguments[1].function == "number":
        return factor.arguments[0], factor.arguments[1].number
    return factor, Fraction(1)


def _powers(bases: dict[Node, Fraction], exponents: list[Node]) -> list[Node]:
    if exponents:  # what vanishes anyway needs no bound: e^-e^x bounded(e^x) = e^(x - e^x)
        within = {node for exponent in exponents for node in children_first(exponent) if node.function == "exp"}
        inside = [base for base in bases if base.function == "bounded" and base.arguments[0] in within]
        exponents = exponents + [mul(number(bases.pop(base)), base.arguments[0].arguments[0]) for base in inside]
    parts = []
    for base, exponent in bases.items():
        if base is E and exponents:
            parts.append(call("exp", add(*exponents, number(exponent))))
        else:
            parts.append(power(base, number(exponent)))
    return _joined_roots([part for part in parts if part is not ONE])


def _joined_roots(parts: list[Node]) -> list[Node]:
    """sqrt(2) sqrt(pi) as sqrt(2 pi)."""
    groups: dict[Fraction, list[Node]] = {}
    for part in parts:
        base, exponent = _base(part)
        if base.function == "sqrt" and not depends(base):
            groups.setdefault(exponent, []).append(part)
    for exponent, roots in groups.items():
        if len(roots) > 1:
            inside = mul(*(_base(root)[0].arguments[0] for root in roots))
            parts = [part for part in parts if part not in roots] + [power(call("sqrt", inside), number(exponent))]
    return parts


def power(base: Node, exponent: Node) -> Node:
    """The power, evaluated where it is rational and short."""
    if base is E and exponent is not ONE:
        return call("exp", exponent)
    if base is ONE or exponent is ZERO:
        return ONE
    if exponent.function != "number":
        return Node("^", base, exponent)
    n = exponent.number
    if n == 1:
        return base
    return _simpler(base, n) or Node("^", base, exponent)


def _simpler(base: Node, n: Fraction) -> Node | None:
    whole = n.denominator == 1
    if base.function == "number" and whole and base.number and abs(n) <= LARGEST_POWER:
        return number(base.number ** int(n))
    if base.function == "exp":
        return call("exp", mul(number(n), base.arguments[0]))
    if base.function == "*" and whole:
        return mul(*(power(factor, number(n)) for factor in base.arguments))
    if base.function == "^" and whole and _base(base)[1].denominator == 1 and _base(base)[0] is not base:
        return power(base.arguments[0], number(base.arguments[1].number * n))
    if base.function == "sqrt" and n % 2 == 0 and not depends(base):
        return power(base.arguments[0], number(n / 2))
    if base.function == "abs" and n % 2 == 0:
        return power(base.arguments[0], number(n))
    if abs(n) == Fraction(1, 2):
        return power(call("sqrt", base), number(2 * n))
    return None


def _sqrt(u: Node) -> Node:
    if u.function == "number" and u.number >= 0:
        roots = [isqrt(part) for part in (u.number.numerator, u.number.denominator)]
        if number(Fraction(*roots) ** 2) is u:
            return number(Fraction(*roots))
    return Node("sqrt", u)


def _clip(u: Node, low: Node, high: Node) -> Node:
    return _nested("min")(_nested("max")(u, low), high)


def _nested(function: str) -> Callable[..., Node]:
    """max or min of many as one of two, whose second argument wins a tie."""

    def build(*arguments: Node) -> Node:
        found, *rest = constants_last(arguments)
        for one in rest:
            found = Node(function, found, one) if found is not one else found
        return found

    return build


def _compare(function: str) -> Callable[[Node, Node], Node]:
    """A comparison with a number, brought to the bare u on its other side: 6 <= max(2u + 3, 0) is 3/2 <= u."""

    def build(low: Node, high: Node) -> Node:
        for u, edge in ((low, high), (high, low)):
            if edge.function == "number" and u.function in ("max", "min") and u.arguments[1].function == "number":
                above = edge.number - u.arguments[1].number
                if above > 0 if u.function == "max" else above < 0:
                    u = u.arguments[0]
                    return build(u, edge) if edge is high else build(edge, u)
            if edge.function == "number" and (bare := _bare(u, edge.number)):
                one, value, kept = bare
                return Node(function, one, value) if (edge is high) == kept else Node(function, value, one)
        return Node(function, low, high)

    return build


def _bare(u: Node, edge: Fraction) -> tuple[Node, Node, bool] | None:
    """u, what it is compared with, and whether the direction stays, after a number is taken off both sides."""
    if u.function == "number":
        return None
    shift = collect([u]).get(ONE, Fraction(0)) if u.function == "+" else Fraction(0)
    factor, rest = split(add(u, number(-shift)))
    return None if (shift, factor) == (0, 1) else (rest, number((edge - shift) / factor), factor > 0)


def _where(condition: Node, taken: Node, other: Node) -> Node:
    known = worth(condition)
    if known is not None:
        return taken if known else other
    return taken if taken is other else Node("where", condition, taken, other)


def _bounded(u: Node) -> Node:
    """u with infinities read as the largest number: a factor that may overflow beside one that is zero by then."""
    if u.function == "*":
        return mul(*(call("bounded", factor) for factor in u.arguments))
    if u.function == "bounded":
        return u
    fast = any(node.function in _GROWS_FAST and depends(node) and not falls(node) for node in children_first(u))
    return Node("bounded", u) if fast else u


def _phi(u: Node) -> Node:
    return mul(number(Fraction(1, 2)), add(ONE, call("erf", mul(u, power(call("sqrt", TWO), number(-1))))))


_BUILD: dict[str, Callable[..., Node]] = {
    "+": add,
    "-": lambda u: mul(number(-1), u),
    "*": mul,
    "/": lambda u: power(u, number(-1)),
    "^": power,
    "sqrt": _sqrt,
    "max": _nested("max"),
    "min": _nested("min"),
    "clip": _clip,
    "relu": lambda u: _nested("max")(u, ZERO),
    "<": _compare("<"),
    "<=": _compare("<="),
    "where": _where,
    "Phi": _phi,
    "logaddexp": lambda u, v: Node("logaddexp", *constants_last((u, v))),
    "sinc": lambda u, order=ZERO: Node("sinc", u, order),
    "bounded": _bounded,
    "exp": lambda u: ONE if u is ZERO else Node("exp", u),
    "log": lambda u: u.arguments[0] if u.function == "exp" else ZERO if u is ONE else ONE if u is E else Node("log", u),
}


def call(function: str, *arguments: Node) -> Node:
    """The function of arguments that are in normal form, in normal form."""
    if function in _ODD | _EVEN and split(arguments[0])[0] < 0:
        mirrored = call(function, mul(number(-1), *arguments))
        return mirrored if function in _EVEN else mul(number(-1), mirrored)
    return _BUILD[function](*arguments) if function in _BUILD else Node(function, *arguments)


def normal(root: Node) -> Node:
    """The normal form of a parsed tree."""
    return fold(root, lambda node, below: call(node.function, *below) if node.arguments else node)
