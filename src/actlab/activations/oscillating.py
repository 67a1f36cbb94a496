"""Functions that rise and fall again: waves, bells, and inputs with a wave laid over them."""

import math

import torch
from torch import Tensor

from . import _float32 as float32
from . import _half_turns as half_turns
from . import _numerics as exact
from ._catalogue import activation
from ._spec import Bound, LearnablePositive
from ._teaching import Teaching, Text

_ZEROS = "two terms cancel at each of its infinitely many zeros"


@activation(
    formula="sin(x)",
    source="Sitzmann et al. 2020, SIREN, arXiv:2006.09661; Parascandolo et al. 2017",
    also=("sine", "sin"),
    zh="正弦：周期函数，适合表示细节与导数。",
    teaching=Teaching(
        good=Text(
            "SIREN: networks from coordinates to images, sound or shapes, where detail and derivatives count. Needs its own initialisation: sin(30 (W x + b)), W uniform within 1/n in the first layer and sqrt(6/n)/30 in the others.",
            "SIREN：由坐标生成图像、声音或形状的网络，注重细节与导数。需要专门的初始化：sin(30(Wx + b))，首层 W 均匀分布于 ±1/n，其余各层均匀分布于 ±√(6/n)/30。",
        ),
        bad=Text(
            "With ordinary initialisation it trains badly, as periodicity gives the loss many local minima. Not monotone: inputs 2 pi apart look alike. In half precision large arguments lose their phase.",
            "用普通初始化很难训练，周期性使损失有许多局部极小。不单调：相差 2π 的输入无法区分。半精度下，大的自变量会丢失相位。",
        ),
        related=("snake", "cosine", "gaussian"),
    ),
    elsewhere={"torch": "torch.sin", "keras": "keras.ops.sin", "jax": "jax.numpy.sin"},
)
def sinusoid(x: Tensor) -> Tensor:
    """Sine: periodic, good at detail and at derivatives of signals."""
    return torch.sin(x)


@sinusoid.slope
def _(x: Tensor) -> Tensor:
    return torch.cos(x)


@sinusoid.side
def _(x: Tensor) -> Tensor:
    return torch.cos(x) > 0


@sinusoid.from_output_and_side
def _(y: Tensor, rising: Tensor) -> Tensor:
    steep = torch.sqrt((1 - y) * (1 + y))
    return torch.where(rising, steep, -steep)


@sinusoid.curve
def _(x: Tensor) -> Tensor:
    return -torch.sin(x)


@activation(
    formula="cos(x)",
    source="Rahimi & Recht 2007, Random features for large-scale kernel machines, NIPS 20",
    also=("cos",),
    zh="余弦：随机傅里叶特征的激活函数。",
    teaching=Teaching(
        good=Text(
            "Random Fourier features: sqrt(2/D) cos(w x + b) with Gaussian w and b uniform in [0, 2 pi] approximates the Gaussian kernel, so that a linear model on top acts as a kernel machine.",
            "随机傅里叶特征：√(2/D)·cos(w·x + b)，w 取高斯分布，b 在 [0, 2π] 上均匀分布，可逼近高斯核，其上接线性模型便相当于核方法。",
        ),
        bad=Text(
            "Even, with slope 0 at zero: zero-mean input gets little gradient, and without a phase b only even functions come out. If w is trained as well, the loss has many local minima.",
            "偶函数，零点斜率为 0：零均值输入得到的梯度很小；没有相位 b 时只能表示偶函数。若连 w 一起训练，损失有许多局部极小。",
        ),
        related=("sinusoid", "gaussian", "snake"),
    ),
    elsewhere={"torch": "torch.cos", "keras": "keras.ops.cos", "jax": "jax.numpy.cos"},
)
def cosine(x: Tensor) -> Tensor:
    """Cosine, the activation of random Fourier features."""
    return torch.cos(x)


@cosine.slope
def _(x: Tensor) -> Tensor:
    return -torch.sin(x)


@cosine.side
def _(x: Tensor) -> Tensor:
    return torch.sin(x) < 0


@cosine.from_output_and_side
def _(y: Tensor, rising: Tensor) -> Tensor:
    steep = torch.sqrt((1 - y) * (1 + y))
    return torch.where(rising, steep, -steep)


@cosine.curve
def _(x: Tensor) -> Tensor:
    return -torch.cos(x)


@activation(
    formula="sinc(x)",
    source="Woodward & Davies 1952, Proc. IEE 99",
    variants={"normalized": {"false": "sinc", "true": "normalized_sinc"}},
    double=True,
    single="value",
    bounds={
        "slope": Bound(4, "min(1, 1 / abs(x))", _ZEROS),
        "curve": Bound(6, "min(1, 1 / abs(x))", _ZEROS),
    },
    pieces=("value", "slope"),
    zh="sin(x)/x，零点处为 1：逐渐减弱的波。",
    teaching=Teaching(
        good=Text(
            "Band-limited signals: sinc is the kernel of the ideal low-pass filter, so sums of shifted sincs describe smooth, oscillating functions, in the manner of a wavelet or a radial basis.",
            "适合带限信号：sinc 是理想低通滤波器的核，平移后的 sinc 相加可表示光滑的振荡函数，用法类似小波或径向基。",
        ),
        bad=Text(
            "Not monotone: it dips to -0.217 at |x| = 4.49, with ripples that fade only as 1/|x|. Even, slope 0 at zero. 0/0 at zero is NaN in naive code. torch, JAX and Keras mean sin(pi x)/(pi x) by sinc.",
            "不单调：|x| = 4.49 处低至 -0.217，波纹只按 1/|x| 衰减。偶函数，零点斜率为 0。直接计算时零点是 0/0，得 NaN。torch、JAX 与 Keras 的 sinc 指 sin(πx)/(πx)。",
        ),
        related=("normalized_sinc", "gaussian", "sinusoid"),
    ),
    elsewhere={},
)
def sinc(x: Tensor) -> Tensor:
    """sin(x)/x, and 1 at zero: a wave that dies away."""
    return _sinc(x)


def _sinc(x: Tensor) -> Tensor:
    away = torch.where(x == 0, torch.ones_like(x), x)
    y = torch.where(x == 0, torch.ones_like(x), torch.sin(away) / away)
    return torch.where(x.isinf(), torch.zeros_like(y), y)


_FACTORIALS = [math.factorial(2 * k + 1) for k in range(1, 14)]
_SLOPE = tuple((-1.0) ** k * 2 * k / f for k, f in enumerate(_FACTORIALS, 1))  # of sinc'(x) / x in x^2
_CURVE = tuple((-1.0) ** k * 2 * k * (2 * k - 1) / f for k, f in enumerate(_FACTORIALS, 1))  # of sinc''(x) in x^2


def _sinc_slope(x: Tensor, sine: Tensor, cosine: Tensor) -> Tensor:
    """sinc'(x) from sin(x) and cos(x)."""
    inner = x.clamp(-1.5, 1.5)
    away = torch.where(x.abs() < 1.5, torch.full_like(x, 2.0), x)
    far = (cosine - sine / away) / away
    far = torch.where(x.isinf(), torch.zeros_like(far), far)
    return torch.where(x.abs() < 1.5, inner * exact.polynomial(inner * inner, _SLOPE), far)


def _sinc_curve(x: Tensor, sine: Tensor, cosine: Tensor) -> Tensor:
    inner = x.clamp(-1.5, 1.5)
    away = torch.where(x.abs() < 1.5, torch.full_like(x, 2.0), x)
    far = -(sine + 2 * (cosine - sine / away) / away) / away
    far = torch.where(x.isinf(), torch.zeros_like(far), far)
    return torch.where(x.abs() < 1.5, exact.polynomial(inner * inner, _CURVE), far)


@sinc.slope
def _(x: Tensor) -> Tensor:
    return _sinc_slope(x, torch.sin(x), torch.cos(x))


@sinc.curve
def _(x: Tensor) -> Tensor:
    return _sinc_curve(x, torch.sin(x), torch.cos(x))


@activation(
    formula="sinc(pi * x)",
    source="Woodward 1953, Probability and information theory; numpy.sinc",
    double=True,
    single="value",
    pieces=("slope",),
    bounds={
        "slope": Bound(6, "min(1, 1 / abs(x))", _ZEROS),
        "curve": Bound(10, "min(10, 10 / abs(x))", _ZEROS),
    },
    zh="归一化的 sinc：sin(πx)/(πx)，在非零整数处为零。",
    teaching=Teaching(
        good=Text(
            "The sinc of signal processing: 1 at zero and 0 at all other whole numbers, so shifted copies pass exactly through samples (Shannon interpolation). It is what numpy and torch call sinc.",
            "信号处理中的 sinc：零点为 1，其余整数处为 0，因此平移后的各副本恰好通过采样点（香农插值）。numpy 与 torch 所说的 sinc 就是它。",
        ),
        bad=Text(
            "Not monotone, even, slope 0 at zero. Narrower than sinc by a factor of pi, with slopes up to 1.37 against 0.44, so weights and learning rates do not carry over between the two.",
            "不单调，偶函数，零点斜率为 0。宽度只有 sinc 的 1/π，斜率可达 1.37（sinc 为 0.44），两者的权重与学习率不能互换。",
        ),
        related=("sinc", "sinusoid", "gaussian"),
    ),
    elsewhere={"torch": "torch.sinc", "keras": "keras.ops.sinc", "jax": "jax.numpy.sinc"},
)
def normalized_sinc(x: Tensor) -> Tensor:
    """sin(pi x)/(pi x), which is zero at every whole number but zero."""
    if exact.is_kernel():
        return half_turns.value(x)
    sine, _ = _turns(x)
    away = torch.where(x == 0, torch.ones_like(x), math.pi * x)
    y = torch.where(x == 0, torch.ones_like(x), sine / away)
    return torch.where(x.isinf(), torch.zeros_like(y), y)


def _turns(x: Tensor) -> tuple[Tensor, Tensor]:
    """sin(pi x) and cos(pi x), exact at whole and half numbers."""
    whole = torch.round(x)
    rest = math.pi * (x - whole)
    sign = 1 - 2 * torch.remainder(whole, 2)
    return sign * torch.sin(rest), sign * torch.cos(rest)


@normalized_sinc.slope
def _(x: Tensor) -> Tensor:
    if exact.is_kernel():
        return half_turns.slope(x)
    return math.pi * _sinc_slope(math.pi * x, *_turns(x))


@normalized_sinc.curve
def _(x: Tensor) -> Tensor:
    return math.pi**2 * _sinc_curve(math.pi * x, *_turns(x))


@activation(
    formula="exp(-x^2)",
    double=True,
    single=True,
    source="Broomhead & Lowe 1988, radial basis function networks",
    zh="高斯钟形：零点为 1，两侧迅速衰减；径向基函数网络使用。",
    teaching=Teaching(
        good=Text(
            "Radial basis function networks: applied to a distance from a centre, scaled by a width, it answers only nearby, so units are local and easy to read. Take the centres from the data or k-means.",
            "径向基函数网络：作用于输入到中心的距离（除以宽度），只在附近有响应，各单元是局部的，易于解释。中心可取自数据或 k 均值聚类。",
        ),
        bad=Text(
            "Not monotone, never negative, and flat far out: the slope is below 0.001 for |x| > 3, so input far from every centre gets no gradient. In many dimensions the number of centres needed explodes.",
            "不单调，输出恒正，远处平坦：|x| > 3 时斜率不足 0.001，远离所有中心的输入得不到梯度。维数高时所需的中心数急剧增长。",
        ),
        related=("sinc", "cosine", "laplace"),
    ),
    elsewhere={},
)
def gaussian(x: Tensor) -> Tensor:
    """Bell curve: 1 at zero and soon nothing, as radial basis functions are."""
    return exact.gauss(x)


@gaussian.slope
def _(x: Tensor) -> Tensor:
    return exact.gauss(x, -2 * x.clamp(-40, 40))


@gaussian.side
def _(x: Tensor) -> Tensor:
    return x < 0


@gaussian.from_output_and_side
def _(y: Tensor, rising: Tensor) -> Tensor:
    steep = torch.where(y > 0, 2 * y * torch.sqrt(-torch.log(y)), torch.zeros_like(y))
    return torch.where(rising, steep, -steep)


@gaussian.curve
def _(x: Tensor) -> Tensor:
    x = x.clamp(-40, 40).abs()
    high, low = exact.total(x, -0.7071067811865476)
    less = high + (low + 4.833646656726457e-17)  # |x| - sqrt(1/2), whose float64 is too large by that much
    return exact.gauss(x, 4 * less * (x + 0.7071067811865476))


@activation(
    formula="x + sin(a * x)^2 / a",
    source="Ziyin, Hartwig & Ueda 2020, Neural networks fail to learn periodic functions, arXiv:2006.08195",
    double=True,
    single_up_to={"slope": "30 / a"},
    bounds={
        "value": Bound(4, "1", _ZEROS),
        "slope": Bound(4, "1", _ZEROS),
        "curve": Bound(4, "1", _ZEROS),
    },
    pieces=("value", "half slope"),
    zh="在输入上叠加周期波动，使网络能外推周期信号；a 为可学习的频率。",
    teaching=Teaching(
        good=Text(
            "Periodic signals that must be carried on beyond the training data, such as audio: the vocoder BigVGAN and the codec DAC use it, with one a per channel. Monotone, as its slope is 1 + sin(2 a x).",
            "需要外推到训练数据之外的周期信号，如音频：声码器 BigVGAN 与编解码器 DAC 都用它，每个通道一个 a。斜率为 1 + sin(2ax)，故单调。",
        ),
        bad=Text(
            "a must start near the frequencies of the data, for the loss oscillates in it and a poor start stays poor. The ripples add overtones, which BigVGAN filters against aliasing. Keep a > 0, as it divides.",
            "a 的初值应接近数据的频率，因为损失随 a 振荡，初值不当很难纠正。波纹会产生谐波，BigVGAN 为此加了抗混叠滤波。a 在分母上，须保持 a > 0。",
        ),
        related=("sinusoid", "growing_cosine", "identity"),
    ),
    elsewhere={},
)
def snake(x: Tensor, a: LearnablePositive = 1.0) -> Tensor:
    """The input with a ripple on it, so that a network can carry a period on; a, its frequency, is learnt."""
    if exact.is_kernel_in_float32(x):  # what rounding leaves out of ax turns the ripple by less than x is rounded
        sine = torch.sin(x * a)
        return torch.where((x * a).isinf(), x, exact.fma(sine * sine, 1 / a, x))
    sine, _ = _wave(x, a)
    return torch.where(x.isinf(), x, x + sine * sine / a)


def _wave(x: Tensor, a: float | Tensor) -> tuple[Tensor, Tensor]:
    """sin(ax) and cos(ax)."""
    high, low = exact.product(x, a)
    if exact.is_kernel() and x.dtype == torch.float64 and not exact.scales(a):
        low = float32.fma(x, a, -high)
    if torch.is_tensor(low):  # far out, where it is a turn and more, nothing tells the phase
        low = torch.where(low.abs() < 0.1, low, torch.zeros_like(low))
    largest = torch.finfo(high.dtype).max
    high = torch.where(x.isinf(), x, high.clamp(-largest, largest))
    sine, cosine = torch.sin(high), torch.cos(high)
    return sine + low * cosine, cosine - low * sine


@snake.slope
def _(x: Tensor, a: float | Tensor) -> Tensor:
    if exact.precision() == "fused" and x.dtype == torch.float32 and isinstance(a, float):
        return float32.squared_sum_of_waves(x, a)
    sine, cosine = _wave(x, a)
    return (sine + cosine) * (sine + cosine)  # 1 + 2 sin(ax) cos(ax), which would lose its digits at the zeros


@snake.curve
def _(x: Tensor, a: float | Tensor) -> Tensor:
    sine, cosine = _wave(x, a)
    return 2 * a * (cosine - sine) * (cosine + sine)


@snake.partial("a")
def _(x: Tensor, a: float | Tensor) -> Tensor:
    sine, cosine = _wave(x, a)
    share = sine * (1 / a)
    return share * (2 * x * cosine - share)


@activation(
    formula="x * cos(x)",
    source="Noel, Trivedi & Dutta 2021, Growing cosine unit, arXiv:2108.12943",
    also=("gcu",),
    double=True,
    single="value",
    bounds={
        "slope": Bound(4, "max(1, abs(x))", _ZEROS),
        "curve": Bound(4, "max(1, abs(x))", _ZEROS),
    },
    pieces=("value", "slope"),
    zh="增长的余弦：单个神经元即可解决 XOR。",
    teaching=Teaching(
        good=Text(
            "A lesson in what monotonicity costs: one such unit separates XOR, which no single unit with a monotone activation can. Its authors use it in convolutional layers.",
            "用来说明单调性的代价：一个这样的神经元就能解决 XOR，而任何单个单调激活的神经元都做不到。原作者把它用于卷积层。",
        ),
        bad=Text(
            "Not monotone, and the slope changes sign again and again while growing like |x|: large input makes gradients explode and flip. Keep input small by normalisation.",
            "不单调，斜率反复变号且幅度按 |x| 增长：输入大时梯度既爆炸又变向。须靠归一化保持输入较小。",
        ),
        related=("sinusoid", "snake", "swish"),
    ),
    elsewhere={},
)
def growing_cosine(x: Tensor) -> Tensor:
    """Input times its cosine; a single such unit solves XOR."""
    return x * torch.cos(x)


@growing_cosine.slope
def _(x: Tensor) -> Tensor:
    return torch.cos(x) - x * torch.sin(x)


@growing_cosine.curve
def _(x: Tensor) -> Tensor:
    return -2 * torch.sin(x) - x * torch.cos(x)
