"""Slopes and curvatures of functions made of three pieces."""

import torch
from torch import Tensor


def between(x: Tensor, low: float, high: float, inside: Tensor | float = 1.0, above: Tensor | float = 0.0) -> Tensor:
    """0 up to `low`, `inside` between, `above` from `high` on."""
    inner = torch.where(x > low, torch.as_tensor(inside, dtype=x.dtype, device=x.device), torch.zeros_like(x))
    return torch.where(
        x.isnan(), x, torch.where(x >= high, torch.as_tensor(above, dtype=x.dtype, device=x.device), inner)
    )
