"""Idioms that lose digits or overflow, rewritten to functions that do not: log(1 + e^u) to softplus(u), 1 + erf(u) to erfc(-u), ..."""

from fractions import Fraction

from ._algebra import add, call, collect, factors, mul, power, scaled, split
from ._tree import ONE, TWO, ZERO, Node, depends, fold, number

MINUS = number(-1)


def recognise(root: Node) -> Node:
    """The tree with every idiom replaced; the values are the same where both exist in exact arithmetic."""
    return fold(root, _rewrite)


def _rewrite(node: Node, below: list[Node]) -> Node:
    if not node.arguments:
        return node
    made = call(node.function, *below)
    rule = {"+": _sum, "*": _product, "^": _power, "log": _log, "log1p": _log1p, "sqrt": _sqrt}.get(made.function)
    return rule(made) if rule else made


def _opposite(u: Node) -> Node:
    return mul(MINUS, u)


# Sums: two terms P and P*g, of which g makes one function without a difference.


def _sum(node: Node) -> Node:
    collected = collect(node.arguments)
    waiting = list(reversed(collected))
    while waiting:
        rest = waiting.pop()
        found = _partner(rest, collected) if rest in collected else None
        if found is not None:
            partner, merged = found
            del collected[rest], collected[partner]
            for one, coefficient in collect([merged]).items():
                collected[one] = collected.get(one, Fraction(0)) + coefficient
                waiting.append(one)
    return add(*(scaled(coefficient, rest) for rest, coefficient in collected.items()))


def _partner(rest: Node, collected: dict[Node, Fraction]) -> tuple[Node, Node] | None:
    """Another term with which this one is an idiom, and what the two are together."""
    for factor in factors(rest):
        for g in (factor, factor.arguments[0]) if _squares(factor) else (factor,):
            if g.function not in _HALVES or (g.function == "^" and g.arguments[0].function != "tanh"):
                continue
            common = mul(rest, power(g, MINUS))
            merged = _merged(g, collected.get(common, Fraction(0)), collected[rest])
            if merged is not None:
                return common, mul(common, merged)
            if g.function in ("exp", "sigmoid") and g.arguments[0] is not ZERO:
                mirror = mul(common, call(g.function, _opposite(g.arguments[0])))
                merged = _mirrored(g, collected.get(mirror, Fraction(0)), collected[rest])
                if merged is not None:
                    return mirror, mul(common, merged)
    return None


_HALVES = {"exp", "erf", "tanh", "sigmoid", "hypot", "^"}


def _squares(factor: Node) -> bool:
    return factor.function == "^" and factor.arguments[1].function == "number" and factor.arguments[1].number >= 2


def _merged(g: Node, a: Fraction, b: Fraction) -> Node | None:
    """a + b*g as one function, if there is one."""
    if not a or not g.arguments:
        return None
    u, ratio = g.arguments[0], b / a
    if g.function == "^":
        squared = u.function == "tanh" and g.arguments[1] is TWO and ratio == -1
        return mul(number(4 * a), _sigmoid(u.arguments[0], 2), _sigmoid(u.arguments[0], -2)) if squared else None
    if g.function == "hypot" and g.arguments[1].function == "number":
        return mul(number(b), call("rise", *g.arguments)) if -ratio * g.arguments[1].number == 1 else None
    return {
        ("exp", -1): lambda: mul(number(b), call("expm1", u)),
        ("erf", 1): lambda: mul(number(a), call("erfc", _opposite(u))),
        ("erf", -1): lambda: mul(number(a), call("erfc", u)),
        ("tanh", 1): lambda: mul(number(2 * a), _sigmoid(u, 2)),
        ("tanh", -1): lambda: mul(number(2 * a), _sigmoid(u, -2)),
        ("sigmoid", -1): lambda: mul(number(a), _sigmoid(u, -1)),
        ("sigmoid", -2): lambda: mul(number(-a), call("tanh", mul(number(Fraction(1, 2)), u))),
    }.get((g.function, int(ratio) if ratio.denominator == 1 else 0), lambda: None)()


def _sigmoid(u: Node, factor: int) -> Node:
    return call("sigmoid", mul(number(factor), u))


def _mirrored(g: Node, a: Fraction, b: Fraction) -> Node | None:
    """a*g(-u) + b*g(u) for exp and sigmoid."""
    if not a or abs(a) != abs(b):
        return None
    u, same = g.arguments[0], a == b
    if g.function == "sigmoid":
        return number(b) if same else mul(number(b), call("tanh", mul(number(Fraction(1, 2)), u)))
    return mul(number(2 * b), call("cosh" if same else "sinh", u))


# Sums of exponentials, inside of a logarithm or below a fraction bar.


def _exponents(term: Node) -> list[Node]:
    """u, v, ... such that the term is e^u + e^v + ...; empty if it is not a positive number times such a sum."""
    coefficient, rest = split(term)
    shift = call("log", number(coefficient)) if coefficient > 0 else None
    if shift is None or rest is ONE:
        return [shift] if shift else []
    if rest.function == "exp":
        return [add(rest.arguments[0], shift)]
    if rest.function == "cosh":
        return [add(u, call("log", number(coefficient / 2))) for u in (rest.arguments[0], _opposite(rest.arguments[0]))]
    return []


def _log(node: Node) -> Node:
    inside = node.arguments[0]
    terms = inside.arguments if inside.function == "+" else (inside,)
    exponents = [_exponents(term) for term in terms]
    if all(exponents) and depends(inside):
        return _logsumexp([u for one in exponents for u in one])
    if inside.function == "sigmoid":
        return _opposite(call("softplus", _opposite(inside.arguments[0])))
    if ONE in terms:
        return _log1p(call("log1p", add(inside, MINUS)))
    return node


def _log1p(node: Node) -> Node:
    inside = node.arguments[0]
    terms = inside.arguments if inside.function == "+" else (inside,)
    exponents = [_exponents(term) for term in terms]
    if all(exponents) and depends(inside):
        return _logsumexp([ZERO, *(u for one in exponents for u in one)])
    return node


def _logsumexp(exponents: list[Node]) -> Node:
    if len(exponents) == 2 and ZERO in exponents:
        u, v = exponents
        return call("softplus", v if u is ZERO else u)
    found, *rest = exponents
    for one in rest:
        found = call("logaddexp", found, one)
    return found


def _power(node: Node) -> Node:
    """1/(c + k e^u)^n as a power of a sigmoid."""
    base, exponent = node.arguments
    if base.function != "+" or len(base.arguments) != 2 or exponent.function != "number" or exponent.number >= 0:
        return node
    exponents = [_exponents(term) for term in base.arguments]
    if not all(len(one) == 1 for one in exponents) or not depends(base):
        return node
    n = number(-exponent.number)
    (first,), (second,) = exponents if not depends(exponents[0][0]) else reversed(exponents)
    lead = next(one for one, own in zip(base.arguments, map(_exponents, base.arguments), strict=True) if own == [first])
    return mul(power(lead, exponent), power(call("sigmoid", add(first, _opposite(second))), n))


# Products: an exponential beside the sigmoid that it mirrors, and the quotients that are a tanh.


def _product(node: Node) -> Node:
    powers = {}
    for factor in factors(node):
        base, exponent = factor.arguments if factor.function == "^" else (factor, ONE)
        if exponent.function == "number":
            powers[base] = exponent.number
    for base, n in powers.items():
        found = _quotient(base, n, powers)
        if found is not None:
            simpler = mul(node, found)
            return _product(simpler) if simpler.function == "*" else simpler
    return node


def _quotient(base: Node, n: Fraction, powers: dict[Node, Fraction]) -> Node | None:
    """What to multiply the product by so that an idiom that begins with `base` is replaced."""
    u = base.arguments[0] if base.arguments else base
    if base.function == "sinh":
        m = min(n, -powers.get(call("cosh", u), Fraction(0)))
        return _swap({call("tanh", u): m, base: -m, call("cosh", u): m}) if m >= 1 else None
    if base.function == "expm1":
        gate = _sigmoid(u, -1)
        m = min(n, powers.get(gate, Fraction(0)))
        return _swap({call("tanh", mul(number(Fraction(1, 2)), u)): m, base: -m, gate: -m}) if m >= 1 else None
    if base.function == "hypot":
        m = min(-n, powers.get(u, Fraction(0)))
        return _swap({call("slant", *base.arguments): m, base: m, u: -m}) if m >= 1 else None
    if base.function == "exp":
        return next(
            filter(None, (_mirror(u, gate, m) for gate, m in powers.items() if gate.function == "sigmoid")), None
        )
    return None


def _mirror(u: Node, gate: Node, most: Fraction) -> Node | None:
    """e^u sigmoid(v)^m = e^(u + m v) sigmoid(-v)^m, if u + m v is constant and v is not."""
    v = gate.arguments[0]
    for m in (Fraction(m) for m in range(int(most), 0, -1)):
        if depends(v) and not depends(add(u, mul(number(m), v))):
            return mul(call("exp", mul(number(m), v)), _swap({call("sigmoid", _opposite(v)): m, gate: -m}))
    return None


def _swap(powers: dict[Node, Fraction]) -> Node:
    return mul(*(power(base, number(n)) for base, n in powers.items()))


def _sqrt(node: Node) -> Node:
    """sqrt(u^2 + c) for a positive number c, whose square root is rational: no overflow of u^2."""
    inside = node.arguments[0]
    if inside.function != "+" or len(inside.arguments) != 2:
        return node
    for square, c in (inside.arguments, inside.arguments[::-1]):
        root = call("sqrt", c) if c.function == "number" and c.number > 0 else node
        if root.function == "number" and square.function == "^" and square.arguments[1] is TWO:
            return call("hypot", square.arguments[0], root)
    return node
