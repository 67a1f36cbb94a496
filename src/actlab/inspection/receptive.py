"""What one unit sees of the input: which pixels can reach it, and how much each of them counts for this input."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError
from ._reach import reach
from .features import layer_of, on_device, output_of, ran, still

Place = tuple[int, int]


@dataclass(frozen=True)
class Receptive:
    """The receptive field of one unit. Boxes are (top, left, bottom, right) in pixels, the last ones outside."""

    layer: str
    kind: str  # the layer's class
    channel: int
    at: Place | None  # row and column; None for a unit that has no place
    value: float  # the unit's response to this input
    gradient: Tensor  # (height, width): |d unit / d input|, summed over the input's channels
    reach: Tensor  # (height, width), bool: pixels that can change the unit, whatever the weights are

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The smallest box around every pixel that can reach the unit."""
        return _box(self.reach)

    @property
    def cut(self) -> bool:
        """Whether the box touches the edge of the input, which may cut it off."""
        top, left, bottom, right = self.box
        height, width = self.reach.shape
        return top == 0 or left == 0 or bottom == height or right == width

    @property
    def centre(self) -> tuple[float, float] | None:
        """Row and column of the gradient's centre of mass; None where there is no gradient."""
        total = float(self.gradient.sum())
        if not total > 0:
            return None
        rows, columns = self.gradient.sum(1), self.gradient.sum(0)
        return (
            float((rows * torch.arange(len(rows))).sum()) / total,
            float((columns * torch.arange(len(columns))).sum()) / total,
        )

    @property
    def radius(self) -> float | None:
        """Pixels from `centre` within which 90 % of the gradient lie: the effective size of the field."""
        if self.centre is None:
            return None
        height, width = self.gradient.shape
        row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        distance, order = ((row - self.centre[0]) ** 2 + (column - self.centre[1]) ** 2).sqrt().flatten().sort()
        mass = self.gradient.flatten()[order].cumsum(0)
        return float(distance[min(int((mass < 0.9 * mass[-1]).sum()), len(mass) - 1)])

    @property
    def middle_share(self) -> float | None:
        """Share of the gradient in the middle of the box, half as high and half as wide: a quarter, were it spread evenly."""
        total = float(self.gradient.sum())
        if not total > 0:
            return None
        top, left, bottom, right = self.box
        inside = _overlap(top, bottom, len(self.gradient))[:, None] * _overlap(left, right, self.gradient.shape[1])
        return float((self.gradient * inside).sum()) / total

    def facts(self) -> dict[str, Any]:
        """What JSON can hold, without the maps."""
        top, left, bottom, right = self.box
        return {
            "layer": self.layer,
            "kind": self.kind,
            "channel": self.channel,
            "at": self.at,
            "value": self.value,
            "box": {"top": top, "left": left, "bottom": bottom, "right": right},
            "height": bottom - top,
            "width": right - left,
            "cut": self.cut,
            "pixels": int(self.reach.sum()),
            "input": list(self.reach.shape),
            "centre": self.centre,
            "radius_90": self.radius,
            "middle_share": self.middle_share,
        }


def receptive(
    model: nn.Module, inputs: Tensor, layer: str | None = None, *, channel: int | None = None, at: Place | None = None
) -> Receptive:
    """The field of one unit of `layer` (a name of `named_modules()`; the last convolution by default) for `inputs` (1, channel, height, width).

    Without `channel` or `at` (row, column), the unit with the largest response among those left. The box holds every pixel that can
    reach the unit through the layers as they stand, branches, padding and dilation included; the gradient is that of this input.
    Works on a copy in evaluation mode. Raises as `features`, and UsageError for a unit that is not there or a layer that no gradient
    goes through. Source of the gradient as effective field: Luo et al. 2016, arXiv:1701.04128.
    """
    name = layer_of(model, layer)
    if inputs.dim() != 4 or len(inputs) != 1:
        raise UsageError(
            say(
                f"expected one image (1, channel, height, width); got {tuple(inputs.shape)}",
                f"需要一张图像 (1, 通道, 高, 宽)；得到 {tuple(inputs.shape)}",
            )
        )
    with still(model) as net, torch.enable_grad():
        given = on_device(net, inputs.detach()).requires_grad_()
        # A network may begin with a layer that works in place, which a leaf does not allow.
        out = output_of(net, name, given.clone())[0]
        index = _unit(out.detach().float(), name, channel, at)
        if not out.requires_grad:
            raise _no_gradient(name)
        found = ran(net, lambda: torch.autograd.grad(out[index], given, allow_unused=True)[0])
        if found is None:
            raise _no_gradient(name)
        gradient = found[0].abs().sum(0).double().cpu()
        can = reach(net, name, index, tuple(inputs.shape)) | (gradient != 0)
    kind = type(model.get_submodule(name)).__name__
    place = (index[1], index[2]) if len(index) == 3 else None
    return Receptive(name, kind, index[0], place, float(out[index].detach()), gradient, can)


def _no_gradient(name: str) -> UsageError:
    return UsageError(
        say(
            f"expected a layer that a gradient goes through to the image; none does from '{name}': look for detach, no_grad or rounding before it",
            f"该层应有梯度传回图像；“{name}”没有：请检查它之前是否有 detach、no_grad 或取整",
        )
    )


def _unit(out: Tensor, name: str, channel: int | None, at: Place | None) -> tuple[int, ...]:
    """The index of the wanted unit in (channel, height, width) or (unit)."""
    if channel is not None and not 0 <= channel < len(out):
        raise UsageError(
            say(
                f"expected a channel from 0 to {len(out) - 1} of '{name}'; got {channel}",
                f"“{name}”的通道应为 0 到 {len(out) - 1}；得到 {channel}",
            )
        )
    if at is not None and out.dim() == 1:
        raise UsageError(
            say(
                f"the units of '{name}' have no row and column; leave out the position, or name a layer of maps",
                f"“{name}”的单元没有行列位置；请去掉位置，或指定给出特征图的层",
            )
        )
    if at is not None and not (0 <= at[0] < out.shape[1] and 0 <= at[1] < out.shape[2]):
        raise UsageError(
            say(
                f"expected a row from 0 to {out.shape[1] - 1} and a column from 0 to {out.shape[2] - 1} of '{name}'; got {at[0]},{at[1]}",
                f"“{name}”的行应为 0 到 {out.shape[1] - 1}，列应为 0 到 {out.shape[2] - 1}；得到 {at[0]},{at[1]}",
            )
        )
    open_ = torch.full_like(out, -torch.inf)
    where: tuple[Any, ...] = (slice(None) if channel is None else channel,)
    where += () if out.dim() == 1 else (slice(None), slice(None)) if at is None else at
    open_[where] = torch.nan_to_num(out[where], nan=-1e38, neginf=-1e38)
    return tuple(int(one) for one in torch.unravel_index(open_.argmax(), out.shape))


def _box(mask: Tensor) -> tuple[int, int, int, int]:
    if not mask.any():
        return 0, 0, 0, 0
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _overlap(begin: int, end: int, size: int) -> Tensor:
    """How much of each pixel of a row lies in the middle half between `begin` and `end`."""
    low, high = begin + (end - begin) / 4, end - (end - begin) / 4
    edges = torch.arange(size + 1, dtype=torch.float64).clamp(low, high)
    return edges.diff()
