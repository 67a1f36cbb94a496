"""Names: the study notes' functions, those of other libraries, aliases with what they stand for, and wrong ones."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab import activations
from actlab.activations import get
from actlab.errors import UsageError

X = torch.cat([torch.linspace(-9, 9, 1001), torch.tensor([0.0])])

# The functions of the study notes, with their parameters.
NOTES = {
    "identity": (), "binary_step": (), "sigmoid": (), "tanh": (), "arctan": (), "softsign": (), "relu": (), "leaky_relu": ("a",),
    "prelu": ("a",), "rrelu": ("l", "u"), "elu": ("a",), "selu": ("l", "a"), "softplus": ("b",), "bent_identity": (), "sinusoid": (),
    "sinc": (), "gaussian": (), "hard_sigmoid": ("slope",), "hard_tanh": ("lo", "hi"), "lecun_tanh": ("A", "S"),
    "symmetrical_sigmoid": (), "cloglog": (), "absolute": (), "gelu": (), "swish": ("b",), "clipped_relu": ("tau",), "softmax": ("dim",),
}  # fmt: skip

# Every name under which torch, Keras 3, JAX, timm and Hugging Face's ACT2FN know an activation.
ELSEWHERE = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "exponential",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "linear",
    "log_sigmoid",
    "soft_shrink",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh_shrink",
    "identity",
    "soft_sign",
    "gelu_tanh",
    "quick_gelu",
    "hard_mish",
    "gelu_10",
    "gelu_accurate",
    "gelu_fast",
    "gelu_new",
    "gelu_python",
    "gelu_python_tanh",
    "gelu_pytorch_tanh",
    "laplace",
    "relu2",
    "sqrtsoftplus",
    "xielu",
]

# Aliases beside what they are by torch or by formula.
EQUAL = {
    "silu": F.silu, "relu6": F.relu6, "hardsigmoid": F.hardsigmoid, "hardtanh": F.hardtanh, "hardswish": F.hardswish,
    "hard_silu": F.hardswish, "logsigmoid": F.logsigmoid, "hardshrink": F.hardshrink, "softshrink": F.softshrink,
    "tanhshrink": F.tanhshrink, "soft_sign": F.softsign, "atan": torch.atan, "sine": torch.sin, "sin": torch.sin, "cos": torch.cos,
    "abs": torch.abs, "linear": lambda x: x, "logistic": torch.sigmoid, "heaviside": lambda x: torch.heaviside(x, torch.ones(())),
    "relu2": lambda x: F.relu(x) ** 2, "squared_relu": lambda x: F.relu(x) ** 2, "gelu_python": F.gelu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x), "gelu_10": lambda x: F.gelu(x).clamp(-10, 10),
    "sparse_plus": lambda x: torch.where(x <= -1, 0, torch.where(x >= 1, x, (x + 1) ** 2 / 4)),
    "sparse_sigmoid": lambda x: ((x + 1) / 2).clamp(0, 1), "sqrtsoftplus": lambda x: F.softplus(x).sqrt(),
    "bipolar_sigmoid": lambda x: 2 * torch.sigmoid(x) - 1, "complementary_log_log": lambda x: 1 - torch.exp(-torch.exp(x)),
    "scaled_tanh": lambda x: 1.7159 * torch.tanh(2 * x / 3), "gcu": lambda x: x * torch.cos(x),
    "telu": lambda x: x * torch.tanh(torch.exp(x)), "hardmish": lambda x: x * (x + 2).clamp(0, 2) / 2,
    **dict.fromkeys(
        ("gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"), lambda x: F.gelu(x, approximate="tanh")
    ),
}  # fmt: skip

TORCH = {
    "identity": nn.Identity(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "softsign": nn.Softsign(), "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(), "prelu": nn.PReLU(), "rrelu": nn.RReLU().eval(), "elu": nn.ELU(), "selu": nn.SELU(), "celu": nn.CELU(),
    "softplus": nn.Softplus(), "hard_tanh": nn.Hardtanh(), "gelu": nn.GELU(), "gelu_tanh": nn.GELU("tanh"), "swish": nn.SiLU(),
    "clipped_relu": nn.ReLU6(), "log_sigmoid": nn.LogSigmoid(), "tanh_shrink": nn.Tanhshrink(), "hard_shrink": nn.Hardshrink(),
    "soft_shrink": nn.Softshrink(), "threshold": nn.Threshold(1.0, 0.0), "hard_swish": nn.Hardswish(), "mish": nn.Mish(),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTES)
def test_every_function_of_the_notes_is_there_with_its_parameters(name):
    assert tuple(one.name for one in get(name).parameters) == NOTES[name]


def test_there_are_sixty_entries_and_more():
    assert len(activations.names()) >= 60


@pytest.mark.parametrize("name", ELSEWHERE)
def test_names_of_other_libraries_are_known(name):
    assert get(name).module() is not None


@pytest.mark.parametrize("name", EQUAL)
def test_an_alias_is_what_it_says(name):
    torch.testing.assert_close(get(name)(X), EQUAL[name](X), rtol=2e-6, atol=2e-6)


def test_no_alias_is_left_unproved():
    aliases = set(activations.names(aliases=True)) - set(activations.names())
    assert aliases == set(EQUAL)


@pytest.mark.parametrize("name", TORCH)
def test_entries_agree_with_torch_where_it_has_them(name):
    with torch.no_grad():
        torch.testing.assert_close(get(name)(X), TORCH[name](X), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    "entry, option, meant",
    [
        ("gelu", {"approximate": "tanh"}, "gelu_tanh"),
        ("gelu", {"approximate": "sigmoid"}, "quick_gelu"),
        ("gelu", {"approximate": "none"}, "gelu"),
        ("sinc", {"normalized": True}, "normalized_sinc"),
        ("sinc", {"normalized": False}, "sinc"),
        ("binary_step", {"surrogate": "straight_through"}, "straight_through_step"),
        ("binary_step", {"surrogate": "sigmoid"}, "sigmoid_surrogate_step"),
    ],
)
def test_words_choose_a_variant(entry, option, meant):
    torch.testing.assert_close(get(entry)(X, **option), get(meant)(X), rtol=0, atol=0)
    torch.testing.assert_close(get(entry).module(**option)(X), get(meant)(X), rtol=0, atol=0)
    torch.testing.assert_close(get(entry).derivative(X, **option), get(meant).derivative(X), rtol=0, atol=0)


def test_entries_can_be_imported_by_name():
    from actlab.activations import gelu, quick_gelu, silu

    assert gelu is get("gelu") and silu is get("silu") and silu.name == "silu" and quick_gelu.name == "quick_gelu"
    with pytest.raises(ImportError):
        from actlab.activations import siul  # noqa: F401


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(KeyError) as raised:
        get("siul")
    assert str(raised.value) == "no activation 'siul'; did you mean 'silu'?"


def test_refusals_word_for_word():
    with pytest.raises(ValueError) as raised:
        get("elu")(X, a=-1)
    assert str(raised.value) == "elu: a must lie in (0, inf); got -1"
    with pytest.raises(TypeError) as raised:
        get("elu")(X, alpha=1)
    assert str(raised.value) == "elu: no parameter 'alpha'; it has: a"
    with pytest.raises(UsageError) as raised:
        get("hard_tanh")(X, lo=2.0)
    assert str(raised.value) == "hard_tanh: lo must be less than hi; got 2.0 and 1.0"
    with pytest.raises(UsageError) as raised:
        get("gelu")(X, approximate="tan")
    assert str(raised.value) == "gelu: approximate must be one of 'none', 'tanh', 'sigmoid'; got 'tan'"
    with pytest.raises(UsageError) as raised:
        get("elu")(X, a=torch.ones(3))
    assert str(raised.value) == "elu: a does not learn; expected a number, got a tensor of shape (3,)"


def test_a_learnt_parameter_for_each_channel_is_checked_against_the_input():
    layer = get("prelu").module(size=3)
    assert layer(torch.ones(2, 3, 4)).shape == (2, 3, 4)
    with pytest.raises(UsageError, match="expected 3 channels on axis 1; got an input of shape"):
        layer(torch.ones(2, 4, 3))
    with pytest.raises(UsageError, match="relu: size is for parameters that learn"):
        get("relu").module(size=3)


def test_prelu_per_channel_and_per_element_are_torchs():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4)
    for size, reference in ((3, nn.PReLU(3)), ((3, 4), None)):
        layer = get("prelu").module(size=size)
        with torch.no_grad():
            layer.a.copy_(torch.rand(layer.a.shape))
        if reference is not None:
            reference.load_state_dict({"weight": layer.a})
            torch.testing.assert_close(layer(x), reference(x))
        else:
            torch.testing.assert_close(layer(x), torch.where(x > 0, x, layer.a * x))


def test_a_parameter_that_is_nan_is_not_hidden():
    for name in ("prelu", "swish", "snake", "star_relu", "xielu"):
        first = next(one.name for one in get(name).parameters if one.domain.learnable)
        assert get(name)(torch.tensor([-1.0, 2.0]), **{first: torch.tensor(torch.nan)}).isnan().any(), name


@pytest.mark.parametrize(
    ("name", "parameter"), [("swish", "b"), ("xielu", "alpha_p"), ("xielu", "alpha_n"), ("prelu", "a")]
)
def test_second_derivatives_hold_where_a_learnt_parameter_is_zero(name, parameter):
    x = torch.tensor([-1.3, 0.7, 2.0], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x, value: get(name)(x, **{parameter: value}), (x, zero))


def test_numpys_numbers_are_numbers_and_properties_check_theirs():
    import numpy as np

    torch.testing.assert_close(get("elu")(X, a=np.float32(0.5)), get("elu")(X, a=0.5))
    with pytest.raises(UsageError, match="a must lie in"):
        get("elu").properties(a=-2.0)
    with pytest.raises(UsageError, match="no activation 'None'"):
        get(None)


@pytest.mark.parametrize(
    "options",
    [
        {"size": -1},
        {"size": 0},
        {"size": True},
        {"size": "3"},
        {"size": 2.5},
        {"size": (3, -1)},
        {"size": 3, "axis": "c"},
    ],
)
def test_sizes_that_cannot_be(options):
    with pytest.raises(UsageError, match="swish: size must be a number of channels or a tuple of sizes"):
        get("swish").module(**options)
