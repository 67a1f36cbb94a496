"""Dropout that costs one pass and keeps no mask on a CPU: what falls is a function of a number that is drawn once a call."""

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..activations._calculus import transforming
from ..activations._drawing import bits
from ._compiled import compiled

_STEPS = 2**16
_SMALL = 4096  # elements, below which torch is sooner done than an autograd node in Python
_COMPILED = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16"}
_FUNC: Any = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """`x` with every element zero with probability `p` and the others over 1 - p; the same shape.

    torch's own on any other device, for less than 4,096 elements, and where torch compiles, traces or transforms. On a CPU, where torch
    draws one 53-bit number for each element and keeps a mask, one number is drawn a call, and four elements share the 64 bits that
    splitmix64 (Steele, Lea & Flood 2014, OOPSLA) makes of it and of their place: the probability is that of the nearest of 65,536
    steps, and the scale is that of this probability, so that the mean is kept. The backward pass makes the same bits again. The numbers
    do not depend on the number of threads, nor on whether there is a compiler. Source: Srivastava et al. 2014, JMLR 15.
    """
    cut = round(p * _STEPS) if 0.0 < p < 1.0 else 0
    if not training or not 0 < cut < _STEPS or not _is_plain(x) or x.numel() < _SMALL:
        return F.dropout(x, p, training)
    seed = int(torch.empty((), dtype=torch.int64).random_())
    return _Dropout.apply(x, seed, cut)  # pyright: ignore[reportReturnType]


class Dropout(nn.Dropout):
    """`nn.Dropout` by `dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape."""
        if not self.training:
            return input
        return super().forward(input) if self.inplace else dropout(input, self.p)


class _Dropout(torch.autograd.Function):
    """Its own backward, of the same seed: nothing is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, seed: int, cut: int) -> Tensor:
        ctx.drawn = seed, cut, _order(x)
        return _one_pass(x, *ctx.drawn)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        seed, cut, order = ctx.drawn
        gradient = gradients[0].contiguous(memory_format=order)
        twice = torch.is_grad_enabled()  # a gradient of this gradient is to be taken
        return _Dropout.apply(gradient, seed, cut) if twice else _one_pass(gradient, seed, cut, order), None, None


def _is_plain(x: Tensor) -> bool:
    if torch.compiler.is_compiling() or x.device.type != "cpu" or not x.is_floating_point():
        return False
    changed = transforming() or torch._C._get_tracing_state() is not None
    return type(x) in (Tensor, nn.Parameter) and x.layout is torch.strided and not changed


def _order(x: Tensor) -> torch.memory_format:
    """In which order of its elements numbers are drawn: that of memory where torch has a name for it, so that nothing is copied."""
    named = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim())
    last = named is not None and not x.is_contiguous() and x.is_contiguous(memory_format=named)
    return named if last and named is not None else torch.contiguous_format


def _one_pass(x: Tensor, seed: int, cut: int, order: torch.memory_format) -> Tensor:
    loops = _loops()
    batched = _FUNC.is_functorch_wrapped_tensor(x) or _FUNC.is_legacy_batchedtensor(x)  # as gradients may be
    if loops is None or x.dtype not in _COMPILED or batched:
        return _fallen(x, seed, cut, order)
    x = x.contiguous(memory_format=order).resolve_neg()
    y = torch.empty_like(x)
    loops[x.dtype](x.data_ptr(), y.data_ptr(), x.numel(), seed, cut, _STEPS / (_STEPS - cut))
    return y


def _fallen(x: Tensor, seed: int, cut: int, order: torch.memory_format) -> Tensor:
    """The same by torch's operations."""
    x = x.contiguous(memory_format=order)
    kept = (bits(seed, x.numel(), x.device) >= cut).view(
        x.shape if order is torch.contiguous_format else x.movedim(1, -1).shape
    )
    if order is not torch.contiguous_format:
        kept = kept.movedim(-1, 1)
    return torch.where(kept, x * (_STEPS / (_STEPS - cut)), 0.0)


@cache
def _loops() -> dict[torch.dtype, Any] | None:
    """The loops by dtype, compiled at first use and kept in torch's compiler cache; None without a compiler."""
    found = compiled("dropout")
    if found is None:
        return None
    loops = {}
    for dtype, name in _COMPILED.items():
        loop = getattr(found, f"actlab_dropout_{name}")
        loop.restype = None
        loop.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, ctypes.c_int64, ctypes.c_double]  # fmt: skip
        loops[dtype] = loop
    return loops
