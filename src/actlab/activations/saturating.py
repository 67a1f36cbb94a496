"""Functions that level off on both sides."""

import torch
from torch import Tensor

from . import _float32 as float32
from . import _numerics as exact
from ._catalogue import activation
from ._spec import Positive
from ._teaching import Teaching, Text


@activation(
    formula="1 / (1 + exp(-x))",
    source="Verhulst 1845; Rumelhart, Hinton & Williams 1986, Nature 323",
    also=("logistic",),
    pieces=("slope", "half value"),
    zh="S 形曲线，把实数压到 0 与 1 之间。",
    teaching=Teaching(
        good=Text(
            "Output layer for binary and multi-label classification, one probability per label, and gates of LSTM and GRU. Train on the logits (BCEWithLogitsLoss in torch), not on its output.",
            "用于二分类与多标签分类的输出层（每个标签给出一个概率），以及 LSTM、GRU 的门。训练时应把 logits 直接交给损失函数（torch 的 BCEWithLogitsLoss），不要先取 sigmoid。",
        ),
        bad=Text(
            "The derivative is at most 1/4, and below 0.007 for |x| > 5, so gradients vanish in deep stacks. Outputs are all positive, hence not zero-centred. Being monotone does not make the loss of a multi-layer network convex.",
            "导数最大只有 1/4，|x| > 5 时不足 0.007，层数一多梯度便消失；输出恒为正，不以零为中心。另外，激活函数单调并不能使多层网络的误差曲面成为凸的。",
        ),
        related=("tanh", "softmax", "hard_sigmoid", "log_sigmoid"),
    ),
    elsewhere={
        "torch": "torch.nn.Sigmoid()",
        "keras": "keras.activations.sigmoid",
        "jax": "jax.nn.sigmoid",
        "huggingface": "sigmoid",
        "timm": "sigmoid",
    },
)
def sigmoid(x: Tensor) -> Tensor:
    """S-shaped curve from 0 to 1."""
    return exact.logistic(x)


@sigmoid.slope
def _(x: Tensor) -> Tensor:
    return exact.bell(torch.exp(-x.abs()))


@sigmoid.from_output()
def _(y: Tensor) -> Tensor:
    return y * (1 - y)


@sigmoid.curve
def _(x: Tensor) -> Tensor:
    e = torch.exp(-x.abs())
    return torch.sign(x) * torch.expm1(-x.abs()) * (e / (1 + e) ** 3)


@activation(
    formula="tanh(x)",
    source="LeCun, Bottou, Orr & Müller 1998, Efficient BackProp",
    pieces=("value", "slope"),
    zh="双曲正切：关于零点对称的 S 形曲线，介于 -1 与 1 之间。",
    teaching=Teaching(
        good=Text(
            "Zero-centred with slope 1 at zero: the state of RNN, LSTM and GRU, small networks for control and physics, and outputs between -1 and 1. Goes with Xavier (Glorot) initialisation.",
            "以零为中心，零点斜率为 1：用于 RNN、LSTM、GRU 的状态，控制与物理问题中的小型网络，以及取值在 -1 与 1 之间的输出。宜配 Xavier（Glorot）初始化。",
        ),
        bad=Text(
            "Saturates: the derivative is below 0.01 for |x| > 3, so gradients vanish in deep plain networks, and computed as 1 - y^2 it is 0 for |x| > 9 or so in float32. Deep feed-forward networks now use ReLU, GELU or SiLU instead.",
            "会饱和：|x| > 3 时导数不足 0.01，深层普通网络中梯度消失；按 1 - y² 计算时，float32 下 |x| 约超过 9 导数就成了 0。如今深层前馈网络改用 ReLU、GELU 或 SiLU。",
        ),
        related=("sigmoid", "lecun_tanh", "hard_tanh", "softsign"),
    ),
    elsewhere={
        "torch": "torch.nn.Tanh()",
        "keras": "keras.activations.tanh",
        "jax": "jax.nn.tanh",
        "huggingface": "tanh",
        "timm": "tanh",
    },
)
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent: an S-shaped curve from -1 to 1, symmetric about zero."""
    return torch.tanh(x)


@tanh.slope
def _(x: Tensor) -> Tensor:
    return exact.sech_squared(exact.alone(x))


@tanh.from_output()
def _(y: Tensor) -> Tensor:
    return (1 - y) * (1 + y)


@tanh.curve
def _(x: Tensor) -> Tensor:
    return -2 * torch.tanh(x) * exact.sech_squared(exact.alone(x))


@activation(
    formula="A * tanh(S * x)",
    double=True,
    single=True,
    source="LeCun 1989, Generalization and network design strategies; Efficient BackProp 1998, section 4.4",
    also=("scaled_tanh",),
    pieces=("value", "slope"),
    zh="缩放的双曲正切：f(±1) 约为 ±1，使目标值落在仍有斜率的区间。",
    teaching=Teaching(
        good=Text(
            "LeCun's choice for classic networks such as LeNet: f(1) = 1 and f(-1) = -1, the gain is near 1 over the useful range, and targets of -1 and 1 lie where the curvature is largest instead of in the saturated part.",
            "LeCun 为 LeNet 等经典网络推荐的形式：f(1) = 1，f(-1) = -1，有效区间内增益接近 1；目标值 -1 与 1 正好落在曲率最大处，而不在饱和区。",
        ),
        bad=Text(
            "Saturates at 1.7159 like any tanh. Unit variance is kept only roughly: normal input comes out with variance 0.75. The constant is often misprinted as 1.7519, which gives f(1) = 1.02. Normalisation layers have made it rare.",
            "与 tanh 一样会饱和（±1.7159）。单位方差只是大致保持：标准正态输入的输出方差为 0.75。常数常被误印为 1.7519，那样 f(1) = 1.02。有了归一化层之后已很少使用。",
        ),
        related=("tanh", "symmetrical_sigmoid", "selu"),
    ),
    elsewhere={},
)
def lecun_tanh(x: Tensor, A: Positive = 1.7159, S: Positive = 2 / 3) -> Tensor:
    """Hyperbolic tangent scaled so that f(1) is about 1 and f(-1) about -1, the targets, where it is still steep."""
    if exact.is_kernel_in_float32(x) and all(1e-9 < one < 1e9 for one in (A, S)):
        return float32.scaled_tanh(x, A, S)
    pair = exact.within(exact.product(x, S), 800)
    near = exact.times(x + x * exact.tanh_excess(pair[0].clamp(-0.6, 0.6)), A * S)
    high, low = exact.product(exact.lacking(exact.negated(exact.minus_abs(pair))), -A)
    first, rest = exact.total(high, A)
    far = first + (rest + low)
    return torch.where(pair[0].abs() < 0.58, near, torch.where(pair[0] >= 0, far, -far))


@lecun_tanh.slope
def _(x: Tensor, A: float, S: float) -> Tensor:
    return exact.sech_squared(exact.within(exact.product(x, S), 800), *exact.total(torch.zeros_like(x), A * S))


@lecun_tanh.from_output()
def _(y: Tensor, A: float, S: float) -> Tensor:
    return S * (A - y) * (1 + y / A)


@lecun_tanh.curve
def _(x: Tensor, A: float, S: float) -> Tensor:
    high, low = exact.within(exact.product(x, S), 800)
    y = torch.tanh(high)
    return -2 * (A * S * S) * ((y + low * (1 - y * y)) * exact.sech_squared((high, low)))


@activation(
    formula="(1 - exp(-x)) / (1 + exp(-x))",
    source="Rumelhart, Hinton & Williams 1986, Nature 323; tanh(x/2), the sigmoid stretched to (-1, 1)",
    also=("bipolar_sigmoid",),
    pieces=("value", "slope"),
    zh="拉伸到 -1 与 1 之间的 sigmoid，等于 tanh(x/2)。",
    teaching=Teaching(
        good=Text(
            "A sigmoid for targets coded as -1 and 1: it is 2 sigmoid(x) - 1, so the input keeps its meaning as a logit while the output is zero-centred, which usually helps gradient descent.",
            "适合以 -1 与 1 编码的目标：它等于 2·sigmoid(x) - 1，输入仍具有 logit 的含义，而输出以零为中心，通常更利于梯度下降。",
        ),
        bad=Text(
            "The slope is at most 1/2, half that of tanh, so deep stacks lose the gradient sooner unless weights are larger. Written as (1 - e^-x) / (1 + e^-x) it is NaN below x = -89 in float32; compute tanh(x/2).",
            "斜率最大只有 1/2，是 tanh 的一半，若不用更大的权重，深层网络的梯度消失得更快。按 (1 - e^-x) / (1 + e^-x) 直接计算，float32 下 x < -89 时得 NaN；应改算 tanh(x/2)。",
        ),
        related=("sigmoid", "tanh", "lecun_tanh"),
    ),
    elsewhere={},
)
def symmetrical_sigmoid(x: Tensor) -> Tensor:
    """Sigmoid stretched to run from -1 to 1, which is tanh(x/2)."""
    return torch.tanh(0.5 * x)


@symmetrical_sigmoid.slope
def _(x: Tensor) -> Tensor:
    return 2 * exact.bell(torch.exp(-x.abs()))


@symmetrical_sigmoid.from_output()
def _(y: Tensor) -> Tensor:
    return 0.5 * (1 - y) * (1 + y)


@symmetrical_sigmoid.curve
def _(x: Tensor) -> Tensor:
    return -2 * torch.tanh(0.5 * x) * exact.bell(torch.exp(-x.abs()))


@activation(
    formula="atan(x)",
    source="inverse tangent; first compared as an activation by Kamruzzaman & Aziz 2002, IJCNN",
    also=("atan",),
    pieces=("half value",),
    zh="反正切：S 形，介于 -π/2 与 π/2 之间，尾部按 1/x 缓慢趋近。",
    teaching=Teaching(
        good=Text(
            "An S-shape whose derivative 1 / (1 + x^2) fades only polynomially, so that saturated units still learn a little. The same derivative is a common surrogate gradient in spiking networks.",
            "S 形函数，导数 1/(1 + x²) 只按多项式速度衰减，饱和的神经元仍能学到一点。这个导数也常用作脉冲神经网络的代理梯度。",
        ),
        bad=Text(
            "Its range, -pi/2 to pi/2, fits neither probabilities nor targets of -1 and 1 without scaling. The derivative is still only 0.01 at |x| = 10, and x^2 in it overflows float16 from |x| = 256 on.",
            "值域为 -π/2 到 π/2，不经缩放既不能当概率，也对不上 ±1 的目标。|x| = 10 时导数仍只有 0.01；float16 下 |x| ≥ 256 时其中的 x² 会溢出。",
        ),
        related=("tanh", "softsign", "sigmoid_surrogate_step"),
    ),
    elsewhere={"torch": "torch.atan", "keras": "keras.ops.arctan", "jax": "jax.numpy.arctan"},
)
def arctan(x: Tensor) -> Tensor:
    """Inverse tangent: S-shaped between -pi/2 and pi/2, with tails that close in as slowly as 1/x."""
    return torch.atan(x)


def _inside(x: Tensor) -> tuple[Tensor, Tensor]:
    """1 / max(1, |x|), and min(|x|, 1/|x|): with them nothing overflows."""
    r = 1 / x.abs().clamp(min=1)
    return r, torch.where(x.abs() > 1, r, x.abs())


@arctan.slope
def _(x: Tensor) -> Tensor:
    t = 1 + x * x
    return torch.where(t.isinf(), (1 / x).square(), 1 / t)


@arctan.from_output()
def _(y: Tensor) -> Tensor:
    return float32.cosine_squared(y) if exact.is_kernel_in_float32(y) else torch.cos(y).square()


@arctan.curve
def _(x: Tensor) -> Tensor:
    t = 1 + x * x
    return torch.where(x.isinf(), torch.zeros_like(x), -2 * (x / t) / t)


@activation(
    formula="x / (1 + abs(x))",
    source="Bergstra, Desjardins, Lamblin & Bengio 2009, TR 1337, Université de Montréal",
    also=("soft_sign",),
    kinks=(0.0,),
    zh="有理式的 S 形曲线，介于 -1 与 1 之间，尾部按 1/x 趋近。",
    teaching=Teaching(
        good=Text(
            "A zero-centred S-shape without an exponential; tails close in as 1/|x|, so units saturate more gently than with tanh. Glorot and Bengio (2010) found deep networks of it less prone to saturation.",
            "以零为中心的 S 形函数，无需指数运算；尾部按 1/|x| 趋近极限，饱和比 tanh 和缓。Glorot 与 Bengio（2010）发现，用它的深层网络更不易陷入饱和。",
        ),
        bad=Text(
            "The slope drops fast: 1/4 at |x| = 1, where tanh still has 0.42, so signals shrink from layer to layer. The second derivative jumps at zero, from 2 to -2. Computed as written, infinite input gives inf/inf = NaN.",
            "斜率下降很快：|x| = 1 处只有 1/4，而 tanh 还有 0.42，信号会逐层衰减。二阶导数在零点由 2 跳到 -2。照定义直接计算，输入为无穷时得 inf/inf = NaN。",
        ),
        related=("tanh", "arctan", "hard_tanh"),
    ),
    elsewhere={"torch": "torch.nn.Softsign()", "keras": "keras.activations.softsign", "jax": "jax.nn.soft_sign"},
)
def softsign(x: Tensor) -> Tensor:
    """Rational S-shaped curve from -1 to 1, with tails that close in as 1/x."""
    if exact.is_kernel_in_float32(x):
        return exact.quotient_once(x.clamp(-1e30, 1e30), 1 + x.abs().clamp(max=1e30))
    r, _ = _inside(x)
    near = exact.over(x, 1 + x.abs().clamp(max=1))
    return torch.where(x.abs() > 1, exact.over(torch.sign(x), 1 + r), near)


@softsign.slope
def _(x: Tensor) -> Tensor:
    return (1 / (1 + x.abs())).square()


@softsign.from_output()
def _(y: Tensor) -> Tensor:
    return (1 - y.abs()).square()


@softsign.curve
def _(x: Tensor) -> Tensor:
    s = 1 + x.abs()
    return -2 * torch.sign(x) / s / s / s
