"""A tree in normal form as a list of steps, guarded so that the gradient of a branch not taken is a finite number.

`torch.where` computes both branches and sends a gradient of zero into the one not taken; where that branch has an infinite slope,
0 * inf = NaN comes back. So within a branch x is replaced by a harmless number wherever the branch is not taken, and what can still go
wrong there (a logarithm of a parameter, a quotient) is given a harmless argument.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from ._constants import worth
from ._derive import LEVELLING
from ._source import constant, decimal, quotient
from ._tree import Node, children_first, depends

Operand = int | float  # an int is the number of a slot: x, the parameters, then the steps
Step = tuple[str, tuple[float | int, ...], tuple[Operand, ...]]  # the operation, numbers for it, what it is applied to

# A harmless argument for each function that is not finite, or has no finite slope, everywhere.
_HARMLESS = {"exp": 0.0, "expm1": 0.0, "log": 1.0, "log1p": 0.0, "sqrt": 1.0, "tan": 0.0, "asin": 0.0, "acos": 0.0, "sinh": 0.0, "cosh": 0.0, "/": 1.0, "^": 1.0}  # fmt: skip
# Below a fraction bar only what overflows is cut; where the function around levels off anyway, room is left for factors of up to e^5.
_BELOW, _LEVEL = 0.01, 5.0
_GROWING = {"exp", "expm1", "sinh", "cosh"}
_SPOTS = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 5.0, -5.0, 20.0, -20.0, 100.0, -100.0)


class Program(NamedTuple):
    """hides_nan: NaN in x would not show in the result by itself."""

    steps: tuple[Step, ...]
    result: Operand
    hides_nan: bool


class _Scene(NamedTuple):
    """Where a node is computed: what x is there, which branches lead to it, and what x is where they are not taken.

    margin: how many powers of e below overflow to cut what grows, so that no infinity meets the zero slope around it. None: not at all.
    """

    x: int = 0
    path: tuple[tuple[int, bool], ...] = ()
    spots: tuple[float, ...] = ()
    margin: float | None = None


def program(root: Node, parameters: tuple[str, ...]) -> Program:
    """The steps for x in slot 0 and the parameters in the slots after it."""
    writer = _Writer(parameters)
    result = writer.emit(root, _Scene())
    chooses = any(node.function == "where" for node in children_first(root)) or "x" not in root.names
    return Program(tuple(writer.steps), result, chooses)


class _Writer:
    def __init__(self, parameters: tuple[str, ...]):
        self.slots = {"x": 0, **{name: 1 + i for i, name in enumerate(parameters)}}
        self.first = len(self.slots)
        self.steps: list[Step] = []
        self.done: dict[tuple[Node, _Scene], Operand] = {}

    def step(self, operation: str, *operands: Operand, known: tuple[float | int, ...] = ()) -> int:
        self.steps.append((operation, known, operands))
        return self.first + len(self.steps) - 1

    def emit(self, node: Node, scene: _Scene) -> Operand:
        if not depends(node):
            return constant(node)
        if node.function == "name":
            return scene.x if node.name == "x" else self.slots[node.name]
        key = (node, scene)
        if key not in self.done:
            self.done[key] = self.write(node, scene)
        return self.done[key]

    def write(self, node: Node, scene: _Scene) -> Operand:
        if node.function in ("*", "^"):
            return self.product(node, scene)
        if node.function == "+":
            return self.chain("+", [self.emit(term, scene) for term in node.arguments])
        if node.function == "where":
            return self.where(node, scene)
        if node.function == "bounded":
            return self.emit(node.arguments[0], scene._replace(margin=_LEVEL))
        if node.function in ("sinc", "hypot", "rise", "slant"):
            u, c = node.arguments
            known = int(c.number) if node.function == "sinc" else constant(c)
            return self.step(node.function, self.emit(u, scene), known=(known,))
        inner = scene._replace(margin=_LEVEL) if node.function in LEVELLING else scene
        operands = [self.guarded(node.function, argument, inner) for argument in node.arguments]
        if scene.margin is not None and node.function in _GROWING:
            return self.step(f"bounded {node.function}", *operands, known=(scene.margin,))
        return self.step(node.function, *operands)

    def chain(self, operation: str, operands: list[Operand]) -> Operand:
        found, *rest = operands
        for one in rest:
            found = self.step(operation, found, one)
        return found

    def product(self, node: Node, scene: _Scene) -> Operand:
        """What is bounded comes last: something that has vanished, times large, is 0; large times large is inf, and inf * 0 NaN."""
        negative, coefficient, above, below = quotient(node)
        times, over = (float(text) if text else 1.0 for text in decimal(coefficient))
        times = -times if negative else times
        large = [self.power(base, float(n), scene) for base, n in above if base.function == "bounded"]
        top = [self.power(base, float(n), scene) for base, n in above if base.function != "bounded"]
        top = [times, *top] if times != 1.0 or not top else top
        bottom = [self.power(base, float(n), scene._replace(margin=_BELOW), below=True) for base, n in below]
        bottom = [over, *bottom] if over != 1.0 else bottom
        result = self.chain("*", top)
        result = self.step("/", result, self.chain("*", bottom)) if bottom else result
        return self.chain("*", [result, *large])

    def power(self, base: Node, n: float, scene: _Scene, *, below: bool = False) -> Operand:
        if not depends(base):
            return constant(base) ** n if n == 1.0 or constant(base) > 0.0 or n.is_integer() else math.nan
        if n == 1.0 and base.function == "^":  # to a power that is no number
            return self.step("^", self.guarded("^", base.arguments[0], scene), self.emit(base.arguments[1], scene))
        if base.function == "bounded":
            base, scene = base.arguments[0], scene._replace(margin=_LEVEL)
        if n == 1.0:
            return self.guarded("/", base, scene) if below else self.emit(base, scene)
        u = self.guarded("/" if below else "^", base, scene)
        if scene.margin is None or n < 1.0:
            return self.step("^", u, n)
        return self.step("bounded ^", u, known=(n, scene.margin, math.inf if below else 0.0))

    def where(self, node: Node, scene: _Scene) -> Operand:
        condition = self.emit(node.arguments[0], scene)
        assert isinstance(condition, int)
        branches = [
            self.emit(branch, self.within(branch, node.arguments[0], condition, taken, scene))
            for branch, taken in zip(node.arguments[1:], (True, False), strict=True)
        ]
        return self.step("where", condition, *branches)

    def within(self, branch: Node, condition: Node, slot: int, taken: bool, scene: _Scene) -> _Scene:
        """The scene of a branch, with x replaced where the branch is not taken if anything in it could go wrong there."""
        path = (*scene.path, (slot, taken))
        if not any(_risky(node) for node in children_first(branch)):
            return scene._replace(path=path)
        spot = _harmless_spot(branch, condition)
        x = self.choose(slot, taken, scene.x, spot) if "x" in branch.names else scene.x
        return scene._replace(path=path, x=x, spots=(*scene.spots, spot))

    def choose(self, slot: int, taken: bool, operand: Operand, spare: float) -> int:
        return self.step("where", slot, *((operand, spare) if taken else (spare, operand)))

    def guarded(self, function: str, argument: Node, scene: _Scene) -> Operand:
        """The argument, with a harmless number wherever a branch is not taken, unless it is known to be harmless there anyway."""
        operand = self.emit(argument, scene)
        if function not in _HARMLESS or not isinstance(operand, int):
            return operand
        if all(_sound(function, argument, x) for x in scene.spots):
            return operand
        for slot, taken in scene.path:
            operand = self.choose(slot, taken, operand, _HARMLESS[function])
        return operand


def _risky(node: Node) -> bool:
    many = node.function == "*" and sum("x" in factor.names for factor in node.arguments) > 1
    return many or node.function in _HARMLESS


def _harmless_spot(branch: Node, condition: Node) -> float:
    """A number at which everything in the branch that does not depend on parameters is harmless."""
    return next((spot for spot in _candidates(condition) if _all_sound(branch, spot)), 0.0)


def _candidates(condition: Node) -> Iterator[float]:
    """The edge itself first, if there is one: the branch not taken is then continued by its last value."""
    for one in condition.arguments:
        if not depends(one):
            yield constant(one)
    yield from _SPOTS


def _all_sound(branch: Node, spot: float) -> bool:
    for node in children_first(branch):
        if node.function in ("*", "^"):
            below = quotient(node)[3]
            if any(_sound("/", base, spot, unknown=True) is False for base, _ in below):
                return False
        if node.function in _HARMLESS and not _sound(node.function, node.arguments[0], spot, unknown=True):
            return False
    return True


def _sound(function: str, argument: Node, x: float, *, unknown: bool = False) -> bool:
    """Whether the function is finite with a moderate slope for the argument at x; `unknown` is the answer if that depends on parameters."""
    u = worth(argument, x=x)
    if u is None:
        return unknown
    if function in ("log", "sqrt", "^", "/"):
        return 1e-3 < abs(u) < 1e3 and (u > 0 or function in ("^", "/"))
    if function == "log1p":
        return -0.999 < u < 1e3
    return abs(u) < (1.0 if function == "tan" else 0.999 if function in ("asin", "acos") else 30.0)
