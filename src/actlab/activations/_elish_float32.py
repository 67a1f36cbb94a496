"""Elish in kernels in float32, value and slope from one exponential, exp(-|x|), for both sides. Its power of two comes last, so that nothing is lost far left."""

import torch
from torch import Tensor

from . import _float32 as float32
from . import _numerics as exact


def value(x: Tensor) -> Tensor:
    """sigmoid(x) times x on the right, times exp(x) - 1 on the left."""
    right = x >= 0
    none = torch.zeros_like(x)
    grown, k = float32.exp_parts(torch.where(right, -x, x))
    part, scale = 1 + grown, float32.scaled(torch.ones_like(k), k)
    e = scale * part
    less = float32.fma(scale, grown, scale - 1)
    weight = torch.where(right, x, less)
    weight_low = torch.where(right, none, float32.fma(scale, grown, (scale - 1) - less))
    lost = torch.where(right, none, (1 - part) + grown)
    part = torch.where(right, torch.ones_like(x), part)
    above, whole = part * weight, 1 + e
    below = float32.fma(lost, weight, float32.fma(part, weight_low, float32.fma(part, weight, -above)))
    inverse = 1 / whole
    y = above * inverse
    over = float32.fma(y, (1 - whole) + e, float32.fma(y, whole, -above))
    y = torch.where(x < torch.inf, float32.fma(below - over, inverse, y), x)
    return float32.scaled(y, torch.where(right, none, k))


def slope(x: Tensor, root: float) -> Tensor:
    """The slope from exp(-|x|) and one more exponential that is 1 at the slope's root.

    With e = exp(-|x|) it is (1 + e + x e) / (1 + e)^2 on the right, and on the left e (e^(x - r) - 1) (1 + q e) / (1 + e)^2 for the root r
    and q = exp(r) = sqrt(2) - 1. What products and sums leave out goes into one correction of the quotient.
    """
    right = x > 0
    none = torch.zeros_like(x)
    grown, k = float32.exp_parts(torch.where(right, -x, x))
    e = float32.scaled(1 + grown, k)
    high, low = exact.short(root)
    climb = float32.expm1(x.clamp(max=0) - high, -low)
    part = 0.41421356237309503 * climb
    left = float32.fma(part, e, climb)
    lost = torch.where(right, none, float32.fma(part, e, climb - left))
    above = torch.where(right, float32.fma(x.clamp(0, 200), e, 1 + e), left)
    grown = torch.where(right, none, grown)
    two = 2 + e
    below = float32.fma(e, two, 1.0)
    inverse = 1 / below
    y = float32.fma(grown, above, above) * inverse
    missing = float32.fma(grown, above, float32.fma(-y, below, above)) - float32.fma(y * e, (2 - two) + e, -lost)
    return float32.scaled(float32.fma(missing, inverse, y), torch.where(right, none, k))
