"""Two fractions over a common denominator, where their numerators then shrink: 1/(1 + |x|) - |x|/(1 + |x|)^2 is 1/(1 + |x|)^2.

What quotients leave behind when they are differentiated; the difference would lose digits wherever the denominator is large.
"""

from itertools import permutations

from ._algebra import add, factors, falls, mul, power
from ._tree import Node, number


def over_common(node: Node) -> Node:
    """The sum with such pairs of fractions joined."""
    for _ in range(5):
        pairs = permutations(node.arguments, 2) if node.function == "+" and len(node.arguments) <= 6 else ()
        found = next(((one, other, joined) for one, other in pairs if (joined := _joined(one, other))), None)
        if found is None:
            break
        one, other, joined = found
        node = add(joined, *(term for term in node.arguments if term not in (one, other)))
    return node


def _joined(one: Node, other: Node) -> Node | None:
    """a/v^n + b/v^(n+1) as (a v + b)/v^(n+1), if that has fewer terms than its parts."""
    for factor in factors(other):
        if not falls(factor) or factor.arguments[0].function != "+":
            continue
        base, n = factor.arguments[0], -factor.arguments[1].number
        if power(base, number(1 - n)) not in factors(one) or n == 1:
            continue
        raised = power(base, number(n))
        parts = [*_expanded(mul(one, raised)), *_expanded(mul(other, raised))]
        top = add(*parts)
        if (len(top.arguments) if top.function == "+" else 1) < min(len(parts), 3):
            return mul(top, power(base, number(-n)))
    return None


def _expanded(product: Node) -> list[Node]:
    """The terms of a product whose first sum is multiplied out."""
    parts = factors(product)
    inner = next((part for part in parts if part.function == "+"), None)
    if inner is None:
        return [product]
    rest = mul(product, power(inner, number(-1)))
    return [mul(rest, term) for term in inner.arguments]
