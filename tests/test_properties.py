"""Measured properties beside what is known exactly."""

import math

import pytest

from actlab.activations import get
from actlab.properties import measure

# Minima to nine digits, from the zero of the derivative at 30 digits.
MINIMA = {
    "gelu": (-0.751791524693564, -0.169971207479904),
    "gelu_tanh": (-0.752461422071, -0.170040750571),
    "silu": (-1.278464542761, -0.278464542761),
    "quick_gelu": (-0.751154255441, -0.163610189636),
    "mish": (-1.192431214515, -0.308843413017),
    "hard_swish": (-1.5, -0.375),
}
RANGES = {
    "sigmoid": (0, 1), "tanh": (-1, 1), "arctan": (-math.pi / 2, math.pi / 2), "relu": (0, math.inf), "relu6": (0, 6),
    "elu": (-1, math.inf), "selu": (-1.7580993408473766, math.inf), "identity": (-math.inf, math.inf), "gaussian": (0, 1),
    "absolute": (0, math.inf), "log_sigmoid": (-math.inf, 0), "exponential": (0, math.inf), "softplus": (0, math.inf),
    "leaky_relu": (-math.inf, math.inf), "sinusoid": (-1, 1), "binary_step": (0, 1), "squareplus": (0, math.inf),
    "lecun_tanh": (-1.7159, 1.7159), "growing_cosine": (-math.inf, math.inf), "sqrt_softplus": (0, math.inf),
}  # fmt: skip
LIPSCHITZ = {
    "sigmoid": 0.25, "tanh": 1, "relu": 1, "leaky_relu": 1, "softsign": 1, "hard_sigmoid": 0.2, "hard_swish": 1.5, "gaussian": math.sqrt(2 / math.e),
    "selu": 1.7580993408473766, "exponential": math.inf, "relu_squared": math.inf, "binary_step": math.inf, "sinusoid": 1, "silu": 1.0998393194,
}  # fmt: skip


@pytest.mark.parametrize("name", MINIMA)
def test_minimum(name):
    found = measure(get(name))
    assert (found.minimum_at, found.lower) == pytest.approx(MINIMA[name], abs=1e-11)


@pytest.mark.parametrize("name", RANGES)
def test_range(name):
    found = measure(get(name))
    assert (found.lower, found.upper) == pytest.approx(RANGES[name], abs=1e-12)


@pytest.mark.parametrize("name", LIPSCHITZ)
def test_lipschitz_constant(name):
    assert measure(get(name)).lipschitz == pytest.approx(LIPSCHITZ[name], rel=1e-9)


@pytest.mark.parametrize(
    "name, kind, places",
    [
        ("relu", "kinks", (0.0,)), ("absolute", "kinks", (0.0,)), ("relu6", "kinks", (0.0, 6.0)), ("hard_tanh", "kinks", (-1.0, 1.0)),
        ("binary_step", "jumps", (0.0,)), ("hard_shrink", "jumps", (-0.5, 0.5)), ("softsign", "bends", (0.0,)), ("elu", "bends", (0.0,)),
        ("selu", "kinks", (0.0,)), ("smelu", "bends", (-1.0, 1.0)), ("gelu", "kinks", ()), ("sinusoid", "bends", ()), ("sinc", "bends", ()),
    ],
)  # fmt: skip
def test_breaks_are_found(name, kind, places):
    assert getattr(measure(get(name)), kind) == pytest.approx(places, abs=1e-8)


def test_elu_is_smooth_at_a_1_only():
    """Its left slope at zero is a, its right slope 1."""
    assert measure(get("elu")).smooth
    assert measure(get("elu"), a=1.5).kinks == pytest.approx((0.0,), abs=1e-8)


def test_moments_of_normal_input():
    relu, selu, identity = (measure(get(name)) for name in ("relu", "selu", "identity"))
    assert (relu.mean, relu.second_moment, relu.slope_second_moment) == pytest.approx(
        (1 / math.sqrt(2 * math.pi), 0.5, 0.5), abs=1e-12
    )
    assert relu.gain == pytest.approx(math.sqrt(2)) and relu.backward_gain == pytest.approx(math.sqrt(2))
    assert (selu.mean, selu.second_moment) == pytest.approx((0, 1), abs=1e-6)
    assert (identity.mean, identity.second_moment) == pytest.approx((0, 1), abs=1e-12)
    assert measure(get("exponential")).mean == pytest.approx(math.exp(0.5))
    assert measure(get("sinusoid")).second_moment == pytest.approx((1 - math.exp(-2)) / 2)
    assert measure(get("gaussian")).mean == pytest.approx(1 / math.sqrt(3))


@pytest.mark.parametrize(
    "claim, yes, no",
    [
        ("monotone", ["sigmoid", "relu", "softplus", "snake"], ["gelu", "sinusoid", "absolute", "mish"]),
        (
            "convex",
            ["relu", "softplus", "absolute", "exponential", "elu"],
            ["sigmoid", "gelu", "selu", "tanh", "binary_step", "threshold"],
        ),
        ("bounded", ["sigmoid", "sinc", "clipped_relu"], ["relu", "gelu"]),
        ("smooth", ["gelu", "elu", "smelu"], ["relu", "selu", "hard_swish"]),
        ("continuous", ["relu", "hard_tanh"], ["binary_step", "threshold"]),
        ("odd", ["tanh", "sinusoid", "soft_shrink"], ["sigmoid", "gelu"]),
        ("even", ["absolute", "gaussian", "sinc"], ["tanh", "relu"]),
        ("zero_centred", ["tanh", "softsign", "selu", "hard_shrink"], ["sigmoid", "relu", "elu"]),
        (
            "identity_near_zero",
            ["tanh", "elu", "softsign", "arctan", "bent_identity"],
            ["sigmoid", "relu", "gelu", "lecun_tanh"],
        ),
    ],
)
def test_claims(claim, yes, no):
    assert [name for name in yes if not getattr(measure(get(name)), claim)] == []
    assert [name for name in no if getattr(measure(get(name)), claim)] == []


def test_saturation():
    found = measure(get("sigmoid"))
    edge = math.acosh(2 * 1000 - 1)  # sigmoid' = 1/(2 + 2 cosh x), a thousandth of 1/4
    assert (found.saturates_left, found.saturates_right) == pytest.approx((-edge, edge), abs=1e-6)
    assert (measure(get("relu")).saturates_left, measure(get("relu")).saturates_right) == (0.0, None)
    assert measure(get("identity")).saturates_left is None
