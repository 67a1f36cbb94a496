"""Kernels in float32 beside 50 digits: throughout, at the numbers next to roots, where terms cancel, and far away."""

import math

import mpmath
import pytest
import torch

from actlab import kernels
from actlab.activations import get

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")


def xielu_slope(t):
    up, down = (mpmath.log(1 + mpmath.exp(mpmath.mpf(one))) for one in (0.2035149379, -1.0502256128))
    return 2 * up * t + 0.5 if t > 0 else (down + 0.5) * (mpmath.exp(t) - 1) + 0.5


def sinc_slope(t):
    return (mpmath.cospi(t) - mpmath.sincpi(t)) / t if t else mpmath.mpf(0)


def hard_elish_slope(t):
    if t > 0:
        return mpmath.mpf(1) if t >= 1 else t + 0.5
    return (mpmath.exp(t) * (t + 2) - 1) / 2 if t > -1 else mpmath.mpf(0)


CASES = {
    "normalized_sinc": ("value", mpmath.sincpi, [1.0, -2.0, 17.0], 2),
    "normalized_sinc slope": (
        "slope",
        sinc_slope,
        [0.0, 1.4302966532, -2.4590240264, 3.4708897237, -7.4864742480, 8.4880686961],
        2,
    ),
    "hard_elish slope": ("slope", hard_elish_slope, [-0.4428544010, -1.0, 1.0], 4),
    "xielu slope": ("slope", xielu_slope, [-0.9808294], 4),
    "bent_identity slope": ("slope", lambda t: 1 + t / (2 * mpmath.sqrt(t * t + 1)), [0.0], 2),
}


@pytest.mark.parametrize("case", CASES)
def test_within_some_ulp(case):
    kind, exact, roots, most = CASES[case]
    generator = torch.Generator().manual_seed(11)
    beside = [torch.tensor(one) for one in roots]
    for side in (-math.inf, math.inf):
        for root in roots:
            one = torch.tensor(root)
            for _ in range(8):
                one = torch.nextafter(one, torch.tensor(side))
                beside.append(one)
    x = torch.cat(
        [3 * torch.randn(1500, generator=generator), torch.stack(beside), torch.tensor([1e-30, -20.3, 1e6 + 0.5, -3e7])]
    )
    leaf = x.clone().requires_grad_()
    y = get(case.split()[0]).module(fused=True, learn=False, save="input")(leaf)
    y.sum().backward()
    found = y.detach() if kind == "value" else leaf.grad
    with mpmath.workdps(50):
        for one, result in zip(x.tolist(), found.tolist(), strict=True):
            truth = exact(mpmath.mpf(one))
            unit = mpmath.mpf(2) ** max(math.frexp(float(truth))[1] - 24, -149)
            assert abs(result - truth) <= most * unit, (one, result, float(truth))
