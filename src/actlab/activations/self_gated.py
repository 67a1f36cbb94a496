"""More functions that weigh the input by a smooth gate of itself, named after papers of 2018 to 2024."""

import torch
from torch import Tensor

from . import _numerics as exact
from ._catalogue import activation
from ._spec import Bound
from ._teaching import Teaching, Text
from .gated import gelu

_TERMS = "terms of opposite sign cancel where it passes through zero"


def _softplus(x: Tensor) -> Tensor:
    return x.clamp(min=0) + exact.log1p_unit(torch.exp(-x.abs()))


@activation(
    formula="x * erf(log(1 + exp(x)))",
    source="Nag, Bhattacharyya, Mukherjee & Kundu 2023, SERF, WACV, arXiv:2108.09598",
    double=True,
    bounds={"slope": Bound(8, "1/2", _TERMS), "curve": Bound(32, "1", _TERMS)},
    zh="输入乘以其 softplus 的误差函数，与 mish 相近。",
    teaching=Teaching(
        good=Text(
            "Mish with erf in place of tanh: smooth, close to the identity for large input, with a somewhat deeper dip. Worth a trial where mish already serves well; its authors test it on images and text.",
            "以 erf 取代 tanh 的 mish：光滑，大输入处接近恒等，凹陷略深。在 mish 已经好用的地方可以一试；原作者在图像与文本任务上作过比较。",
        ),
        bad=Text(
            "Never more than 0.08 away from mish, yet dearer (exp, log1p and erf), and in no large library. Not monotone: minimum -0.348 at x = -1.193.",
            "与 mish 相差从不超过 0.08，却更费时（exp、log1p 与 erf），主要的库也都不提供。不单调：x = -1.193 处取最小值 -0.348。",
        ),
        related=("mish", "swish", "gelu"),
    ),
    elsewhere={},
)
def serf(x: Tensor) -> Tensor:
    """Input times the error function of its softplus; close to mish."""
    low = x.clamp(min=-800)
    far = exact.exp(
        exact.alone(low.clamp(max=0)), 1.1283791670955126 * low
    )  # erf(p) is 2 p / sqrt(pi), and p is exp(x)
    return torch.where(low < -40, far, low * torch.special.erf(_softplus(low)))


def _serf_parts(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """softplus p, its slope s, erf(p), erf'(p)."""
    p = _softplus(x)
    return (
        p,
        exact.logistic(x),
        torch.special.erf(p),
        1.1283791670955126 * exact.gauss(p),
    )


@serf.slope
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 800)
    _, s, y, bell = _serf_parts(x)
    return y + x * (bell * s)


@serf.curve
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 800)
    p, s, _, bell = _serf_parts(x)
    return bell * s * (2 + x * (exact.logistic(-x) - 2 * p * s))


@activation(
    formula="x * tanh(x * (1 + erf(x / sqrt(2))) / 2)",
    source="Naveen 2022, Phish, TechRxiv",
    double=True,
    bounds={"slope": Bound(8, "1/2", _TERMS), "curve": Bound(32, "1", _TERMS)},
    zh="输入乘以其 GELU 的 tanh。",
    teaching=Teaching(
        good=Text(
            "For comparisons among self-gated units: smooth, quadratic near zero (about x^2/2), and within 0.02 of the identity from x = 3 on. In effect a soft relu_squared that becomes straight.",
            "用于自门控激活之间的比较：光滑，零点附近为二次（约 x²/2），x ≥ 3 时与恒等相差不到 0.02。相当于一个最终变直的柔和平方 ReLU。",
        ),
        bad=Text(
            "The slope at zero is 0, so small zero-mean inputs start training with almost no gradient. Negative input gives small positive output (up to 0.165), so it is never negative. Not monotone; known mainly from a preprint.",
            "零点斜率为 0，小的零均值输入在训练之初几乎没有梯度。负输入给出小的正输出（最大 0.165），输出从不为负。不单调；主要见于一篇预印本。",
        ),
        related=("gelu", "mish", "tanh_exp", "relu_squared"),
    ),
    elsewhere={},
)
def phish(x: Tensor) -> Tensor:
    """Input times the tanh of its GELU."""
    low = x.clamp(min=-40)
    far = exact.normal_cdf(exact.alone(low), low * low)  # tanh(g) is g
    return torch.where(low < -10, far, low * torch.tanh(gelu.body(low)))


@phish.slope
def _(x: Tensor) -> Tensor:
    x = x.clamp(-40, 800)
    g = gelu.body(x)
    return torch.tanh(g) + x * (exact.sech_squared(exact.alone(g)) * gelu.bodies["slope"](x))


@phish.curve
def _(x: Tensor) -> Tensor:
    x = x.clamp(-40, 800)
    g, first, second = gelu.body(x), gelu.bodies["slope"](x), gelu.bodies["curve"](x)
    return exact.sech_squared(exact.alone(g)) * (2 * first + x * (second - 2 * torch.tanh(g) * first * first))


@activation(
    formula="x * tanh(exp(x))",
    source="Liu & Di 2020, TanhExp, arXiv:2003.09855; Fernandez & Mali 2024, TeLU, arXiv:2412.20269",
    also=("telu",),
    double=True,
    bounds={"slope": Bound(8, "1/2", _TERMS), "curve": Bound(32, "1", _TERMS)},
    zh="输入乘以其指数的 tanh，又名 TeLU。",
    teaching=Teaching(
        good=Text(
            "Nearly the identity from x = 1 on (f(1) = 0.991), so gradients pass almost unchanged, with a smooth dip on the left; only exp and tanh. Published twice, as TanhExp and as TeLU.",
            "x ≥ 1 时已近乎恒等（f(1) = 0.991），梯度几乎原样通过，左侧有光滑的凹陷；只需 exp 与 tanh。先后发表过两次，名为 TanhExp 与 TeLU。",
        ),
        bad=Text(
            "Composed of torch operations, its gradient is NaN in float32 above x = 88.7, where exp overflows and meets a slope of 0; clamp x first. Not monotone: minimum -0.353 at x = -1.079.",
            "直接用 torch 运算拼成时，float32 下 x > 88.7 处 exp 溢出，与为 0 的斜率相乘，梯度成为 NaN；须先限制 x。不单调：x = -1.079 处取最小值 -0.353。",
        ),
        related=("mish", "swish", "elu"),
    ),
    elsewhere={},
)
def tanh_exp(x: Tensor) -> Tensor:
    """Input times the tanh of its exponential, also known as TeLU."""
    low = x.clamp(min=-800)
    far = exact.exp(exact.alone(low.clamp(max=0)), low)  # tanh(e) is e
    return torch.where(low < -40, far, low * torch.tanh(torch.exp(low.clamp(max=10))))


@tanh_exp.slope
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 10)
    w = torch.exp(x)
    return torch.tanh(w) + x * (w * exact.sech_squared(exact.alone(w)))


@tanh_exp.curve
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 10)
    w = torch.exp(x)
    return w * exact.sech_squared(exact.alone(w)) * (2 + x * (1 - 2 * w * torch.tanh(w)))


@activation(
    formula="x * log(1 + 1 / (1 + exp(-x)))",
    source="Zhu, Zeng, Liu & Zhou 2021, Logish, Neurocomputing 458",
    double=True,
    bounds={"slope": Bound(8, "1/2", _TERMS), "curve": Bound(32, "1", _TERMS)},
    zh="输入乘以 1 与其 sigmoid 之和的对数。",
    teaching=Teaching(
        good=Text(
            "For comparisons with swish: the gate is a logarithm, ln(1 + sigmoid(x)), which gives a shape like swish, smooth and with a dip of -0.253, but flatter throughout.",
            "用于与 swish 作比较：门是对数 ln(1 + sigmoid(x))，形状与 swish 相似，光滑，凹陷为 -0.253，但整体更平缓。",
        ),
        bad=Text(
            "The slope tends to ln 2 = 0.69, not 1, and is 0.41 at zero, so signals and gradients shrink in every layer unless the initialisation allows for it. In no large library.",
            "斜率趋于 ln 2 ≈ 0.69 而不是 1，零点处仅 0.41；若初始化不加补偿，信号与梯度会逐层衰减。主要的库都不提供。",
        ),
        related=("swish", "mish", "gelu"),
    ),
    elsewhere={},
)
def logish(x: Tensor) -> Tensor:
    """Input times the logarithm of one plus its sigmoid."""
    low = x.clamp(min=-800)
    far = exact.sigmoid(exact.alone(low), low)  # log(1 + s) is s
    return torch.where(low < -40, far, low * exact.log1p_unit(exact.logistic(low)))


@logish.slope
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 800)
    s, down = exact.logistic(x), exact.logistic(-x)
    return exact.log1p_unit(s) + x * (s * down / (1 + s))


@logish.curve
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 800)
    s, down = exact.logistic(x), exact.logistic(-x)
    return s * down / (1 + s) * (2 + x * (down - s - s * down / (1 + s)))


@activation(
    formula="Piecewise((x / (1 + exp(-x)), x >= 0), ((exp(x) - 1) / (1 + exp(-x)), True))",
    source="Basirat & Roth 2018, The quest for the golden activation function, arXiv:1808.00783",
    kinks=(0.0,),
    double=True,
    bounds={"slope": Bound(8, "1/2", _TERMS), "curve": Bound(32, "1", _TERMS)},
    zh="正侧是 swish，负侧是 ELU 乘以 sigmoid。",
    teaching=Teaching(
        good=Text(
            "Found by an evolutionary search in 2018: swish on the right; on the left an ELU that a sigmoid brings back to 0, so very negative input is ignored while moderately negative input keeps a gradient.",
            "2018 年由进化搜索得到：右侧是 swish，左侧是被 sigmoid 拉回 0 的 ELU，因此很负的输入被忽略，而稍负的输入仍保留梯度。",
        ),
        bad=Text(
            "The slope at zero is only 1/2 and the second derivative jumps there, from 1 to 1/2; not monotone: minimum -0.172 at x = -0.881. Rarely used since, and in no large library.",
            "零点斜率只有 1/2，二阶导数在此由 1 跳到 1/2；不单调：x = -0.881 处取最小值 -0.172。此后很少使用，主要的库都不提供。",
        ),
        related=("swish", "elu", "hard_elish"),
    ),
    elsewhere={},
)
def elish(x: Tensor) -> Tensor:
    """Swish where positive, ELU times the sigmoid where negative."""
    gate = exact.logistic(x)
    return torch.where(x >= 0, x.clamp(min=0) * gate, torch.expm1(x.clamp(max=0)) * gate)


@elish.slope
def _(x: Tensor) -> Tensor:
    s, down = exact.logistic(x), exact.logistic(-x)
    low = x.clamp(max=0)
    right = s * (1 + x.clamp(0, 800) * down)
    return torch.where(x > 0, right, s * (torch.exp(low) + torch.expm1(low) * down))


@elish.curve
def _(x: Tensor) -> Tensor:
    s, down = exact.logistic(x), exact.logistic(-x)
    low = x.clamp(max=0)
    right = s * down * (2 + x.clamp(0, 800) * (down - s))
    left = s * (torch.exp(low) * (1 + 2 * down) + torch.expm1(low) * down * (down - s))
    return torch.where(x > 0, right, left)


@activation(
    formula="Piecewise((x * clip((x + 1) / 2, 0, 1), x >= 0), ((exp(x) - 1) * clip((x + 1) / 2, 0, 1), True))",
    source="Basirat & Roth 2018, The quest for the golden activation function, arXiv:1808.00783",
    kinks=(-1.0, 0.0, 1.0),
    double=True,
    bounds={"slope": Bound(8, "1/2", _TERMS), "curve": Bound(32, "1", _TERMS)},
    zh="以分段线性门代替 sigmoid 的 elish。",
    teaching=Teaching(
        good=Text(
            "Elish with a straight-line gate: exactly the identity from x = 1 on and exactly 0 below -1, so only inputs between -1 and 0 need the exponential.",
            "以直线为门的 elish：x ≥ 1 时恰为恒等，x < -1 时恰为 0，只有 -1 与 0 之间的输入才需要指数运算。",
        ),
        bad=Text(
            "The derivative jumps at -1, from 0 to -0.32, and at 1, from 3/2 to 1; units below -1 get no gradient and can die. As an exponential remains, it saves less than hard_swish. Rarely used.",
            "导数在 -1 处由 0 跳到 -0.32，在 1 处由 3/2 跳到 1；小于 -1 的输入得不到梯度，神经元可能死亡。仍需指数运算，不如 hard_swish 省。很少使用。",
        ),
        related=("elish", "hard_swish", "elu"),
    ),
    elsewhere={},
)
def hard_elish(x: Tensor) -> Tensor:
    """Elish with straight lines in place of the sigmoid."""
    gate = (0.5 * (x + 1)).clamp(0, 1)
    return torch.where(x >= 0, x.clamp(min=0) * gate, torch.expm1(x.clamp(max=0)) * gate)


@hard_elish.slope
def _(x: Tensor) -> Tensor:
    low = x.clamp(-1, 0)
    left = 0.5 * (torch.expm1(low) + (low + 1) * torch.exp(low))
    left = torch.where(x > -1, left, torch.zeros_like(x))
    right = torch.where(x >= 1, torch.ones_like(x), x.clamp(0, 1) + 0.5)
    return torch.where(x.isnan(), x, torch.where(x > 0, right, left))


@hard_elish.curve
def _(x: Tensor) -> Tensor:
    low = x.clamp(-1, 0)
    left = torch.where(x > -1, 0.5 * (low + 3) * torch.exp(low), torch.zeros_like(x))
    return torch.where(x.isnan(), x, torch.where(x > 0, (x < 1).to(x.dtype), left))
