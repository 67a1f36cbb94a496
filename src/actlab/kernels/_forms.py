"""What is compiled of an entry: its value, its slope times a gradient, both with parameters that learn, and its curvature."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..activations._calculus import Widen, wide, widest
from ..activations._drawing import noise, product
from ..activations._numerics import arithmetic
from ._half import every, off_by
from ._lean import OUTPUT, lean
from ._lowering import Argument, NoKernel, Split, source
from ._near import Near, near
from ._products import products
from ._variant import Variant
from ._within import Within, within

FORMS = (
    "forward",
    "sided",
    "backward",
    "from_output",
    "from_sided",
    "curve",
    "forward_rows",
    "backward_rows",
    "drawn",
    "parted",
    "choosing",
    "parted_backward",
)
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
DTYPES = tuple(PRECISIONS.values())  # in the order of the operators


def sources(variant: Variant, dtype: torch.dtype, *, rows: bool = False) -> dict[str, str]:
    """The C++ of every form this variant has, by its name; raises NoKernel.

    With `rows` of those alone whose channels lie side by side, each with parameters of its own: five times the work of the others.
    """
    return (_row_sources if rows else _sources)(variant, dtype)


def widening(variant: Variant, dtype: torch.dtype, kind: str, under: str = "plain") -> Widen:
    """What a kernel of the "value", the "slope" or the "curve" computes in; `under` is the arithmetic of results in half types.

    Where parameters learn that is float32: their roots are not known, so that results are as good as stated for them beside 1, not beside 0.
    """
    entry = variant.entry
    if not entry.double or entry.single is True or entry.single == kind or variant.learnt:
        return wide
    suffices = dtype != torch.float32 and kind != "curve" and _float32_suffices(variant, dtype, kind, under)
    return wide if suffices else widest


@torch.no_grad()
def _float32_suffices(variant: Variant, dtype: torch.dtype, kind: str, under: str) -> bool:
    """Whether arithmetic in float32 gives the value or slope as good as rounded once, at every number of this half type.

    With a margin: elementary functions within kernels are rougher than torch's, which are asked here.
    """
    x, values = every(dtype), variant.values(())
    body = variant.entry.body if kind == "value" else variant.entry.bodies["slope"]
    with arithmetic(under):
        found = body(wide(x), *values)
    return off_by(found, body(x.double(), *values), dtype) <= 0.5012


def _sources(variant: Variant, dtype: torch.dtype) -> dict[str, str]:
    """The C++ of each form that this variant has, by its name."""
    count = len(variant.learnt)
    x, number = Argument(dtype), Argument(torch.float32, "")
    found: dict[str, str] = {}

    def add(form: str, function: Callable[..., Any], arguments: list[Argument], by: Split | None = None) -> None:
        found[form] = source(f"{form}_kernel", function, arguments, by)

    value, slope, curve = (widening(variant, dtype, kind) for kind in ("value", "slope", "curve"))
    shorter = {kind: near(variant, kind, dtype) or within(variant, kind, dtype) for kind in ("value", "slope")}
    along = products(variant, dtype)
    forward, by = split(shorter["value"], _near_forward, _forward(variant, value))
    by = along.forward if along else by
    with arithmetic_for(value, dtype):
        add("forward", forward, [x] + [number] * count, by)
    backward, by_slope = split(shorter["slope"], near_times, _backward(variant, slope, summed=True))
    by_slope = along.backward if along else by_slope
    with arithmetic_for(slope, dtype):
        add("backward", backward, [x, x] + [number] * count, by_slope)
    if not count:
        with arithmetic_for(curve, dtype):
            add("curve", _curve(variant, curve), [x, x])
    if variant.entry.random:
        with suppress(NoKernel), arithmetic_for(wide, dtype):
            add("drawn", _drawn(variant), [x, x, Argument(torch.float32, made=True)])
    way = lean(variant, dtype)
    if way is not None:
        with arithmetic("plain"):
            if way.keep == OUTPUT:
                add("from_output", _from_output(way.slope), [x, x])
            else:
                add("from_sided", _from_output(way.slope), [x, x, x])
        if way.side is not None:
            with arithmetic_for(value, dtype):
                by = by and by._replace(function=_sided(by.function, way.side), results=2)
                add("sided", _sided(forward, way.side), [x], by)
    return found


class OnGpu(NamedTuple):
    """A form for a GPU: a function of tensors, the arithmetic to trace it under, and whether a seed follows the tensors.

    Of each tensor `parts` says into how many parts the second of its three axes is cut; those with 0 are flat.
    """

    function: Callable[..., Any]
    arithmetic: str
    parts: tuple[int, ...]
    seeded: bool = False


def on_gpu(variant: Variant, dtype: torch.dtype, form: str) -> OnGpu:
    """One of "forward", "backward", "from_output" and "drawn", of a variant without parameters that learn.

    Results in float32 are computed as by plain operations: a GPU's compiler may fuse steps that pairs of float32 need rounded each.
    """
    if form == "from_output":
        way = lean(variant, dtype)
        assert way is not None
        return OnGpu(_from_output(way.slope), "library", (0, 0))
    if form == "drawn":
        factor = _drawn(variant)
        return OnGpu(lambda x, side, seed: factor(x, side, noise(seed, x)), "exact", (0, 0), seeded=True)
    widen, kind = gpu_arithmetic(variant, dtype, "value" if form == "forward" else "slope")
    return (
        OnGpu(_forward(variant, widen), kind, (0,))
        if form == "forward"
        else OnGpu(_backward(variant, widen, summed=True), kind, (0, 0))
    )


def gpu_arithmetic(variant: Variant, dtype: torch.dtype, kind: str) -> tuple[Widen, str]:
    """What the "value" or "slope" is computed in on a GPU, and the arithmetic to trace it under."""
    if dtype == torch.float32:
        return (widest, "library") if variant.entry.double else (wide, "exact")
    return widening(variant, dtype, kind, "library"), "library"


def _row_sources(variant: Variant, dtype: torch.dtype) -> dict[str, str]:
    """The same of the forms for channels side by side."""
    row, table = [Argument(torch.float32, "C")] * len(variant.learnt), Argument(dtype, "RC")
    value, slope = (widening(variant, dtype, kind) for kind in ("value", "slope"))
    with arithmetic_for(value, dtype):
        forward = source("forward_rows_kernel", _forward(variant, value), [table, *row])
    with arithmetic_for(slope, dtype):
        backward = source("backward_rows_kernel", _backward(variant, slope, summed=False), [table, table, *row])
    return {"forward_rows": forward, "backward_rows": backward}


def arithmetic_for(widen: Widen, dtype: torch.dtype) -> AbstractContextManager[None]:
    """Pairs of float32 for results in float32; no pairs where there is room to spare: float64, or results in half types."""
    return arithmetic("fused" if dtype == torch.float32 and widen is wide else "plain")


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


def _near_forward(of: Near | Within) -> Callable[..., Tensor]:
    return lambda x: of.at(wide(x)).to(x.dtype)


def near_times(of: Near | Within) -> Callable[..., Tensor]:
    return lambda g, x: (wide(g) * of.at(wide(x))).to(x.dtype)


def split(
    of: Near | Within | None, inside: Callable[[Near | Within], Callable[..., Tensor]], outside: Callable[..., Any]
) -> tuple[Callable[..., Any], Split | None]:
    """A function whose last argument is x, and the shorter way to compute it where x lies near 0; where it does so always, that way alone."""
    if of is None:
        return outside, None
    return (inside(of), None) if of.everywhere else (outside, Split(inside(of), of.low, of.high))


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


def _drawn(variant: Variant) -> Callable[..., Tensor]:
    """x, or a gradient, times what is drawn in training where `side` has these signs."""
    factor, values = variant.entry.bodies["training"], tuple(variant.values(()))
    return lambda x, side, noise: product(factor, x, side, noise, values)


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
