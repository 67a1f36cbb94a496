"""GELU and phish in kernels in float32: left of 0 by exp(-x^2/2) and pieces of polynomials for what is left of the normal distribution's tail, right of 0 by those alone."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from . import _float32 as float32
from . import _pieces as pieces

_DENSITY = 0.3989422804014327  # of the standard normal at 0
_DENSITY_REST = -1.1335170080339907e-08  # what a float32 leaves out of it
_REACH = 14.5  # left of it nothing is left; right of half of it all is


class _Falling(NamedTuple):
    """exp(-x^2/2) as 1 + grown times 2^k, both 0 on the right; and where the pieces are to be looked up."""

    grown: Tensor
    k: Tensor
    place: Tensor


def gelu(x: Tensor) -> Tensor:
    """x times the distribution function of the standard normal."""
    x = x.clamp(min=-40)
    falling = _falling(x)
    high, low = _gelu(x, falling)
    result = float32.scaled(high + float32.fma(falling.grown, high + low, low), falling.k)
    return torch.where(x < 40, result, x)


def gelu_slope(x: Tensor) -> Tensor:
    """Its slope, with x between -40 and 40. Not near its root."""
    falling = _falling(x)
    slope = _slope(x, falling)
    return float32.scaled(float32.fma(falling.grown, slope, slope), falling.k)


def phish(x: Tensor) -> Tensor:
    """x tanh(gelu(x))."""
    x = x.clamp(min=-40)
    falling = _falling(x)
    high, low, _ = _tanh_gelu(x, falling, 9.14)
    weight = x * high
    low = float32.fma(x, low, float32.fma(x, high, -weight))
    result = float32.scaled(weight + float32.fma(falling.grown, weight + low, low), falling.k)
    return torch.where(x < 40, result, x)


def phish_slope(x: Tensor) -> Tensor:
    """Its slope, with x between -40 and 40. Not near its root."""
    falling = _falling(x)
    high, low, g = _tanh_gelu(x, falling, 12.5)
    first, rest = pieces.along_as_pair(g.abs(), _sech_squared, 12.5)
    within = _slope(x, falling)
    product = x * within
    low = float32.fma(product, rest, low + float32.fma(x, within, -product))
    slope = float32.fma(product, first, high) + low
    return float32.scaled(float32.fma(falling.grown, slope, slope), falling.k)


def _tanh_gelu(x: Tensor, falling: _Falling, last: float) -> tuple[Tensor, Tensor, Tensor]:
    """tanh(gelu(x)) without its falling part, as a sum of two; and gelu(x) up to `last`, where its tanh is 1."""
    first, rest = _gelu(x, falling)
    high = first + rest
    low = (first - high) + rest
    g = float32.scaled(float32.fma(falling.grown, high, high), falling.k)
    within = g < last
    high, low, g = (torch.where(within, one, end) for one, end in ((high, last), (low, 0.0), (g, last)))
    first, rest = pieces.along_as_pair(g.abs(), float32.tanh_ratio, last)
    product = high * first
    return product, float32.fma(high, rest, float32.fma(low, first, float32.fma(high, first, -product))), g


def _sech_squared(x: Tensor) -> Tensor:
    return 1 / torch.cosh(x).square()


def _falling(x: Tensor) -> _Falling:
    left = x.clamp(max=0)
    square = left * left
    grown, k = float32.exp_parts(-0.5 * square, -0.5 * float32.fma(left, left, -square))
    return _Falling(grown, k, torch.where(x < 0, -x, x + x))


def _gelu(x: Tensor, falling: _Falling) -> tuple[Tensor, Tensor]:
    """gelu(x) without its falling part, as a sum of two."""
    first, rest = pieces.sides_as_pair(falling.place, x, _distribution, _tail, _REACH)
    high = x * first
    return high, float32.fma(x, rest, float32.fma(x, first, -high))


def _slope(x: Tensor, falling: _Falling) -> Tensor:
    """The slope without its falling part."""
    return float32.fma(x.clamp(max=0), _DENSITY, pieces.sides(falling.place, x, _rise, _tail_more, _REACH))


def _distribution(place: Tensor) -> Tensor:
    return torch.special.ndtr(0.5 * place)


def _rise(place: Tensor) -> Tensor:
    return torch.special.ndtr(0.5 * place) + 0.5 * place * _DENSITY * torch.exp(-0.125 * place * place)


def _tail_more(size: Tensor) -> Tensor:
    """The tail, and what x times the density's digits beyond float32 takes from it."""
    return _tail(size) - _DENSITY_REST * size


def _tail(size: Tensor) -> Tensor:
    return 0.5 * torch.special.erfcx(math.sqrt(0.5) * size)
