"""What the first layer looks for: its weights as small pictures."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError
from .features import layer_of

_FAINT = 0.01  # of the largest norm


@dataclass(frozen=True)
class Filters:
    """Weights of a layer as pictures (filter, channel, height, width)."""

    layer: str
    kind: str  # the layer's class
    weights: Tensor

    @property
    def norms(self) -> Tensor:
        """Euclidean norm of each filter."""
        return self.weights.flatten(1).norm(dim=1)

    @property
    def faint(self) -> list[int]:
        """Filters whose norm is below a hundredth of the largest: they hardly see anything."""
        return (self.norms < _FAINT * self.norms.max()).nonzero().flatten().tolist()

    def facts(self) -> dict[str, Any]:
        """What JSON can hold: names, shape, norms, faint filters."""
        shape, norms = list(self.weights.shape), self.norms.tolist()
        return {"layer": self.layer, "kind": self.kind, "shape": shape, "norms": norms, "faint": self.faint}


def filters(model: nn.Module, layer: str | None = None) -> Filters:
    """The filters of `layer`; by default of the first convolution, or of the first linear layer over square pictures.

    First means first defined. Raises UnknownName for a layer that is not there, UsageError for one without filters that are pictures.
    """
    if layer is not None:
        name = layer_of(model, layer)
        found = _pictures(model.get_submodule(name))
        if found is None:
            raise _none(f"'{name}' ({type(model.get_submodule(name)).__name__})", f"“{name}”（{type(model.get_submodule(name)).__name__}）")  # fmt: skip
        return Filters(name, type(model.get_submodule(name)).__name__, found)
    for wanted in (nn.Conv2d, nn.Linear):
        for name, one in model.named_modules():
            found = _pictures(one) if isinstance(one, wanted) else None
            if found is not None:
                return Filters(name, type(one).__name__, found)
            if wanted is nn.Linear and isinstance(one, nn.Linear):
                break  # behind the first one, inputs are no pictures
    raise _none(type(model).__name__, type(model).__name__)


def _none(en: str, zh: str) -> UsageError:
    return UsageError(
        say(
            f"expected a convolution larger than 1 x 1, or a linear layer over square pictures; {en} has no such filters: name a layer with --layer",
            f"需要大于 1 × 1 的卷积层，或输入为方形图像的线性层；{zh} 没有这样的滤波器：请用 --layer 指定一层",
        )
    )


def _pictures(layer: nn.Module) -> Tensor | None:
    """(filter, channel, height, width), or None where the weights are no pictures."""
    if isinstance(layer, nn.Conv2d):
        return _plain(layer.weight) if max(layer.kernel_size) > 1 else None
    if not isinstance(layer, nn.Linear):
        return None
    for channels in (1, 3):
        side = math.isqrt(layer.in_features // channels)
        if side > 1 and channels * side * side == layer.in_features:
            return _plain(layer.weight).reshape(-1, channels, side, side)
    return None


def _plain(weight: Tensor) -> Tensor:
    return torch.nan_to_num(weight.detach().float().cpu(), 0.0, 0.0, 0.0)
