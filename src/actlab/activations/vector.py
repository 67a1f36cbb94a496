"""Functions of whole vectors: distributions, gated units, and units that choose among several inputs."""

import torch
from torch import Tensor

from ._parting import Parted
from ._teaching import Teaching, Text
from ._vector_spec import parts, vector
from .gated import gelu, swish
from .rectified import relu
from .saturating import sigmoid


@vector(
    formula=r"\frac{e^{x_i}}{\sum_j e^{x_j}}",
    source="Bridle 1990, NIPS 2; Boltzmann 1868",
    zh="把一组实数变成概率分布：全为正，和为 1。",
    teaching=Teaching(
        good=Text(
            "Output for mutually exclusive classes, attention weights, choice of actions. With cross-entropy the gradient by the logits is simply p - y; dividing x by a temperature sharpens or flattens the distribution.",
            "用于互斥类别的输出层、注意力权重和动作选择。配合交叉熵，对 logits 的梯度就是 p - y；把 x 除以温度可使分布更尖锐或更平坦。",
        ),
        bad=Text(
            "Labels that may hold together need sigmoid instead. torch's CrossEntropyLoss takes logits: a softmax before it is a common error. Without subtracting the maximum exp overflows. A confident output need not be calibrated.",
            "可同时成立的标签应改用 sigmoid。torch 的 CrossEntropyLoss 要的是 logits，先做 softmax 是常见错误。不减去最大值，exp 会溢出。输出的置信度高，不等于经过校准。",
        ),
        related=("log_softmax", "sigmoid", "sparsemax", "softmin"),
    ),
    elsewhere={"torch": "torch.nn.Softmax(dim=-1)", "keras": "keras.activations.softmax", "jax": "jax.nn.softmax"},
)
def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Turns numbers into a probability distribution: all positive, summing to 1."""
    return torch.softmax(x, dim)


@vector(
    formula=r"x_i - \ln\sum_j e^{x_j}",
    source="Bridle 1990, NIPS 2",
    zh="softmax 的对数，直接计算更稳定，用于损失函数。",
    teaching=Teaching(
        good=Text(
            "Log-probabilities for losses, beam search and perplexity: cross-entropy is minus the entry of the true class (NLLLoss in torch). As x minus logsumexp(x) it stays accurate where probabilities underflow.",
            "为损失、束搜索和困惑度提供对数概率：交叉熵就是真实类别那一项的相反数（torch 的 NLLLoss）。按 x 减 logsumexp(x) 计算，概率下溢时仍然准确。",
        ),
        bad=Text(
            "Do not write log(softmax(x)): it is -inf once a probability underflows to 0, and its gradient NaN. CrossEntropyLoss already contains it, so hand it logits. Outputs are at most 0; take exp for probabilities.",
            "不要写成 log(softmax(x))：概率一旦下溢为 0 就得 -inf，梯度为 NaN。CrossEntropyLoss 已包含它，应直接传入 logits。输出不大于 0，要概率须再取 exp。",
        ),
        related=("softmax", "log_sigmoid"),
    ),
    elsewhere={
        "torch": "torch.nn.LogSoftmax(dim=-1)",
        "keras": "keras.activations.log_softmax",
        "jax": "jax.nn.log_softmax",
    },
)
def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Logarithm of softmax, computed in one piece as losses need it."""
    return torch.log_softmax(x, dim)


@vector(
    formula=r"\frac{e^{-x_i}}{\sum_j e^{-x_j}}",
    source="listed in Torch7's nn since 2012",
    zh="对相反数取 softmax：最小的输入得到最大的概率。",
    teaching=Teaching(
        good=Text(
            "Weights that prefer small numbers: distances, energies or costs, as in prototype networks (class probabilities from distances to centres) or Boltzmann distributions.",
            "偏向小数值的权重：用于距离、能量或代价，如原型网络（由到各类中心的距离给出类别概率）和玻尔兹曼分布。",
        ),
        bad=Text(
            "It is softmax(-x) and no more: on scores where large is good it turns the order round. Scale matters: divide by a temperature, or the nearest takes nearly all. The soft minimum itself is -logsumexp(-x).",
            "它就是 softmax(-x)：若分数越大越好，用它会把次序颠倒。尺度很重要：不除以温度，最近者几乎独占全部权重。软最小值本身是 -logsumexp(-x)。",
        ),
        related=("softmax", "sparsemax", "log_softmax"),
    ),
    elsewhere={"torch": "torch.nn.Softmin(dim=-1)"},
)
def softmin(x: Tensor, dim: int = -1) -> Tensor:
    """Softmax of the negated input: the smallest number gets most."""
    return torch.softmax(-x, dim)


@vector(
    operator="sparsemax",
    formula=r"\operatorname{argmin}_{p \in \Delta} \lVert p - x \rVert^2",
    source="Martins & Astudillo 2016, From softmax to sparsemax, arXiv:1602.02068",
    zh="到概率单纯形的投影：类似 softmax，但能给出精确的零。",
    teaching=Teaching(
        good=Text(
            "Attention and outputs in which most weights should be exactly 0 and the rest easy to read. For two classes it is the hard sigmoid of slope 1/2 of their difference.",
            "用于希望多数权重精确为 0、其余易于解读的注意力与输出。只有两类时，它就是对两数之差取斜率 1/2 的 hard sigmoid。",
        ),
        bad=Text(
            "Entries that are 0 get no gradient, and -log p is infinite there, so train with the sparsemax loss of the paper, not cross-entropy. It sorts the axis, O(n log n), where softmax needs only a maximum and a sum.",
            "为 0 的分量得不到梯度，且 -log p 在此为无穷，应使用原论文的 sparsemax 损失而不是交叉熵。它要对该轴排序，复杂度 O(n log n)，而 softmax 只需求最大值与和。",
        ),
        related=("softmax", "hard_sigmoid", "softmin"),
    ),
    elsewhere={"keras": "keras.activations.sparsemax"},
)
def sparsemax(x: Tensor, dim: int = -1) -> Tensor:
    """Nearest probability distribution: like softmax, but with exact zeros."""
    z = x.movedim(dim, -1)
    z = z - z.amax(-1, keepdim=True)  # a shift changes nothing, and keeps the sums exact where it matters
    ordered = z.sort(-1, descending=True).values
    count = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
    inside = 1 + count * ordered > ordered.cumsum(-1)
    size = inside.sum(-1, keepdim=True)
    excess = torch.where(inside, ordered, torch.zeros_like(ordered)).sum(-1, keepdim=True) - 1
    return (z - excess / size).clamp(min=0).movedim(-1, dim)


def _halves(name: str, x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """First and second half along `dim`: what is gated, and what gates."""
    parts(name, x, dim, 2)
    first, second = x.chunk(2, dim)
    return first, second


@vector(
    gate=sigmoid,
    formula=r"a \otimes \sigma(b), \quad (a, b) = x",
    source="Dauphin, Fan, Auli & Grangier 2017, arXiv:1612.08083",
    zh="门控线性单元：前一半乘以后一半的 sigmoid。",
    teaching=Teaching(
        good=Text(
            "Gated convolutions and feed-forward layers (Conformer in speech): one half carries the content, the sigmoid of the other decides how much passes. The linear half lets gradients through undamped where the gate is open.",
            "用于门控卷积与前馈层（如语音模型 Conformer）：一半承载内容，另一半的 sigmoid 决定通过多少。门打开时，线性的一半使梯度不受衰减地通过。",
        ),
        bad=Text(
            "Halves the axis, so the layer before must be twice as wide; for channels-first images pass dim=1. torch, Keras and JAX gate with the second half, as here; other codes with the first: check before loading weights.",
            "该轴长度减半，前一层须加宽一倍；通道在前的图像应传 dim=1。torch、Keras 与 JAX 和这里一样以后一半为门，也有代码用前一半，加载权重前须核对。",
        ),
        related=("swiglu", "geglu", "reglu", "sigmoid"),
    ),
    elsewhere={"torch": "torch.nn.GLU()", "keras": "keras.activations.glu", "jax": "jax.nn.glu"},
)
def glu(x: Tensor, dim: int = -1) -> Tensor:
    """Gated linear unit: the first half times the sigmoid of the second."""
    value, gate = _halves("glu", x, dim)
    return value * sigmoid(gate)


@vector(
    gate=swish,
    formula=r"a \otimes b\,\sigma(b), \quad (a, b) = x",
    source="Shazeer 2020, GLU variants improve Transformer, arXiv:2002.05202",
    zh="以 SiLU 为门的 GLU，多数大语言模型使用。",
    teaching=Teaching(
        good=Text(
            "Feed-forward layers of LLaMA, Mistral, Qwen and most recent language models. To keep the parameter count of an ungated layer, cut the hidden width to 2/3: 8/3 of the model width instead of 4.",
            "LLaMA、Mistral、Qwen 等多数近期大语言模型的前馈层。要与不带门的前馈层参数量相同，隐藏宽度须减为 2/3：取模型宽度的 8/3 倍而不是 4 倍。",
        ),
        bad=Text(
            "The gate is the second half here, but the first in many LLM codes with fused projections (vLLM's SiluAndMul): swapped halves spoil a model without an error. The product grows as x^2, so outliers strain float16 and fp8.",
            "这里以后一半为门，而许多融合投影的 LLM 代码（如 vLLM 的 SiluAndMul）以前一半为门：两半颠倒不会报错，却会毁掉模型。乘积按 x² 增长，离群值会给 float16 与 fp8 带来困难。",
        ),
        related=("glu", "geglu", "reglu", "swish"),
    ),
    elsewhere={},
)
def swiglu(x: Tensor, dim: int = -1) -> Tensor:
    """GLU with SiLU as its gate, as most large language models have it; the gate is the second half."""
    value, gate = _halves("swiglu", x, dim)
    return value * swish(gate)


@vector(
    gate=gelu,
    formula=r"a \otimes \operatorname{GELU}(b), \quad (a, b) = x",
    source="Shazeer 2020, GLU variants improve Transformer, arXiv:2002.05202",
    zh="以 GELU 为门的 GLU。",
    teaching=Teaching(
        good=Text(
            "Feed-forward layers of T5 v1.1, Gemma and the Transformer blocks of many diffusion models. In Shazeer's comparison it is level with swiglu and ahead of ungated ReLU and GELU at equal parameter count.",
            "T5 v1.1、Gemma 以及许多扩散模型中 Transformer 块的前馈层。在 Shazeer 的比较中，参数量相同时与 SwiGLU 相当，优于不带门的 ReLU 与 GELU。",
        ),
        bad=Text(
            "T5 v1.1 and Gemma gate with the tanh form of GELU, here it is the exact one. The gate is the second half; other codes put it first. The axis is halved, and the product grows as x^2.",
            "T5 v1.1 与 Gemma 的门用 GELU 的 tanh 形式，这里用精确形式。这里以后一半为门，也有代码以前一半为门。该轴长度减半，乘积按 x² 增长。",
        ),
        related=("swiglu", "glu", "reglu", "gelu_tanh"),
    ),
    elsewhere={},
)
def geglu(x: Tensor, dim: int = -1) -> Tensor:
    """GLU with GELU as its gate; the gate is the second half."""
    value, gate = _halves("geglu", x, dim)
    return value * gelu(gate)


@vector(
    gate=relu,
    formula=r"a \otimes \max(0, b), \quad (a, b) = x",
    source="Shazeer 2020, GLU variants improve Transformer, arXiv:2002.05202",
    zh="以 ReLU 为门的 GLU。",
    teaching=Teaching(
        good=Text(
            "The cheapest gated unit: no exponential, and exact zeros where the gate is shut, which sparse inference can skip.",
            "最便宜的门控单元：无指数运算，门关闭处精确为 0，稀疏推理时可以跳过。",
        ),
        bad=Text(
            "Where the gate is shut neither half gets a gradient, so units can die as with ReLU. In Shazeer's comparison it is slightly behind geglu and swiglu. The gate is the second half, and the axis is halved.",
            "门关闭处两半都得不到梯度，会像 ReLU 那样死亡。在 Shazeer 的比较中略逊于 GEGLU 与 SwiGLU。以后一半为门，该轴长度减半。",
        ),
        related=("relu", "glu", "swiglu", "geglu"),
    ),
    elsewhere={},
)
def reglu(x: Tensor, dim: int = -1) -> Tensor:
    """GLU with ReLU as its gate; the gate is the second half."""
    value, gate = _halves("reglu", x, dim)
    return value * relu(gate)


def _largest(*given: Tensor) -> tuple[Tensor, ...]:
    """The largest, and a one for the first part that is it or, where one is, for the first NaN."""
    best, *others = given
    one, zero = torch.ones_like(best), torch.zeros_like(best)
    chosen = [one]
    for other in others:
        better = ((other > best) | (other != other)) & (best == best)
        best = torch.where(better, other, best)
        chosen = [torch.where(better, zero, before) for before in chosen] + [torch.where(better, one, zero)]
    return best, *chosen


def _to_the_largest(g: Tensor, *chosen: Tensor) -> tuple[Tensor, ...]:
    return tuple([torch.where(one != 0, g, torch.zeros_like(g)) for one in chosen])


@vector(
    parted=lambda pieces: Parted(pieces, 1, "choice", _largest, _to_the_largest, neighbours=True),
    formula=r"\max_{j \le k} x_{k i + j}",
    source="Goodfellow, Warde-Farley, Mirza, Courville & Bengio 2013, arXiv:1302.4389",
    zh="每 k 个相邻输入取最大值：可学习的凸分段线性函数。",
    teaching=Teaching(
        good=Text(
            "Learns its own convex activation of straight pieces; two pieces already contain ReLU, leaky ReLU and the absolute value. The winning piece has slope 1, so nothing saturates. Proposed for use with dropout.",
            "自己学出凸的分段线性激活；两段就已包含 ReLU、leaky ReLU 与绝对值。取胜的一段斜率为 1，不会饱和。原本是配合 dropout 提出的。",
        ),
        bad=Text(
            "The layer before needs `pieces` times the parameters and arithmetic. Only the winner gets a gradient, so a piece that never wins stays unused. Neighbours are grouped here; other codes group differently.",
            "前一层的参数与计算量都要乘以 pieces。只有取胜的一段得到梯度，从不取胜的便闲置。这里以相邻输入为一组，其他代码的分组方式可能不同。",
        ),
        related=("relu", "absolute", "crelu", "leaky_relu"),
    ),
    elsewhere={},
)
def maxout(x: Tensor, pieces: int = 2, dim: int = -1) -> Tensor:
    """The largest of each `pieces` neighbours: a learnt convex function of straight pieces."""
    return parts("maxout", x, dim, pieces).max(-1).values.movedim(-1, dim)


def _both_sides(x: Tensor) -> tuple[Tensor, Tensor]:
    return relu.body(x), relu.body(-x)


def _of_both_sides(g: Tensor, h: Tensor, right: Tensor, left: Tensor) -> tuple[Tensor]:
    slope = relu.bodies["slope"]
    return (g * slope(right) - h * slope(left),)


@vector(
    parted=lambda: Parted(1, 2, "output", _both_sides, _of_both_sides),
    formula=r"(\max(0, x), \max(0, -x))",
    source="Shang, Sohn, Almeida & Lee 2016, arXiv:1603.05201",
    zh="把 ReLU(x) 与 ReLU(-x) 拼接，通道数加倍，不丢失信息。",
    teaching=Teaching(
        good=Text(
            "Early layers of CNNs, whose filters tend to come in pairs of opposite sign: one filter then serves for two, and nothing is lost, since x = relu(x) - relu(-x).",
            "用于 CNN 的前几层，那里的滤波器往往正负成对：此时一个滤波器可抵两个，且不丢失信息，因为 x = relu(x) - relu(-x)。",
        ),
        bad=Text(
            "Doubles the axis, and so the parameters of the layer after it, unless the layer before is halved. For channels-first images pass dim=1. Outputs are not zero-centred.",
            "该轴长度加倍，除非前一层减半，否则后一层的参数也要加倍。通道在前的图像应传 dim=1。输出不以零为中心。",
        ),
        related=("relu", "absolute", "maxout"),
    ),
    elsewhere={},
)
def crelu(x: Tensor, dim: int = -1) -> Tensor:
    """ReLU of the input and of its negative side by side: twice the channels, nothing lost."""
    return torch.cat((relu(x), relu(-x)), dim)
