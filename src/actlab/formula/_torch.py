"""A tree in normal form as a function of torch tensors: a list of steps, each an operation on earlier results."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from .._language import say
from ._error import FormulaError, wrong_parameters
from ._functions import ELEMENTARY
from ._program import Program

_WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


def function(program: Program, parameters: tuple[str, ...]) -> Callable[..., Tensor]:
    """The callable of x and the parameters by name, each a tensor or a number; the result has the dtype of x and the broadcast shape.

    float16 and bfloat16 are computed in float32 and rounded once. NaN in x gives NaN.
    """

    def call(x: Tensor, **values: Tensor | float) -> Tensor:
        if values.keys() != set(parameters):
            raise wrong_parameters(parameters, values)
        if not isinstance(x, Tensor) or x.is_complex():
            kind = "complex" if isinstance(x, Tensor) else type(x).__name__
            raise FormulaError(
                say(f"formula: expected a tensor of real numbers; got {kind}", f"公式：应为实数张量；得到 {kind}")
            )
        kind = x.dtype if x.dtype.is_floating_point else torch.get_default_dtype()
        wide = x.to(_WIDER.get(kind, kind))
        result = _run(program, [wide, *(_tensor(values[name], wide) for name in parameters)])
        return result.to(kind)

    return call


def _tensor(value: Tensor | float, like: Tensor) -> Tensor:
    return value.to(like) if isinstance(value, Tensor) else like.new_full((), value)


def _run(program: Program, slots: list[Any]) -> Tensor:
    x = slots[0]
    for operation, known, operands in program.steps:
        slots.append(_OPERATIONS[operation](x, *known, *(slots[one] if type(one) is int else one for one in operands)))
    result = slots[program.result] if type(program.result) is int else x.new_full((), program.result)
    return torch.where(x == x, result, x) if program.hides_nan else result


# Operations get x first (for its dtype), then what was known when the program was made, then tensors; + and * may meet numbers.


def _elementwise(operation: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, u: operation(u)


def _bounded(name: str) -> Callable[[Tensor, float, Tensor], Tensor]:
    """An operation that grows like e^u, of an argument cut so many powers of e before overflow."""

    def run(x: Tensor, margin: float, u: Tensor) -> Tensor:
        limit = math.log(torch.finfo(x.dtype).max) - margin
        cut = u.clamp(max=limit) if name.startswith("exp") else u.clamp(-limit, limit)
        return getattr(torch, name)(cut)

    return run


def _bounded_power(x: Tensor, n: float, margin: float, beyond: float, u: Tensor) -> Tensor:
    """u^n, cut in the same way; or, where `beyond` is inf, infinite beyond the cut, but with a slope of zero."""
    limit = math.exp((math.log(torch.finfo(x.dtype).max) - margin) / n)
    power = torch.pow(u.clamp(-limit, limit), n)
    return torch.where(u.abs() > limit, power.detach() * beyond, power) if beyond else power


def _greatest(x: Tensor, u: Tensor, v: Tensor | float) -> Tensor:
    """The larger one; at a tie v alone gets the gradient; NaN in either is kept."""
    return torch.where(_or_nan(u <= v, v), v, u)


def _least(x: Tensor, u: Tensor, v: Tensor | float) -> Tensor:
    return torch.where(_or_nan(u >= v, v), v, u)


def _or_nan(condition: Tensor, v: Tensor | float) -> Tensor:
    return condition | v.isnan() if isinstance(v, Tensor) else condition


def _logaddexp(x: Tensor, u: Tensor | float, v: Tensor | float) -> Tensor:
    """Not torch.logaddexp, whose second derivative is NaN where the arguments lie 89 apart (torch 2.13)."""
    u, v = (_tensor(one, x) for one in (u, v))
    above = u > v
    high, low = torch.where(above, u, v), torch.where(above, v, u)
    return high + torch.log1p(torch.exp(low - high))


def _where(x: Tensor, condition: Tensor, u: Tensor | float, v: Tensor | float) -> Tensor:
    return torch.where(condition, u if isinstance(u, Tensor) else x.new_full((), u), v)


def _hypot(x: Tensor, c: float, u: Tensor) -> Tensor:
    return torch.hypot(u, u.new_full((), c))


def _rise(x: Tensor, c: float, u: Tensor) -> Tensor:
    """hypot(u, c) - c, without the difference."""
    return u * (u / (_hypot(x, c, u) + c))


def _sinc(x: Tensor, order: int, u: Tensor) -> Tensor:
    """The derivative of that order of sin(u)/u: its series near 0, the recurrence elsewhere."""
    edge = 1.0 + order
    near = u.abs() < edge
    inside, outside = torch.where(near, u, 0.0), torch.where(near, edge, u)
    return torch.where(near, _sinc_series(order, inside), _sinc_recurrence(order, outside))


def _sinc_recurrence(order: int, u: Tensor) -> Tensor:
    found = torch.sin(u) / u
    for k in range(1, order + 1):
        found = (_WAVES[k % 4](u) - k * found) / u
    return found


def _sinc_series(order: int, u: Tensor) -> Tensor:
    """Horner's scheme in u^2; enough terms for double precision below 1 + order, also after two more derivatives."""
    first = (order + 1) // 2
    square, total = u * u, torch.zeros_like(u)
    for n in reversed(range(first, first + 14 + 2 * order)):
        below = math.factorial(2 * n - order) * (2 * n + 1)
        total = total * square + float(Fraction((-1) ** n, below))
    return total * u if order % 2 else total


_WAVES: tuple[Callable[[Tensor], Tensor], ...] = (
    torch.sin,
    torch.cos,
    lambda u: -torch.sin(u),
    lambda u: -torch.cos(u),
)

_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    **{name: _elementwise(getattr(torch, name)) for name in (*ELEMENTARY, "abs", "sigmoid")},
    "sign": lambda x, u: torch.where(u.isnan(), u, torch.sign(u)),  # torch.sign(nan) is 0
    **{f"bounded {name}": _bounded(name) for name in ("exp", "expm1", "sinh", "cosh")},
    "+": lambda x, u, v: u + v,
    "*": lambda x, u, v: u * v,
    "/": lambda x, u, v: u / v,
    "^": lambda x, u, v: torch.pow(u, v),
    "bounded ^": _bounded_power,
    # At torch's own threshold of 20, float64 loses half its digits.
    "softplus": lambda x, u: torch.nn.functional.softplus(u, threshold=40.0),
    "logaddexp": _logaddexp,
    "max": _greatest,
    "min": _least,
    "where": _where,
    "<": lambda x, u, v: u < v,
    "<=": lambda x, u, v: u <= v,
    "sinc": _sinc,
    "hypot": _hypot,
    "rise": _rise,
    "slant": lambda x, c, u: u / _hypot(x, c, u),
}
