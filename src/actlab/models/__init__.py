"""The networks of the notes, one file each, and their names."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from .._language import say
from ..errors import UnknownName, UsageError, first_line
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
_SHAPES = {"alexnet": (1, 224, 224), "alexnet-two-stream": (3, 224, 224), "lenet": (1, 28, 28), "mlp": (1, 28, 28)}


def names() -> list[str]:
    """Every name that `build` knows, sorted."""
    return sorted(_MODELS)


def build(name: str, **arguments: Any) -> nn.Module:
    """The network of that name; raises UnknownName, with the nearest one."""
    if name not in _MODELS:
        raise UnknownName("model", name, _MODELS)
    known = inspect.signature(_MODELS[name]).parameters
    for argument in arguments:
        if argument not in known:
            raise UnknownName(say(f"argument of {name}", f" {name} 参数"), argument, known)
    try:
        return _MODELS[name](**arguments)
    except UsageError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        text = first_line(error)
        raise UsageError(
            say(f"{name} cannot be built from {arguments}: {text}", f"无法用 {arguments} 构造 {name}：{text}")
        ) from error


def default_shape(name: str) -> tuple[int, ...]:
    """Shape of one input of the network with its default arguments."""
    if name not in _SHAPES:
        raise UnknownName("model", name, _SHAPES)
    return _SHAPES[name]


def summary_line(name: str) -> str:
    """What the network is, in one line."""
    return {
        "alexnet": say(
            "the study notes' AlexNet: one stream, one channel, 46.8 million parameters",
            "笔记中的 AlexNet：单流、单通道，4680 万参数",
        ),
        "alexnet-two-stream": say(
            "AlexNet as published: two streams, three channels, 1000 classes", "原论文的 AlexNet：双流、三通道、1000 类"
        ),
        "lenet": say(
            "LeNet-5: sigmoid and average pooling, or any other; 61,706 parameters",
            "LeNet-5：sigmoid 与平均池化，或其他选择；61,706 个参数",
        ),
        "mlp": say("fully connected layers with an activation between them", "全连接层，层间为激活函数"),
    }[name]
