"""Straight and parabolic stand-ins for smooth functions, steps and thresholds, and the identity."""

import torch
from torch import Tensor

from . import _numerics as exact
from ._between import between
from ._catalogue import activation
from ._spec import Positive, Real
from ._teaching import Teaching, Text


@activation(
    formula="x",
    source="the activation of linear models; Widrow & Hoff 1960, ADALINE",
    also=("linear",),
    hands_on=True,
    zh="恒等函数：原样输出。",
    teaching=Teaching(
        good=Text(
            "Output layer for regression, and for logits that the loss itself turns into probabilities. In a hidden layer it is a baseline that shows what a nonlinearity contributes.",
            "回归任务的输出层；也用于输出 logits、由损失函数自行换算成概率的场合。放在隐藏层时可作基线，用来看清非线性的贡献。",
        ),
        bad=Text(
            "However many layers are stacked with nothing else between them, they are one linear map. The output is unbounded: nothing keeps it positive or within a range, so take softplus or sigmoid where that is needed.",
            "各层之间若只有恒等函数，叠多少层都只等价于一个线性映射。输出无界，不能保证为正或落在某个区间；有此要求时应改用 softplus 或 sigmoid。",
        ),
        related=("relu", "bent_identity", "softplus"),
    ),
    elsewhere={
        "torch": "torch.nn.Identity()",
        "keras": "keras.activations.linear",
        "jax": "jax.nn.identity",
        "huggingface": "linear",
        "timm": "identity",
    },
)
def identity(x: Tensor) -> Tensor:
    """The input as it is."""
    return x.clone()


@identity.slope
def _(x: Tensor) -> Tensor:
    return torch.ones_like(x)


@activation(
    formula="Piecewise((1, x >= 0), (0, True))",
    source="McCulloch & Pitts 1943, Bull. Math. Biophys. 5; Rosenblatt 1958",
    also=("heaviside",),
    jumps=(0.0,),
    variants={
        "surrogate": {
            "none": "binary_step",
            "straight_through": "straight_through_step",
            "sigmoid": "sigmoid_surrogate_step",
        }
    },
    zh="阶跃函数：非负为 1，负数为 0；导数处处为 0，因此无法用梯度训练。",
    teaching=Teaching(
        good=Text(
            "Perceptrons, hard decisions at inference, 1-bit activations and spikes: one comparison, one bit. To train through it ask for a made-up gradient: surrogate='straight_through' or 'sigmoid'.",
            "用于感知机、推理时的硬判决、1 比特激活和脉冲：一次比较，一位输出。要让梯度穿过它，须用代理梯度：surrogate='straight_through' 或 'sigmoid'。",
        ),
        bad=Text(
            "The derivative is 0 everywhere but at the jump, where there is none, so with plain backpropagation nothing before it learns. The value at 0 is a convention: 1 here; torch.heaviside and jax.numpy.heaviside ask for it.",
            "除跳跃点处不可导外，导数处处为 0，用普通反向传播时它之前的层都学不到东西。0 处的取值只是约定：这里取 1；torch.heaviside 与 jax.numpy.heaviside 要求调用者给出。",
        ),
        related=("straight_through_step", "sigmoid_surrogate_step", "sigmoid"),
    ),
    elsewhere={
        "torch": "torch.heaviside(x, torch.ones_like(x))",
        "keras": "keras.ops.heaviside(x, 1.0)",
        "jax": "jax.numpy.heaviside(x, 1.0)",
    },
)
def binary_step(x: Tensor) -> Tensor:
    """1 for inputs from zero on, else 0; its derivative is 0 everywhere, so nothing below it learns."""
    return torch.where(x.isnan(), x, (x >= 0).to(x.dtype))


@binary_step.slope
def _(x: Tensor) -> Tensor:
    return torch.zeros_like(x)


@activation(
    formula="clip(slope * x + 1/2, 0, 1)",
    source="Keras since 2015 and ONNX (slope 0.2), after the slope 1/2 of Courbariaux, Bengio & David 2015, arXiv:1511.00363",
    presets={"hardsigmoid": {"slope": 1 / 6}, "sparse_sigmoid": {"slope": 0.5}},
    elsewhere_as={
        "hardsigmoid": {
            "torch": "torch.nn.Hardsigmoid()",
            "keras": "keras.activations.hard_sigmoid",
            "jax": "jax.nn.hard_sigmoid",
            "timm": "hard_sigmoid",
        },
        "sparse_sigmoid": {"keras": "keras.activations.sparse_sigmoid", "jax": "jax.nn.sparse_sigmoid"},
    },
    kinks=("-1/(2*slope)", "1/(2*slope)"),
    zh="sigmoid 的分段线性近似，计算便宜。",
    teaching=Teaching(
        good=Text(
            "Gates and channel attention on mobile and fixed-point hardware (squeeze-and-excite in MobileNetV3, at slope 1/6): multiply, add and clip, no exponential; reaches 0 and 1 exactly.",
            "用于移动端与定点硬件上的门和通道注意力（MobileNetV3 的 squeeze-and-excite，斜率 1/6）：一次乘、一次加、一次截断，无指数运算，且能精确取到 0 与 1。",
        ),
        bad=Text(
            "The slope differs: 0.2 in old Keras and ONNX, 1/6 in torch, JAX and Keras 3 ('hardsigmoid' here); mixing them up changes a trained model. The gradient is exactly 0 for |x| > 2.5, so a saturated gate does not recover.",
            "各库斜率不同：旧版 Keras 与 ONNX 为 0.2，torch、JAX 与 Keras 3 为 1/6（此处名为 hardsigmoid），混用会改变已训练的模型。|x| > 2.5 时梯度恰为 0，饱和的门无法恢复。",
        ),
        related=("sigmoid", "hard_tanh", "hard_swish"),
    ),
    elsewhere={},
)
def hard_sigmoid(x: Tensor, slope: Positive = 0.2) -> Tensor:
    """Straight-line stand-in for the sigmoid."""
    return _ramp(x, slope).clamp(0, 1)


def _ramp(x: Tensor, slope: float) -> Tensor:
    """slope x + 1/2 rounded once, also where the two cancel."""
    high, low = exact.product(x, slope)
    above, rest = exact.total(high, 0.5)
    return above + (rest + low)


@hard_sigmoid.slope
def _(x: Tensor, slope: float) -> Tensor:
    y = _ramp(x, slope)
    return between(y, 0, 1, slope)


@hard_sigmoid.from_output()
def _(y: Tensor, slope: float) -> Tensor:
    return torch.where((y > 0) & (y < 1), slope, torch.zeros_like(y))


@activation(
    formula="clip(x, lo, hi)",
    source="Collobert 2004, Large scale machine learning, PhD thesis, Paris 6",
    also=("hardtanh",),
    kinks=("lo", "hi"),
    ordered=("lo", "hi"),
    zh="tanh 的分段线性近似：截断到 [lo, hi]。",
    teaching=Teaching(
        good=Text(
            "A cheap tanh that clips to [-1, 1]: fixed-point inference, bounded actions in control, and the window of the straight-through estimator in binarised networks, which passes gradients only for |x| < 1.",
            "廉价的 tanh，把输入截断到 [-1, 1]：用于定点推理、控制中的有界动作，以及二值网络中直通估计的窗口（只在 |x| < 1 处传递梯度）。",
        ),
        bad=Text(
            "Outside the interval the derivative is exactly 0: a unit driven out of it on every example gets no gradient and stays there, so normalise before it. At lo and hi the slope is a convention, 0 here.",
            "区间之外导数恰为 0：若某个神经元对所有样本都落在区间外，便得不到梯度，再也回不来，因此应先做归一化。lo 与 hi 处的斜率是约定，这里取 0。",
        ),
        related=("tanh", "hard_sigmoid", "clipped_relu"),
    ),
    elsewhere={"torch": "torch.nn.Hardtanh()", "keras": "keras.activations.hard_tanh", "jax": "jax.nn.hard_tanh"},
)
def hard_tanh(x: Tensor, lo: Real = -1.0, hi: Real = 1.0) -> Tensor:
    """Straight-line stand-in for tanh: the input, cut off at lo and hi."""
    return x.clamp(lo, hi)


@hard_tanh.slope
def _(x: Tensor, lo: float, hi: float) -> Tensor:
    return between(x, lo, hi)


@hard_tanh.from_output()
def _(y: Tensor, lo: float, hi: float) -> Tensor:
    return ((y > lo) & (y < hi)).to(y.dtype)


@activation(
    formula="x * clip(x + 3, 0, 6) / 6",
    source="Howard et al. 2019, Searching for MobileNetV3, arXiv:1905.02244",
    also=("hard_silu", "hardswish"),
    kinks=(-3.0, 3.0),
    zh="swish 的分段近似，无需指数运算。",
    teaching=Teaching(
        good=Text(
            "Activation of MobileNetV3: swish, never more than 0.143 off, from clip, add and multiply alone, which suits int8 and phones.",
            "MobileNetV3 的激活函数：只用截断、加法和乘法近似 swish，误差不超过 0.143，适合 int8 与手机端推理。",
        ),
        bad=Text(
            "The derivative jumps at both kinks, from 0 to -1/2 at x = -3 and from 3/2 to 1 at x = 3, and is 0 below -3, where units can die. On GPUs, where memory traffic dominates, it saves little over SiLU.",
            "导数在两个拐点处都有跳跃：x = -3 处由 0 到 -1/2，x = 3 处由 3/2 到 1；x < -3 时为 0，神经元可能死亡。在以访存为瓶颈的 GPU 上，比 SiLU 省不了多少。",
        ),
        related=("swish", "hard_sigmoid", "hard_mish", "clipped_relu"),
    ),
    elsewhere={
        "torch": "torch.nn.Hardswish()",
        "keras": "keras.activations.hard_swish",
        "jax": "jax.nn.hard_swish",
        "huggingface": "hardswish",
        "timm": "hard_swish",
    },
)
def hard_swish(x: Tensor) -> Tensor:
    """Parabola between a flat piece and the identity: swish without an exponential."""
    x = x.clamp(min=-3)
    return x * ((x + 3).clamp(max=6) / 6)


@hard_swish.slope
def _(x: Tensor) -> Tensor:
    return between(x, -3, 3, (2 * x + 3) / 6, 1.0)


@hard_swish.side
def _(x: Tensor) -> Tensor:
    return x > -1.5


@hard_swish.from_output_and_side
def _(y: Tensor, rising: Tensor) -> Tensor:
    steep = torch.sqrt((9 + 24 * y).clamp(min=0)) / 6
    right = torch.where(y >= 3, torch.ones_like(y), steep)  # in this order NaN stays one
    return torch.where(rising, right, torch.where(y >= 0, torch.zeros_like(y), -steep))


@hard_swish.curve
def _(x: Tensor) -> Tensor:
    return between(x, -3, 3, 1 / 3)


@activation(
    formula="x * clip(x + 2, 0, 2) / 2",
    source="Wightman 2020, timm, after the idea of hard swish",
    also=("hardmish",),
    kinks=(-2.0, 0.0),
    zh="mish 的分段近似，无需指数运算。",
    teaching=Teaching(
        good=Text(
            "Mish without exponential, logarithm and tanh: the parabola x (x + 2) / 2 between -2 and 0, joined with slope 1 to the identity above. For hardware without a fast exponential.",
            "不含指数、对数与 tanh 的 mish：在 -2 与 0 之间是抛物线 x(x + 2)/2，在零点以斜率 1 与恒等函数相接。适合没有快速指数运算的硬件。",
        ),
        bad=Text(
            "An experiment in timm with neither a paper nor wide use. The dip reaches -0.5, against -0.31 for mish; the derivative jumps from 0 to -1 at x = -2, and units below that get no gradient.",
            "timm 中的一个实验，没有论文，使用也不广。凹陷深达 -0.5（mish 为 -0.31）；导数在 x = -2 处由 0 跳到 -1，更小的输入得不到梯度。",
        ),
        related=("mish", "hard_swish", "relu"),
    ),
    elsewhere={"timm": "hard_mish"},
)
def hard_mish(x: Tensor) -> Tensor:
    """Parabola between a flat piece and the identity: mish without an exponential."""
    x = x.clamp(min=-2)
    return x * ((x + 2).clamp(max=2) / 2)


@hard_mish.slope
def _(x: Tensor) -> Tensor:
    return between(x, -2, 0, x + 1, 1.0)


@hard_mish.curve
def _(x: Tensor) -> Tensor:
    return between(x, -2, 0)


@activation(
    formula="Piecewise((x, x > theta), (value, True))",
    source="Konda, Memisevic & Krueger 2014, arXiv:1402.3337 (thresholded ReLU)",
    jumps=("theta",),
    zh="不大于阈值的输入都换成一个定值。",
    teaching=Teaching(
        good=Text(
            "Drops weak responses and passes strong ones unshifted, unlike a negative bias before ReLU, which shifts them: thresholded ReLU, made for sparse autoencoders without biases.",
            "舍弃弱响应，强响应原样通过；不像在 ReLU 前加负偏置那样会使输出整体偏移。即带阈值的 ReLU，为无偏置的稀疏自编码器而提出。",
        ),
        bad=Text(
            "The value jumps at theta, the gradient is 0 up to there, and theta itself gets none, so units can die and theta must be chosen by hand. torch and Keras have no default theta: give both numbers.",
            "函数值在 theta 处跳跃，theta 以下梯度为 0，theta 本身也得不到梯度，因此神经元可能死亡，阈值只能手工选定。torch 与 Keras 没有默认阈值，两个数都须给出。",
        ),
        related=("relu", "hard_shrink", "binary_step"),
    ),
    elsewhere={
        "torch": "torch.nn.Threshold(1.0, 0.0)",
        "keras": "keras.activations.threshold(x, threshold=1.0, default_value=0.0)",
    },
)
def threshold(x: Tensor, theta: Real = 1.0, value: Real = 0.0) -> Tensor:
    """The input above a threshold, a fixed value up to it."""
    return torch.where((x > theta) | x.isnan(), x, value)


@threshold.slope
def _(x: Tensor, theta: float, value: float) -> Tensor:
    return (x > theta).to(x.dtype)


@activation(
    formula="Piecewise((x, abs(x) > lambd), (0, True))",
    source="Donoho & Johnstone 1994, Biometrika 81 (hard thresholding)",
    also=("hardshrink",),
    jumps=("-lambd", "lambd"),
    zh="硬阈值：绝对值不超过 lambd 的输入归零，其余不变。",
    teaching=Teaching(
        good=Text(
            "Denoising and sparse coding: small coefficients become exactly 0, large ones stay as they are, without the bias of soft_shrink. It is the proximal step of the L0 penalty.",
            "用于去噪与稀疏编码：小系数精确归零，大系数保持不变，没有软阈值的偏差。它是 L0 惩罚的近端算子。",
        ),
        bad=Text(
            "Jumps at -lambd and lambd, so a tiny change of input makes an output appear or vanish. The dead zone contains zero: with small initial weights no gradient flows at all. lambd gets no gradient.",
            "在 ±lambd 处跳跃，输入稍有变化，输出就会突然出现或消失。死区包含零点：若初始权重很小，梯度完全无法通过。lambd 得不到梯度。",
        ),
        related=("soft_shrink", "tanh_shrink", "threshold"),
    ),
    elsewhere={"torch": "torch.nn.Hardshrink()", "keras": "keras.activations.hard_shrink"},
)
def hard_shrink(x: Tensor, lambd: Positive = 0.5) -> Tensor:
    """Hard thresholding: zero for inputs no larger than lambd, all others as they are."""
    return torch.where((x.abs() > lambd) | x.isnan(), x, torch.zeros_like(x))


@hard_shrink.slope
def _(x: Tensor, lambd: float) -> Tensor:
    return (x.abs() > lambd).to(x.dtype)


@activation(
    formula="sign(x) * max(abs(x) - lambd, 0)",
    source="Donoho & Johnstone 1994, Biometrika 81 (soft thresholding)",
    also=("softshrink",),
    kinks=("-lambd", "lambd"),
    zh="软阈值：所有输入向零收缩 lambd。",
    teaching=Teaching(
        good=Text(
            "The proximal step of the L1 penalty: one iteration of ISTA, hence the activation of LISTA and other unrolled networks for sparse coding and denoising. Continuous, and exactly 0 for |x| <= lambd.",
            "L1 惩罚的近端算子，即 ISTA 的一次迭代，因而是 LISTA 等展开式稀疏编码与去噪网络的激活函数。连续，且 |x| ≤ lambd 时精确为 0。",
        ),
        bad=Text(
            "Biased: every input that survives is lambd too small. No gradient in the dead zone around zero, where small initial weights put everything. lambd is fixed here, whereas LISTA learns it.",
            "有偏：保留下来的输入都被压小了 lambd。零点附近的死区没有梯度，而初始权重很小时所有输入都落在其中。这里 lambd 固定，LISTA 则让它可学习。",
        ),
        related=("hard_shrink", "tanh_shrink", "relu"),
    ),
    elsewhere={"torch": "torch.nn.Softshrink()", "keras": "keras.activations.soft_shrink"},
)
def soft_shrink(x: Tensor, lambd: Positive = 0.5) -> Tensor:
    """Soft thresholding: every input drawn towards zero by lambd."""
    left = exact.added(x.abs(), -lambd).clamp(min=0)
    return torch.where(x < 0, -left, left)


@soft_shrink.slope
def _(x: Tensor, lambd: float) -> Tensor:
    return (x.abs() > lambd).to(x.dtype)
