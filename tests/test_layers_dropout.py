"""Dropout on a CPU: the share that falls, what is kept, the gradient, and the seeds."""

import pytest
import torch

from actlab.layers import Dropout, dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.97])
def test_the_share_that_falls_is_p_and_the_mean_stays(p, dtype):
    torch.manual_seed(0)
    count = 400_000
    found = dropout(torch.ones(count, dtype=dtype), p)
    share = float((found == 0).double().mean())
    assert abs(share - p) < 5 * (p * (1 - p) / count) ** 0.5
    kept = found[found != 0].double()
    assert torch.allclose(kept, torch.tensor(1 / (1 - p), dtype=torch.float64), rtol=max(torch.finfo(dtype).eps, 2e-4))


def test_every_place_falls_alone():
    """Four places share one drawn number: neighbours fall together as often as chance says."""
    torch.manual_seed(1)
    fallen = (dropout(torch.ones(100_000, 4), 0.5) == 0).double()
    correlation = torch.corrcoef(fallen.T) - torch.eye(4, dtype=torch.float64)
    assert correlation.abs().max() < 5 / 100_000**0.5


def test_gradient_is_the_mask_over_what_is_kept():
    torch.manual_seed(2)
    x = torch.randn(7, 13, dtype=torch.float64, requires_grad=True)
    out = dropout(x, 0.25)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient * x.detach(), out.detach())
    assert set((gradient * 0.75).flatten().tolist()) == {0.0, 1.0}


def test_seed_evaluation_and_edges():
    torch.manual_seed(3)
    first = dropout(torch.ones(33), 0.5)
    torch.manual_seed(3)
    assert torch.equal(first, dropout(torch.ones(33), 0.5))
    module = Dropout(0.5)
    x = torch.randn(5)
    assert module.eval()(x) is x
    assert torch.equal(dropout(x, 0.0), x)
    assert torch.equal(dropout(x, 1.0), torch.zeros(5))
    assert dropout(torch.empty(0, 3), 0.5).shape == (0, 3)
    assert dropout(torch.tensor(2.0), 0.5).item() in (0.0, 4.0)
    strided = torch.ones(6, 4).T
    assert dropout(strided, 0.5).shape == (4, 6)


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_a_wrong_probability_is_refused(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Dropout(p)
    with pytest.raises(ValueError, match="between 0 and 1"):
        dropout(torch.ones(3), p)
