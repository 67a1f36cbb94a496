"""Half types are small enough to try every number of them."""

import torch
from torch import Tensor


def every(dtype: torch.dtype) -> Tensor:
    """All finite numbers of a half type."""
    numbers = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    return numbers[numbers.isfinite()]


def unit(exact: Tensor, dtype: torch.dtype) -> Tensor:
    """An ulp of this half type at each of these numbers."""
    limits = torch.finfo(dtype)
    return limits.eps * torch.exp2(exact.abs().clamp(min=limits.tiny).log2().floor())


def off_by(found: Tensor, exact: Tensor, dtype: torch.dtype) -> float:
    """How far results that are rounded to this half type are from exact ones, in ulp: 1/2 where they are rounded once."""
    error = (found.to(dtype).double() - exact).abs() / unit(exact, dtype)
    return float(torch.where(exact.abs() <= torch.finfo(dtype).max, error, 0.0).max())
