"""What is compiled of an entry: its value, its slope times a gradient, both with parameters that learn, and its curvature."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..activations import Activation
from ..activations._calculus import Widen, wide, widest
from ..activations._numerics import arithmetic
from ._lowering import Argument, NoKernel, source

FORMS = ("forward", "sided", "backward", "from_output", "from_sided", "curve", "forward_rows", "backward_rows")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class Variant(NamedTuple):
    """An entry with its parameters: those that are numbers, and the names of those that learn."""

    entry: Activation
    fixed: tuple[tuple[str, float], ...]
    learnt: tuple[str, ...]

    @property
    def key(self) -> str:
        """Its name among the kernels; a user's own entry is told apart by its formula."""
        own = f"[{self.entry.formula}]" if self.entry.made else ""
        values = [f"{name}={value!r}" for name, value in self.fixed] + list(self.learnt)
        return f"{self.entry.name}{own}({', '.join(values)})"

    def values(self, learnt: tuple[Tensor, ...]) -> list[Any]:
        """All parameters in order."""
        known = {**dict(self.fixed), **dict(zip(self.learnt, learnt, strict=True))}
        return [known[name] for name in self.entry.values()]


def sources(variant: Variant, dtype: torch.dtype) -> dict[str, str]:
    """The C++ of each form that this variant has, by its name."""
    entry, count = variant.entry, len(variant.learnt)
    x, number, row = Argument(dtype), Argument(torch.float32, ""), Argument(torch.float32, "C")
    table = Argument(dtype, "RC")
    widen = _widen(variant, dtype)
    found: dict[str, str] = {}

    def add(form: str, function: Callable[..., Any], arguments: list[Argument]) -> None:
        found[form] = source(f"{form}_kernel", function, arguments)

    with _arithmetic(entry, dtype):
        add("forward", _forward(variant, widen), [x] + [number] * count)
        add("backward", _backward(variant, widen, summed=True), [x, x] + [number] * count)
        if count:
            add("forward_rows", _forward(variant, widen), [table] + [row] * count)
            add("backward_rows", _backward(variant, widen, summed=False), [table, table] + [row] * count)
        elif "curve" in entry.bodies:
            add("curve", _times(variant, widen, "curve"), [x, x])
    return found


def _arithmetic(entry: Activation, dtype: torch.dtype) -> AbstractContextManager[None]:
    """float32 is enough inside where results are rounded to half types; for results in float32 itself some entries need float64."""
    if dtype != torch.float32:
        return arithmetic("single")
    return arithmetic("exact" if _needs_float64(entry) else "fused")


def _needs_float64(entry: Activation) -> bool:
    return entry.double and not entry.single


def _widen(variant: Variant, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return widest if dtype == torch.float32 and _needs_float64(variant.entry) else wide


def _forward(variant: Variant, widen: Widen) -> Callable[..., Tensor]:
    def forward(*given: Tensor) -> Tensor:
        x, *learnt = given
        return variant.entry.body(widen(x), *variant.values(tuple(learnt))).to(x.dtype)

    return forward


def _backward(variant: Variant, widen: Widen, *, summed: bool) -> Callable[..., Tensor | tuple[Tensor, ...]]:
    """g f'(x), and for each parameter that learns g df/dparameter, summed or not."""
    bodies = variant.entry.bodies
    missing = [name for name in variant.learnt if name not in bodies]
    if missing:
        raise NoKernel(f"{variant.entry.name} has no derivative by {missing[0]}")

    def backward(*given: Tensor) -> Tensor | tuple[Tensor, ...]:
        g, x, *learnt = given
        values = variant.values(tuple(learnt))
        gradient, inner = widen(g), widen(x)
        dx = (gradient * bodies["slope"](inner, *values)).to(x.dtype)
        if not learnt:
            return dx
        parts = [gradient * bodies[name](inner, *values) for name in variant.learnt]
        return dx, *((one.sum() if summed else one).float() for one in parts)

    return backward


def _times(variant: Variant, widen: Widen, body: str) -> Callable[..., Tensor]:
    def times(g: Tensor, x: Tensor) -> Tensor:
        return (widen(g) * variant.entry.bodies[body](widen(x), *variant.values(()))).to(x.dtype)

    return times
