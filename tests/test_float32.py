"""Functions that kernels in float32 are made of, step by step as written, beside 50 digits."""

import math

import mpmath
import pytest
import torch

from actlab.activations import _float32, _normal_float32, _numerics


@pytest.fixture(autouse=True)
def rounded_once(monkeypatch):
    """Multiply-adds and powers of two as kernels have them; torch's own operations round twice when they are not compiled."""

    def fma(a, b, c):
        b, c = (one.double() if torch.is_tensor(one) else torch.tensor(one).float().double() for one in (b, c))
        return (a.double() * b + c).float()

    monkeypatch.setattr(_float32, "fma", fma)
    monkeypatch.setattr(_float32, "scaled", lambda x, k: (x.double() * torch.exp2(k.double())).float())


INFINITE = torch.tensor([math.inf, -math.inf, math.nan])


def worst_ulp(found, x, exact):
    """Of results in float32; numbers below its smallest normal one count by the distance of those there are."""
    with mpmath.workdps(50):
        truth = [exact(mpmath.mpf(one)) for one in x.tolist()]
        units = [mpmath.mpf(2) ** max(math.frexp(float(one))[1] - 24, -149) for one in truth]
        return max(abs(one - y) / unit for one, y, unit in zip(truth, found.tolist(), units, strict=True))


def spread(centre, width):
    generator = torch.Generator().manual_seed(1)
    return (centre + width * torch.randn(1500, dtype=torch.float64, generator=generator)).float()


@pytest.mark.parametrize("width", [1.0, 30.0])
def test_sigmoid(width):
    """At each power of two that it may come from, those that fall below float32 too."""
    x = torch.cat([spread(0.0, width), torch.linspace(-104, 21, 700)])
    with _numerics.arithmetic("fused"):
        found, ends = _numerics.logistic(x), _numerics.logistic(INFINITE)
    assert worst_ulp(found, x, lambda one: 1 / (1 + mpmath.exp(-one))) < 1.7
    assert ends[:2].tolist() == [1.0, 0.0] and ends[2].isnan()


@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 1.0), (0.707107, 0.282095), (-1e4, 100.0), (1 / 3, 7.0), (0.0, 1e-20)])
def test_normal_distribution(mu, sigma):
    """What neither a centre nor a width has room for in float32 is not lost: far left it would cost a hundred ulp."""
    x = torch.cat([spread(mu, 4 * sigma), torch.tensor([mu, mu - 13 * sigma, mu + 20 * sigma])])
    with _numerics.arithmetic("fused"):
        found, slope = _normal_float32.cdf(x, mu, sigma), _normal_float32.density(x, mu, sigma)
        ends = torch.stack([_normal_float32.cdf(INFINITE, mu, sigma), _normal_float32.density(INFINITE, mu, sigma)])
    assert worst_ulp(found, x, lambda one: mpmath.ncdf(one, mu, sigma)) < 1.8
    assert worst_ulp(slope, x, lambda one: mpmath.npdf(one, mu, sigma)) < 1.8
    assert ends[:, :2].tolist() == [[1.0, 0.0], [0.0, 0.0]] and ends[:, 2].isnan().all()


@pytest.mark.parametrize(("rough", "most"), [(False, 1.5), (True, 12.0)])
def test_input_less_its_tanh(rough, most):
    """Of full length where it is a third of a cube, as for results in half types within 5e-7."""
    sizes = torch.logspace(-12, 1.6, 700, dtype=torch.float32)
    x = torch.cat([spread(0.0, 1.0), sizes, -sizes, torch.tensor([15.75, 0.02])])
    found = _float32.tanh_shrunk(x, rough=rough)
    assert worst_ulp(found, x, lambda one: one - mpmath.tanh(one)) < most
    ends = _float32.tanh_shrunk(torch.cat([INFINITE, torch.tensor([1e30, -0.0])]), rough=rough)
    assert ends[:2].tolist() == [math.inf, -math.inf] and ends[2].isnan() and ends[3] == 1e30 and ends[4] == 0
