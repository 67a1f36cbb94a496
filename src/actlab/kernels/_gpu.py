"""Kernels on GPUs: value and slope of an entry each in one pass, which torch.compile writes in Triton.

What is traced, and what is kept for the backward pass, is decided as for the CPU; the bit that tells the sides of GELU and its like apart
is not kept here, so these keep their input.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from .._language import say
from ..activations._numerics import arithmetic
from ..errors import UsageError, first_line
from ._forms import DTYPES, OnGpu, on_gpu
from ._lean import INPUT, NOTHING, OUTPUT
from ._parted_forms import parted_on_gpu
from ._variant import Parting, Variant


def run(variant: Variant, x: Tensor, keep: int, seed: Tensor | None = None) -> Tensor | None:
    """f(x) on the device of x, with a seed as in training; None where plain operations are to compute."""
    if x.dtype not in DTYPES or variant.learnt or torch.compiler.is_compiling():
        return None
    if seed is not None:
        return _Drawn.apply(x, x, seed, variant, keep)  # pyright: ignore[reportReturnType]
    if not (x.requires_grad and torch.is_grad_enabled()):
        return computed(variant, "forward", x)
    return _Pass.apply(x, variant, keep)


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, variant: Variant, keep: int) -> Tensor:
        y = computed(variant, "forward", x)
        ctx.variant, ctx.keep = variant, keep
        if keep != NOTHING:
            ctx.save_for_backward(y if keep == OUTPUT else x)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        if ctx.keep == NOTHING:
            return gradients[0], None, None
        (gradient,), (kept,), variant = gradients, ctx.saved_tensors, ctx.variant
        if not torch.is_grad_enabled():
            return computed(variant, "from_output" if ctx.keep == OUTPUT else "backward", gradient, kept), None, None
        if ctx.keep == OUTPUT:
            raise UsageError(
                say(
                    f"{variant.key}: the second derivative needs the input, and this activation has kept its output; take module(save='input')",
                    f"{variant.key}：二阶导数需要输入，而此激活函数保留的是输出；请用 module(save='input')",
                )
            )
        slope = torch.autograd.grad(variant.entry.plain(kept, variant.values(())), kept, gradient, create_graph=True)
        return slope[0], None, None


class _Drawn(torch.autograd.Function):
    """x, or a gradient, times what is drawn where `side` has these signs: its own derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, side: Tensor, seed: Tensor, variant: Variant, keep: int) -> Tensor:
        y = _drawn(x, side, seed, variant)
        ctx.variant = variant
        ctx.save_for_backward(y if keep == OUTPUT else side, seed)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        side, seed = ctx.saved_tensors
        drawn = _Drawn.apply if torch.is_grad_enabled() else _drawn
        return drawn(gradients[0], side.detach(), seed, ctx.variant, INPUT), None, None, None, None


def _drawn(x: Tensor, side: Tensor, seed: Tensor, variant: Variant, *_: int) -> Tensor:
    """The product itself; noise goes by the place, so it is of flat tensors."""
    return computed(variant, "drawn", x.reshape(-1), side.reshape(-1), seed).view(x.shape)


def computed(variant: Variant | Parting, form: str, *tensors: Tensor) -> Any:
    """A form's result or results, by one kernel; by the same operations one after the other where none can be compiled, which is said once."""
    tensors = tuple([one.detach() for one in tensors])  # torch.compile looks at gradients of what it is given
    traced, compiled = _passes(variant, form, tensors[0].dtype, tensors[0].device)
    if _Failed.once:
        return traced(*tensors)
    try:
        return compiled(*tensors)
    except torch.OutOfMemoryError:
        raise
    except (
        Exception
    ) as error:  # no Triton, a device too old for it, no compiler: whatever it is, the operations still work
        _Failed.once = True
        warnings.warn(
            say(
                f"activations run as plain operations on {tensors[0].device.type}, because kernels cannot be compiled here: {first_line(error)}",
                f"{tensors[0].device.type} 上无法编译内核，激活函数改用普通运算：{first_line(error)}",
            ),
            stacklevel=2,
        )
        return traced(*tensors)


class _Failed:
    once = False


@cache
def _passes(
    variant: Variant | Parting, form: str, dtype: torch.dtype, device: torch.device
) -> tuple[GraphModule, Callable[..., Any]]:
    """A form as a graph of torch's operations, and that compiled."""
    found = traced(form_of(variant, dtype, form), dtype, device)
    return found, torch.compile(found, dynamic=True, options={**options(dtype)})


def form_of(variant: Variant | Parting, dtype: torch.dtype, form: str) -> OnGpu:
    """A form by its name."""
    return (parted_on_gpu if isinstance(variant, Parting) else on_gpu)(variant, dtype, form)  # type: ignore[operator]


def options(dtype: torch.dtype) -> dict[str, bool | int]:
    """Of torch's compiler: subnormal numbers are numbers, in float32 every operation is rounded as it is written, and nothing between is stored."""
    exact = dtype == torch.float32
    return {
        "eager_numerics.disable_ftz": True,
        "eager_numerics.division_rounding": exact,
        "emulate_precision_casts": exact,  # no multiplication and addition in one
        "realize_opcount_threshold": 1000,
        "realize_reads_threshold": 1000,
    }


def traced(of: OnGpu, dtype: torch.dtype, device: torch.device) -> GraphModule:
    """A form as a graph of torch's operations on tensors of any length."""
    from torch.fx.experimental.proxy_tensor import make_fx

    shapes = [(11, parts, 13) if parts else (24,) for parts in of.parts]  # sizes that differ are different symbols
    examples = [torch.ones(shape, dtype=dtype, device=device) for shape in shapes]
    examples += [torch.ones((), dtype=torch.int64, device=device)] * of.seeded
    with torch.no_grad(), arithmetic(of.arithmetic):
        return make_fx(of.function, tracing_mode="symbolic")(*examples)
