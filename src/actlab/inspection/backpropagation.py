"""`backpropagate()`: the forward pass and the error terms of a small fully connected network, layer by layer, beside autograd.

Written as the four equations say, with `a` the output of a layer, a^0 the input, and z^l = W^l a^(l-1) + b^l, a^l = f(z^l):
BP1  delta^L = dC/da^L * f'(z^L)                        BP3  dC/db^l = delta^l
BP2  delta^l = f'(z^l) * (W^(l+1)^T delta^(l+1))        BP4  dC/dW^l = delta^l (a^(l-1))^T
Source: Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors, Nature 323; the numbers BP1 to BP4 are
those of Nielsen 2015, Neural networks and deep learning, chapter 2.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import activations
from .._language import say
from ..activations import Activation
from ..errors import UnknownName, UsageError

LOSSES = {"squared": ("squared error", "平方误差"), "cross-entropy": ("cross-entropy", "交叉熵")}
MOST_LAYERS, MOST_UNITS = 8, 16  # what one can still read
_STEP = 1e-6  # of the numerical differences: in float64 they are right to about 1e-9

Weights = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class LayerTerms:
    """One layer: W (unit, before), and for each unit b, z, a = f(z), f'(z), what comes back (dC/da), the error term; its gradients."""

    activation: str
    weight: Tensor
    bias: Tensor
    before: Tensor
    z: Tensor
    a: Tensor
    slope: Tensor
    back: Tensor
    delta: Tensor
    weight_gradient: Tensor
    bias_gradient: Tensor


@dataclass(frozen=True)
class BackPropagation:
    """All layers, first to last, the cost, and the largest difference of any gradient from autograd and from numerical differences.

    Numerical differences know no made-up slopes and no kinks: there, and only there, they may differ widely.
    """

    loss: str
    inputs: Tensor
    targets: Tensor
    cost: float
    layers: tuple[LayerTerms, ...]
    autograd_difference: float
    numerical_difference: float

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, the inputs first."""
        return (len(self.inputs), *(len(one.z) for one in self.layers))


def backpropagate(
    layers: Sequence[int] = (2, 3, 1),
    activation: str = "sigmoid",
    loss: str = "squared",
    *,
    seed: int = 0,
    inputs: Sequence[float] | None = None,
    targets: Sequence[float] | None = None,
    weights: Weights | None = None,
) -> BackPropagation:
    """Back-propagation of one example through a fully connected network with so many units in each layer, in float64.

    `activation` is any pointwise entry of the catalogue, and f' its `derivative`. `loss` is "squared", C = 1/2 sum (a - y)^2, or
    "cross-entropy", C = -sum (y ln a + (1 - y) ln(1 - a)) in nats; the last layer is then a sigmoid whatever the hidden ones are, and
    its error term is a - y, which is what BP1 comes to. Weights (W, b) of every layer, inputs and targets may be given; others are
    drawn with the seed, to two decimals so that one can follow by hand: W with deviation 1 / sqrt(inputs of the unit), b with 1/4.

    Raises UnknownName for an unknown activation or loss, UsageError for anything that does not fit.
    """
    sizes, entry = _sizes(layers), pointwise(activation)
    if loss not in LOSSES:
        raise UnknownName(say("loss", "损失函数"), loss, LOSSES)
    draw = torch.Generator().manual_seed(seed)
    made = [_drawn(a, b, draw) for a, b in pairwise(sizes)]
    x = _decimals(torch.randn(sizes[0], generator=draw, dtype=torch.float64))
    x = x if inputs is None else _vector(inputs, sizes[0], say("inputs", "输入"))
    y = (torch.arange(sizes[-1], dtype=torch.float64) + 1) % 2
    y = y if targets is None else _vector(targets, sizes[-1], say("targets", "目标"))
    _check_targets(loss, y)
    given = made if weights is None else _checked(weights, sizes)
    last = activations.get("sigmoid") if loss == "cross-entropy" else entry
    entries = [entry] * (len(given) - 1) + [last]
    terms = _terms(given, entries, loss, x, y)
    flat = [gradient for one in terms for gradient in (one.weight_gradient, one.bias_gradient)]
    leaves = [one for pair in given for one in pair]
    return BackPropagation(
        loss, x, y, float(_cost(given, entries, loss, x, y)), terms,
        _farthest(flat, _by_autograd(leaves, entries, loss, x, y)),
        _farthest(flat, _by_differences(leaves, entries, loss, x, y)),
    )  # fmt: skip


def pointwise(name: str) -> Activation:
    """The entry of that name; raises UnknownName, or UsageError for a function of whole vectors, which has no f'(z) for each unit."""
    entry = activations.get(name)
    if not isinstance(entry, Activation):
        raise UsageError(
            say(
                f"{name} is a function of whole vectors; expected one with a derivative f'(z) for each unit, such as sigmoid or tanh",
                f"{name} 是向量函数；这里需要对每个单元都有导数 f'(z) 的函数，例如 sigmoid 或 tanh",
            )
        )
    return entry


def _terms(weights: Weights, entries: list[Activation], loss: str, x: Tensor, y: Tensor) -> tuple[LayerTerms, ...]:
    """The forward pass, then the four equations from the last layer to the first."""
    befores, sums = [], []
    a = x
    for (weight, bias), entry in zip(weights, entries, strict=True):
        befores.append(a)
        sums.append(weight @ a + bias)
        a = entry(sums[-1])
    if not all(one.isfinite().all() for one in (*sums, a)):
        raise UsageError(
            say(
                "expected finite values in the forward pass; this activation grows beyond all numbers here: take smaller inputs, fewer layers or another seed",
                "前向传播的值应有限；此激活函数在这里超出了数的范围：请用更小的输入、更少的层或其他种子",
            )
        )
    found: list[LayerTerms] = []
    for number in reversed(range(len(weights))):
        entry, z, before = entries[number], sums[number], befores[number]
        out, slope = entry(z), entry.derivative(z)
        if found:
            back = found[-1].weight.T @ found[-1].delta  # BP2
            delta = back * slope
        elif loss == "squared":
            back = out - y  # BP1
            delta = back * slope
        else:
            back, delta = (out - y) / (out * (1 - out)), out - y  # BP1, where f' = a (1 - a) cancels
        gradient = torch.outer(delta, before)  # BP4
        weight, bias = weights[number]
        found.append(LayerTerms(entry.name, weight, bias, before, z, out, slope, back, delta, gradient, delta))
    return tuple(found[::-1])


def _cost(weights: Weights, entries: list[Activation], loss: str, x: Tensor, y: Tensor) -> Tensor:
    """The cost by the forward pass alone; the cross-entropy from the last z, exact where a rounds to 0 or 1."""
    a = z = x
    for (weight, bias), entry in zip(weights, entries, strict=True):
        z = weight @ a + bias
        a = entry(z)
    return ((a - y) ** 2).sum() / 2 if loss == "squared" else (F.softplus(z) - y * z).sum()


def _by_autograd(leaves: list[Tensor], entries: list[Activation], loss: str, x: Tensor, y: Tensor) -> list[Tensor]:
    own = [one.clone().requires_grad_() for one in leaves]
    with torch.enable_grad():
        cost = _cost(_pairs(own), entries, loss, x, y)
        return list(torch.autograd.grad(cost, own, allow_unused=True, materialize_grads=True))


def _by_differences(leaves: list[Tensor], entries: list[Activation], loss: str, x: Tensor, y: Tensor) -> list[Tensor]:
    """Each weight a little up and a little down."""
    own = [one.clone() for one in leaves]
    found = [torch.zeros_like(one) for one in own]
    with torch.no_grad():
        for values, gradient in zip(own, found, strict=True):
            for place in range(values.numel()):
                kept = float(values.view(-1)[place])
                costs = []
                for moved in (kept + _STEP, kept - _STEP):
                    values.view(-1)[place] = moved
                    costs.append(float(_cost(_pairs(own), entries, loss, x, y)))
                values.view(-1)[place] = kept
                gradient.view(-1)[place] = (costs[0] - costs[1]) / (2 * _STEP)
    return found


def _pairs(leaves: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(leaves[::2], leaves[1::2], strict=True))


def _farthest(one: list[Tensor], other: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


def _drawn(before: int, units: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    weight = torch.randn(units, before, generator=draw, dtype=torch.float64) / math.sqrt(before)
    bias = torch.randn(units, generator=draw, dtype=torch.float64) / 4
    return _decimals(weight), _decimals(bias)


def _decimals(values: Tensor) -> Tensor:
    return values.mul(100).round() / 100 + 0.0  # no -0


def _sizes(layers: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(layers)
    whole = all(isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= MOST_UNITS for one in sizes)
    if not whole or not 2 <= len(sizes) <= MOST_LAYERS + 1:
        listed = ",".join(map(str, sizes)) or say("none", "无")
        raise UsageError(
            say(
                f"expected 2 to {MOST_LAYERS + 1} layer sizes from 1 to {MOST_UNITS}, the inputs first, such as 2,3,1; got {listed}",
                f"应为 2 至 {MOST_LAYERS + 1} 个层的大小，各为 1 至 {MOST_UNITS}，输入层在前，例如 2,3,1；得到 {listed}",
            )
        )
    return sizes


def _vector(values: Sequence[float], count: int, what: str) -> Tensor:
    found = torch.as_tensor(values, dtype=torch.float64).flatten()
    if len(found) != count or not found.isfinite().all():
        listed = ",".join(f"{one:g}" for one in found.tolist()) or say("none", "无")
        raise UsageError(
            say(f"expected {count} finite {what}, as the layers say; got {listed}", f"按层的大小应有 {count} 个有限的{what}；得到 {listed}")
        )  # fmt: skip
    return found


def _check_targets(loss: str, y: Tensor) -> None:
    wrong = [f"{one:g}" for one in y.tolist() if not 0 <= one <= 1]
    if loss == "cross-entropy" and wrong:
        raise UsageError(
            say(
                f"expected targets in [0, 1] for the cross-entropy; got {wrong[0]}: use --loss squared for others",
                f"交叉熵的目标应在 [0, 1] 内；得到 {wrong[0]}：其他目标请用 --loss squared",
            )
        )


def _checked(weights: Weights, sizes: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    wanted = [((b, a), (b,)) for a, b in pairwise(sizes)]
    found = [(torch.as_tensor(w, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64)) for w, b in weights]
    shapes = [(tuple(w.shape), tuple(b.shape)) for w, b in found]
    if shapes != wanted:
        raise UsageError(
            say(f"expected weights (W, b) of shapes {wanted}; got {shapes}", f"权重 (W, b) 的形状应为 {wanted}；得到 {shapes}")
        )  # fmt: skip
    return [(w.detach(), b.detach()) for w, b in found]
