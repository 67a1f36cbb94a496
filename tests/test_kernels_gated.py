"""Gated units by one kernel forward and one backward: results, shapes, what is kept, autograd, torch.compile, and what is left to plain operations."""

import pytest
import torch

import actlab
from actlab import kernels
from actlab.activations import get
from actlab.kernels import _run
from actlab.optimizing import bytes_kept

pytestmark = [
    pytest.mark.skipif(kernels.library() is None, reason="no compiler"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),  # by torch.compile itself
]
NAMES = ("glu", "swiglu", "geglu", "reglu")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SHAPES = (
    ((7, 512), -1),
    ((3, 40, 5, 7), 1),
    ((3, 256), 1),
    ((0, 256), 1),
    ((100_004,), 0),
    ((2, 300, 66), 2),
    ((2, 3, 40_000), 2),
)


def numbers(shape, dtype, deviation=2.0):
    return (deviation * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(dtype)


def passes(layer, x, g):
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    return y, torch.autograd.grad(y, x, g)[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient(name, dtype):
    """In half types as good as rounded once; in float32 what the gate is off is one part."""
    unit = torch.finfo(dtype).eps
    for shape, dim in SHAPES:
        x, y = numbers(shape, dtype), get(name)(numbers(shape, dtype).double(), dim=dim)
        g = numbers(y.shape, dtype, 1.0)
        layer = get(name).module(fused=True, dim=dim)
        found = passes(layer, x, g)
        exact = passes(get(name).module(fused=False, dim=dim), x.double(), g.double())
        for one, right in zip(found, exact, strict=True):
            assert one.shape == right.shape and one.dtype == dtype
            size = right.abs().clamp(min=torch.finfo(dtype).tiny if dtype != torch.float32 else 1e-3)
            off = (
                ((one.double() - right).abs() / (unit * torch.exp2(size.log2().floor()))).max() if one.numel() else 0.0
            )
            assert off <= (3.5 if dtype == torch.float32 else 0.53)
        if "Gated" in found[0].grad_fn.name():  # halves of less are left to plain operations
            with actlab.fused():
                assert torch.equal(get(name)(x, dim=dim), found[0])


@pytest.mark.parametrize("name", NAMES)
def test_special_numbers_are_what_plain_operations_make_of_them(name):
    inf, nan = torch.inf, torch.nan
    some = torch.tensor([0.0, -0.0, 1.0, -1.0, inf, -inf, nan, 1e30, -1e30, 90.0, -90.0])
    x = torch.cartesian_prod(some, some).t().contiguous()
    g = torch.ones(1, x.shape[1])
    found, plain = (passes(get(name).module(fused=fused, dim=0), x, g) for fused in (True, False))
    for one, other in zip(found, plain, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_is_what_computes_and_its_input_is_all_that_is_kept(name):
    layer = get(name).module(fused=True)
    x = numbers((8, 256), torch.bfloat16).requires_grad_()
    assert "Gated" in layer(x).grad_fn.name()
    assert bytes_kept(lambda: layer(x), layer) == x.nbytes


def test_not_contiguous_inputs_and_gradients():
    layer, plain = (get("swiglu").module(fused=fused) for fused in (True, False))
    wide = numbers((40, 600), torch.float32)
    for x in (wide[:, ::2], wide.t(), wide[:1].expand(9, -1), wide[3:, 100:400]):
        g = torch.ones(()).expand(x.shape[0], x.shape[1] // 2)
        for one, other in zip(passes(layer, x, g), passes(plain, x, g), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_results_do_not_depend_on_threads():
    layer, x, g = (
        get("geglu").module(fused=True),
        numbers((40, 40_000), torch.float32),
        numbers((40, 20_000), torch.float32),
    )
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(passes(layer, x, g))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(*one) for one in zip(*results, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_within_torch_compile(name, dtype):
    torch._dynamo.reset()  # it takes so many layers for one and gives up
    layer = get(name).module(fused=True)
    x, g = numbers((6, 256), dtype), numbers((6, 128), dtype)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=True)
    for one, other in zip(passes(compiled, x, g), passes(layer, x, g), strict=True):
        assert torch.equal(one, other)


def test_a_second_derivative_is_refused_and_plain_operations_have_it():
    x = numbers((2, 256), torch.float32).requires_grad_()
    for fused in (True, False):
        (g,) = torch.autograd.grad(get("swiglu").module(fused=fused)(x).sum(), x, create_graph=True)
        if fused:
            with pytest.raises(RuntimeError, match=r"no second derivative; take it within actlab\.fused\(False\)"):
                g.sum().backward()
        else:
            g.sum().backward()
            assert x.grad.abs().sum() > 0


def test_what_is_left_to_plain_operations():
    run = _run.run_gate
    gate, x = get("swiglu").gate, numbers((4, 256), torch.float32)
    assert run(gate, x, -1) is not None
    assert run(gate, x.double(), -1) is None and run(gate, x[:, :100], -1) is None and run(gate, x[:, :255], -1) is None
    assert torch.func.vmap(lambda row: torch.tensor(0.0) if run(gate, row, -1) is None else row.sum())(x).eq(0).all()
    layer = get("swiglu").module(fused=True)
    torch.testing.assert_close(torch.func.vmap(layer)(x), layer(x))
    with pytest.raises(actlab.errors.UsageError, match="multiple of 2"):
        get("swiglu")(x[:, :255])
    assert get("softmax").module(fused=True)(x).sum(-1).allclose(torch.ones(4))


@pytest.mark.parametrize("dtype", DTYPES)
def test_under_autocast(dtype):
    layer, x = get("swiglu").module(fused=True), numbers((4, 256), dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == dtype
