"""Activations that are random in training: each element is multiplied by a factor that is drawn, and drawn again in the backward pass.

What is kept is the seed and the input, or the output where its sign is the input's: no factor.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._calculus import Body, wide

SEEDS = 2**62
_ODD = -7046029254386353131
Apply = Callable[[Tensor, Tensor, tuple[Any, ...]], Tensor]


def seed(device: torch.device) -> Tensor:
    """A whole number from torch's generator, so that manual_seed repeats it."""
    return torch.randint(SEEDS, (), device=device)


def noise(seed: Tensor, like: Tensor) -> Tensor:
    """Uniform numbers in (0, 1), in float32, that depend on nothing but `seed` and the place in the tensor; 65,536 different ones."""
    return ((bits(seed, like.numel(), like.device).float() + 0.5) * 2.0**-16).reshape(like.shape)


def bits(seed: Tensor | int, count: int, device: torch.device) -> Tensor:
    """So many whole numbers below 65,536, four from each number of SplitMix64 (Steele, Lea & Flood 2014), in wrapping int64 arithmetic."""
    if device.type == "cpu":
        return (
            _mixed(torch.arange(1, -(-count // 4) + 1, device=device) * _ODD + seed).view(torch.int16)[:count].int()
            & 0xFFFF
        )
    place = torch.arange(count, device=device)  # a GPU makes all of it anew for each element, in one pass
    return ((_mixed(((place >> 2) + 1) * _ODD + seed) >> ((place & 3) << 4)) & 0xFFFF).int()


def _mixed(z: Tensor) -> Tensor:
    z = (z ^ ((z >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    z = (z ^ ((z >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return z ^ ((z >> 31) & 0x1FFFFFFFF)


def product(factor: Body, x: Tensor, side: Tensor, noise: Tensor, values: tuple[Any, ...]) -> Tensor:
    """x times what is drawn for it; `side` has the signs that decide."""
    inner = wide(x)
    return (inner * factor(wide(side), noise.to(inner.dtype), *values)).to(x.dtype)


def drawing(factor: Body) -> Apply:
    """`f(x, seed, values)`, differentiable any number of times, of `factor(x, noise, *values)`."""

    class Drawn(torch.autograd.Function):
        @staticmethod
        def forward(x: Tensor, seed: Tensor, values: tuple[Any, ...]) -> Tensor:
            return product(factor, x, x, noise(seed, x), values)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
            x, seed, ctx.values = inputs
            ctx.save_for_backward(x, seed)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            x, seed = ctx.saved_tensors
            return product(factor, gradients[0], x.detach(), noise(seed, x), ctx.values), None, None

    return lambda x, seed, values: Drawn.apply(x, seed, values)  # pyright: ignore[reportReturnType]
