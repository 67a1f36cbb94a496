"""Swish in kernels in float32: its slope, and its derivative by b.

With t = bx the slope is s(-|t|) left of 0 and 1 - s(-|t|) right of it, and s(-|t|) is the sigmoid's slope times 1 - |t| + exp(-|t|).
The sigmoid's slope times x^2 is the derivative by b, so that a kernel with both computes it once.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from . import _float32 as float32
from . import _numerics as exact
from ._numerics import Number, Pair


class _Bell(NamedTuple):
    """The sigmoid's slope at -(high + low), as a part by 2^k; and exp of that."""

    size: Pair
    part: Tensor
    k: Tensor | None
    e: Tensor

    def of(self, part: Tensor) -> Tensor:
        """A part by that power of two: where it comes last nothing is lost far left."""
        return part if self.k is None else float32.scaled(part, -self.k)


def slope(x: Tensor, b: Number, root: tuple[float, float], series: tuple[float, ...]) -> Tensor:
    """The slope; `series` is that at its root left of 0."""
    bell = _bell(x, b)
    high, low = bell.size
    mirrored = [one if power % 2 else -one for power, one in enumerate(series)]
    close, beside = exact.near(bell.size, (-root[0], -root[1]), mirrored, reach=0.35)
    left = torch.where(close, beside, bell.of(bell.part * ((1 - high) + (bell.e - low))))
    return torch.where(x * b >= 0, 1 - left, left)


def by_b(x: Tensor, b: Number) -> Tensor:
    """x^2 times the sigmoid's slope, which is 0 where the square is infinite because x is."""
    bell = _bell(x, b)
    far = x.abs().clamp(max=torch.finfo(x.dtype).max)
    return far * (far * bell.of(bell.part))


def _bell(x: Tensor, b: Number) -> _Bell:
    size = x.abs() * abs(b)
    if not exact.has_pairs():
        size = size.clamp(max=240)
        e = torch.exp(-size)
        return _Bell((size, 0.0), exact.over(e, float32.fma(e, 2 + e, 1.0)), None, e)
    size, low = exact.within((size, 0.0 if exact.scales(b) else exact.left_out(x.abs(), abs(b), size)), 240)
    below, k = float32.falling_parts(size, low)
    whole = 1 - below
    e = float32.scaled(whole, -k)
    return _Bell((size, low), exact.over(whole, float32.fma(e, 2 + e, 1.0)), k, e)
