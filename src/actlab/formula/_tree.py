"""The tree of a formula: nodes that exist once each, and one way to walk them.

As parsed, a sum is "+" over its terms, a subtracted term is "-"(term), a product is "*" over its factors, a divisor is "/"(factor)
and a power is "^"(base, exponent); a condition is "<" or "<=". In normal form (`_algebra`) there is no "-" and no "/".
"""

from collections.abc import Callable
from fractions import Fraction
from typing import TypeVar
from weakref import WeakValueDictionary
from zlib import crc32

Result = TypeVar("Result")


class Node:
    """A number, a name or a function of other nodes; equal nodes are the same object, so that `is` and a dictionary suffice."""

    __slots__ = ("__weakref__", "arguments", "function", "mark", "names", "value")
    function: str
    arguments: "tuple[Node, ...]"
    value: Fraction | str | None
    names: frozenset[str]  # all that occur in it, constants too
    mark: int  # a checksum of the whole tree: an order among nodes that is the same in every process

    def __new__(cls, function: str, *arguments: "Node", value: Fraction | str | None = None) -> "Node":
        key = (function, arguments, value)
        found = _known.get(key)
        if found is None:
            found = super().__new__(cls)
            found.function, found.arguments, found.value = function, arguments, value
            found.mark = crc32(f"{function} {value} {[argument.mark for argument in arguments]}".encode())
            own = [value] if isinstance(value, str) else []
            found.names = frozenset(own).union(*(argument.names for argument in arguments))
            found = _known.setdefault(key, found)
        return found

    @property
    def number(self) -> Fraction:
        """The value of a number."""
        assert isinstance(self.value, Fraction)
        return self.value

    @property
    def name(self) -> str:
        """The spelling of a name."""
        assert isinstance(self.value, str)
        return self.value

    def __repr__(self) -> str:
        if self.value is not None:
            return str(self.value)
        return f"{self.function}({', '.join(map(repr, self.arguments))})"


_known: WeakValueDictionary[tuple[str, tuple[Node, ...], Fraction | str | None], Node] = WeakValueDictionary()


def number(value: Fraction | int) -> Node:
    """The node of a rational number."""
    return Node("number", value=Fraction(value))


def name(spelling: str) -> Node:
    """The node of x, of a parameter, or of the constants pi and e."""
    return Node("name", value=spelling)


X, PI, E = name("x"), name("pi"), name("e")
ZERO, ONE, TWO = number(0), number(1), number(2)


def children_first(root: Node) -> list[Node]:
    """Every node below the root once, each after its arguments; without recursion, because derivatives are deep."""
    order: list[Node] = []
    seen: set[Node] = set()
    waiting = [(root, False)]
    while waiting:
        node, ready = waiting.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            waiting.append((node, True))
            waiting += [(argument, False) for argument in reversed(node.arguments) if argument not in seen]
    return order


def fold(root: Node, rule: Callable[[Node, list[Result]], Result]) -> Result:
    """The rule applied to every node and to what it gave for the node's arguments, from the leaves up; what it gave for the root."""
    done: dict[Node, Result] = {}
    for node in children_first(root):
        done[node] = rule(node, [done[argument] for argument in node.arguments])
    return done[root]


def depends(node: Node) -> bool:
    """Whether x or a parameter occurs in it."""
    return not node.names <= {"pi", "e"}


def constants_last(arguments: tuple[Node, ...]) -> list[Node]:
    """The arguments of max or min with those without x behind, plain numbers last: at a tie the last one wins, so that a flat side does."""
    return sorted(arguments, key=lambda argument: ("x" not in argument.names, not depends(argument)))
