"""Smooth functions that weigh the input by a gate made of the input itself: GELU, swish, mish and their kin."""

from typing import Annotated

import torch
from torch import Tensor

from . import _gelu_float32, _swish_float32
from . import _numerics as exact
from ._catalogue import activation
from ._spec import Bound, Domain, Learnable
from ._teaching import Teaching, Text

# Taylor coefficients of first derivatives at their root (left of zero), from the linear one on, and the root as a pair.
_GELU_ROOT = (-0.7517915246935645, 1.4956759177009883e-17)
_GELU = (
    0.4314939923140469, 0.388284982990552, -0.018199676398671087, -0.1140082332972217, -0.014771522148244337, 0.019421679838189067,
    0.004539228379125415, -0.002239538068073497, -0.0007448268386746817, 0.00018633974623233514, 8.615947861116571e-05,
    -1.121438018842664e-05, -7.74846130700372e-06, 4.3284506257392273e-07, 5.702764979242107e-07, -1.6044265494246427e-09,
    -3.5459866461783865e-08, -1.396942086426202e-09, 1.90319840501314e-09,
)  # fmt: skip
_GELU_TANH_ROOT = (-0.7524614220710163, 3.635560509207687e-17)
_GELU_TANH = (
    0.4304000910248585, 0.38751844613578895, -0.01578285352184803, -0.11394448308095899, -0.01661932834305256, 0.019682309459833118,
    0.005261059254921912, -0.0024227318458750974, -0.0009274420230205449, 0.00026392764052681053, 0.00012425227802639782,
    -3.4956171694436116e-05, -1.5950896871645105e-05, 5.918611710894005e-06, 2.4335516344299543e-06, -9.898647747433667e-07,
    -4.3102482988029016e-07, 1.4157556987729473e-07, 7.520740909289922e-08, -1.6978217459781023e-08, -1.196180847972441e-08,
)  # fmt: skip
_SWISH_ROOT = (-1.2784645427610737, -1.0946994183093437e-16)
_SWISH = (
    0.2178117057198001, 0.1466487969969469, 0.018874814223782312, -0.015222655223188032, -0.006606589138356696, 0.000126627410081122,
    0.0007985218818397998, 0.00018570724361186496, -4.090534237428612e-05, -2.9733542213263917e-05, -2.942631888842464e-06,
    2.346029682463866e-06, 8.599695028268575e-07, -3.051244750055421e-08, -9.266646309267441e-08, -1.8877622907727957e-08,
    4.619379769031606e-09, 2.9177603026903803e-09, 2.3648315053103244e-10,
)  # fmt: skip
_MISH_ROOT = (-1.1924312145154952, -4.8484829848031044e-17)
_MISH = (
    0.2669479140495345, 0.20473126408010586, 0.04190782104360987, -0.020271822716684245, -0.01582112656173338, -0.0033606849270232685,
    0.0010924055409445854, 0.0009898181021289196, 0.00025412936386191073, -4.1961496031696126e-05, -5.582891567360688e-05,
    -1.72992708103044e-05, 9.427361327376651e-07, 2.9088199364912223e-06, 1.071676702702074e-06, 2.6879417855557728e-08,
    -1.4117255919499382e-07, -6.174424363104907e-08, -5.460186173028381e-09, 6.3895954615089855e-09, 3.3604012383661332e-09,
    4.817646300218697e-10, -2.6751871594311224e-10,
)  # fmt: skip
_ROOT = "two terms cancel where the second derivative passes through zero"


@activation(
    formula="x * (1 + erf(x / sqrt(2))) / 2",
    source="Hendrycks & Gimpel 2016, arXiv:1606.08415",
    also=("gelu_python",),
    variants={"approximate": {"none": "gelu", "tanh": "gelu_tanh", "sigmoid": "quick_gelu"}},
    double=True,
    single=True,
    pieces=("value", "slope"),
    zh="输入乘以标准正态分布函数：光滑，非单调。",
    teaching=Teaching(
        good=Text(
            "A standard of Transformers such as BERT and ViT: smooth, close to the identity for large input, with some gradient for negative input, so units seldom die. Take this exact form unless pretrained weights ask for another.",
            "BERT、ViT 等 Transformer 的标准选择：光滑，大输入处接近恒等，负输入仍有一些梯度，神经元很少死亡。除非预训练权重要求别的形式，应取这一精确形式。",
        ),
        bad=Text(
            "Three forms are in use (erf, tanh, sigmoid), and JAX's default is the tanh one: check before loading weights. Not monotone: minimum -0.170 at x = -0.752. 1 + erf cancels in the left tail; use erfc.",
            "通行的形式有三种（erf、tanh、sigmoid），JAX 默认是 tanh 形式，加载权重前须核对。不单调：x = -0.752 处取最小值 -0.170。左尾处 1 + erf 会相消，应当用 erfc。",
        ),
        related=("gelu_tanh", "swish", "relu", "geglu"),
    ),
    elsewhere={
        "torch": "torch.nn.GELU()",
        "keras": "keras.activations.gelu",
        "jax": "jax.nn.gelu(x, approximate=False)",
        "huggingface": "gelu",
        "timm": "gelu",
    },
)
def gelu(x: Tensor) -> Tensor:
    """Input weighted by the distribution function of the standard normal; smooth, with a dip left of zero."""
    if exact.is_kernel_in_float32(x):
        return _gelu_float32.gelu(x)
    low = x.clamp(min=-40)  # beyond, the result is -0 in every type
    return exact.normal_cdf(exact.alone(low), low)


@gelu.slope
def _(x: Tensor) -> Tensor:
    inner = x.clamp(-40, 40)
    close, series = exact.near(exact.alone(inner), _GELU_ROOT, _GELU)
    return torch.where(close, series, _gelu_slope(inner))


def _gelu_slope(x: Tensor) -> Tensor:
    if exact.is_kernel_in_float32(x):
        return _gelu_float32.gelu_slope(x)
    return exact.normal_cdf(exact.alone(x)) + exact.normal_density(exact.alone(x), x)


@gelu.curve
def _(x: Tensor) -> Tensor:
    inner = x.clamp(-40, 40)
    less = (1.4142135623730951 - inner.abs()) - 9.667293313452913e-17
    return exact.normal_density(exact.alone(inner)) * less * (1.4142135623730951 + inner.abs())


_TWICE_ROOT_TWO_OVER_PI = (1.5957691216057308, -9.96930880911092e-17)
_CUBIC = (0.07135481627260025, -6.175149918155315e-19)  # 0.044715 of it


def _tanh_argument(x: Tensor) -> tuple[Tensor, Tensor]:
    """2 sqrt(2/pi) (x + 0.044715 x^3) as a pair, for |x| up to 30."""
    high, low = exact.scaled(exact.product(x, x), _CUBIC[0])
    above, more = exact.total(high, _TWICE_ROOT_TWO_OVER_PI[0])
    rest = more + low + (_TWICE_ROOT_TWO_OVER_PI[1] + _CUBIC[1] * x * x)
    u, left = exact.product(above, x)
    return u, left + rest * x


@activation(
    formula="x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2",
    source="Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2",
    also=("gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"),
    double=True,
    single=True,
    pieces=("value", "slope"),
    bounds={"curve": Bound(16, "1/2", _ROOT)},
    zh="GELU 的 tanh 近似，误差不超过 5e-4，GPT-2 使用。",
    teaching=Teaching(
        good=Text(
            "For models trained with it, such as GPT-2 and, inside geglu, T5 v1.1 and Gemma; introduced where erf was slow or missing. At most 5e-4 away from exact GELU.",
            "供以它训练的模型使用，如 GPT-2，以及（在 GEGLU 中）T5 v1.1 与 Gemma；最初用于 erf 缓慢或缺失的场合。与精确 GELU 相差不超过 5e-4。",
        ),
        bad=Text(
            "The constant is sqrt(2/pi) = 0.798; 2/pi, sometimes printed, is wrong. x^3 overflows float16 for |x| > 40, and 1 + tanh cancels on the left. With a fast erf at hand it saves little.",
            "常数是 √(2/π) ≈ 0.798；有时印成的 2/π 是错的。float16 下 |x| > 40 时 x³ 溢出，左侧 1 + tanh 会相消。若 erf 本来就快，它省不了多少。",
        ),
        related=("gelu", "swish", "geglu"),
    ),
    elsewhere={
        "torch": 'torch.nn.GELU(approximate="tanh")',
        "keras": "keras.activations.gelu(x, approximate=True)",
        "jax": "jax.nn.gelu",
        "huggingface": "gelu_pytorch_tanh",
        "timm": "gelu_tanh",
    },
)
def gelu_tanh(x: Tensor) -> Tensor:
    """GELU with its normal distribution approximated by a tanh, at most 5e-4 away; as GPT-2 uses it."""
    low = x.clamp(min=-30)
    return exact.sigmoid(_tanh_argument(low.clamp(max=30)), low)


def _gelu_tanh_parts(x: Tensor) -> tuple[exact.Pair, exact.Pair]:
    """u and du/dx."""
    high, low = exact.scaled(exact.product(x, x), 3 * _CUBIC[0])
    above, more = exact.total(high, _TWICE_ROOT_TWO_OVER_PI[0])
    return _tanh_argument(x), (above, more + low)


@gelu_tanh.slope
def _(x: Tensor) -> Tensor:
    inner = x.clamp(-30, 30)
    gate, rise = _gelu_tanh_parts(inner)
    close, series = exact.near(exact.alone(inner), _GELU_TANH_ROOT, _GELU_TANH)
    return torch.where(close, series, exact.gated_slope(gate, exact.scaled(rise, inner)))


@gelu_tanh.curve
def _(x: Tensor) -> Tensor:
    inner = x.clamp(-30, 30)
    gate, (rise, rest) = _gelu_tanh_parts(inner)
    rise = rise + rest
    up, down = exact.sigmoid(gate), exact.sigmoid(exact.negated(gate))
    bend = 6 * 0.044715 * _TWICE_ROOT_TWO_OVER_PI[0] * inner
    return up * down * (2 * rise + inner * (bend + rise * rise * (down - up)))


@activation(
    formula="x / (1 + exp(-b * x))",
    source="Ramachandran, Zoph & Le 2017, arXiv:1710.05941; Elfwing, Uchibe & Doya 2017, arXiv:1702.03118 (b = 1)",
    presets={"silu": {"b": 1.0}, "quick_gelu": {"b": 1.702}},
    elsewhere_as={"quick_gelu": {"huggingface": "quick_gelu", "timm": "quick_gelu"}},
    double=True,
    single=True,
    pieces=("value", "slope"),
    along="b",
    bounds={"curve": Bound(16, "1/2", _ROOT)},
    zh="输入乘以自身的 sigmoid；b 可学习，b = 1 即 SiLU。",
    teaching=Teaching(
        good=Text(
            "As SiLU (b = 1) in EfficientNet, later YOLO detectors, diffusion U-Nets and, inside swiglu, most language models: smooth, with gradient for negative input. b leads from x/2 (b = 0) to ReLU (b large).",
            "b = 1 时即 SiLU，用于 EfficientNet、较新的 YOLO 检测器、扩散模型的 U-Net，以及（在 SwiGLU 中）多数大语言模型：光滑，负输入也有梯度。b 使它从 x/2（b = 0）过渡到 ReLU（b 很大）。",
        ),
        bad=Text(
            "torch, JAX and Keras fix b = 1. With s = sigmoid(b x) the slope is s + b x s (1 - s); its factor b is often forgotten. Not monotone (minimum -0.278 at b = 1), no flaw: monotone units do not make a deep loss convex either.",
            "torch、JAX 与 Keras 都固定 b = 1。记 s = sigmoid(bx)，斜率为 s + b·x·s(1 - s)，其中的因子 b 常被漏掉。不单调（b = 1 时最小值 -0.278），但这不是缺陷：单调的激活也不能使多层网络的误差曲面成为凸的。",
        ),
        related=("gelu", "hard_swish", "mish", "swiglu"),
    ),
    elsewhere={
        "torch": "torch.nn.SiLU()",
        "keras": "keras.activations.silu",
        "jax": "jax.nn.silu",
        "huggingface": "silu",
        "timm": "silu",
    },
)
def swish(x: Tensor, b: Learnable = 1.0) -> Tensor:
    """Input times the sigmoid of b times itself; b is learnt, and fixed at 1 it is SiLU."""
    most = torch.finfo(x.dtype).max  # where the sigmoid is 0, infinity times it is no number
    if torch.is_tensor(b):
        weight = torch.where(torch.lt(b, 0), x.clamp(max=most), x.clamp(min=-most))
    else:
        weight = x.clamp(max=most) if b < 0 else x.clamp(min=-most)
    return exact.sigmoid(exact.product(x, b), weight)


def _swish_parts(x: Tensor, b: float | Tensor) -> tuple[Tensor, exact.Number, Tensor, Tensor]:
    """bx as a pair, sigmoid(bx) and sigmoid(-bx), with bx kept where both differ from 0."""
    pair = exact.within(exact.product(x, b), 800)
    return *pair, exact.sigmoid(pair), exact.sigmoid(exact.negated(pair))


@swish.slope
def _(x: Tensor, b: float | Tensor) -> Tensor:
    if exact.is_kernel_in_float32(x):
        return _swish_float32.slope(x, b, _SWISH_ROOT, _SWISH)
    pair = exact.within(exact.product(x, b), 800)
    close, series = exact.near(pair, _SWISH_ROOT, _SWISH)
    return torch.where(close, series, exact.gated_slope(pair, pair))


@swish.curve
def _(x: Tensor, b: float | Tensor) -> Tensor:
    t, _, up, down = _swish_parts(x, b)
    return b * (up * down * (2 + t * (down - up)))


@swish.partial("b")
def _(x: Tensor, b: float | Tensor) -> Tensor:
    if exact.is_kernel_in_float32(x):
        return _swish_float32.by_b(x, b)
    _, _, up, down = _swish_parts(x, b)
    return torch.where(up * down == 0, torch.zeros_like(x), x * up * (x * down))


Below = Annotated[float, Domain(high=-0.17)]  # under the least value of GELU, so that nothing is cut off there
Above = Annotated[float, Domain(low=5.0)]  # where GELU is the identity, so that the kink lies at `hi`


@activation(
    formula="min(max(x * (1 + erf(x / sqrt(2))) / 2, lo), hi)",
    source="Wu et al. 2020, Integer quantization for deep learning inference, arXiv:2004.09602",
    presets={"gelu_10": {"lo": -10.0, "hi": 10.0}},
    kinks=("hi",),
    ordered=("lo", "hi"),
    double=True,
    single=True,
    pieces_of="gelu",
    zh="截断到 [lo, hi] 的 GELU，便于量化。",
    teaching=Teaching(
        good=Text(
            "GELU for int8 inference: with the range cut at 10, the step of a symmetric int8 scale is 0.079, fine enough to represent the negative dip of -0.17 by two steps.",
            "供 int8 推理的 GELU：范围截断在 10，对称 int8 量化的步长为 0.079，足以用两级表示深 -0.17 的负凹陷。",
        ),
        bad=Text(
            "Above hi the gradient is 0, so use it for inference or fine-tuning, not from scratch. The default lo = -10 never acts, since GELU is never below -0.17. Without quantisation there is no reason for it.",
            "大于 hi 处梯度为 0，适合推理或微调，不宜从头训练。默认的 lo = -10 从不起作用，因为 GELU 不会低于 -0.17。不做量化就没有必要用它。",
        ),
        related=("gelu", "clipped_relu", "gelu_tanh"),
    ),
    elsewhere={"huggingface": "gelu_10"},
)
def clipped_gelu(x: Tensor, lo: Below = -10.0, hi: Above = 10.0) -> Tensor:
    """GELU cut off at lo and hi, for quantisation."""
    return gelu.body(x).clamp(lo, hi)


def _unclipped(x: Tensor, lo: float, hi: float) -> Tensor:
    """Where GELU lies between the two, or is none; it is nowhere below -0.17, and x from 9 on."""
    if lo < -0.2 and hi > 9:
        return (x < hi) | x.isnan()
    y = gelu.body(x)
    return (y > lo) & (y < hi) | x.isnan()


@clipped_gelu.slope
def _(x: Tensor, lo: float, hi: float) -> Tensor:
    return torch.where(_unclipped(x, lo, hi), gelu.bodies["slope"](x), torch.zeros_like(x))


@clipped_gelu.curve
def _(x: Tensor, lo: float, hi: float) -> Tensor:
    return torch.where(_unclipped(x, lo, hi), gelu.bodies["curve"](x), torch.zeros_like(x))


@activation(
    formula="x * tanh(log(1 + exp(x)))",
    source="Misra 2019, arXiv:1908.08681",
    double=True,
    single=True,
    pieces=("value", "slope"),
    bounds={"curve": Bound(16, "1/2", _ROOT)},
    zh="输入乘以其 softplus 的 tanh：光滑，非单调。",
    teaching=Teaching(
        good=Text(
            "Detectors and other vision models, among them YOLOv4: infinitely differentiable, unbounded above, with a shallow dip that keeps some gradient for negative input. Fits wherever swish does.",
            "用于 YOLOv4 等检测与视觉模型：无穷次可导，上无界，浅浅的凹陷使负输入仍有一些梯度。凡用 swish 之处都可以换用。",
        ),
        bad=Text(
            "As exp, log1p and tanh it costs several times as much as SiLU on a CPU, though one exponential suffices; its advantage over SiLU is small and depends on the task. Not monotone: minimum -0.309 at x = -1.192.",
            "按 exp、log1p、tanh 三步计算，CPU 上耗时是 SiLU 的数倍，其实一次指数运算就够了；相对 SiLU 的优势很小，且因任务而异。不单调：x = -1.192 处取最小值 -0.309。",
        ),
        related=("swish", "gelu", "hard_mish", "serf"),
    ),
    elsewhere={
        "torch": "torch.nn.Mish()",
        "keras": "keras.activations.mish",
        "jax": "jax.nn.mish",
        "huggingface": "mish",
        "timm": "mish",
    },
)
def mish(x: Tensor) -> Tensor:
    """Input times the tanh of its softplus; smooth, with a dip left of zero."""
    low = x.clamp(min=-800)
    falling = exact.alone(-low.abs())
    w = exact.exp(falling, shared=True)
    share = exact.over(2 * w * w, exact.fma(2 * w, w, exact.fma(w, 2.0, 1.0)))
    rest = exact.fma(w, w, w) / exact.fma(w, 2 + w, 2.0)
    left = exact.exp(falling, *exact.scaled(exact.total(-rest, 1.0), low))
    return torch.where(low >= 0, exact.fma(-low.clamp(max=800), share, low), left)


def _mish_gate(x: Tensor) -> tuple[Tensor, Tensor]:
    """t = tanh(softplus(x)) and 1 - t, without cancellation."""
    w = torch.exp(-x.abs())
    right, left = 1 + 2 * w, w * (w + 2)
    t = torch.where(x >= 0, right / (right + 2 * w * w), left / (left + 2))
    return t, torch.where(x >= 0, 2 * w * w / (right + 2 * w * w), 2 / (left + 2))


@mish.slope
def _(x: Tensor) -> Tensor:
    inner = x.clamp(-800, 800)
    far = _mish_slope_in_float32(inner) if exact.is_kernel_in_float32(inner) else _mish_slope(inner)
    close, series = exact.near(exact.alone(inner), _MISH_ROOT, _MISH)
    return torch.where(close, series, far)


def _mish_slope(x: Tensor) -> Tensor:
    t, rest = _mish_gate(x)
    right = t + x * exact.logistic(x) * rest * (1 + t)
    w = torch.exp(-x.abs())
    above, missing = exact.total(w, 1.0)
    square, left_out = exact.product(above, above)
    below, rest = exact.total(square, 1.0)
    share, more = exact.quotient(above, below)
    more = more + (missing - share * (rest + left_out + 2 * above * missing)) / below
    high, low = exact.scaled((share, more), 4 * x)
    left = exact.exp(exact.alone(-x.abs()), *exact.quotient((high + 2) + (w + low), below))
    return torch.where(x >= 0, right, left)


def _mish_slope_in_float32(x: Tensor) -> Tensor:
    """The same over powers of exp(-|x|), whose sums need no care where each step rounds once."""
    fma, right, falling = exact.fma, x >= 0, exact.alone(-x.abs())
    w = exact.exp(falling, shared=True)
    four, six = fma(x, 4.0, 4.0), fma(x, 4.0, 6.0)
    above = torch.where(right, fma(w, fma(w, fma(w, four, six), 4.0), 1.0), fma(w, fma(w, 4 + w, six), four))
    below = torch.where(
        right, fma(w, fma(w, fma(w, fma(w, 4.0, 8.0), 8.0), 4.0), 1.0), fma(w, fma(w, fma(w, 4 + w, 8.0), 8.0), 4.0)
    )
    weight = above / below
    return torch.where(right, weight, exact.exp(falling, weight))


@mish.curve
def _(x: Tensor) -> Tensor:
    inner = x.clamp(-800, 800)
    t, rest = _mish_gate(inner)
    up, down = exact.logistic(inner), exact.logistic(-inner)
    return rest * (1 + t) * up * (2 + inner * (down - 2 * t * up))
