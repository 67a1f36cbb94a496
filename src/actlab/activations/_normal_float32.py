"""A normal distribution's function and density in kernels in float32, by one exponential and, for what is left of the tail, one set of pieces for both sides."""

import math

import torch
from torch import Tensor

from . import _float32 as float32
from . import _numerics as exact
from . import _pieces as pieces

_END = 10.25  # of h: beyond, exp(-h^2) is 0 in float32
_LAST = 15.4  # beyond, with any weight too


def cdf(x: Tensor, mu: float, sigma: float) -> Tensor:
    """The distribution function at x."""
    h, low = _standardised(x, mu, sigma)
    below, k = float32.falling_parts(*_square(h))
    right = h > 0
    if exact.has_pairs():
        first, rest = pieces.along_as_pair(h.abs(), _tail, _END)
        rest = float32.fma(torch.where(right, 0.0, low), 1 / math.sqrt(math.pi), rest)  # nothing beside 1 on the right
        part = first + float32.fma(-below, first + rest, rest)
    else:
        part = pieces.along(h.abs(), _tail, _END, enough=4e-7)
        part = float32.fma(-below, part, part)
    tail = float32.scaled(part, -k)
    return torch.where(right, 1 - tail, tail)


def density(x: Tensor, mu: float, sigma: float) -> Tensor:
    """The density at x."""
    h, low = _standardised(x, mu, sigma)
    square, rest = _square(h)
    below, k = float32.falling_parts(square, rest if float32.is_none(low) else float32.fma(h + h, low, rest))
    most, most_low = float32.short(1 / (math.sqrt(2 * math.pi) * sigma))
    return float32.scaled(float32.fma(below, -most, most_low) + most, -k)


def _standardised(x: Tensor, mu: float, sigma: float) -> exact.Pair:
    """(x - mu) / (sqrt(2) sigma), within limits beyond which nothing changes."""
    (centre, centre_low), (scale, scale_low) = float32.short(-mu), float32.short(math.sqrt(0.5) / sigma)
    away = x + centre
    whole = away * scale
    h = whole.clamp(-_LAST, _LAST)
    if not exact.has_pairs():
        return h, 0.0
    back = away - x
    lost = (x - (away - back)) + (centre - back) + centre_low
    low = float32.fma(lost, scale, float32.fma(away, scale_low, float32.fma(away, scale, -whole)))
    return h, torch.where(h == whole, low, 0.0)


def _square(h: Tensor) -> exact.Pair:
    square = h * h
    return square, float32.fma(h, h, -square) if exact.has_pairs() else 0.0


def _tail(size: Tensor) -> Tensor:
    return 0.5 * torch.special.erfcx(size)
