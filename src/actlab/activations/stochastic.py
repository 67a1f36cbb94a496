"""Functions that are not what they are trained as: random in training, or with a slope that is only made up."""

import torch
from torch import Tensor

from . import _numerics as exact
from ._catalogue import activation
from ._spec import Real
from ._teaching import Teaching, Text


@activation(
    formula="Piecewise((x, x > 0), ((l + u) / 2 * x, True))",
    source="Xu, Wang, Chen & Li 2015, Empirical evaluation of rectified activations, arXiv:1505.00853",
    kinks=(0.0,),
    ordered=("l", "u"),
    zh="负侧斜率在训练时随机抽取、在评估时取平均的 leaky ReLU。",
    teaching=Teaching(
        good=Text(
            "Regularisation for small data sets: random slopes act as noise on negative input during training, and evaluation uses their mean, 11/48 = 0.229. From a comparison of rectifiers by Xu et al. (2015).",
            "适合小数据集的正则化：训练时随机斜率相当于给负输入加噪声，评估时取其均值 11/48 ≈ 0.229。出自 Xu 等（2015）对各种整流函数的比较。",
        ),
        bad=Text(
            "Forget eval() and predictions become random. Each element needs a random number, and repeating a run needs the seed. Today dropout and augmentation usually serve instead.",
            "忘记调用 eval()，预测就带随机性。每个元素都要一个随机数，要复现结果就须固定种子。如今通常改用 dropout 与数据增强。",
        ),
        related=("leaky_relu", "prelu", "relu"),
    ),
    elsewhere={"torch": "torch.nn.RReLU()"},
)
def rrelu(x: Tensor, l: Real = 1 / 8, u: Real = 1 / 3) -> Tensor:  # noqa: E741
    """Leaky ReLU whose slope is drawn anew for every element in training, and is the mean of the range in evaluation."""
    return torch.where(x > 0, x, exact.times(x, 0.5 * (l + u)))


@rrelu.slope
def _(x: Tensor, l: float, u: float) -> Tensor:  # noqa: E741
    return torch.where(x > 0, torch.ones_like(x), 0.5 * (l + u))


@rrelu.from_output("l", "u")
def _(y: Tensor, l: float, u: float) -> Tensor:  # noqa: E741
    return torch.where(y > 0, torch.ones_like(y), 0.5 * (l + u))


@rrelu.training
def _(x: Tensor, noise: Tensor, l: float, u: float) -> Tensor:  # noqa: E741
    return torch.where(x > 0, torch.ones_like(x), l + (u - l) * noise)


@activation(
    formula="Piecewise((1, x >= 0), (0, True))",
    source="Bengio, Léonard & Courville 2013, Estimating or propagating gradients through stochastic neurons, arXiv:1308.3432",
    jumps=(0.0,),
    surrogate=True,
    hands_on=True,
    zh="反向传播时假装斜率为 1 的阶跃函数，因而可以训练。",
    teaching=Teaching(
        good=Text(
            "Binary activations and discrete gates, trained by the straight-through estimator: an exact step forward, the identity backward. The simplest made-up gradient, with nothing to tune.",
            "用直通估计训练二值激活与离散门：前向是精确的阶跃，反向当作恒等。最简单的代理梯度，没有要调的参数。",
        ),
        bad=Text(
            "The gradient is biased and flows even far from the threshold, where nothing can change, so weights drift; binarised networks stop it for |x| > 1 (the slope of hard_tanh). A finite-difference check must fail.",
            "梯度有偏，且在远离阈值、输出不可能改变处仍然传递，权重会漂移；二值网络通常在 |x| > 1 处截断它（即用 hard_tanh 的斜率）。有限差分检验必然不通过。",
        ),
        related=("binary_step", "sigmoid_surrogate_step", "hard_tanh"),
    ),
    elsewhere={},
)
def straight_through_step(x: Tensor) -> Tensor:
    """Step that passes gradients on as if it were the identity, so that it can be trained."""
    return torch.where(x.isnan(), x, (x >= 0).to(x.dtype))


@straight_through_step.slope
def _(x: Tensor) -> Tensor:
    return torch.ones_like(x)


@activation(
    formula="Piecewise((1, x >= 0), (0, True))",
    source="Neftci, Mostafa & Zenke 2019, Surrogate gradient learning in spiking neural networks, arXiv:1901.09948",
    jumps=(0.0,),
    surrogate=True,
    zh="反向传播时以 sigmoid 的导数代替的阶跃函数，因而可以训练。",
    teaching=Teaching(
        good=Text(
            "Spiking and binary networks: an exact step forward, the slope of the sigmoid backward, so that units near their threshold learn most and those far away rest.",
            "用于脉冲与二值网络：前向是精确的阶跃，反向用 sigmoid 的斜率，因此接近阈值的神经元学得最多，远离阈值的基本不动。",
        ),
        bad=Text(
            "The made-up slope is at most 1/4, so gradients shrink layer by layer as with the sigmoid; scale the input to sharpen it. The gradient is biased, and a finite-difference check must fail.",
            "代理斜率最大 1/4，梯度会像 sigmoid 那样逐层衰减；可缩放输入使其更陡。梯度有偏，有限差分检验必然不通过。",
        ),
        related=("binary_step", "straight_through_step", "sigmoid"),
    ),
    elsewhere={},
)
def sigmoid_surrogate_step(x: Tensor) -> Tensor:
    """Step that passes gradients on as if it were a sigmoid, so that it can be trained."""
    return torch.where(x.isnan(), x, (x >= 0).to(x.dtype))


@sigmoid_surrogate_step.slope
def _(x: Tensor) -> Tensor:
    return exact.bell(torch.exp(-x.abs()))
