"""What is compiled of an entry: its value, its slope times a gradient, both with parameters that learn, and its curvature."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

import torch
from torch import Tensor

from ..activations import Activation
from ..activations._calculus import Widen, wide, widest
from ..activations._numerics import arithmetic
from ._lean import OUTPUT, lean
from ._lowering import Argument, NoKernel, source
from ._variant import Variant

FORMS = ("forward", "sided", "backward", "from_output", "from_sided", "curve", "forward_rows", "backward_rows")
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
DTYPES = tuple(PRECISIONS.values())  # in the order of the operators


def sources(variant: Variant, dtype: torch.dtype, *, rows: bool = False) -> dict[str, str]:
    """The C++ of every form this variant has, by its name; raises NoKernel.

    With `rows` of those alone whose channels lie side by side, each with parameters of its own: five times the work of the others.
    """
    made = _row_sources if rows else _sources
    if not _needs_float64(variant.entry):
        return made(variant, dtype, wide)
    if dtype != torch.float32 and _float32_suffices(variant, dtype):
        with suppress(NoKernel):
            return made(variant, dtype, wide)
    return made(variant, dtype, widest)


@torch.no_grad()
def _float32_suffices(variant: Variant, dtype: torch.dtype) -> bool:
    """Whether arithmetic in float32 gives value and slope as good as rounded once, at every number of this half type.

    With a margin: elementary functions within kernels are rougher than torch's, which are asked here.
    """
    if variant.learnt:
        return False
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    every = every[every.isfinite()]
    values = variant.values(())
    for body in (variant.entry.body, variant.entry.bodies["slope"]):
        with arithmetic("plain"):
            found = body(wide(every), *values).to(dtype).double()
        exact = body(every.double(), *values)
        unit = torch.finfo(dtype).eps * torch.exp2(exact.abs().clamp(min=torch.finfo(dtype).tiny).log2().floor())
        off = torch.where(exact.abs() <= torch.finfo(dtype).max, (found - exact).abs() / unit, 0.0)
        if not bool((off <= 0.5012).all()):
            return False
    return True


def _sources(variant: Variant, dtype: torch.dtype, widen: Widen) -> dict[str, str]:
    """The C++ of each form that this variant has, by its name."""
    entry, count = variant.entry, len(variant.learnt)
    x, number = Argument(dtype), Argument(torch.float32, "")
    found: dict[str, str] = {}

    def add(form: str, function: Callable[..., Any], arguments: list[Argument], *, rough: bool = False) -> None:
        found[form] = source(f"{form}_kernel", function, arguments, rough=rough)

    with _arithmetic(entry, dtype):
        add("forward", _forward(variant, widen), [x] + [number] * count)
        add("backward", _backward(variant, widen, summed=True), [x, x] + [number] * count)
        if not count:
            add("curve", _curve(variant, widest if _needs_float64(entry) else wide), [x, x])
    way = lean(variant)
    if way is not None:
        with arithmetic("plain"):
            if way.keep == OUTPUT:
                add("from_output", _from_output(way.slope), [x, x], rough=True)
            else:
                add("from_sided", _from_output(way.slope), [x, x, x], rough=True)
        with _arithmetic(entry, dtype):
            if way.side is not None:
                add("sided", _sided(_forward(variant, widen), way.side), [x])
    return found


def _row_sources(variant: Variant, dtype: torch.dtype, widen: Widen) -> dict[str, str]:
    """The same of the forms for channels side by side."""
    row, table = [Argument(torch.float32, "C")] * len(variant.learnt), Argument(dtype, "RC")
    with _arithmetic(variant.entry, dtype):
        return {
            "forward_rows": source("forward_rows_kernel", _forward(variant, widen), [table, *row]),
            "backward_rows": source(
                "backward_rows_kernel", _backward(variant, widen, summed=False), [table, table, *row]
            ),
        }


def _arithmetic(entry: Activation, dtype: torch.dtype) -> AbstractContextManager[None]:
    """Pairs of float32 for results in float32; no pairs where there is room to spare: float64, or results in half types."""
    return arithmetic("fused" if dtype == torch.float32 and not _needs_float64(entry) else "plain")


def _needs_float64(entry: Activation) -> bool:
    return entry.double and not entry.single


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


def _curve(variant: Variant, widen: Widen) -> Callable[..., Tensor]:
    """g f''(x); where the entry states none, torch's derivative of the slope."""
    bodies, values = variant.entry.bodies, variant.values(())

    def times(g: Tensor, x: Tensor) -> Tensor:
        inner = widen(x)
        if "curve" in bodies:
            return (widen(g) * bodies["curve"](inner, *values)).to(x.dtype)
        with torch.enable_grad():
            inner = inner.detach().clone().requires_grad_()
            slope = bodies["slope"](inner, *values)
            bent = torch.autograd.grad(slope.sum(), inner, materialize_grads=True)[0] if slope.requires_grad else None
        return torch.zeros_like(x) if bent is None else (widen(g) * bent).to(x.dtype)

    return times


def _from_output(slope: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def backward(g: Tensor, y: Tensor, *side: Tensor) -> Tensor:
        return (wide(g) * slope(wide(y), *(one != 0 for one in side))).to(y.dtype)

    return backward


def _sided(forward: Callable[..., Tensor], side: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        inner = wide(x)
        ones = torch.where(side(inner), torch.ones_like(inner), torch.zeros_like(inner))
        return forward(x), ones.to(x.dtype)  # from truth values to half types is a slow step

    return both
