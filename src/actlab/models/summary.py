"""The table of layers: output shape, parameters, multiply-adds and receptive field, computed by running the network once."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..layers import Recurrent


@dataclass(frozen=True)
class LayerFacts:
    """One call of one layer, for one example."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: int | None  # side in input pixels; None where every input counts or it is not defined
    stride: int | None  # input pixels between neighbouring outputs


@dataclass(frozen=True)
class Summary:
    """All layers in the order in which they run."""

    layers: tuple[LayerFacts, ...]
    parameters: int  # every parameter once, however often its layer runs
    input_shape: tuple[int, ...]

    @property
    def multiply_adds(self) -> int:
        """Forward pass, one example."""
        return sum(layer.multiply_adds for layer in self.layers)


_SPATIAL = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
)
_MIXING = (
    nn.Linear,
    nn.RNNBase,
    Recurrent,
    nn.Flatten,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)


def summarise(model: nn.Module, input_shape: tuple[int, ...]) -> Summary:
    """Facts of every leaf layer for one example of `input_shape` (without the batch axis).

    The receptive field follows the calls as if the layers
    stood in a row, which is right for networks without branches; a pixel field is given up (None) at the first layer that mixes all
    positions. Source of the recurrence: Araujo, Norris & Sim 2019, Distill, "Computing Receptive Fields of CNNs".
    """
    found: list[LayerFacts] = []
    field: dict[str, int | None] = {"size": 1 if len(input_shape) > 1 else None, "jump": 1}
    names = {module: name for name, module in model.named_modules()}

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        output = _first(output)
        size, jump = field["size"], field["jump"]
        if isinstance(module, _MIXING):
            size = jump = None
        elif isinstance(module, _SPATIAL) and size is not None and jump is not None:
            size, jump = (
                size + (_last(module, "dilation") * (_last(module, "kernel_size") - 1)) * jump,
                jump * _last(module, "stride"),
            )
        field["size"], field["jump"] = size, jump
        found.append(
            LayerFacts(
                name=names[module],
                kind=type(module).__name__,
                output_shape=tuple(output.shape[1:]),
                parameters=sum(p.numel() for p in module.parameters()),
                multiply_adds=_multiply_adds(module, output),
                receptive_field=size,
                stride=jump,
            )
        )

    whole = {
        one
        for module in model.modules()
        if isinstance(module, Recurrent)
        for one in module.modules()
        if one is not module
    }
    leaves = [
        one for one in model.modules() if one not in whole and (isinstance(one, Recurrent) or not list(one.children()))
    ]
    hooks = [leaf.register_forward_hook(record) for leaf in leaves]
    training = model.training
    try:
        model.eval()
        with torch.no_grad():
            _run_once(model, input_shape)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return Summary(tuple(found), sum(p.numel() for p in model.parameters()), tuple(input_shape))


def _run_once(model: nn.Module, input_shape: tuple[int, ...]) -> None:
    parameter = next(model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    dtype = torch.float32 if parameter is None else parameter.dtype
    model(torch.zeros(1, *input_shape, device=device, dtype=dtype))


def _first(output: Any) -> Tensor:
    """The outputs of a layer that also gives a state."""
    while isinstance(output, tuple) and not isinstance(output, PackedSequence):
        output = output[0]
    return output.data[None] if isinstance(output, PackedSequence) else output


def _last(module: nn.Module, name: str) -> int:
    value = getattr(module, name, 1)
    return int(value[-1] if isinstance(value, tuple) else value)


def _multiply_adds(module: nn.Module, output: Tensor) -> int:
    """Multiplications of a weight with an input; biases, pooling and activations count nothing."""
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return prod(output.shape[1:]) * module.in_channels // module.groups * prod(module.kernel_size)
    if isinstance(module, nn.RNNBase | Recurrent):  # every matrix once a step
        return output.shape[1] * sum(weight.numel() for weight in module.parameters() if weight.dim() > 1)
    if isinstance(module, nn.Linear):
        return prod(output.shape[1:]) * module.in_features
    return 0
