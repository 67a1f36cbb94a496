"""ReLU and what was made of it with straight and parabolic pieces."""

import torch
from torch import Tensor

from . import _numerics as exact
from ._between import between
from ._catalogue import activation
from ._spec import Learnable, Positive, Real
from ._teaching import Teaching, Text


@activation(
    formula="max(0, x)",
    source="Fukushima 1969; Nair & Hinton 2010, ICML",
    kinks=(0.0,),
    zh="整流线性单元：负数为 0，正数不变。",
    teaching=Teaching(
        good=Text(
            "The default for hidden layers of CNNs and MLPs: slope exactly 1 for positive input, so gradients do not shrink there; cheap; and sparse, with half the outputs 0 for zero-mean input. Use He (Kaiming) initialisation.",
            "CNN 与 MLP 隐藏层的默认选择：正输入处斜率恰为 1，梯度不会在此衰减；计算便宜；输出稀疏，零均值输入约有一半输出为 0。宜配 He（Kaiming）初始化。",
        ),
        bad=Text(
            "A unit whose input is negative on every example gets no gradient and is dead, often after too high a learning rate. Outputs are unbounded and not zero-centred; the derivative at 0 is a convention, 0 here.",
            "若某个神经元对所有样本的输入都为负，便得不到梯度而“死亡”，常因学习率过大引起。输出无上界，也不以零为中心；0 处的导数是约定，这里取 0。",
        ),
        related=("leaky_relu", "elu", "gelu", "clipped_relu"),
    ),
    elsewhere={
        "torch": "torch.nn.ReLU()",
        "keras": "keras.activations.relu",
        "jax": "jax.nn.relu",
        "huggingface": "relu",
        "timm": "relu",
    },
)
def relu(x: Tensor) -> Tensor:
    """Zero for negative input, the input itself for positive."""
    return x.clamp(min=0)


@relu.slope
def _(x: Tensor) -> Tensor:
    return (x > 0).to(x.dtype)


@relu.from_output()
def _(y: Tensor) -> Tensor:
    return (y > 0).to(y.dtype)


@activation(
    formula="Piecewise((x, x > 0), (a * x, True))",
    source="Maas, Hannun & Ng 2013, ICML workshop",
    kinks=(0.0,),
    zh="负半轴保留小斜率的 ReLU，使神经元不会死亡。",
    teaching=Teaching(
        good=Text(
            "ReLU insured against dead units: negative input still passes a gradient. Common in GANs, usually with a = 0.2, and in older YOLO detectors with a = 0.1.",
            "为防神经元死亡而改造的 ReLU：负输入仍能传回梯度。常见于 GAN（通常 a = 0.2）和较早的 YOLO 检测器（a = 0.1）。",
        ),
        bad=Text(
            "At a = 0.01 the left gradient is a hundred times weaker, so the gain over ReLU is often small. Defaults differ: 0.01 in torch and JAX, 0.2 for keras.activations.leaky_relu and 0.3 for keras.layers.LeakyReLU in Keras 3.",
            "a = 0.01 时左侧梯度只有右侧的百分之一，比 ReLU 的改善往往很小。各库默认值不同：torch 与 JAX 为 0.01；Keras 3 中 keras.activations.leaky_relu 为 0.2，keras.layers.LeakyReLU 为 0.3。",
        ),
        related=("relu", "prelu", "rrelu", "elu"),
    ),
    elsewhere={
        "torch": "torch.nn.LeakyReLU()",
        "keras": "keras.layers.LeakyReLU(negative_slope=0.01)",
        "jax": "jax.nn.leaky_relu",
        "huggingface": "leaky_relu",
        "timm": "leaky_relu",
    },
)
def leaky_relu(x: Tensor, a: Real = 0.01) -> Tensor:
    """ReLU with a small slope for negative input, so that a unit cannot die."""
    return torch.where(x > 0, x, exact.times(x, a))


@leaky_relu.slope
def _(x: Tensor, a: float) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), a)


@leaky_relu.from_output("a")
def _(y: Tensor, a: float) -> Tensor:
    return torch.where(y > 0, torch.ones_like(y), a)


@activation(
    formula="Piecewise((x, x > 0), (a * x, True))",
    source="He, Zhang, Ren & Sun 2015, arXiv:1502.01852, eq. 1",
    kinks=(0.0,),
    zh="负半轴斜率可学习的 ReLU。",
    teaching=Teaching(
        good=Text(
            "Lets the data choose the slope for negative input, shared by a layer or one per channel, at the price of a few parameters. Start the weights with He's gain for slope a, sqrt(2 / (1 + a^2)).",
            "让数据决定负半轴的斜率，可整层共享或每个通道一个，只多出少量参数。权重初始化应采用 He 方法在斜率 a 下的增益 √(2/(1 + a²))。",
        ),
        bad=Text(
            "Keep weight decay off a, as it pulls towards plain ReLU; with a < 0 the function is no longer monotone. Defaults differ: torch has one a from 0.25 on, Keras one per element (every pixel, without shared_axes) from 0 on.",
            "不要对 a 施加权重衰减，那会把它拉回 ReLU；a < 0 时函数不再单调。默认值不同：torch 共用一个 a，初值 0.25；Keras 每个元素一个（不设 shared_axes 时每个像素各一个），初值 0。",
        ),
        related=("leaky_relu", "rrelu", "relu", "swish"),
    ),
    elsewhere={
        "torch": "torch.nn.PReLU()",
        "keras": "keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25))",
        "huggingface": "prelu",
        "timm": "prelu",
    },
)
def prelu(x: Tensor, a: Learnable = 0.25) -> Tensor:
    """ReLU whose slope for negative input is learnt."""
    return torch.where(x > 0, x, a * x)


@prelu.slope
def _(x: Tensor, a: float | Tensor) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), a)


@prelu.partial("a")
def _(x: Tensor, a: float | Tensor) -> Tensor:
    return x.clamp(max=0)


@activation(
    formula="abs(x)",
    source="Jarrett, Kavukcuoglu, Ranzato & LeCun 2009, ICCV",
    also=("abs",),
    kinks=(0.0,),
    zh="绝对值：偶函数，在零点处有尖点。",
    teaching=Teaching(
        good=Text(
            "Keeps the strength of a response and drops its sign, as for contrast, energy or the modulus of a wavelet (scattering networks). The slope is 1 in size everywhere but at zero: gradients neither vanish nor die.",
            "保留响应的强度、舍去符号，适合对比度、能量或小波模（散射网络）。除零点外斜率的绝对值处处为 1，梯度既不消失，神经元也不会死亡。",
        ),
        bad=Text(
            "Even, so x and -x cannot be told apart; not monotone; and never negative, hence not zero-centred. At zero the derivative jumps from -1 to 1; 0 is taken there.",
            "偶函数，x 与 -x 无法区分；不单调；输出非负，不以零为中心。导数在零点由 -1 跳到 1，约定取 0。",
        ),
        related=("relu", "crelu", "maxout"),
    ),
    elsewhere={"torch": "torch.abs", "keras": "keras.ops.absolute", "jax": "jax.numpy.abs"},
)
def absolute(x: Tensor) -> Tensor:
    """Absolute value: an even function with a kink at zero."""
    return x.abs()


@absolute.slope
def _(x: Tensor) -> Tensor:
    return torch.sign(x)


@absolute.side
def _(x: Tensor) -> Tensor:
    return x > 0


@absolute.from_output_and_side
def _(y: Tensor, rising: Tensor) -> Tensor:
    return torch.where(y > 0, torch.where(rising, 1.0, -1.0).to(y.dtype), torch.zeros_like(y))


@activation(
    formula="min(max(0, x), tau)",
    source="Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10",
    presets={"relu6": {"tau": 6.0}},
    kinks=(0.0, "tau"),
    zh="上限为 tau 的 ReLU，便于低精度计算。",
    teaching=Teaching(
        good=Text(
            "ReLU6 of MobileNetV2 and many quantised models: the fixed range from 0 to 6 gives int8 and fixed point one known scale. Speech models such as Deep Speech clip at 20.",
            "MobileNetV2 等量化模型使用的 ReLU6：固定的取值范围 0 到 6 使 int8 与定点数的量化尺度事先已知。Deep Speech 等语音模型则在 20 处截断。",
        ),
        bad=Text(
            "No gradient on either side: units can die below 0 and stick above tau. Do not compute it as relu(x) - relu(x - 6), which for large x in float16 rounds to values other than 6.",
            "两侧都没有梯度：输入小于 0 时神经元可能死亡，大于 tau 时停在饱和区。不要写成 relu(x) - relu(x - 6)：float16 下 x 很大时，舍入后的结果不是 6。",
        ),
        related=("relu", "hard_tanh", "hard_swish"),
    ),
    elsewhere={
        "torch": "torch.nn.ReLU6()",
        "keras": "keras.activations.relu6",
        "jax": "jax.nn.relu6",
        "huggingface": "relu6",
        "timm": "relu6",
    },
)
def clipped_relu(x: Tensor, tau: Positive = 6.0) -> Tensor:
    """ReLU with a ceiling, which suits low precision."""
    return x.clamp(0.0, tau)


@clipped_relu.slope
def _(x: Tensor, tau: float) -> Tensor:
    return between(x, 0, tau)


@clipped_relu.from_output()
def _(y: Tensor, tau: float) -> Tensor:
    return ((y > 0) & (y < tau)).to(y.dtype)


@activation(
    formula="max(0, x)^2",
    source="So et al. 2021, Primer, arXiv:2109.08668",
    also=("relu2", "squared_relu"),
    kinks=(0.0,),
    zh="ReLU 的平方：在零点处一阶可导，正侧增长更快。",
    teaching=Teaching(
        good=Text(
            "Feed-forward layers of Transformers: found by the search behind Primer, and used since in language models such as Nemotron-4. Sparse like ReLU, continuous derivative, and no second matrix as gated units need.",
            "用于 Transformer 的前馈层：由 Primer 的架构搜索得到，后来也用于 Nemotron-4 等语言模型。像 ReLU 一样稀疏，一阶导数连续，且不像门控单元那样需要第二个矩阵。",
        ),
        bad=Text(
            "Value and slope (2x) grow without bound: x^2 overflows float16 from 256 on, and the output variance follows the fourth moment of the input, so normalise before it. Units die as with ReLU.",
            "函数值与斜率（2x）都无界增长：float16 下 x ≥ 256 时 x² 溢出；输出方差取决于输入的四阶矩，因此须先做归一化。与 ReLU 一样会死亡。",
        ),
        related=("relu", "star_relu", "xielu", "swiglu"),
    ),
    elsewhere={"huggingface": "relu2"},
)
def relu_squared(x: Tensor) -> Tensor:
    """Square of ReLU: differentiable at zero, growing ever faster."""
    return x.clamp(min=0).square()


@relu_squared.slope
def _(x: Tensor) -> Tensor:
    return 2 * x.clamp(min=0)


@relu_squared.from_output()
def _(y: Tensor) -> Tensor:
    return 2 * torch.sqrt(y)


@relu_squared.curve
def _(x: Tensor) -> Tensor:
    return 2 * (x > 0).to(x.dtype)


@activation(
    formula="s * max(0, x)^2 + b",
    source="Yu et al. 2022, MetaFormer Baselines for Vision, arXiv:2210.13452",
    kinks=(0.0,),
    zh="带可学习缩放与偏置的平方 ReLU，初值使正态输入的均值为 0、方差为 1。",
    teaching=Teaching(
        good=Text(
            "Squared ReLU for the MetaFormer vision models: its learnt scale and shift start so that standard normal input comes out with mean 0 and variance 1, and it is cheaper than GELU.",
            "MetaFormer 视觉模型使用的平方 ReLU：可学习的缩放与偏置，其初值使标准正态输入的输出均值为 0、方差为 1；计算比 GELU 便宜。",
        ),
        bad=Text(
            "The start values hold for standard normal input only. It grows as x^2, so float16 can overflow, and negative input gets no gradient, as with ReLU. Keep weight decay off s and b.",
            "初值只对标准正态输入成立。按 x² 增长，float16 可能溢出；与 ReLU 一样，负输入得不到梯度。不要对 s 与 b 施加权重衰减。",
        ),
        related=("relu_squared", "relu", "gelu"),
    ),
    elsewhere={},
)
def star_relu(x: Tensor, s: Learnable = 0.8944, b: Learnable = -0.4472) -> Tensor:
    """Squared ReLU with a learnt scale and shift, which start it at mean 0 and variance 1 for normal input."""
    x = x.clamp(min=0)
    high, low = exact.scaled(exact.product(x, s), x)
    above, rest = exact.total(high, b)
    return above + (rest + low)


@star_relu.slope
def _(x: Tensor, s: float | Tensor, b: float | Tensor) -> Tensor:
    return 2 * s * x.clamp(min=0)


@star_relu.partial("s")
def _(x: Tensor, s: float | Tensor, b: float | Tensor) -> Tensor:
    return x.clamp(min=0).square()


@star_relu.partial("b")
def _(x: Tensor, s: float | Tensor, b: float | Tensor) -> Tensor:
    return torch.ones_like(x)


@activation(
    formula="Piecewise((0, x <= -beta), (x, x >= beta), ((x + beta)^2 / (4 * beta), True))",
    source="Shamir, Lin & Coviello 2020, Smooth activations and reproducibility, arXiv:2010.09931",
    presets={"sparse_plus": {"beta": 1.0}},
    kinks=("-beta", "beta"),
    zh="用一段抛物线把拐角磨圆的 ReLU，一阶导数连续。",
    teaching=Teaching(
        good=Text(
            "ReLU with a rounded corner and a continuous derivative, made for reproducibility: retrained models disagree less in their predictions (Shamir et al. 2020). No exponential. At beta = 1 it is sparse_plus of JAX and Keras.",
            "把拐角磨圆、一阶导数连续的 ReLU，为提高可复现性而设计：重新训练的模型之间预测分歧更小（Shamir 等 2020）。无指数运算。beta = 1 时即 JAX 与 Keras 的 sparse_plus。",
        ),
        bad=Text(
            "One more number to choose: small beta is ReLU again, large beta is a very slow bend, and f(0) = beta/4, not 0. Exactly 0 below -beta, so units can still die; the second derivative jumps at -beta and beta.",
            "多了一个要选的参数：beta 很小就退回 ReLU，很大则拐角过缓；且 f(0) = beta/4，不为 0。x < -beta 时恰为 0，神经元仍可能死亡；二阶导数在 ±beta 处跳跃。",
        ),
        related=("relu", "softplus", "squareplus"),
    ),
    elsewhere={"keras": "keras.activations.sparse_plus", "jax": "jax.nn.sparse_plus"},
)
def smelu(x: Tensor, beta: Positive = 1.0) -> Tensor:
    """ReLU whose corner is a parabola, with a continuous derivative."""
    inner = _above(x.clamp(max=beta), beta)
    return torch.where(x >= beta, x, inner * (inner / (4 * beta)))


def _above(x: Tensor, beta: float) -> Tensor:
    """How far x lies above -beta, with every digit kept next to it; 0 below."""
    return torch.where(x <= -beta, torch.zeros_like(x), exact.added(x, beta))


@smelu.slope
def _(x: Tensor, beta: float) -> Tensor:
    return between(x, -beta, beta, _above(x, beta) / (2 * beta), 1.0)


@smelu.curve
def _(x: Tensor, beta: float) -> Tensor:
    return between(x, -beta, beta, 1 / (2 * beta))
