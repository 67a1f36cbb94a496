"""The proofs of docs/errata.md, one test for each line of its table."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab.activations import get
from actlab.layers import Recurrent, gradient_by_lag

X = torch.linspace(-8, 8, 3201, dtype=torch.float64)


def slope(name, x, **parameters):
    return get(name).derivative(torch.tensor([x], dtype=torch.float64), **parameters).item()


def test_lecuns_tanh():
    assert abs(1.7159 * math.tanh(2 / 3) - 1) < 1e-4 < abs(1.7519 * math.tanh(2 / 3) - 1)
    assert get("lecun_tanh").values()["A"] == 1.7159


def test_gelu_tanh_form():
    def form(constant):
        return 0.5 * X * (1 + torch.tanh(constant * (X + 0.044715 * X**3)))

    exact = get("gelu")(X)
    assert (form(math.sqrt(2 / math.pi)) - exact).abs().max() < 5e-4
    assert (form(2 / math.pi) - exact).abs().max() > 0.05
    torch.testing.assert_close(get("gelu_tanh")(X), form(math.sqrt(2 / math.pi)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_derivative_of_swish(beta):
    s = torch.sigmoid(beta * X)
    right, wrong = s + beta * X * s * (1 - s), s * (1 + X * (1 - s))
    torch.testing.assert_close(get("swish").derivative(X, b=beta), right)
    assert torch.allclose(right, wrong) == (beta == 1.0)


@pytest.mark.parametrize(
    ("slope_", "bound", "continuous"), [(0.2, 2.5, True), (1 / 6, 3, True), (1 / 6, 2.5, False), (0.2, 3, False)]
)
def test_hard_sigmoid(slope_, bound, continuous):
    just_inside = slope_ * bound + 0.5
    assert math.isclose(just_inside, 1) == continuous
    if continuous:
        assert get("hard_sigmoid").properties(slope=slope_).kinks == pytest.approx((-bound, bound), abs=1e-8)


def test_hard_tanh_derivative():
    assert [slope("hard_tanh", x) for x in (-1.0, -1 + 1e-9, 1 - 1e-9, 1.0)] == [0, 1, 1, 0]


def test_arctan():
    assert slope("arctan", 1.0) == 0.5 != 1 / (1 + 1) ** 2
    assert get("arctan").properties().upper == pytest.approx(math.pi / 2)


def test_elu():
    assert slope("elu", -1e-12, a=1.5) == pytest.approx(1.5) and slope("elu", 1e-12, a=1.5) == 1
    assert get("elu").properties().smooth and not get("elu").properties(a=1.5).smooth
    assert get("celu").properties(a=1.5).smooth


def test_selu_derivative():
    scale, a = get("selu").values()["l"], get("selu").values()["a"]
    x = torch.tensor(-0.7, dtype=torch.float64)
    right = scale * a * math.exp(-0.7)
    assert slope("selu", -0.7) == pytest.approx(right) == (get("selu")(x) + scale * a).item()
    assert right != pytest.approx(a * math.exp(-0.7)) and right != pytest.approx(scale * (get("selu")(x).item() + a))


def test_softplus():
    x = torch.tensor([20.5], dtype=torch.float64)
    assert get("softplus")(x) > x and F.softplus(x) == x
    ulp = 2.0**-48  # of numbers from 16 to 32
    assert ((F.softplus(x) - get("softplus")(x)).abs() / ulp) > 1e5


def test_sinc():
    assert slope("sinc", 0.0) == 0
    zero = torch.zeros(1, dtype=torch.float64)
    assert get("sinc").derivative(zero, 2).item() == pytest.approx(-1 / 3)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "relu", "elu", "identity"])
def test_a_monotone_activation_does_not_make_the_error_surface_convex(name):
    """Two networks that differ by an exchange of their hidden units have the same error; the one halfway between has more."""
    assert get(name).properties().monotone
    torch.manual_seed(0)
    x = torch.linspace(-2, 2, 50, dtype=torch.float64)[:, None]
    act = get(name)

    def network(first, second):
        return act(x @ first) @ second

    first, second = torch.tensor([[1.0, -0.5]], dtype=torch.float64), torch.tensor([[2.0], [-1.0]], dtype=torch.float64)
    target = network(first, second)

    def error(first, second):
        return (network(first, second) - target).square().mean().item()

    swapped = first.flip(1), second.flip(0)
    assert error(first, second) == 0 and error(*swapped) < 1e-20
    assert error((first + swapped[0]) / 2, (second + swapped[1]) / 2) > 1e-3


def test_one_sigmoid_with_squared_error_is_not_convex_either():
    weights = torch.linspace(-8, 8, 401, dtype=torch.float64)
    error = (torch.sigmoid(weights) - 1).square()
    assert (error.diff().diff() < -1e-9).any()


def test_tanh_and_vanishing_gradients():
    tanh, sigmoid = get("tanh").properties(), get("sigmoid").properties()
    assert (tanh.lipschitz, sigmoid.lipschitz) == pytest.approx((1, 0.25))
    assert slope("tanh", 5.0) < slope("sigmoid", 5.0)
    assert slope("tanh", 5.0) == pytest.approx(4 * math.exp(-10), rel=1e-3)


def test_a_hidden_sigmoid_is_no_probability():
    """Trained or not, exchanging a unit for its complement leaves the network the same function."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid(), nn.Linear(1, 1)).double()
    x = torch.randn(20, 3, dtype=torch.float64)
    before, unit = net(x), net[1](net[0](x))
    with torch.no_grad():
        net[0].weight.neg_(), net[0].bias.neg_()
        net[2].bias.add_(net[2].weight[0])
        net[2].weight.neg_()
    torch.testing.assert_close(net(x), before)
    torch.testing.assert_close(net[1](net[0](x)), 1 - unit)


def test_relu_at_zero():
    x = torch.zeros(1, requires_grad=True)
    F.relu(x).backward()
    assert slope("relu", 0.0) == 0 == x.grad.item()


@pytest.mark.parametrize(("name", "at", "value"), [("swish", -1.278465, -0.278465), ("mish", -1.192431, -0.308843)])
def test_swish_and_mish_dip(name, at, value):
    found = get(name).properties()
    assert not found.monotone
    assert (found.minimum_at, found.lower) == pytest.approx((at, value), abs=1e-6)


def test_maxout_is_convex_and_its_loss_is_not():
    torch.manual_seed(0)
    x, y = torch.randn(2, 64, 4, dtype=torch.float64)
    unit = get("maxout")
    assert (unit((x + y) / 2) <= (unit(x) + unit(y)) / 2 + 1e-12).all()

    def error(scale):
        """Of a maxout unit over (w, -w), which is |w|, taught to be 1."""
        return (unit(torch.tensor([scale, -scale])) - 1).square().item()

    assert error(0.0) > (error(-1.0) + error(1.0)) / 2


def test_lstm_vanishes_with_closed_forget_gates():
    """After 50 steps: torch's start keeps less than a tanh network does, open gates keep most."""
    torch.manual_seed(0)
    x = torch.randn(4, 50, 32, dtype=torch.float64)

    def left(layer):
        norms = gradient_by_lag(layer.double(), x)
        return float(norms[-1] / norms[0])

    tanh = Recurrent("elman", 32, 32)
    nn.init.orthogonal_(tanh.fused.weight_hh_l0)
    start, opened = Recurrent("lstm", 32, 32), Recurrent("lstm", 32, 32, forget_bias=math.log(50))
    assert left(start) < 1e-3 * left(tanh) < 1e-6
    assert left(opened) > 0.01
