"""More functions that weigh the input by a smooth gate of itself, named after papers of 2018 to 2024."""

import torch
from torch import Tensor

from . import _elish_float32, _gated_float32, _gelu_float32
from . import _numerics as exact
from ._catalogue import activation
from ._spec import Bound
from ._teaching import Teaching, Text
from .gated import gelu

# Taylor coefficients of first derivatives at their root (left of zero), from the linear one on, and the root as a pair.
_SERF_ROOT = (-1.193059968928188, 3.096701676302884e-17)
_SERF = (
    0.30150488936299114, 0.23161220121136644, 0.04754569104272783, -0.02333420603137727, -0.018713084036873454,
    -0.0045245316310397665, 0.0008716960652536173, 0.0010481488697435962, 0.0003321028840029553,
    -1.201569744729671e-06, -4.460454909427938e-05, -1.8353874297258704e-05, -1.8900340116276782e-06,
    1.4864871567878862e-06, 8.121718667121073e-07, 1.419464800354989e-07, -3.850673461878466e-08,
    -3.041607803377354e-08, -7.068861505124413e-09, 6.969587341059505e-10, 1.004636539650687e-09,
)  # fmt: skip
_PHISH_ROOT = (-1.1954312013879125, 2.1854420556614362e-17)
_PHISH = (
    -0.3656367174811648, -0.1776850712428067, 0.25286808359954827, 0.1925078107758416, -0.02483975372480605,
    -0.044134741064458714, 0.01110137295580288, 0.015185900610611062, -0.0033783214189499738, -0.006663081604458299,
    -0.0006257406385057635, 0.0017683276974878564, 0.0004342836335362684, -0.00045755446013156413,
    -0.00016814893285706104, 0.00013749085160011027, 7.878198173118268e-05, -2.983764594622737e-05,
    -2.895361350091192e-05, 4.171917515645926e-06, 8.886539948231557e-06, -1.6877679454478255e-07,
    -2.722106171838954e-06, -3.2524061277884146e-07, 7.800438946373232e-07,
)  # fmt: skip
_TANH_EXP_ROOT = (-1.078860058464624, -9.55786742622646e-17)
_TANH_EXP = (
    0.3525036331603062, 0.3252269138875309, 0.10786032936442337, -0.022875972060733378, -0.045645387693479984,
    -0.025487703563799875, -0.005629789964385507, 0.0027715928931243703, 0.0034002744090071715,
    0.0016641690502916502, 0.0003022982929299591, -0.00020187575175518, -0.0002119141773405725,
    -9.603493263295568e-05, -1.4793194852334724e-05, 1.2648096951420702e-05, 1.199038537801436e-05,
    5.117352696013257e-06, 6.583189042202188e-07, -7.361671974228515e-07, -6.414512678013859e-07,
    -2.591753324811976e-07, -2.663092428565792e-08, 4.091566016278119e-08, 3.3078729851337745e-08,
)  # fmt: skip
_LOGISH_ROOT = (-1.3724541370256922, 7.791774027651745e-17)
_LOGISH = (
    0.18341467184783952, 0.1086792851437427, 0.0031532229721794197, -0.014993584924528795, -0.0036799106328445352,
    0.0010926871777721774, 0.0006480649192691449, 2.6202415640500867e-06, -6.977769910677737e-05,
    -1.3134751301047094e-05, 4.806711643517166e-06, 2.171439813856842e-06, -9.908635711857965e-08,
    -2.276720076474392e-07, -2.8274044753511172e-08, 1.6885978196675094e-08, 5.3055020708494535e-09,
    -7.353789737621014e-10, -5.938815976911703e-10,
)  # fmt: skip
_ELISH_ROOT = (-0.881373587019543, 2.250545892825866e-17)
_HARD_ELISH_ROOT = (-0.4428544010023886, 1.4810791653201162e-17)  # of its slope
_TWO_OVER_ROOT_PI = 1.1283791670955126
_TERMS = "terms of opposite sign cancel where it passes through zero"


@activation(
    formula="x * erf(log(1 + exp(x)))",
    source="Nag, Bhattacharyya, Mukherjee & Kundu 2023, SERF, WACV, arXiv:2108.09598",
    double=True,
    single=True,
    pieces=("value", "slope"),
    bounds={"curve": Bound(32, "1", _TERMS)},
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
    if exact.is_kernel_in_float32(x):
        return _gated_float32.SERF.value(x)
    low = x.clamp(min=-800)
    p = _serf_inner(low)
    left = exact.exp(exact.alone(low.clamp(max=0)), _serf_gate(low, low))
    return torch.where(low < 0, left, low - low.clamp(max=800) * _serf_rest(p))


def _serf_inner(x: Tensor) -> exact.Pair:
    """softplus(x)."""
    e = torch.exp(-x.abs())
    part, lost = exact.total(e * exact.log1p_excess(e), e)
    high, low = exact.total(part, x.clamp(min=0))
    return high, low + lost


def _serf_rest(p: exact.Pair) -> Tensor:
    """1 - erf(p), for p > 0."""
    return 2 * exact.normal_cdf(exact.scaled(exact.negated(p), 1.4142135623730951))


def _serf_bell(p: exact.Pair, weight: Tensor) -> Tensor:
    """weight erf'(p)."""
    return exact.normal_density(exact.scaled(p, 1.4142135623730951), 2.8284271247461903 * weight)


def _serf_gate(x: Tensor, factor: Tensor) -> Tensor:
    """`factor` times erf(softplus(x)) / exp(x), for x < 0."""
    e = torch.exp(x.clamp(max=0))
    p = e + e * exact.log1p_excess(e)
    return factor * torch.where(p > 1e-30, torch.special.erf(p) / e.clamp(min=1e-30), _TWO_OVER_ROOT_PI)


@serf.slope
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 800)
    far = _gated_float32.SERF.slope(x) if exact.is_kernel_in_float32(x) else _serf_slope(x)
    close, series = exact.near(exact.alone(x), _SERF_ROOT, _SERF)
    return torch.where(close, series, far)


def _serf_slope(x: Tensor) -> Tensor:
    p = _serf_inner(x)
    weight = _serf_gate(x, torch.ones_like(x)) + _serf_bell(p, x / (1 + torch.exp(x.clamp(max=0))))
    left = exact.exp(exact.alone(x.clamp(max=0)), weight)
    right = (1 - _serf_rest(p)) + _serf_bell(p, x * exact.logistic(x))
    return torch.where(x < -1.2, left, right)


@serf.curve
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 800)
    p, s = _serf_inner(x), exact.logistic(x)
    return _serf_bell(p, s * (2 + x * (exact.logistic(-x) - 2 * p[0] * s)))


@activation(
    formula="x * tanh(x * (1 + erf(x / sqrt(2))) / 2)",
    source="Naveen 2022, Phish, TechRxiv",
    double=True,
    single=True,
    pieces=("value", "slope"),
    bounds={"curve": Bound(32, "1", _TERMS)},
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
    if exact.is_kernel_in_float32(x):
        return _gelu_float32.phish(x)
    low = x.clamp(min=-40)
    g = gelu.body(low)
    weight = exact.scaled(exact.product(low, low), 1 + exact.tanh_excess(g.clamp(max=0.6)))
    left = exact.normal_cdf(exact.alone(low), *weight)
    return torch.where(low < 0.75, left, low - low.clamp(max=800) * exact.lacking(exact.alone(g)))


@phish.slope
def _(x: Tensor) -> Tensor:
    x = x.clamp(-40, 800)
    far = _gelu_float32.phish_slope(x.clamp(max=40)) if exact.is_kernel_in_float32(x) else _phish_slope(x)
    close, series = exact.near(exact.alone(x), _PHISH_ROOT, _PHISH)
    return torch.where(close, series, far)


def _phish_slope(x: Tensor) -> Tensor:
    g = gelu.body(x)
    bell = exact.normal_density(exact.alone(x), *exact.product(x, x))
    inner, rest = g + g * exact.tanh_excess(g.clamp(max=0.6)), exact.lacking(exact.alone(g))
    left = (inner + g) + (bell - inner * inner * (g + bell))
    return torch.where(x < 0.75, left, (1 - rest) + rest * (2 - rest) * (g + bell))


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
    single=True,
    pieces=("value", "slope"),
    bounds={"curve": Bound(32, "1", _TERMS)},
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
    if exact.is_kernel_in_float32(x):
        return _gated_float32.TANH_EXP.value(x)
    low = x.clamp(min=-800)
    w = torch.exp(low.clamp(max=10))
    left = exact.exp(exact.alone(low.clamp(max=0)), *exact.product(1 + exact.tanh_excess(w.clamp(max=0.6)), low))
    return torch.where(low < -0.55, left, low - low.clamp(max=800) * exact.lacking(exact.alone(w)))


@tanh_exp.slope
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 10)
    far = _gated_float32.TANH_EXP.slope(x) if exact.is_kernel_in_float32(x) else _tanh_exp_slope(x)
    close, series = exact.near(exact.alone(x), _TANH_EXP_ROOT, _TANH_EXP)
    return torch.where(close, series, far)


def _tanh_exp_slope(x: Tensor) -> Tensor:
    w = torch.exp(x)
    ratio, rest = 1 + exact.tanh_excess(w.clamp(max=0.6)), exact.lacking(exact.alone(w))
    left = exact.exp(exact.alone(x.clamp(max=0)), (ratio + x) - x * (w * ratio).square())
    right = (1 - rest) + w * (x * (rest * (2 - rest)))
    return torch.where(x < -0.55, left, right)


@tanh_exp.curve
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 10)
    w = torch.exp(x)
    return w * exact.sech_squared(exact.alone(w)) * (2 + x * (1 - 2 * w * torch.tanh(w)))


@activation(
    formula="x * log(1 + 1 / (1 + exp(-x)))",
    source="Zhu, Zeng, Liu & Zhou 2021, Logish, Neurocomputing 458",
    double=True,
    single=True,
    pieces=("value", "slope"),
    bounds={"curve": Bound(32, "1", _TERMS)},
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
    if exact.is_kernel_in_float32(x):
        return _gated_float32.LOGISH.value(x)
    low = x.clamp(min=-800)
    high, rest = exact.product(exact.log1p_excess(exact.logistic(low)), low)
    above, lost = exact.total(high, low)
    return torch.where(x < torch.inf, exact.sigmoid(exact.alone(low), above, lost + rest), x)


@logish.slope
def _(x: Tensor) -> Tensor:
    x = x.clamp(-800, 800)
    far = _gated_float32.LOGISH.slope(x) if exact.is_kernel_in_float32(x) else _logish_slope(x)
    close, series = exact.near(exact.alone(x), _LOGISH_ROOT, _LOGISH)
    return torch.where(close, series, far)


def _logish_slope(x: Tensor) -> Tensor:
    s, down = exact.logistic(x), exact.logistic(-x)
    high, low = exact.product(down / (1 + s), x)
    return exact.sigmoid(exact.alone(x), (1 + high) + (exact.log1p_excess(s) + low))


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
    single=True,
    bounds={"curve": Bound(32, "1", _TERMS)},
    pieces=("value", "slope"),
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
    if exact.is_kernel_in_float32(x):
        return _elish_float32.value(x)
    right, left = x.clamp(min=0), x.clamp(max=0)
    near = 0.5 * left * (1 + exact.tanh_excess(0.5 * left.clamp(min=-1.2)))
    weight = torch.where(left > -1.1, near, exact.lacking(exact.alone(-0.5 * left)) - 1)  # tanh(x/2)
    falling = exact.exp(exact.alone(left), weight)
    return torch.where(x >= 0, exact.sigmoid(exact.alone(right), right), falling)


@elish.slope
def _(x: Tensor) -> Tensor:
    if exact.is_kernel_in_float32(x):
        return _elish_float32.slope(x, _ELISH_ROOT[0])
    right, left = x.clamp(0, 800), x.clamp(max=0)
    rising = exact.sigmoid(exact.alone(right), 1 + right * exact.logistic(-right))
    # s (e^x + (e^x - 1) (1 - s)) is s (e^(x - r) - 1) (q + (1 - q) (1 - s)) with its root r and q = e^r = sqrt(2) - 1
    climb = torch.expm1(exact.beyond(exact.alone(left), _ELISH_ROOT))
    weight = exact.scaled(exact.total(0.585786437626905 * exact.logistic(-left), 0.41421356237309503), climb)
    return torch.where(x > 0, rising, exact.sigmoid(exact.alone(left), *weight))


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
    single=True,
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
    low = x.clamp(max=0)
    left = torch.expm1(low) * gate
    if exact.is_kernel_in_float32(x) and exact.has_pairs():
        first, rest = exact.total(low.clamp(min=-1), 1.0)
        left = 0.5 * exact.fma(torch.expm1(low), first, torch.expm1(low) * rest)
    return torch.where(x >= 0, x.clamp(min=0) * gate, left)


@hard_elish.slope
def _(x: Tensor) -> Tensor:
    low = x.clamp(-1, 0)
    if exact.is_kernel_in_float32(
        x
    ):  # with its root r, ((x + 2) (e^(x - r) - 1) + x - r) / (2 (r + 2)): terms of one sign
        away = exact.beyond(exact.alone(low), _HARD_ELISH_ROOT)
        left = (0.5 / (_HARD_ELISH_ROOT[0] + 2)) * exact.fma(low + 2, torch.expm1(away), away)
    else:
        left = 0.5 * (torch.expm1(low) + (low + 1) * torch.exp(low))
    left = torch.where(x > -1, left, torch.zeros_like(x))
    right = torch.where(x >= 1, torch.ones_like(x), x.clamp(0, 1) + 0.5)
    return torch.where(x.isnan(), x, torch.where(x > 0, right, left))


@hard_elish.curve
def _(x: Tensor) -> Tensor:
    low = x.clamp(-1, 0)
    left = torch.where(x > -1, 0.5 * (low + 3) * torch.exp(low), torch.zeros_like(x))
    return torch.where(x.isnan(), x, torch.where(x > 0, (x < 1).to(x.dtype), left))
