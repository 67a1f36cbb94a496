"""Swish with a parameter that learns, by pieces of polynomials along their product: how good they are, at the root, at the limits, and sums."""

import math

import mpmath
import pytest
import torch

from actlab import kernels
from actlab.activations import get
from actlab.kernels._products import products
from actlab.kernels._run import variant_of

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")
SWISH, FACTORS = get("swish"), (1.0, 1.702, 0.37, -1.3, 20.0, 1e-3, 1e-10, 1e10)


@pytest.fixture(autouse=True)
def looked_up(monkeypatch):
    """As on a processor that looks pieces up in one step, whatever this one does."""
    monkeypatch.setattr("actlab.activations._pieces.in_one_step", lambda: True)


@pytest.fixture
def tables():
    return products(variant_of(SWISH, [torch.tensor(1.0)]), torch.float32)


def ulps(found, exact):
    exact = exact.double()
    return ((found.double() - exact).abs() / torch.exp2(exact.abs().log2().floor() - 23)).max().item()


def step(x, b, g=None):
    """Its value, and the gradients by x and b."""
    layer = SWISH.module(fused=True)
    with torch.no_grad():
        next(layer.parameters()).fill_(b)
    leaf = x.clone().requires_grad_()
    y = layer(leaf)
    assert "Activation" in y.grad_fn.name()
    y.backward(torch.ones_like(y) if g is None else g)
    return y.detach(), leaf.grad, next(layer.parameters()).grad


@pytest.mark.parametrize("b", FACTORS)
def test_beside_float64(b, tables):
    b = torch.tensor(b)
    products_of = torch.empty(500_000).uniform_(-tables.reach, tables.reach, generator=torch.Generator().manual_seed(4))
    x = products_of / b
    exact = [SWISH.evaluate(x.double(), order, b=b.double().item()) for order in (0, 1)]
    slope, by_b = tables.derivatives(x, b)
    assert ulps(tables.value(x, b), exact[0]) < 2.3
    assert ulps(slope, exact[1]) < 3.5
    assert ulps(by_b, SWISH.bodies["b"](x.double(), b.double())) < 3.5


@pytest.mark.parametrize("b", [1.0, -1.702, 0.3])
def test_slopes_keep_their_digits_beside_the_root(b, tables):
    """The floats next to it, by 50 digits: their slopes are some 1e-8."""
    b = torch.tensor(b)
    with mpmath.workdps(50):
        root = mpmath.findroot(lambda t: 1 + mpmath.exp(-t) * (1 + t), -1.278)
        x = torch.tensor(float(root)) / b
        for _ in range(5):
            x = torch.nextafter(x, torch.tensor(-100.0))
        for _ in range(11):
            x = torch.nextafter(x, torch.tensor(100.0))
            t = mpmath.mpf(x.item()) * mpmath.mpf(b.item())
            exact = (1 + mpmath.exp(-t) * (1 + t)) / (1 + mpmath.exp(-t)) ** 2
            found = tables.derivatives(x, b)[0]
            assert abs(found.item() / float(exact) - 1) < 4e-7


@pytest.mark.parametrize("b", [0.0, -0.0, 1e-30, -1e-38, 1e29, 1e31, -3e38, math.inf, math.nan])
def test_extreme_parameters(b):
    x = torch.tensor([0.0, -0.0, 1.0, -2.5, 1e-20, -1e-38, 1e10, -1e15, 3e38, math.inf, -math.inf, math.nan] * 3)
    y, dx, _ = step(x, b)
    exact = [SWISH.evaluate(x.double(), order, b=float(torch.tensor(b))) for order in (0, 1)]
    for found, right in zip((y, dx), exact, strict=True):
        torch.testing.assert_close(found, right.float(), rtol=5e-7, atol=1e-37, equal_nan=True)


@pytest.mark.parametrize("b", [1.0, -1.702])
@pytest.mark.parametrize("size", [1, 15, 63, 64, 65, 600, 5000, 20_000])
def test_every_element_is_computed_for_itself(size, b):
    """Among near ones and far ones, in stretches of any length; and the sum is of all of them."""
    generator = torch.Generator().manual_seed(size)
    x, g = (torch.randn(size, generator=generator) for _ in range(2))
    x = torch.where(torch.rand(size, generator=generator) < 0.02, 9 * x, x)
    x[: size // 2].clamp_(-5, 5)  # those blocks have none that are far
    y, dx, by_b = step(x, b, g)
    for place in {0, size // 2, size - 1, *torch.arange(0, size, 97).tolist()}:
        alone = step(x[place].expand(256).contiguous(), b, g[place].expand(256).contiguous())
        assert torch.equal(alone[0][0], y[place]) and torch.equal(alone[1][0], dx[place])
    terms = g.double() * SWISH.bodies["b"](x.double(), float(torch.tensor(b)))
    assert abs(by_b.item() - terms.sum().item()) <= 3e-7 * terms.abs().sum().item()


def test_sums_are_the_same_whatever_came_before():
    """To the last bit, so that what is resumed goes on as it would have; and on any number of threads."""
    generator = torch.Generator().manual_seed(8)
    wide, calm, g = (torch.randn(70_000, generator=generator) for _ in range(3))
    wide, some = 5 * wide, calm.clone()
    some[[5000, 66_000]] = 100.0
    right = [step(x, 1.0, g)[2] for x in (calm, some, wide)]
    threads = torch.get_num_threads()
    try:
        for before in (calm, wide):
            for torch_threads in (1, 2):
                torch.set_num_threads(torch_threads)
                for x, one in zip((calm, some, wide), right, strict=True):
                    step(before, 1.0)
                    step(before[:100], 1.0)
                    assert torch.equal(step(x, 1.0, g)[2], one)
    finally:
        torch.set_num_threads(threads)


def test_what_is_not_finite_stays_where_it_is():
    """And the gradient by the parameter is of it where it is not of anything."""
    x = torch.randn(3000, generator=torch.Generator().manual_seed(1))
    x[100], x[2000], x[2001] = math.nan, math.inf, -math.inf
    y, dx, by_b = step(x, 1.0)
    assert y.isfinite().logical_not().nonzero().flatten().tolist() == [100, 2000]
    assert dx.isfinite().logical_not().nonzero().flatten().tolist() == [100] and by_b.isnan()
    assert (dx[2000], dx[2001]) == (1.0, 0.0)
    x[100] = 0.0
    assert step(x, 1.0)[2].isfinite()
    for place in (5, 2000):  # a near one, a far one
        g = torch.ones(3000)
        g[place] = math.nan
        _, dx, by_b = step(x, 1.0, g)
        assert dx.isnan().nonzero().flatten().tolist() == [place] and by_b.isnan()


def test_one_parameter_for_each_channel():
    x = 3 * torch.randn(4, 3, 50, 50, generator=torch.Generator().manual_seed(6))
    layer = SWISH.module(fused=True, size=3, axis=1)
    with torch.no_grad():
        (b,) = layer.parameters()
        b.copy_(torch.tensor([1.0, -0.4, 3.0]))
    leaf = x.clone().requires_grad_()
    layer(leaf).backward(x)
    for channel, one in enumerate(b.tolist()):
        own = x[:, channel].contiguous()
        _, dx, by_b = step(own, one, own)
        assert torch.equal(dx, leaf.grad[:, channel])
        assert abs(b.grad[channel] - by_b) <= 3e-7 * (own * SWISH.bodies["b"](own, one)).abs().sum()


def test_only_what_the_entry_says():
    assert products(variant_of(SWISH, [1.0]), torch.float32) is None
    assert products(variant_of(SWISH, [torch.tensor(1.0)]), torch.bfloat16) is None
    assert products(variant_of(get("snake"), [torch.tensor(1.0)]), torch.float32) is None
