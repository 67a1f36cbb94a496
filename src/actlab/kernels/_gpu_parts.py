"""Functions that work on parts of an axis, and gates, on GPUs: one pass each way, which torch.compile writes in Triton."""

from typing import Any

import torch
from torch import Tensor

from .._language import say
from ..errors import UsageError
from ._gpu import computed
from ._lean import CHOICE
from ._variant import Parting


def run(parting: Parting, x: Tensor, axis: int, given: int, keep: int, *, flipped: bool) -> Tensor:
    """f along an axis of x, on the device of x."""
    outer, size = x.shape[:axis], x.shape[axis]
    parts = x.contiguous().reshape(outer.numel(), given, -1) if x.numel() else x.reshape(0, given, 1)
    y = _Parted.apply(parts, parting, keep, " flipped" * flipped)
    made = y.shape[1]  # pyright: ignore[reportAttributeAccessIssue]
    return y.reshape(*outer, size // given * made, *x.shape[axis + 1 :])  # pyright: ignore[reportAttributeAccessIssue]


def run_pair(gate: Parting, value: Tensor, lever: Tensor) -> Tensor:
    """A value times a gate of another tensor of its shape, on their device."""
    return _Paired.apply(value, lever, gate)  # pyright: ignore[reportReturnType]


class _Parted(torch.autograd.Function):
    """Of tensors of three axes, the parts along the second."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, parting: Parting, keep: int, order: str) -> Tensor:
        ctx.parting, ctx.order = parting, order
        if keep == CHOICE:
            y, kept = computed(parting, "choosing", x)
        else:
            y = computed(parting, f"parted{order}", x)
            kept = x if parting.parted is None else y
        ctx.save_for_backward(kept)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        found = computed(ctx.parting, f"parted_backward{ctx.order}", gradients[0], *ctx.saved_tensors)
        return _last(found, gradients[0], *ctx.saved_tensors), None, None, None


class _Paired(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, lever: Tensor, gate: Parting) -> Tensor:
        ctx.gate = gate
        ctx.save_for_backward(value, lever)
        return computed(gate, "paired", value, lever)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        found = computed(ctx.gate, "paired_backward", gradients[0], *ctx.saved_tensors)
        return *[_last(one, gradients[0], *ctx.saved_tensors) for one in found], None


def _last(gradient: Tensor, *inputs: Tensor) -> Tensor:
    """A gradient that says so when it is to be differentiated, instead of being taken for a constant."""
    return _Last.apply(gradient, *inputs) if torch.is_grad_enabled() else gradient  # pyright: ignore[reportReturnType]


class _Last(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *inputs: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise UsageError(
            say(
                "fused functions of an axis have no second derivative; take it within actlab.fused(False)",
                "沿轴的融合函数没有二阶导数；请在 actlab.fused(False) 中求导",
            )
        )
