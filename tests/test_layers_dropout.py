"""Dropout on a CPU: the share that falls, what is kept, the gradient, and the seeds."""

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from actlab.layers import Dropout, dropout

DRAW = """
import sys, torch
from actlab.layers import dropout
torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(5)
image = torch.randn(4, 8, 16, 16).to(memory_format=torch.channels_last)
some = [torch.randn(300, 401), torch.randn(70001).double(), torch.randn(5, 4099).bfloat16(), torch.randn(5, 4099).half(), image, image[:, :, ::2], image.unflatten(2, (4, 4)).to(memory_format=torch.channels_last_3d)]
torch.save([dropout(x, p) for x in some for p in (2e-5, 0.1, 0.37, 0.99997)], sys.argv[2])
"""


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
    x = torch.randn(97, 130, dtype=torch.float64, requires_grad=True)
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


def test_threads_and_the_lack_of_a_compiler_change_no_bit(tmp_path):
    """What falls is a function of the seed and the place alone."""
    found = []
    for name, threads, changes in (
        ("one", "1", {}),
        ("two", "2", {}),
        ("none", "1", {"CXX": "/nonexistent", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "empty")}),
    ):
        path = tmp_path / name
        environment = {**os.environ, **changes}
        subprocess.run([sys.executable, "-c", DRAW, threads, str(path)], check=True, env=environment, timeout=300)
        found.append(torch.load(path))
    for other in found[1:]:
        assert all(torch.equal(a, b) and a.stride() == b.stride() for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("shape", [(64, 100), (4, 16, 12, 12)], ids=["matrix", "image"])
def test_forward_and_backward_drop_the_same_whatever_lies_how_in_memory(shape):
    torch.manual_seed(6)
    for x in (torch.randn(shape), torch.randn(shape).transpose(0, 1), torch.randn(*shape, 2)[..., 0]):
        for order in (torch.contiguous_format, *([torch.channels_last] if len(shape) == 4 else [])):
            leaf = x.to(memory_format=order).detach().requires_grad_()
            out = dropout(leaf, 0.4)
            for gradient in (torch.ones_like(out), torch.ones(out.shape).expand(out.shape), torch.ones(out.T.shape).T if out.dim() == 2 else torch.ones_like(out, memory_format=torch.contiguous_format)):  # fmt: skip
                (found,) = torch.autograd.grad(out, leaf, gradient, retain_graph=True)
                assert torch.equal(found * leaf.detach(), out.detach())


def test_second_derivatives_and_nothing_kept():
    torch.manual_seed(7)
    x = torch.randn(80, 80, dtype=torch.float64, requires_grad=True)
    out = dropout(x**2, 0.5)
    (first,) = torch.autograd.grad(out.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert torch.equal(second, torch.where(out.detach() == 0, 0.0, 4.0).double())
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        dropout(torch.randn(80, 80, requires_grad=True), 0.5)
    assert not kept


def test_infinities_and_nan_fall_like_all_others():
    torch.manual_seed(8)
    x = torch.full((6000,), torch.inf)
    x[::3] = torch.nan
    for dtype in (torch.float32, torch.bfloat16):
        out = dropout(x.to(dtype), 0.5)
        fallen = out == 0
        assert 0.45 < float(fallen.double().mean()) < 0.55
        assert torch.equal(out[~fallen].isnan(), x[~fallen].isnan()) and bool(
            (out[~fallen & ~x.isnan()] == torch.inf).all()
        )


def test_under_transforms_and_compilers_torch_draws():
    x = torch.randn(3, 5000)
    out = torch.func.vmap(lambda row: dropout(row, 0.5), randomness="different")(x)
    assert not torch.equal(out[0] == 0, out[1] == 0)
    slope = torch.func.grad(lambda row: dropout(row, 0.5).sum())(x[0])
    assert set(slope.tolist()) == {0.0, 2.0}
    _, tangent = torch.func.jvp(lambda row: dropout(row, 0.5), (x,), (torch.ones_like(x),))
    assert set(tangent.flatten().tolist()) == {0.0, 2.0}
    assert type(F.dropout(x, 0.5)) is type(dropout(x, 0.5))


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_a_wrong_probability_is_refused(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Dropout(p)
    with pytest.raises(ValueError, match="between 0 and 1"):
        dropout(torch.ones(3), p)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:DeprecationWarning")
def test_a_traced_dropout_draws_anew():
    torch.manual_seed(9)
    traced = torch.jit.trace(Dropout(0.5).train(), torch.ones(90, 90), check_trace=False)
    assert not torch.equal(traced(torch.ones(90, 90)), traced(torch.ones(90, 90)))


def test_a_batched_backward_pass_drops_what_the_forward_pass_dropped():
    torch.manual_seed(10)
    x = torch.randn(8, 1000, requires_grad=True)
    out = dropout(x, 0.5)
    (found,) = torch.autograd.grad(out, x, torch.ones(2, 8, 1000), is_grads_batched=True)
    assert torch.equal(found * x.detach(), out.detach().expand(2, 8, 1000))


def test_other_kinds_of_tensors():
    torch.manual_seed(11)
    assert set(dropout(torch._neg_view(torch.ones(5000)), 0.5).tolist()) == {-2.0, 0.0}
    film = torch.randn(2, 3, 8, 12, 12).to(memory_format=torch.channels_last_3d)
    assert dropout(film, 0.5).is_contiguous(memory_format=torch.channels_last_3d)
    assert set((dropout(film, 0.5) / film).unique().tolist()) == {0.0, 2.0}
