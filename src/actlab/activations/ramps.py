"""Smooth ramps: softplus and its relatives, by logarithms and by square roots."""

import math

import torch
from torch import Tensor

from . import _float32 as float32
from . import _numerics as exact
from ._catalogue import activation
from ._spec import Bound, Positive
from ._teaching import Teaching, Text


@activation(
    formula="log(1 + exp(b * x)) / b",
    source="Dugas, Bengio, Bélisle, Nadeau & Garcia 2001, NIPS 13",
    pieces=("value", "slope"),
    zh="ReLU 的光滑上界，其导数正是 sigmoid。",
    teaching=Teaching(
        good=Text(
            "Output for positive quantities such as variances, rates and scales: positive like the exponential, but growing only linearly. As a hidden activation where derivatives must be smooth; b sets how closely it follows ReLU.",
            "用于方差、率、尺度等正值输出：像指数函数一样恒为正，却只按线性增长。导数须光滑时也可用于隐藏层；b 决定它贴近 ReLU 的程度。",
        ),
        bad=Text(
            "f(0) = ln 2 = 0.69 and no output is negative, so it is not zero-centred. For very negative x it underflows to 0: add a floor before a log or division. torch turns to the identity above b x = 20, 2e-9 off, which shows in float64.",
            "f(0) = ln 2 ≈ 0.69，输出恒非负，不以零为中心。x 很负时会下溢为 0，取对数或作除数前应加下限。torch 在 b·x > 20 时改用恒等函数，误差 2e-9，在 float64 中可以察觉。",
        ),
        related=("relu", "squareplus", "shifted_softplus", "exponential"),
    ),
    elsewhere={"torch": "torch.nn.Softplus()", "keras": "keras.activations.softplus", "jax": "jax.nn.softplus"},
)
def softplus(x: Tensor, b: Positive = 1.0) -> Tensor:
    """Smooth upper bound of ReLU; its derivative is the sigmoid."""
    high, low = exact.quotient(exact.log1p_unit(_fallen(x, b)), b)
    return x.clamp(min=0) + (high + low)


def _fallen(x: Tensor, b: float) -> Tensor:
    """exp(-|bx|)."""
    return exact.exp(exact.minus_abs(exact.within(exact.product(x, b), 800)))


@softplus.slope
def _(x: Tensor, b: float) -> Tensor:
    return exact.sigmoid(exact.product(x, b))


@softplus.from_output()
def _(y: Tensor, b: float) -> Tensor:
    return float32.one_less_exp(b * y) if exact.is_kernel_in_float32(y) else -torch.expm1(-b * y)


@softplus.curve
def _(x: Tensor, b: float) -> Tensor:
    return exact.times(exact.bell(_fallen(x, b)), b)


@activation(
    formula="log(1 + exp(x)) - log(2)",
    source="Schütt et al. 2017, SchNet, arXiv:1706.08566",
    double=True,
    single=True,
    bounds={"value": Bound(4, "1/2", "the two logarithms cancel at zero; ten times better there by log1p(expm1(x)/2)")},
    pieces=("value", "slope"),
    zh="过原点的 softplus。",
    teaching=Teaching(
        good=Text(
            "Networks for interatomic potentials such as SchNet: infinitely differentiable, so that forces, the derivatives of the energy, are smooth too; and f(0) = 0, unlike softplus.",
            "用于 SchNet 等原子间势能网络：无穷次可导，因此作为能量导数的力同样光滑；且与 softplus 不同，f(0) = 0。",
        ),
        bad=Text(
            "The slope at zero is 1/2, so signals near zero halve in every layer unless the weights make up for it; the left side saturates at -ln 2 = -0.69. Taken as a difference of two logarithms it cancels near zero.",
            "零点斜率为 1/2，若权重不加补偿，零点附近的信号每过一层减半；左侧在 -ln 2 ≈ -0.69 处饱和。按两个对数之差计算时，零点附近会相消。",
        ),
        related=("softplus", "elu", "swish"),
    ),
    elsewhere={},
)
def shifted_softplus(x: Tensor) -> Tensor:
    """Softplus moved down to pass through the origin."""
    far = x.clamp(min=0) + (exact.log1p_unit(torch.exp(-x.abs())) - math.log(2))
    if exact.is_kernel_in_float32(x):
        return torch.where(x.abs() < 1, 0.5 * x + float32.log_cosh(x), far)
    near = torch.log1p(0.5 * torch.expm1(x.clamp(-30, 1)))
    return torch.where((x > -30) & (x < 1), near, far)


@shifted_softplus.slope
def _(x: Tensor) -> Tensor:
    return exact.logistic(x)


@shifted_softplus.from_output()
def _(y: Tensor) -> Tensor:
    return -torch.expm1(-(y + math.log(2)))


@shifted_softplus.curve
def _(x: Tensor) -> Tensor:
    return exact.bell(torch.exp(-x.abs()))


@activation(
    formula="sqrt(log(1 + exp(x)))",
    double=True,
    single=True,
    bounds={"curve": Bound(8, "1/8", "two terms cancel where it passes through zero")},
    source="DeepSeek-AI 2026, DeepSeek-V4 (routing scores); Hugging Face's sqrtsoftplus",
    also=("sqrtsoftplus",),
    pieces=("value", "slope"),
    zh="softplus 的平方根：恒为正，增长放缓。",
    teaching=Teaching(
        good=Text(
            "Routing scores in mixtures of experts (DeepSeek-V4): each expert is scored by itself, without the competition of softmax, and growth as sqrt(x) keeps high scores apart where a sigmoid would level off.",
            "混合专家模型的路由得分（DeepSeek-V4）：各专家独立打分，不像 softmax 那样互相竞争；按 √x 增长，高分之间仍能区分，而 sigmoid 此时已经饱和。",
        ),
        bad=Text(
            "Always positive, 0.83 at zero, with a slope of at most 0.32: not for hidden layers. Composed as sqrt(softplus(x)), it has NaN gradients in float32 once softplus underflows to 0, below x = -104 or so.",
            "恒为正，零点处为 0.83，斜率最大 0.32，不适合隐藏层。若写成 sqrt(softplus(x))，float32 下 x 约小于 -104 时 softplus 下溢为 0，梯度便成为 NaN。",
        ),
        related=("softplus", "sigmoid", "softmax"),
    ),
    elsewhere={"huggingface": "sqrtsoftplus"},
)
def sqrt_softplus(x: Tensor) -> Tensor:
    """Square root of softplus: always positive, growing ever slower."""
    root = torch.sqrt(_sqrt_softplus_parts(x)[0])
    return torch.where(x < 0, exact.exp(exact.alone(0.5 * x.clamp(max=0)), root), root)


def _sqrt_softplus_parts(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """softplus, its first and its second derivative, divided by exp(min(x, 0)), which all of them are proportional to on the left."""
    e = torch.exp(-x.abs())
    ratio = 1 + exact.log1p_excess(e)
    return (
        torch.where(x < 0, ratio, x + e * ratio),
        1 / (1 + e),
        torch.where(x < 0, 1 / (1 + e).square(), e / (1 + e).square()),
    )


@sqrt_softplus.slope
def _(x: Tensor) -> Tensor:
    soft, first, _ = _sqrt_softplus_parts(x)
    return torch.exp(0.5 * x.clamp(max=0)) * (0.5 * first / torch.sqrt(soft))


@sqrt_softplus.curve
def _(x: Tensor) -> Tensor:
    soft, first, second = _sqrt_softplus_parts(x)
    scale = torch.exp(0.5 * x.clamp(max=0))
    return scale * ((0.5 * second - 0.25 * first.square() / soft) / torch.sqrt(soft))


@activation(
    formula="-log(1 + exp(-x))",
    source="Bridle 1990; the logarithm of the sigmoid",
    also=("logsigmoid",),
    pieces=("value", "slope"),
    zh="sigmoid 的对数，数值稳定，用于损失函数。",
    teaching=Teaching(
        good=Text(
            "Inside losses: binary cross-entropy, pairwise ranking, word2vec's negative sampling, DPO. Its slope, sigmoid(-x), is near 1 exactly where the prediction is wrong, so learning does not stall there.",
            "用在损失函数内部：二元交叉熵、成对排序、word2vec 的负采样、DPO。其斜率为 sigmoid(-x)，恰在预测错误处接近 1，学习不会停滞。",
        ),
        bad=Text(
            "Do not write log(sigmoid(x)): in float32 that is exactly 0 above x = 17 or so and -inf below about -89. Never positive and unbounded below, it is of no use in hidden layers.",
            "不要写成 log(sigmoid(x))：float32 下 x 约大于 17 时它等于 0，约小于 -89 时为 -inf。输出非正且无下界，不适合隐藏层。",
        ),
        related=("sigmoid", "softplus", "log_softmax"),
    ),
    elsewhere={"torch": "torch.nn.LogSigmoid()", "keras": "keras.activations.log_sigmoid", "jax": "jax.nn.log_sigmoid"},
)
def log_sigmoid(x: Tensor) -> Tensor:
    """Logarithm of the sigmoid, as losses need it."""
    return x.clamp(max=0) - exact.log1p_unit(torch.exp(-x.abs()))


@log_sigmoid.slope
def _(x: Tensor) -> Tensor:
    return exact.logistic(-x)


@log_sigmoid.from_output()
def _(y: Tensor) -> Tensor:
    return float32.one_less_exp(-y) if exact.is_kernel_in_float32(y) else -torch.expm1(y)


@log_sigmoid.curve
def _(x: Tensor) -> Tensor:
    return -exact.bell(torch.exp(-x.abs()))


def _root(x: Tensor, b: float) -> tuple[Tensor, Tensor]:
    """sqrt(x^2 + b) as a pair; beyond 1e8 roots of b it is |x|."""
    far = x.abs() > 1e8 * math.sqrt(b)
    inner = torch.where(far, torch.zeros_like(x), x)
    square, rest = exact.product(inner, inner)
    above, more = exact.total(square, b)
    if exact.is_kernel_in_float32(x):
        inverse = torch.rsqrt(above)
        root = above * inverse
        low = (exact.fma(-root, root, above) + (more + rest)) * (0.5 * inverse)
    else:
        root = torch.sqrt(above)
        back, error = exact.product(root, root)
        low = (((above - back) - error) + (more + rest)) / (2 * root)
    return torch.where(far, x.abs(), root), torch.where(far, torch.zeros_like(low), low)


@activation(
    formula="(sqrt(x^2 + 1) - 1) / 2 + x",
    source="origin unknown; listed as bent identity since about 2015",
    pieces=("value",),
    zh="略微弯曲的恒等函数：斜率从 1/2 平滑过渡到 3/2。",
    teaching=Teaching(
        good=Text(
            "A mild nonlinearity that never saturates: the slope stays between 1/2 and 3/2 and is 1 at zero. Monotone, invertible and infinitely differentiable; suits near-linear problems and teaching.",
            "温和且永不饱和的非线性：斜率始终在 1/2 与 3/2 之间，零点处为 1。单调、可逆、无穷次可导；适合近似线性的问题与教学。",
        ),
        bad=Text(
            "So close to linear that depth gains little; its origin is unknown and no large library has it. Slopes still multiply: ten layers on the left side scale a gradient by 0.001. Near zero sqrt(x^2 + 1) - 1 cancels.",
            "太接近线性，加深网络收益不大；出处不明，主要的库也不提供。斜率仍会逐层相乘：若十层都在左侧，梯度只剩 0.001。零点附近 √(x² + 1) - 1 会相消。",
        ),
        related=("identity", "softplus", "leaky_relu"),
    ),
    elsewhere={},
)
def bent_identity(x: Tensor) -> Tensor:
    """A line with a gentle bend: its slope passes smoothly from 1/2 to 3/2."""
    high, low = _root(x, 1.0)
    if not exact.has_pairs():
        return torch.where(x.isinf(), x, x + 0.5 * x * exact.over(x, high + 1))
    y = x + 0.5 * ((high - 1) + low)
    return torch.where(x.isinf(), x, y)


@bent_identity.slope
def _(x: Tensor) -> Tensor:
    if exact.is_kernel_in_float32(x):
        inner = x.clamp(-1e18, 1e18)  # which have squares
        return exact.fma(0.5 * inner, torch.rsqrt(exact.fma(inner, inner, 1.0)), 1.0)
    high, low = _root(x, 1.0)
    return 1 + 0.5 * exact.over(x.clamp(-1e30, 1e30), (high + low).clamp(max=1e30))


@bent_identity.from_output()
def _(y: Tensor) -> Tensor:
    s = (2 * y + 1).clamp(-1e9, 1e9)  # beyond, the slope is 1/2 or 3/2
    root = torch.sqrt(s * s + 3)
    return 1.5 * root / (2 * root - s)


@bent_identity.curve
def _(x: Tensor) -> Tensor:
    high, low = _root(x, 1.0)
    return 0.5 / (high + low) ** 3


@activation(
    formula="(x + sqrt(x^2 + b)) / 2",
    source="Barron 2021, Squareplus, arXiv:2112.11687",
    pieces=("value", "slope"),
    zh="softplus 的代数版本：只用加法、乘法与平方根。",
    teaching=Teaching(
        good=Text(
            "Softplus by one square root, without exponential or logarithm: positive outputs, or a smooth ReLU, on hardware where these are dear. At b = 4 it has softplus's slope and curvature at zero.",
            "只用一次平方根、不含指数与对数的 softplus：在这两种运算昂贵的硬件上，用于正值输出或作光滑的 ReLU。b = 4 时在零点与 softplus 斜率、曲率都相同。",
        ),
        bad=Text(
            "Slow tails: 0.099 at x = -10, where softplus is 5e-5, so a unit is never quite off; f(0) = 1. Written as (x + sqrt(x^2 + b)) / 2, as in JAX, it cancels on the left: 0 in float32 below x = -10000 or so.",
            "尾部衰减慢：x = -10 处仍有 0.099（softplus 为 5e-5），神经元始终不能完全关闭；且 f(0) = 1。像 JAX 那样按 (x + √(x² + b))/2 计算，左侧会相消：float32 下 x 约小于 -10000 时得 0。",
        ),
        related=("softplus", "relu", "smelu"),
    ),
    elsewhere={"keras": "keras.activations.squareplus", "jax": "jax.nn.squareplus"},
)
def squareplus(x: Tensor, b: Positive = 4.0) -> Tensor:
    """Softplus by a square root instead of an exponential."""
    if exact.is_kernel_in_float32(x):
        return _squareplus_in_float32(x, b)[0]
    high, low = _root(x, b)
    gap, rest = exact.total(0.5 * high, -0.5 * x)  # halves, so that no sum overflows
    gap = torch.where(x < 0, gap, torch.ones_like(gap))
    q, more = exact.quotient(torch.full_like(gap, 0.25 * b), gap)
    left = q + (more - exact.over(q * (rest + 0.5 * low), gap))
    if x.dtype == torch.float32:
        left = left + exact.over(torch.full_like(gap, exact.short(0.25 * b)[1]), gap)
    left = torch.where(gap.isinf(), torch.zeros_like(left), left)
    return torch.where(x < 0, left, (0.5 * x + 0.5 * high) + 0.5 * low)


def _squareplus_in_float32(x: Tensor, b: float) -> tuple[Tensor, Tensor]:
    """s = (|x| + sqrt(x^2 + b)) / 2 on the right, and b / 4s on the left; and 2 / sqrt(x^2 + b)."""
    half = 0.5 * x.abs()
    above = exact.fma(half, half, 0.25 * b)
    guess = torch.rsqrt(above)
    root = above * guess
    more = exact.fma(-root, root, above) * (0.5 * guess)
    near = half < 1e18
    root = torch.where(near, root, half)
    s = half + root
    lost = torch.where(near, ((root - s) + half) + more, 0.0)
    small, rest = (s * 2.0**-24).clamp(max=3e38), lost * 2.0**-24  # so that the inverse is no subnormal number
    inverse, weight = 1 / small, 0.25 * b * 2.0**-24
    q = weight * inverse
    left = exact.fma(weight - exact.fma(q, small, q * rest), inverse, q)
    return torch.where(x < 0, left, s + lost), torch.where(near, guess, 1 / half)


@squareplus.slope
def _(x: Tensor, b: float) -> Tensor:
    if exact.is_kernel_in_float32(x):
        y, inverse = _squareplus_in_float32(x.clamp(-1e30, 1e30), b)
        return y * (0.5 * inverse)
    high, low = _root(x, b)
    root = high + low
    left = torch.where(x < 0, root - x, torch.ones_like(x))
    right = 0.5 + 0.5 * exact.over(x.clamp(max=1e30), root.clamp(max=1e30))
    return torch.where(x < 0, exact.over(0.5 * b / root, left), right)


@squareplus.from_output()
def _(y: Tensor, b: float) -> Tensor:
    return 1 / (1 + b / (4 * y * y))


@squareplus.curve
def _(x: Tensor, b: float) -> Tensor:
    high, low = _root(x, b)
    root = high + low
    return (0.5 * b / root) / root / root


@activation(
    formula="x - tanh(x)",
    double=True,
    single=True,
    source="listed in Torch7's nn since 2012",
    also=("tanhshrink",),
    zh="输入减去其双曲正切：零点附近几乎为零，远处与输入相差 1。",
    teaching=Teaching(
        good=Text(
            "Smooth shrinkage: noise near zero is suppressed to about x^3/3, while large inputs lose just 1. For denoising and sparse coding where the kinks of soft_shrink disturb.",
            "光滑的收缩：零点附近的噪声被压到约 x³/3，大输入只减去 1。适合不希望出现软阈值那种尖角的去噪与稀疏编码。",
        ),
        bad=Text(
            "The slope is tanh^2(x), 0 at the origin: with zero-mean input and small weights training starts with almost no gradient. Outputs are small but never exactly 0, so not sparse. x - tanh(x) cancels near zero.",
            "斜率为 tanh²(x)，原点处为 0：输入零均值、权重又小时，训练开始时几乎没有梯度。输出虽小却不精确为 0，谈不上稀疏。零点附近 x - tanh(x) 会相消。",
        ),
        related=("soft_shrink", "hard_shrink", "tanh"),
    ),
    elsewhere={"torch": "torch.nn.Tanhshrink()", "keras": "keras.activations.tanh_shrink"},
)
def tanh_shrink(x: Tensor) -> Tensor:
    """The input less its tanh: almost nothing near zero, one less than the input far away."""
    if exact.is_kernel_in_float32(x):
        return float32.tanh_shrunk(x, rough=not exact.has_pairs())
    small = x.clamp(-1.5, 1.5)
    square = small * small
    fraction = torch.full_like(
        x, 23.0
    )  # of Lambert's continued fraction tanh x = x / (1 + x^2 / (3 + x^2 / (5 + ...)))
    for odd in range(21, 2, -2):
        fraction = odd + square / fraction
    share = square / fraction
    return torch.where(x.abs() < 1.5, small * (share / (1 + share)), x - torch.tanh(x))


@tanh_shrink.slope
def _(x: Tensor) -> Tensor:
    return torch.tanh(x).square()


@tanh_shrink.curve
def _(x: Tensor) -> Tensor:
    return 2 * torch.tanh(x) * exact.sech_squared(exact.alone(x))
