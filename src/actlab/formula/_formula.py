"""The one object that a caller holds: a formula that has been read, and what follows from it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from .._language import say
from ._algebra import normal
from ._constants import check
from ._derive import MOST_ORDER, derive
from ._error import FormulaError, not_a_parameter, shown, too_large
from ._functions import RESERVED
from ._parse import read
from ._recognise import recognise
from ._tree import Node, children_first

if TYPE_CHECKING:
    import sympy
    from torch import Tensor

_MOST_PARAMETERS, _LONGEST_NAME = 20, 40


@dataclass(frozen=True)
class Formula:
    """A function of x and parameters, as `parse` makes it.

    Methods take the order of the derivative by x. At a kink of max, min, clip, relu, abs or sign the derivative is that of the flat
    side, else of the argument that comes last; at the edge of `where` it is that of the branch taken there.
    """

    text: str
    parameters: tuple[str, ...]
    _tree: Node = field(compare=False, repr=False)

    def __reduce__(self) -> Any:
        return parse, (self.text, self.parameters)

    @cached_property
    def names(self) -> frozenset[str]:
        """What occurs in it: x, parameters, constants, and functions under their first name."""
        nodes = children_first(self._tree)
        return frozenset(node.name if node.function == "name" else node.function for node in nodes) - _SIGNS

    @cached_property
    def expression(self) -> "sympy.Expr":
        """The definition in real symbols; decimals are exact rationals, functions that sympy lacks are written out."""
        from ._symbolic import expression

        return expression(self._tree)

    def derivative(self, order: int = 1) -> "sympy.Expr":
        """Of the definition as it stands, valid off the kinks."""
        from ._symbolic import expression

        return expression(self._plain(order)) if order else self.expression

    def derivative_by(self, parameter: str) -> "sympy.Expr":
        """The first derivative by a parameter."""
        from ._symbolic import expression

        return expression(derive(self._normal, self._known(parameter)))

    def latex(self, order: int = 0) -> str:
        """For mathematics mode; the definition as it was written."""
        from ._latex import latex

        return latex(self._plain(order), written=False) if order else latex(self._tree, written=True)

    def torch(self, order: int = 0) -> "Callable[..., Tensor]":
        """`f(x, **parameters)` in numerically stable operations, differentiable by autograd in x and in the parameters.

        The parameters are tensors that broadcast, or numbers. The result has the dtype of x; half precision is computed in float32.
        NaN in x gives NaN. Where the definition is undefined, a derivative may have a value all the same: that of log(x) is 1/x.
        """
        return self._torch(self._stable(order), order)

    def torch_by(self, parameter: str) -> "Callable[..., Tensor]":
        """The derivative by a parameter, for each element: not yet summed over what the parameter was broadcast to."""
        return self._torch(recognise(derive(self._recognised, self._known(parameter), stable=True)), 1)

    def torch_code(self, order: int = 0) -> str:
        """The mathematics of `torch` as an expression to read, without its guards against overflow and for branches not taken."""
        from ._torch_text import code

        return code(self._stable(order))

    def javascript(self, order: int = 0) -> str:
        """An arrow function of x and the parameters in their order; it needs `JAVASCRIPT_PRELUDE`."""
        from ._javascript import arrow

        return arrow(self._stable(order), self.parameters)

    def exact(self, order: int = 0, digits: int = 50) -> Callable[..., Any]:
        """`f(x, **parameters)` to that many digits as an mpmath number, from the definition as it was written; NaN where undefined.

        Floats count as the binary numbers they are. What is left over when numbers cancel to below about 1e-9800 may come out as 0.
        """
        from ._exact import function

        return function(self._tree, self.parameters, self._checked(order), digits)

    @cached_property
    def _normal(self) -> Node:
        return normal(self._tree)

    @cached_property
    def _recognised(self) -> Node:
        return recognise(self._normal)

    def _plain(self, order: int) -> Node:
        return derive(self._normal, "x", self._checked(order))

    def _stable(self, order: int) -> Node:
        return recognise(derive(self._recognised, "x", self._checked(order), stable=True))

    def _torch(self, tree: Node, order: int) -> "Callable[..., Tensor]":
        from ._program import program
        from ._torch import function

        try:
            return function(program(tree, self.parameters), self.parameters)
        except RecursionError:
            raise too_large(order) from None

    def _checked(self, order: int) -> int:
        if isinstance(order, int) and 0 <= order <= MOST_ORDER:
            return order
        raise FormulaError(
            say(
                f"formula: expected an order from 0 to {MOST_ORDER}; got {order!r}",
                f"公式：导数阶数应为 0 至 {MOST_ORDER}；得到 {order!r}",
            )
        )

    def _known(self, parameter: str) -> str:
        if parameter in self.parameters:
            return parameter
        raise not_a_parameter(parameter, self.parameters)


_SIGNS = {"number", "name", "+", "-", "*", "/", "^", "<", "<="}


def parse(text: str, parameters: Iterable[str] = ()) -> Formula:
    """The formula in `text`, a function of x and of the parameters named; raises FormulaError for anything else, in bounded time.

    Text is never handed to Python. Numbers, + - * / ^ ( ), the constants pi and e, and these functions: exp log (ln) log1p expm1 sqrt
    sin cos tan asin acos atan (arctan) sinh cosh tanh asinh erf erfc abs sign max min clip relu sigmoid softplus logaddexp Phi sinc,
    `where(x > 0, u, v)` and `Piecewise((u, x > 0), (v, True))`.
    """
    if not isinstance(text, str):
        kind = type(text).__name__
        raise FormulaError(say(f"formula: expected a text; got {kind}", f"公式：应为文本；得到 {kind}"))
    names = _parameter_names(parameters)
    tree, positions = read(text, names)
    check(tree, positions)
    return Formula(text, names, tree)


def _parameter_names(parameters: Iterable[str]) -> tuple[str, ...]:
    if isinstance(parameters, str) or not isinstance(parameters, Iterable):
        raise _bad_parameters(parameters)
    names = tuple(islice(parameters, _MOST_PARAMETERS + 1))
    for i, one in enumerate(names):
        if not isinstance(one, str) or not (one.isascii() and one.isidentifier()) or len(one) > _LONGEST_NAME:
            raise _bad_parameters(one)
        if one in RESERVED or iskeyword(one) or one in names[:i] or i >= _MOST_PARAMETERS:
            raise _bad_parameters(one)
    return names


def _bad_parameters(came: object) -> FormulaError:
    got = shown(came) if isinstance(came, str) else type(came).__name__
    return FormulaError(
        say(
            f"formula: expected at most {_MOST_PARAMETERS} different parameter names that are no functions, constants or Python keywords; got {got}",
            f"公式：参数应为至多 {_MOST_PARAMETERS} 个互不相同、且非函数、常数或 Python 关键字的名称；得到 {got}",
        )
    )
