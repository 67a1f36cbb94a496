"""Distribution functions as activations: of the extreme value and the normal distribution."""

import torch
from torch import Tensor

from . import _normal_float32
from . import _numerics as exact
from ._catalogue import activation
from ._spec import Bound, Positive, Real
from ._teaching import Teaching, Text


@activation(
    formula="1 - exp(-exp(x))",
    source="Mallick & Kumar 2011; complementary log-log link, Fisher 1922",
    also=("complementary_log_log",),
    double=True,
    single="value",
    bounds={
        "slope": Bound(
            400,
            "0",
            "in float64 exp(-exp(x)) carries the rounding of exp(x), up to 745 of which is left before it is 0",
        ),
        "curve": Bound(400, "0", "as the slope"),
    },
    pieces=("value", "slope"),
    zh="互补双对数：不对称的 S 形曲线，从 0 到 1，右侧趋近得快得多。",
    teaching=Teaching(
        good=Text(
            "Output for rare events and for survival in discrete time, where each coefficient is the log of a hazard ratio (grouped proportional hazards). Unlike the sigmoid it is asymmetric: p is about e^x for very negative x.",
            "用于稀有事件和离散时间生存分析的输出：系数正是风险比的对数（分组的比例风险模型）。与 sigmoid 不同，它不对称：x 很负时 p 约为 e^x。",
        ),
        bad=Text(
            "The right side saturates fast: at x = 3, 1 - p is 2e-9 and the slope 4e-8. Written as 1 - exp(-exp(x)) it is 0 below x = -17 or so in float32, so use expm1; the log of 1 - p is simply -e^x.",
            "右侧饱和极快：x = 3 处 1 - p 只有 2e-9，斜率只有 4e-8。直接写成 1 - exp(-exp(x))，float32 下 x 约小于 -17 时就等于 0，应当用 expm1；而 1 - p 的对数就是 -e^x。",
        ),
        related=("sigmoid", "exponential", "log_sigmoid"),
    ),
    elsewhere={},
)
def cloglog(x: Tensor) -> Tensor:
    """Complementary log-log: a lopsided S from 0 to 1 that closes in much faster on the right."""
    return -torch.expm1(-torch.exp(x.clamp(max=10)))


@cloglog.slope
def _(x: Tensor) -> Tensor:
    x = x.clamp(max=10)
    return torch.exp(x - torch.exp(x))


@cloglog.from_output()
def _(y: Tensor) -> Tensor:
    return torch.where(y < 1, (y - 1) * torch.log1p(-y), torch.zeros_like(y))


@cloglog.curve
def _(x: Tensor) -> Tensor:
    x = x.clamp(max=10)
    return -torch.expm1(x) * torch.exp(x - torch.exp(x))


@activation(
    formula="erf(x)",
    pieces=("half value",),
    source="Glaisher 1871; the error function",
    zh="误差函数：S 形曲线，介于 -1 与 1 之间，尾部趋近极快。",
    teaching=Teaching(
        good=Text(
            "The normal distribution function stretched to (-1, 1): erf(x) = 2 Phi(sqrt(2) x) - 1. It is the core of exact GELU and of probit models, and its infinitely wide network has a kernel in closed form (Williams 1996).",
            "拉伸到 (-1, 1) 的正态分布函数：erf(x) = 2Φ(√2·x) - 1。它是精确 GELU 和 probit 模型的核心；以它为激活的无限宽网络有闭式核函数（Williams 1996）。",
        ),
        bad=Text(
            "The derivative falls as exp(-x^2): 1.4e-4 at |x| = 3, where tanh has 0.01, so saturated units hardly learn. For the left tail of a distribution use erfc, as 1 + erf(x) cancels.",
            "导数按 exp(-x²) 衰减：|x| = 3 处只有 1.4e-4（tanh 为 0.01），饱和的神经元几乎不再学习。计算分布的左尾应当用 erfc，因为 1 + erf(x) 会相消。",
        ),
        related=("gelu", "tanh", "laplace"),
    ),
    elsewhere={"torch": "torch.erf", "keras": "keras.ops.erf", "jax": "jax.scipy.special.erf"},
)
def erf(x: Tensor) -> Tensor:
    """Error function: an S from -1 to 1 that closes in faster than any exponential."""
    return torch.special.erf(x)


@erf.slope
def _(x: Tensor) -> Tensor:
    return 1.1283791670955126 * exact.gauss(x)  # 2/sqrt(pi)


@erf.curve
def _(x: Tensor) -> Tensor:
    return -2.2567583341910251 * (x.clamp(-40, 40) * exact.gauss(x))


@activation(
    formula="Phi((x - mu) / sigma)",
    double=True,
    single=True,
    source="Ma et al. 2022, Mega, arXiv:2209.10655, eq. 9",
    zh="正态分布函数，在 Mega 中代替注意力的 softmax。",
    teaching=Teaching(
        good=Text(
            "Attention weights in Mega: a bounded, smooth stand-in for relu_squared, computed for each score alone, without a sum over the row. The constants match value and slope of x^2 at x = sqrt(1/2).",
            "Mega 中的注意力权重：平方 ReLU 的光滑有界替身，对每个得分单独计算，无需整行求和。常数的取法使它在 x = √(1/2) 处的值与斜率都和 x² 相同。",
        ),
        bad=Text(
            "Despite its name it is the normal distribution function, not Laplace's. Nearly a step: 0.006 at x = 0, 0.994 at 1.41, and almost no gradient beyond. All positive, and the weights of a row do not sum to 1.",
            "名为 Laplace，其实是正态分布函数。过渡很陡，近乎阶跃：x = 0 处为 0.006，x = 1.41 处为 0.994，之外几乎没有梯度。输出恒为正，且每行权重之和不为 1。",
        ),
        related=("relu_squared", "softmax", "erf", "sigmoid"),
    ),
    elsewhere={"huggingface": "laplace"},
)
def laplace(x: Tensor, mu: Real = 0.707107, sigma: Positive = 0.282095) -> Tensor:
    """Normal distribution function, used in place of softmax by Mega."""
    if exact.is_kernel_in_float32(x):
        return _normal_float32.cdf(x, mu, sigma)
    return exact.normal_cdf(_standardised(x, mu, sigma))


def _standardised(x: Tensor, mu: float, sigma: float) -> exact.Pair:
    return exact.within(exact.divided(exact.total(x, -mu), sigma), 1e30)


@laplace.slope
def _(x: Tensor, mu: float, sigma: float) -> Tensor:
    if exact.is_kernel_in_float32(x):
        return _normal_float32.density(x, mu, sigma)
    return exact.normal_density(_standardised(x, mu, sigma), torch.full_like(x, 1 / sigma))


@laplace.curve
def _(x: Tensor, mu: float, sigma: float) -> Tensor:
    pair = _standardised(x, mu, sigma)
    return -(pair[0].clamp(-40, 40) + pair[1]) * exact.normal_density(pair) / sigma**2
