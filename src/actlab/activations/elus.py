"""The exponential, and units with an exponential side: ELU and its kin."""

import math

import torch
from torch import Tensor

from . import _float32 as float32
from . import _numerics as exact
from ._catalogue import activation
from ._spec import Bound, Learnable, Positive, Real
from ._teaching import Teaching, Text


@activation(
    formula="exp(x)",
    source="Nelder & Wedderburn 1972, J. R. Stat. Soc. A 135 (inverse of the log link)",
    zh="指数函数：输出恒为正，增长极快。",
    teaching=Teaching(
        good=Text(
            "Output for positive quantities whose effects multiply: Poisson rates, hazards, variances predicted as logarithms. It inverts the log link of generalised linear models.",
            "用于效应相乘的正值输出：泊松率、风险率、以对数形式预测的方差。它是广义线性模型中对数连接函数的反函数。",
        ),
        bad=Text(
            "Overflows above x = 88.7 in float32 and 11.1 in float16, and its derivative is as large as its value. Leave the log to the loss (PoissonNLLLoss takes log input) or clamp x; softplus grows only linearly. Not for hidden layers.",
            "float32 下 x > 88.7、float16 下 x > 11.1 即溢出，且导数与函数值一样大。应把对数留给损失函数处理（PoissonNLLLoss 接受对数输入）或限制 x；softplus 只按线性增长。不宜用于隐藏层。",
        ),
        related=("softplus", "cloglog", "softmax"),
    ),
    elsewhere={"torch": "torch.exp", "keras": "keras.activations.exponential", "jax": "jax.numpy.exp"},
)
def exponential(x: Tensor) -> Tensor:
    """Exponential: always positive, and soon too large."""
    return torch.exp(x)


@exponential.slope
def _(x: Tensor) -> Tensor:
    return torch.exp(x)


@exponential.from_output()
def _(y: Tensor) -> Tensor:
    return y


@exponential.curve
def _(x: Tensor) -> Tensor:
    return torch.exp(x)


@activation(
    formula="Piecewise((x, x > 0), (a * (exp(x) - 1), True))",
    source="Clevert, Unterthiner & Hochreiter 2016, arXiv:1511.07289, eq. 15",
    kinks=(0.0,),
    pieces=("half value", "half slope"),
    zh="正数不变，负数平滑地趋于 -a，使平均输出接近零。",
    teaching=Teaching(
        good=Text(
            "MLPs and CNNs without normalisation layers: slope 1 for positive input, and negative outputs that bring the mean near zero; negative input keeps some gradient, so units seldom die.",
            "用于没有归一化层的 MLP 与 CNN：正输入处斜率为 1，负输出使均值接近零；负输入仍有一些梯度，神经元很少死亡。",
        ),
        bad=Text(
            "The derivative is continuous only at a = 1; otherwise it jumps at zero from a to 1 (celu does not). It saturates at -a, with slope a e^x. Near zero use expm1. torch, JAX and Keras call a alpha.",
            "只有 a = 1 时导数才连续，否则在零点由 a 跳到 1（celu 没有这个问题）。在 -a 处饱和，斜率为 a·e^x。零点附近应当用 expm1 计算。torch、JAX 与 Keras 把 a 称为 alpha。",
        ),
        related=("celu", "selu", "relu", "leaky_relu"),
    ),
    elsewhere={"torch": "torch.nn.ELU()", "keras": "keras.activations.elu", "jax": "jax.nn.elu", "timm": "elu"},
)
def elu(x: Tensor, a: Positive = 1.0) -> Tensor:
    """The input where positive, an exponential that levels off at -a where negative."""
    return torch.where(x > 0, x, exact.times(torch.expm1(x.clamp(max=0)), a))


@elu.slope
def _(x: Tensor, a: float) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), exact.times(torch.exp(x.clamp(max=0)), a))


@elu.from_output()
def _(y: Tensor, a: float) -> Tensor:
    return torch.where(y > 0, torch.ones_like(y), y + a)


@elu.curve
def _(x: Tensor, a: float) -> Tensor:
    return torch.where(x > 0, torch.zeros_like(x), exact.times(torch.exp(x.clamp(max=0)), a))


@activation(
    formula="l * Piecewise((x, x > 0), (a * (exp(x) - 1), True))",
    source="Klambauer, Unterthiner, Mayr & Hochreiter 2017, arXiv:1706.02515",
    kinks=(0.0,),
    pieces=("value", "half slope"),
    zh="缩放的 ELU：常数使均值 0、方差 1 成为逐层传播的不动点。",
    teaching=Teaching(
        good=Text(
            "Self-normalising MLPs: with LeCun-normal weights (variance 1/n), standardised inputs and plain feed-forward layers, mean 0 and variance 1 are an attracting fixed point, so no normalisation layers are needed.",
            "自归一化 MLP：采用 LeCun 正态初始化（方差 1/n）、标准化输入和普通前馈结构时，均值 0、方差 1 是吸引不动点，因此不需要归一化层。",
        ),
        bad=Text(
            "He or Glorot initialisation, ordinary dropout (use AlphaDropout), skip connections and attention void the guarantee. The derivative jumps at zero from 1.758 to 1.051, and the left side saturates at -1.758.",
            "若用 He 或 Glorot 初始化、普通 dropout（应改用 AlphaDropout）、残差连接或注意力，上述性质便不再成立。导数在零点由 1.758 跳到 1.051，左侧在 -1.758 处饱和。",
        ),
        related=("elu", "celu", "lecun_tanh"),
    ),
    elsewhere={"torch": "torch.nn.SELU()", "keras": "keras.activations.selu", "jax": "jax.nn.selu", "timm": "selu"},
)
def selu(x: Tensor, l: Positive = 1.0507009873554805, a: Positive = 1.6732632423543772) -> Tensor:  # noqa: E741
    """ELU scaled so that mean 0 and variance 1 reproduce themselves from layer to layer."""
    return torch.where(x > 0, exact.times(x, l), exact.times(torch.expm1(x.clamp(max=0)), l * a))


@selu.slope
def _(x: Tensor, l: float, a: float) -> Tensor:  # noqa: E741
    return torch.where(x > 0, torch.full_like(x, l), exact.times(torch.exp(x.clamp(max=0)), l * a))


@selu.from_output()
def _(y: Tensor, l: float, a: float) -> Tensor:  # noqa: E741
    return torch.where(y > 0, l, y + l * a)


@selu.curve
def _(x: Tensor, l: float, a: float) -> Tensor:  # noqa: E741
    return torch.where(x > 0, torch.zeros_like(x), exact.times(torch.exp(x.clamp(max=0)), l * a))


@activation(
    formula="Piecewise((x, x > 0), (a * (exp(x / a) - 1), True))",
    source="Barron 2017, Continuously differentiable exponential linear units, arXiv:1704.07483",
    kinks=(0.0,),
    pieces=("half value", "half slope"),
    zh="对任意 a 都一阶可导的 ELU。",
    teaching=Teaching(
        good=Text(
            "ELU for a other than 1: with x divided by a the derivative is continuous and never above 1, so a sets the depth of the left side without a kink, from ReLU (a towards 0) to nearly the identity (large a).",
            "供 a 不为 1 时使用的 ELU：把 x 除以 a 后导数连续且不超过 1，因此 a 可调节左侧深度而不产生尖角，从 ReLU（a 趋于 0）一直到近似恒等（a 很大）。",
        ),
        bad=Text(
            "At a = 1 it is ELU itself, so nothing is gained there. It saturates at -a, where gradients vanish, costs an exponential, and its second derivative still jumps at zero, from 1/a to 0.",
            "a = 1 时就是 ELU，没有额外好处。在 -a 处饱和，梯度消失；需要一次指数运算；二阶导数在零点仍由 1/a 跳到 0。",
        ),
        related=("elu", "selu", "softplus"),
    ),
    elsewhere={"torch": "torch.nn.CELU()", "keras": "keras.activations.celu", "jax": "jax.nn.celu", "timm": "celu"},
)
def celu(x: Tensor, a: Positive = 1.0) -> Tensor:
    """ELU whose derivative is continuous for every a."""
    high, low = exact.quotient(x.clamp(max=0), a)
    y = torch.expm1(high)
    return torch.where(x > 0, x, exact.times(y + low * (1 + y), a))


@celu.slope
def _(x: Tensor, a: float) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), _falling(x, a))


def _falling(x: Tensor, a: float) -> Tensor:
    """exp(x/a) left of 0."""
    return exact.exp(exact.within(exact.quotient(x.clamp(max=0), a), 800))


@celu.from_output()
def _(y: Tensor, a: float) -> Tensor:
    return torch.where(y > 0, torch.ones_like(y), 1 + y / a)


@celu.curve
def _(x: Tensor, a: float) -> Tensor:
    return torch.where(x > 0, torch.zeros_like(x), _falling(x, a) / a)


@activation(
    formula=(
        "Piecewise((softplus(alpha_p) * x^2 + beta * x, x > 0), ((beta + softplus(alpha_n)) * (exp(x) - 1 - x) + beta * x, True))"
    ),
    source="Huang & Schlag 2024, Deriving activation functions using integration, arXiv:2411.13010",
    kinks=(0.0,),
    double=True,
    pieces=("value", "slope"),
    bounds={
        "value": Bound(8, "1/8", "the exponential and the straight part cancel"),
        "slope": Bound(8, "1/2", "the exponential and the straight part cancel"),
    },
    zh="两侧曲率可学习的扩展整流函数：由导数积分而来。",
    teaching=Teaching(
        good=Text(
            "Feed-forward layers of language models, as in Apertus: a parabola on the right like relu_squared, a curve with learnt, partly negative gradient on the left, and no second matrix as in swiglu.",
            "用于语言模型的前馈层（如 Apertus）：右侧像平方 ReLU 一样是抛物线，左侧的梯度可学习并可取负值，且不像 SwiGLU 那样需要第二个矩阵。",
        ),
        bad=Text(
            "Not monotone: by default the slope is negative below x = -0.98 and tends to -0.3, so very negative inputs come out positive. It grows as x^2 on the right. Hugging Face keeps the parameters in bfloat16 by default.",
            "不单调：默认参数下 x < -0.98 时斜率为负并趋于 -0.3，因而很负的输入会变成正输出。右侧按 x² 增长。Hugging Face 默认以 bfloat16 存放参数。",
        ),
        related=("relu_squared", "elu", "prelu", "swiglu"),
    ),
    elsewhere={"huggingface": "xielu"},
)
def xielu(x: Tensor, alpha_p: Learnable = 0.2035149379, alpha_n: Learnable = -1.0502256128, beta: Real = 0.5) -> Tensor:
    """Parabola where positive, exponential where negative, with learnt curvatures; made by integrating a wanted derivative."""
    up, down = _soft(alpha_p), _soft(alpha_n) + beta
    low = x.clamp(max=0)
    high = x.clamp(min=0)
    if exact.precision() == "fused" and x.dtype == torch.float32:
        left = _left_in_float32(low, down, _soft(alpha_n), beta)
    else:
        near = down * (torch.expm1(low) - low) + beta * low
        left = torch.where(low > -1, near, down * torch.expm1(low) + (beta - down) * low)
    return torch.where(x > 0, high * (up * high + beta), left)


def _left_in_float32(x: Tensor, down: exact.Number, fall: exact.Number, beta: float) -> Tensor:
    """down (exp(x) - 1) - fall x in kernels, with more digits of both than a float32 has: they cancel at a root."""
    grown, k = float32.exp_parts(x)
    scale = float32.scaled(torch.ones_like(k), k)
    high = (scale - 1) + scale * grown
    low = scale * grown - (high - (scale - 1))
    straight, rest = exact.product(x, fall)
    far = float32.fma(high, down, -straight) + float32.fma(low, down, -rest)
    return torch.where(x > -1, float32.fma(float32.exp_excess(x), down, x * beta), far)


def _excess(x: Tensor) -> Tensor:
    """exp(x) - 1 - x left of 0."""
    far = torch.expm1(x) - x
    return torch.where(x > -1, float32.exp_excess(x), far) if exact.is_kernel_in_float32(x) else far


def _soft(value: float | Tensor) -> float | Tensor:
    """softplus of a parameter."""
    if torch.is_tensor(value):
        return torch.logaddexp(value, torch.zeros_like(value))
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


@xielu.slope
def _(x: Tensor, alpha_p: float | Tensor, alpha_n: float | Tensor, beta: float) -> Tensor:
    left = (_soft(alpha_n) + beta) * torch.expm1(x.clamp(max=0)) + beta
    return torch.where(x > 0, 2 * _soft(alpha_p) * x.clamp(min=0) + beta, left)


@xielu.curve
def _(x: Tensor, alpha_p: float | Tensor, alpha_n: float | Tensor, beta: float) -> Tensor:
    right = 2 * _soft(alpha_p) + torch.zeros_like(x)
    return torch.where(x > 0, right, (_soft(alpha_n) + beta) * torch.exp(x.clamp(max=0)))


@xielu.partial("alpha_p")
def _(x: Tensor, alpha_p: float | Tensor, alpha_n: float | Tensor, beta: float) -> Tensor:
    return torch.sigmoid(torch.as_tensor(alpha_p)) * x.clamp(min=0).square()


@xielu.partial("alpha_n")
def _(x: Tensor, alpha_p: float | Tensor, alpha_n: float | Tensor, beta: float) -> Tensor:
    return torch.sigmoid(torch.as_tensor(alpha_n)) * _excess(x.clamp(max=0))
