"""`loss_surface(model, batches, loss)`: how the loss lies around the weights. Nothing of the user's is changed."""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from .._language import say
from ..diagnosis.diagnosing import LossFunction, copied, default_loss, eager, loss_of, moved, read, size_of
from ..errors import UsageError


@dataclass(frozen=True)
class Surface:
    """Losses (second direction, first direction) at `offsets` (points) along two directions; the weights are in the middle.

    An offset of 1 moves each filter by its own norm. `by_batch` is how many normalisation layers use the statistics of the batch.
    """

    offsets: Tensor
    losses: Tensor
    seed: int
    batches: int
    examples: int
    by_batch: int

    @property
    def centre(self) -> float:
        """The loss at the weights, a mean over the examples."""
        middle = len(self.offsets) // 2
        return float(self.losses[middle, middle])

    @property
    def not_finite(self) -> int:
        """At how many points the loss is NaN or infinite."""
        return int((~self.losses.isfinite()).sum())

    @property
    def lowest(self) -> tuple[float, float, float]:
        """The lowest finite loss and where it is: loss, first offset, second offset; NaN where none is finite."""
        return self._extreme(self.losses.nan_to_num(math.inf, math.inf, math.inf).argmin())

    @property
    def highest(self) -> tuple[float, float, float]:
        """The highest finite loss and where it is, as `lowest`."""
        return self._extreme(self.losses.nan_to_num(-math.inf, -math.inf, -math.inf).argmax())

    def _extreme(self, place: Tensor) -> tuple[float, float, float]:
        row, column = divmod(int(place), len(self.offsets))
        value = float(self.losses[row, column])
        if not math.isfinite(value):
            return math.nan, math.nan, math.nan
        return value, float(self.offsets[column]), float(self.offsets[row])

    @property
    def curvatures(self) -> tuple[float, float]:
        """The largest and the smallest second derivative at the weights of all directions in the plane, per squared offset.

        By differences over one step of the grid. A negative one: here the weights are in no minimum. NaN where a neighbour is not finite.
        """
        middle = len(self.offsets) // 2
        near = self.losses[middle - 1 : middle + 2, middle - 1 : middle + 2]
        if not near.isfinite().all():
            return math.nan, math.nan
        step = float(self.offsets[1] - self.offsets[0])
        first = near[1, 0] - 2 * near[1, 1] + near[1, 2]
        second = near[0, 1] - 2 * near[1, 1] + near[2, 1]
        mixed = (near[0, 0] - near[0, 2] - near[2, 0] + near[2, 2]) / 4
        half = math.hypot(float(first - second) / 2, float(mixed))
        mean = float(first + second) / 2
        return (mean + half) / step**2, (mean - half) / step**2


def loss_surface(
    model: nn.Module,
    batches: Iterable[tuple[Any, Any]],
    loss: LossFunction | None = None,
    *,
    span: float = 1.0,
    points: int = 21,
    seed: int = 0,
    most: int = 64,
    progress: Callable[[int], object] | None = None,
) -> Surface:
    """The loss over at most `most` batches in the plane of two random directions from -span to span, at points x points places.

    The directions are filter-normalised: each filter (each row of a matrix) of a direction has the norm of that filter of the weights, so
    that networks which differ only by the scale of their layers have the same picture; biases and gains stay where they are.

    The network is in evaluation mode: no dropout. But layers such as BatchNorm use the statistics of each batch, as in training: the
    running ones belong to the weights in the middle and fit nowhere else, and the loss of the batch is the one that training descends.
    One that was frozen, in evaluation mode within a network in training mode, stays so. Of a random network every point draws alike.

    `progress` is called with the number of points done. Costs points^2 forward passes over the batches, and a copy of the network.
    Raises UsageError for a bad grid, batches that are none or a network without weight matrices; OwnCodeError where network or loss fail.
    Source: Li, Xu, Taylor, Studer & Goldstein 2018, Visualizing the loss landscape of neural nets, arXiv:1712.09913.
    """
    check_grid(span, points)
    with torch.random.fork_rng(), torch.no_grad():
        place = _Place(model, batches, loss or default_loss, most, seed)
        centre = place.loss()  # before the weights are read: a lazy layer has none until then
        weights = [one for one in place.model.parameters() if one.is_floating_point()]
        start = [one.clone() for one in weights]
        draw = torch.Generator().manual_seed(seed)
        first, second = direction(start, draw), direction(start, draw)
        offsets = torch.linspace(-span, span, points, dtype=torch.float64)
        offsets[points // 2] = 0.0
        losses = torch.full((points, points), centre, dtype=torch.float64)
        for number in range(points * points):
            row, column = divmod(number, points)
            if row != points // 2 or column != points // 2:
                a, b = float(offsets[column]), float(offsets[row])
                for one, value, x, y in zip(weights, start, first, second, strict=True):
                    one.copy_(value + a * x + b * y)
                losses[row, column] = place.loss()
            if progress is not None:
                progress(number + 1)
    return Surface(offsets, losses, seed, len(place.batches), place.examples, place.by_batch)


def check_grid(span: float, points: int) -> None:
    """Raises UsageError for a plane without extent or a grid that misses its middle."""
    if not (math.isfinite(span) and span > 0):
        raise UsageError(say(f"expected a span above 0; got {span:g}", f"span 应大于 0；得到 {span:g}"))
    if points < 3 or points % 2 == 0:
        near = max(3, points + 1)
        raise UsageError(
            say(
                f"expected an odd number of points, 3 or more, so that the weights lie on the grid; got {points}: take {near}",
                f"points 应为不小于 3 的奇数，使权重落在网格上；得到 {points}：可用 {near}",
            )
        )


def direction(weights: list[Tensor], draw: torch.Generator) -> list[Tensor]:
    """A random direction: each row of each tensor (row ...) has the norm of that row of the weights; vectors and numbers get zeros."""
    if not any(one.dim() > 1 and one.numel() for one in weights):
        raise UsageError(
            say(
                "expected a network with weight matrices to move; this one has only biases and gains, or nothing",
                "网络应有可移动的权重矩阵；此网络只有偏置与增益，或没有参数",
            )
        )
    return [_filter_normalised(one, draw) if one.dim() > 1 else torch.zeros_like(one) for one in weights]


def _filter_normalised(weight: Tensor, draw: torch.Generator) -> Tensor:
    random = torch.randn(weight.shape, generator=draw, dtype=torch.float64).flatten(1)
    norms = weight.detach().double().flatten(1).norm(dim=1, keepdim=True).cpu()
    scaled = random * (norms / random.norm(dim=1, keepdim=True).clamp_min(1e-300))
    return scaled.reshape(weight.shape).to(weight.device, weight.dtype)


class _Place:
    """A copy of the network with the batches, whose weights may be moved; `loss` is the same for the same weights."""

    def __init__(self, model: nn.Module, batches: Any, loss: LossFunction, most: int, seed: int):
        self.model, self.function, self.seed = copied(eager(model)), loss, seed
        device = next((one.device for one in self.model.parameters()), torch.device("cpu"))
        self.batches = [(moved(x, device), moved(y, device)) for x, y in read(batches, most)]
        self.examples = sum(size_of(x) for x, _ in self.batches)
        layers = [one for one in self.model.modules() if isinstance(one, _NormBase)]
        used = [one for one in layers if one.training or not self.model.training]
        self.model.eval()
        for one in used:
            one.train()
        self.by_batch = len(used)
        self._buffers = {name: one.clone() for name, one in self.model.named_buffers()}

    def loss(self) -> float:
        """The mean over all examples; random numbers and buffers begin alike each time."""
        torch.manual_seed(self.seed)
        for name, one in self.model.named_buffers():
            if name in self._buffers:
                one.copy_(self._buffers[name])
        total = 0.0
        for inputs, targets in self.batches:
            own = (
                inputs.clone() if torch.is_tensor(inputs) else copy.deepcopy(inputs)
            )  # a first layer may work in place
            total += size_of(inputs) * float(loss_of(self.model, self.function, own, targets).detach())
        return total / max(1, self.examples)
