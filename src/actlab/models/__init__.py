"""The networks of the notes, one file each, and their names."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from .._language import say
from ..errors import UnknownName, UsageError, first_line
from .alexnet import AlexNet as AlexNet
from .alexnet import TwoStreamAlexNet as TwoStreamAlexNet
from .character_lm import CharacterLM as CharacterLM
from .decoder_only import DecoderOnly as DecoderOnly
from .initialise import initialise as initialise
from .lenet import LeNet as LeNet
from .lstm import LSTM as LSTM
from .mlp import MLP as MLP
from .narx import NARX as NARX
from .rnn import RNN as RNN
from .self_attention import GraphAttention as GraphAttention
from .self_attention import ImageAttention as ImageAttention
from .self_attention import SelfAttention as SelfAttention
from .summary import LayerFacts as LayerFacts
from .summary import summarise as summarise
from .tagger import Tagger as Tagger
from .tdnn import TDNN as TDNN
from .transformer import Transformer as Transformer

_MODELS: dict[str, Callable[..., nn.Module]] = {
    "alexnet": AlexNet,
    "alexnet-two-stream": TwoStreamAlexNet,
    "character-lm": CharacterLM,
    "decoder-only": DecoderOnly,
    "graph-attention": GraphAttention,
    "image-attention": ImageAttention,
    "lenet": LeNet,
    "lstm": LSTM,
    "mlp": MLP,
    "narx": NARX,
    "rnn": RNN,
    "self-attention": SelfAttention,
    "tagger": Tagger,
    "tdnn": TDNN,
    "transformer": Transformer,
}
_SHAPES = {
    "alexnet": (1, 224, 224),
    "alexnet-two-stream": (3, 224, 224),
    "character-lm": (128,),
    "decoder-only": (128,),
    "graph-attention": (),
    "image-attention": (1, 28, 28),
    "lenet": (1, 28, 28),
    "lstm": (50, 40),
    "mlp": (1, 28, 28),
    "narx": (4, 2),
    "rnn": (3, 2),
    "self-attention": (50, 40),
    "tagger": (10, 15),
    "tdnn": (50, 40),
    "transformer": (16,),
}


def names() -> list[str]:
    """Every name that `build` knows, sorted."""
    return sorted(_MODELS)


def constructor(name: str) -> Callable[..., nn.Module]:
    """What builds the network of that name; raises UnknownName, with the nearest one."""
    if name not in _MODELS:
        raise UnknownName("model", name, _MODELS)
    return _MODELS[name]


def build(name: str, **arguments: Any) -> nn.Module:
    """The network of that name; raises UnknownName, with the nearest one."""
    known = inspect.signature(constructor(name)).parameters
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
        "decoder-only": say(
            "a Transformer of decoder layers alone, which writes on as character-lm does",
            "仅含解码器层的 Transformer，与 character-lm 一样续写文本",
        ),
        "graph-attention": say(
            "attention of every node of a graph over its neighbours", "图中每个节点对其邻居的注意力"
        ),
        "image-attention": say("self-attention over the patches of an image", "图像分块上的自注意力"),
        "self-attention": say(
            "self-attention over sequences of vectors, with a window too", "向量序列上的自注意力，可限制窗口"
        ),
        "lenet": say(
            "LeNet-5: sigmoid and average pooling, or any other; 61,706 parameters",
            "LeNet-5：sigmoid 与平均池化，或其他选择；61,706 个参数",
        ),
        "character-lm": say("an LSTM that writes on, one character at a time", "逐字符续写文本的 LSTM"),
        "lstm": say(
            "LSTM, with peepholes too, or GRU, over sequences of vectors", "处理向量序列的 LSTM（可带窥视孔）或 GRU"
        ),
        "narx": say(
            "the next value of a series from its past and its inputs; without inputs NAR",
            "由过去的值和输入预测序列的下一个值；无输入时为 NAR",
        ),
        "rnn": say(
            "Elman's network, which remembers its hidden units, and Jordan's, which remembers its outputs",
            "Elman 网络（记住隐藏单元）与 Jordan 网络（记住输出）",
        ),
        "transformer": say(
            "encoder and decoder with attention, token by token or all places at once",
            "带注意力的编码器与解码器，逐词元或一次并行",
        ),
        "tagger": say(
            "words to slots and intent, by any of the recurrent networks", "从词到槽位与意图，可用任一循环网络"
        ),
        "tdnn": say(
            "time-delay network: every unit sees the layer below at a few steps", "时延网络：每个单元看到下层的若干时刻"
        ),
        "mlp": say("fully connected layers with an activation between them", "全连接层，层间为激活函数"),
    }[name]
