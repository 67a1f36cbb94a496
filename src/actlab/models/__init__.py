"""The networks of the notes, one file each, and their names."""

from collections.abc import Callable
from typing import Any

from torch import nn

from ..errors import UnknownName, UsageError
from .alexnet import AlexNet as AlexNet
from .alexnet import TwoStreamAlexNet as TwoStreamAlexNet
from .initialise import initialise as initialise
from .lenet import LeNet as LeNet
from .mlp import MLP as MLP
from .summary import LayerFacts as LayerFacts
from .summary import summarise as summarise

_MODELS: dict[str, Callable[..., nn.Module]] = {
    "alexnet": AlexNet,
    "alexnet-two-stream": TwoStreamAlexNet,
    "lenet": LeNet,
    "mlp": MLP,
}


def names() -> list[str]:
    """Every name that `build` knows, sorted."""
    return sorted(_MODELS)


def build(name: str, **arguments: Any) -> nn.Module:
    """The network of that name; raises UnknownName, with the nearest one."""
    if name not in _MODELS:
        raise UnknownName("model", name, _MODELS)
    try:
        return _MODELS[name](**arguments)
    except TypeError as error:
        raise UsageError(f"{name}: {error}") from None
