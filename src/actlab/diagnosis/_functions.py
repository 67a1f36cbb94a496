"""Which functions are activations, layers or attention, when they are called rather than used as modules."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from .._exchanging import _FUNCTIONS

ACTIVATIONS: dict[Any, str] = {
    **_FUNCTIONS,
    torch.Tensor.relu: "relu",
    torch.Tensor.relu_: "relu",
    torch.Tensor.sigmoid: "sigmoid",
    torch.Tensor.sigmoid_: "sigmoid",
    torch.Tensor.tanh: "tanh",
    torch.Tensor.tanh_: "tanh",
    torch.sigmoid_: "sigmoid",
    torch.tanh_: "tanh",
    torch.rrelu: "rrelu",
    torch.prelu: "prelu",
}
RANDOM = {"rrelu"}
WEIGHTED: dict[Any, str] = {
    F.linear: "linear",
    F.conv1d: "conv1d",
    F.conv2d: "conv2d",
    F.conv3d: "conv3d",
    torch.conv1d: "conv1d",
    torch.conv2d: "conv2d",
    torch.conv3d: "conv3d",
}
NORMS = {F.layer_norm, F.batch_norm, F.group_norm, F.instance_norm, *([F.rms_norm] if hasattr(F, "rms_norm") else [])}
ATTENTION = F.scaled_dot_product_attention
_PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Bilinear)  # fmt: skip


def is_weighted(module: nn.Module) -> bool:
    """Whether a module is looked at as one layer with weights."""
    return isinstance(module, (*_PLAIN, nn.RNNBase, nn.MultiheadAttention, nn.RNNCellBase))


def normalises(module: nn.Module) -> bool:
    """Whether a module gives its outputs a size of its own."""
    kinds = (nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.modules.batchnorm._NormBase)
    return isinstance(module, kinds) or type(module).__name__.endswith("Norm")


def unit_axis(out: Tensor, kind: str) -> int:
    """Along which axis the units of an output lie: channels of convolutions, else the last one."""
    return 1 if "conv" in kind.lower() and out.dim() >= 3 else out.dim() - 1


def _same(x: Tensor) -> Tensor:
    return x


def slope(function: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """f(z) and f'(z) of a pointwise function, by automatic differentiation, without touching z or its graph."""
    # under hooks of its own, for those of a checkpointed forward pass count what is saved
    with torch.enable_grad(), saved_tensors_hooks(_same, _same):
        free = z.detach().clone().requires_grad_()
        out = function(free)
        (found,) = torch.autograd.grad(out.sum(), free)
    return out.detach(), found


def curve(function: Callable[[Tensor], Tensor], like: Tensor) -> tuple[Tensor, float]:
    """Rows of (z, f, f') on a grid from -10 to 10, and the largest |f'| on it; no row for a function that cannot take a grid."""
    grid = torch.linspace(-10, 10, 401, dtype=torch.float32, device=like.device)
    try:
        out, found = slope(function, grid)
    except (RuntimeError, ValueError, IndexError):
        return torch.zeros(0, 3), 1.0
    largest = float(found.abs().nan_to_num().max())
    return torch.stack([grid, out.float(), found.float()], 1).cpu(), largest or 1.0
