"""Which activation for which place: the study notes' advice as rules with reasons, read by `actlab choose`."""

from typing import NamedTuple

from ._language import say
from .activations import Text
from .errors import UnknownName, UsageError

LAYERS = ("output", "hidden", "gate")
TASKS = ("classification", "multilabel", "regression", "positive", "bounded", "rare-event")
NETWORKS = ("any", "mlp", "cnn", "mobile", "rnn", "transformer", "implicit", "self-normalising")


class Advice(NamedTuple):
    """An activation by name, why, what else would do, and what goes with it."""

    name: str
    why: Text
    instead: tuple[str, ...] = ()
    with_it: Text = Text("", "")


_OUTPUT = {
    "binary": Advice(
        "sigmoid",
        Text(
            "two classes need one number: the probability of the second; the sigmoid turns any real number into one",
            "二分类只需一个数：第二类的概率；sigmoid 把任意实数变成概率",
        ),
        ("softmax",),
        Text(
            "train on the number before it with torch.nn.BCEWithLogitsLoss, which takes the logarithm without overflow",
            "训练时对激活之前的数用 torch.nn.BCEWithLogitsLoss，取对数不会溢出",
        ),
    ),
    "classification": Advice(
        "softmax",
        Text(
            "the classes exclude each other, so their probabilities must be positive and sum to 1",
            "各类互斥，概率必须为正且和为 1",
        ),
        ("log_softmax", "sparsemax"),
        Text(
            "train on the numbers before it with torch.nn.CrossEntropyLoss, which contains it: a softmax layer as well would be applied twice",
            "训练时对激活之前的数用 torch.nn.CrossEntropyLoss，其中已含 softmax：再加一层就重复了",
        ),
    ),
    "multilabel": Advice(
        "sigmoid",
        Text(
            "several classes may hold at once, so each gets a probability of its own; softmax would make them compete",
            "多个标签可以同时成立，各自需要独立的概率；softmax 会让它们互相竞争",
        ),
        (),
        Text("train with torch.nn.BCEWithLogitsLoss", "训练时用 torch.nn.BCEWithLogitsLoss"),
    ),
    "regression": Advice(
        "identity",
        Text(
            "the target may be any real number, and every other function would put values out of reach or bend the scale",
            "目标可以是任意实数，其他函数都会使部分取值达不到或扭曲尺度",
        ),
    ),
    "positive": Advice(
        "softplus",
        Text(
            "the output is positive and its slope never exceeds 1, so that a large target does not make steps explode",
            "输出为正，斜率不超过 1，较大的目标不会使步长爆炸",
        ),
        ("exponential", "squareplus"),
        Text(
            "take exponential where the target spans many orders of magnitude, or train on its logarithm",
            "若目标跨越多个数量级，可用 exponential，或对目标取对数再训练",
        ),
    ),
    "bounded": Advice(
        "tanh",
        Text("the target lies between two bounds; scale it to (-1, 1)", "目标有上下界；先缩放到 (-1, 1)"),
        ("sigmoid",),
        Text("keep targets off the bounds themselves, which are reached only at infinity", "目标不要取到边界本身，那里只在无穷远处达到"),
    ),
    "rare-event": Advice(
        "cloglog",
        Text(
            "its output is the probability of at least one event when events come at rate exp(x); it suits rare events and intervals of unequal length",
            "输出是以速率 exp(x) 发生的事件至少出现一次的概率，适合罕见事件与长度不等的区间",
        ),
        ("sigmoid",),
    ),
}  # fmt: skip
_HIDDEN = {
    "any": Advice(
        "relu",
        Text(
            "cheap, with slope 1 wherever it is active, so that gradients pass many layers; start here",
            "便宜，激活处斜率为 1，梯度能穿过许多层；从它开始",
        ),
        ("leaky_relu", "gelu"),
        Text("He initialisation; if units die, a smaller rate or leaky_relu", "配合 He 初始化；若神经元死亡，降低学习率或改用 leaky_relu"),
    ),
    "mlp": Advice(
        "relu",
        Text("as cheap as can be, and enough for networks of a few layers", "最便宜，对几层的网络足够"),
        ("gelu", "elu"),
        Text("He initialisation", "配合 He 初始化"),
    ),
    "cnn": Advice(
        "relu",
        Text(
            "the standard since AlexNet; max-pooling commutes with it, so it can come after the pool at a quarter of the cost",
            "自 AlexNet 起的标准；与最大池化可交换，放在池化之后只需四分之一的计算",
        ),
        ("silu", "leaky_relu", "prelu"),
        Text("He initialisation", "配合 He 初始化"),
    ),
    "mobile": Advice(
        "hard_swish",
        Text("close to swish without an exponential; with its bounds it survives 8-bit arithmetic", "接近 swish 而无需指数，适合 8 位运算"),
        ("relu6",),
    ),
    "rnn": Advice(
        "tanh",
        Text(
            "the same weights act at every step, so an unbounded function would let the state grow without limit; tanh is bounded and centred on 0",
            "每一步都用同样的权重，无界函数会使状态无限增长；tanh 有界且以零为中心",
        ),
        ("softsign",),
        Text("for long sequences an LSTM or GRU, whose gates are sigmoids", "长序列请用 LSTM 或 GRU，其门是 sigmoid"),
    ),
    "transformer": Advice(
        "gelu",
        Text("the choice of BERT and ViT; smooth, so that deep networks train a little more steadily than with ReLU", "BERT 与 ViT 的选择；光滑，深层网络训练略稳"),
        ("swiglu", "gelu_tanh", "relu_squared"),
        Text("large language models now mostly use swiglu, with two thirds of the width for the same cost", "大语言模型如今多用 swiglu，宽度取三分之二则开销相同"),
    ),
    "implicit": Advice(
        "sinusoid",
        Text(
            "a network that represents a signal must fit detail and derivatives; sine has derivatives of all orders that do not die out",
            "表示信号的网络要拟合细节与导数；正弦的各阶导数都不会消失",
        ),
        ("snake", "gaussian"),
        Text("needs SIREN's initialisation (frequency 30 in the first layer)", "需要 SIREN 的初始化（第一层频率 30）"),
    ),
    "self-normalising": Advice(
        "selu",
        Text("its constants make mean 0 and variance 1 reproduce themselves, in plain feed-forward networks without normalisation layers", "其常数使均值 0、方差 1 自我保持，用于没有归一化层的全连接网络"),
        ("elu",),
        Text("only with LeCun-normal initialisation and alpha dropout", "必须配合 LeCun 正态初始化与 alpha dropout"),
    ),
}  # fmt: skip
_GATE = Advice(
    "sigmoid",
    Text("a gate says how much passes, from nothing (0) to all (1)", "门表示通过多少：从无（0）到全部（1）"),
    ("hard_sigmoid",),
    Text(
        "start the bias of a forget gate at 1, so that the memory is open at first",
        "遗忘门的偏置从 1 开始，使记忆起初是开放的",
    ),
)


def advise(
    *, task: str = "classification", layer: str = "hidden", classes: int | None = None, network: str = "any"
) -> Advice:
    """The advice for this place in a network; raises UnknownName for words that it does not know."""
    for kind, value, known in (("layer", layer, LAYERS), ("task", task, TASKS), ("network", network, NETWORKS)):
        if value not in known:
            raise UnknownName(kind, value, known)
    if classes is not None and classes < 2:
        raise UsageError(say(f"expected two classes or more; got {classes}", f"至少需要两类；得到 {classes}"))
    if layer == "gate":
        return _GATE
    if layer == "hidden":
        return _HIDDEN[network]
    return _OUTPUT["binary" if task == "classification" and classes == 2 else task]
