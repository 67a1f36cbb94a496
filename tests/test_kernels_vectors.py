"""Functions of an axis by kernels: the common checks, what is kept, ties, and inputs that break sums and searches."""

import pytest
import torch

import actlab
import vector_checks
from actlab import kernels
from actlab.activations import get
from actlab.kernels._runtime import own
from actlab.optimizing import bytes_kept
from checks import ALL_KERNELS
from vector_checks import NAMES, numbers, passes

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")
OURS = ("glu", "swiglu", "geglu", "reglu", "maxout", "crelu", "sparsemax")
HALF = (torch.bfloat16, torch.float16)


@pytest.mark.parametrize("check", vector_checks.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, check):
    with actlab.fused():
        check(name)


@pytest.mark.parametrize("name", OURS)
def test_the_kernel_is_what_computes(name):
    node = get(name).module(fused=True)(numbers((4, 256), torch.float32).requires_grad_()).grad_fn
    node = node if name != "maxout" else node.next_functions[0][0]  # beneath a squeeze
    assert ("Sparsemax" if name == "sparsemax" else "Parted") in node.name()


@pytest.mark.parametrize(("name", "share"), [("crelu", 2.0), ("maxout", 1 / 16), ("sparsemax", 1.0), ("swiglu", 1.0)])
def test_what_is_kept(name, share):
    """Of the input's bytes, in bfloat16: the output, which the next layer keeps anyway, a bit of each element, or the input."""
    layer, x = get(name).module(fused=True), numbers((8, 256), torch.bfloat16).requires_grad_()
    assert bytes_kept(lambda: layer(x), layer) == share * x.nbytes
    plain = get(name).module(fused=False)
    assert bytes_kept(lambda: plain(x), plain) >= 1.5 * share * x.nbytes


@pytest.mark.parametrize("pieces", [1, 2, 3, 9, *[5, 8] * ALL_KERNELS])
@pytest.mark.parametrize("shape", [(7, 720), (720, 7), (3, 720, 100), (2, 720, 1)])
def test_maxout_of_any_number_of_pieces(pieces, shape):
    """Nine are more than kernels take."""
    x, dim = numbers(shape, torch.bfloat16), shape.index(720)
    found, right = (passes(get("maxout").module(fused=fused, pieces=pieces, dim=dim), x) for fused in (True, False))
    assert all(torch.equal(*both) for both in zip(found, right, strict=True))


def test_of_equal_pieces_the_first_gets_the_gradient_and_of_nan_the_first_too():
    x = torch.tensor([1.0, 1.0, -0.0, 0.0, torch.nan, 1.0, 1.0, torch.nan, torch.nan, torch.nan, torch.inf, torch.inf])
    x = x.repeat(60, 1)
    found, right = (passes(get("maxout").module(fused=fused), x, torch.ones(60, 6)) for fused in (True, False))
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    assert found[1][0].tolist() == [1, 0] * 3 + [0, 1] + [1, 0] * 2
    _, gradient = passes(get("maxout").module(fused=True), x, torch.full((60, 6), torch.inf))
    assert (
        gradient[0].tolist() == [torch.inf, 0] * 3 + [0, torch.inf] + [torch.inf, 0] * 2
    )  # and no infinity times zero


def sorted_sparsemax(x):
    return get("sparsemax").module(fused=False)(x.double())


@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
def test_sparsemax_of_inputs_that_are_hard_to_cut(dtype):
    """Nearly equal ones, all within 1 of the largest, ties, one alone, far ones, and sizes that are no multiples of anything."""
    rows = [
        torch.zeros(3, 1000), 1e-4 * numbers((3, 1003), dtype).double(), torch.linspace(0, 1, 64).repeat(2, 40), numbers((5, 1), dtype).double(),
        100 * numbers((3, 70), dtype).double(), torch.tensor([[1e4, -1e4, 3e4, 3e4] * 40]), torch.tensor([[0.0] + [-torch.inf] * 99]),
        numbers((2, 100_003), dtype).double(), numbers((3, 16), dtype).double(), numbers((3, 63), dtype).double(),
    ]  # fmt: skip
    eps = torch.finfo(dtype).eps
    for x in (one.to(dtype) for one in rows):
        y, gradient = passes(get("sparsemax").module(fused=True), x)
        right = sorted_sparsemax(x)
        torch.testing.assert_close(y.double(), right, rtol=eps, atol=2e-7 if dtype == torch.float32 else eps / 64)
        g = numbers(y.shape, dtype, seed=1).double()
        inside = y > 0
        mean = torch.where(inside, g, 0.0).sum(-1, keepdim=True) / inside.sum(-1, keepdim=True)
        torch.testing.assert_close(gradient.double(), torch.where(inside, g - mean, 0.0), rtol=2 * eps, atol=eps)


def test_sparsemax_of_a_vector_with_nan_or_infinity_is_nan():
    for bad in (torch.nan, torch.inf):
        for place in (0, 70, 99):
            x = numbers((3, 100), torch.float32)
            x[1, place] = bad
            y, gradient = passes(get("sparsemax").module(fused=True), x)
            assert y[1].isnan().all() and y[[0, 2]].isfinite().all()
            assert gradient[1].isnan().all() and gradient[[0, 2]].isfinite().all()
    assert get("sparsemax").module(fused=True)(torch.full((1, 9), -torch.inf)).isnan().all()


def test_sparsemax_has_every_derivative():
    layer = get("sparsemax").module(fused=True)
    x = numbers((2, 50), torch.float32).requires_grad_()
    w = numbers((2, 50), torch.float32, seed=1).requires_grad_()
    (g,) = torch.autograd.grad(layer(x), x, w, create_graph=True)
    by_x, by_w = torch.autograd.grad(g.square().sum(), (x, w), create_graph=True, materialize_grads=True)
    assert torch.equal(by_x, torch.zeros_like(by_x))
    torch.testing.assert_close(by_w, 2 * g)  # the matrix of the gradient is a projection
    assert torch.autograd.grad(by_w.sum(), w)[0].isfinite().all()


def test_without_a_compiler_plain_operations_compute(monkeypatch):
    assert own("sparsemax") is not None
    monkeypatch.setattr("actlab.kernels._run_parts.own", lambda _: None)
    x = numbers((3, 100), torch.float32)
    torch.testing.assert_close(get("sparsemax").module(fused=True)(x), sorted_sparsemax(x).float())


def test_an_axis_of_one_element_whatever_its_stride():
    x = torch.randn(1, 5).expand(4, 5)[:1]
    for name in ("sparsemax", "crelu"):
        found, plain = (get(name).module(fused=fused, dim=0)(x) for fused in (True, False))
        assert torch.equal(found, plain)
