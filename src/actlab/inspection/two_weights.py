"""`two_weights()`: the smallest network with a hidden unit, y = sigmoid(w2 f(w1 x)), and its loss over both weights."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .._language import say
from ..activations import Activation
from ..errors import UnknownName, UsageError
from .backpropagation import LOSSES, pointwise

FLAT = 1e-2  # of the largest gradient
WRONG = 0.75  # an undecided output, 1/2, is not wrong yet


@dataclass(frozen=True)
class TwoWeights:
    """Losses and gradient norms, both (w2, w1), at `weights` (points) along each axis, and what was measured on them.

    `is_flat`: where the gradient is below a hundredth of the largest; `is_plateau`: where it is so although the output is wrong by more
    than 3/4, so that descent stops before anything is learnt. `flat` and `plateau` are their shares of the area; `bent` is the share
    where the surface curves downwards in some direction: above 0, it is not convex.
    """

    activation: str
    loss: str
    x: float
    target: float
    weights: Tensor
    losses: Tensor
    gradients: Tensor
    is_flat: Tensor
    is_plateau: Tensor

    @property
    def flat(self) -> float:
        """The share of the area with a small gradient; of what is finite, as the others."""
        return self._share(self.is_flat)

    @property
    def plateau(self) -> float:
        """The share of the area with a small gradient and a wrong output."""
        return self._share(self.is_plateau)

    @property
    def bent(self) -> float:
        """The share of the area with a negative second derivative in some direction, by differences over a step of the grid."""
        return _bent(self.losses)

    def _share(self, mask: Tensor) -> float:
        finite = self.losses.isfinite() & self.gradients.isfinite()
        return float(mask[finite].double().mean()) if finite.any() else math.nan


def two_weights(
    activation: str = "sigmoid",
    loss: str = "squared",
    *,
    x: float = 1.0,
    target: float = 0.0,
    span: float = 10.0,
    points: int = 201,
) -> TwoWeights:
    """The loss of y = sigmoid(w2 f(w1 x)) for one example, over w1 and w2 from -span to span.

    `loss` is "squared", (y - target)^2, or "cross-entropy" in nats. `activation` is f, any pointwise entry of the catalogue.
    Raises UnknownName for an unknown activation or loss, UsageError for a function of whole vectors or a number out of its range.
    Source of the comparison: Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, figure 5.
    """
    entry = pointwise(activation)
    if loss not in LOSSES:
        raise UnknownName(say("loss", "损失函数"), loss, LOSSES)
    _check(x, target, span, points)
    weights = torch.linspace(-span, span, points, dtype=torch.float64)
    losses, gradients, wrong = _surface(entry, loss, x, target, weights)
    largest = gradients.nan_to_num(0.0, 0.0, 0.0).max()
    flat = gradients < FLAT * largest
    return TwoWeights(entry.name, loss, x, target, weights, losses, gradients, flat, flat & (wrong > WRONG))


def _check(x: float, target: float, span: float, points: int) -> None:
    if not (math.isfinite(x) and math.isfinite(span) and span > 0):
        raise UsageError(
            say(f"expected a finite x and a span above 0; got {x:g} and {span:g}", f"x 应为有限数，span 应大于 0；得到 {x:g} 与 {span:g}")
        )  # fmt: skip
    if not 0 <= target <= 1:
        raise UsageError(
            say(f"expected a target in [0, 1], as the output is a sigmoid; got {target:g}", f"输出为 sigmoid，target 应在 [0, 1] 内；得到 {target:g}")
        )  # fmt: skip
    if points < 3:
        raise UsageError(say(f"expected 3 points or more; got {points}", f"points 应不小于 3；得到 {points}"))


def _surface(entry: Activation, loss: str, x: float, target: float, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Losses, gradient norms by the chain rule, and by how much the output is wrong, each (w2, w1)."""
    hidden, slope = entry(weights * x)[None, :], entry.derivative(weights * x)[None, :]
    second = weights[:, None]
    z = second * hidden
    y = z.sigmoid()
    if loss == "squared":
        losses, error = (y - target) ** 2, 2 * (y - target) * y * (1 - y)
    else:
        losses, error = F.softplus(z) - target * z, y - target  # of the logit: exact where y rounds to 0 or 1
    return losses, torch.hypot(error * second * slope * x, error * hidden), (y - target).abs()


def _bent(losses: Tensor) -> float:
    # the smaller eigenvalue of the second derivatives, at the inner points
    across = losses[1:-1, 2:] - 2 * losses[1:-1, 1:-1] + losses[1:-1, :-2]
    along = losses[2:, 1:-1] - 2 * losses[1:-1, 1:-1] + losses[:-2, 1:-1]
    mixed = (losses[2:, 2:] - losses[2:, :-2] - losses[:-2, 2:] + losses[:-2, :-2]) / 4
    lowest = (across + along) / 2 - torch.hypot((across - along) / 2, mixed)
    finite = lowest.isfinite()
    rounding = 1e-13 * float(losses[losses.isfinite()].abs().max()) if losses.isfinite().any() else 0.0
    return float((lowest[finite] < -rounding).double().mean()) if finite.any() else math.nan
