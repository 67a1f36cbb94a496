"""Arithmetic in float32 up to some |x|: beside float64's by 50 digits, at the zeros too."""

import math

import mpmath
import pytest
import torch

from actlab import kernels
from actlab.activations import get
from actlab.kernels._run import variant_of
from actlab.kernels._within import within

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")


def ulps(found, exact):
    return abs(mpmath.mpf(found) - exact) / mpmath.mpf(2) ** (math.frexp(float(exact))[1] - 24)


@pytest.mark.parametrize("a", [1.0, 1.37, 30.0, 0.01])
def test_slopes_of_snake_by_50_digits(a):
    """Throughout, and at the numbers on both sides of every zero, where slopes are some 1e-14."""
    high = within(variant_of(get("snake"), [a]), "slope", torch.float32).high
    assert high == pytest.approx(30 / a)
    x = torch.empty(3000, dtype=torch.float64).uniform_(-high, high, generator=torch.Generator().manual_seed(3))
    zeros = (torch.arange(-9, 10) - 0.25) * math.pi / a
    x = torch.cat([x, zeros, torch.tensor([0.0, 1e-30, high, -high, 1.001 * high, 2 * high])]).float()
    x = torch.cat([x, *[torch.nextafter(zeros.float(), torch.tensor(side)) for side in (-math.inf, math.inf)]])
    leaf = x.clone().requires_grad_()
    get("snake").module(fused=True, learn=False, a=a)(leaf).sum().backward()
    with mpmath.workdps(50):
        exact = [(mpmath.sin(a * mpmath.mpf(one)) + mpmath.cos(a * mpmath.mpf(one))) ** 2 for one in x.tolist()]
        beside = [place for place, one in enumerate(exact) if one < 1e-11]
        assert len(beside) > 30 or a == 0.01
        assert max(ulps(*pair) for pair in zip(leaf.grad.tolist(), exact, strict=True)) < 4


def test_far_away_and_beside_it_as_alone():
    """Results do not depend on what lies beside them, and those beyond come from float64."""
    layer = get("snake").module(fused=True, learn=False)
    x = torch.linspace(-60, 60, 4096)
    x[::97] *= 1e4
    leaf = x.clone().requires_grad_()
    layer(leaf).sum().backward()
    order = x.abs().argsort()
    alone = x[order].clone().requires_grad_()
    layer(alone).sum().backward()
    assert torch.equal(leaf.grad[order], alone.grad)
    far = x.abs() > 60
    exact = get("snake").evaluate(x[far].double(), 1)
    torch.testing.assert_close(leaf.grad[far], exact.float(), rtol=3e-7, atol=0)


def test_only_what_the_entry_says():
    learnt = variant_of(get("snake"), [torch.tensor(1.0)])
    assert within(learnt, "slope", torch.float32) is None
    fixed = variant_of(get("snake"), [1.0])
    assert within(fixed, "value", torch.float32) is None and within(fixed, "slope", torch.bfloat16) is None
    assert within(variant_of(get("tanh"), []), "slope", torch.float32) is None
