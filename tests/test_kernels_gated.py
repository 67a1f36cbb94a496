"""Gated units and products with an activation by one kernel forward and one backward: results, what is kept, and what is left to plain operations."""

import pytest
import torch

import actlab
from actlab import kernels
from actlab.activations import Gated, GatedHalves, get
from actlab.kernels import _run_parts
from actlab.optimizing import bytes_kept
from checks import ALL_KERNELS

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
    """Result and gradient; `g` may be one number for all."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    return y, torch.autograd.grad(y, x, torch.full_like(y, g) if isinstance(g, float) else g)[0]


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
    assert "Parted" in layer(x).grad_fn.name()
    assert bytes_kept(lambda: layer(x), layer) == x.nbytes


def test_what_is_left_to_plain_operations():
    run, swiglu, x = _run_parts.run_parted, get("swiglu"), numbers((4, 256), torch.float32)
    assert run(swiglu, x, {}) is not None
    assert (
        run(swiglu, x.double(), {}) is None
        and run(swiglu, x[:, :255], {}) is None
        and run(swiglu, x, {"dim": 5}) is None
    )
    assert torch.func.vmap(lambda row: torch.tensor(0.0) if run(swiglu, row, {}) is None else row.sum())(x).eq(0).all()
    with pytest.raises(actlab.errors.UsageError, match="multiple of 2"):
        swiglu(x[:, :255])
    assert get("softmax").module(fused=True)(x).sum(-1).allclose(torch.ones(4))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["silu", "leaky_relu", *["gelu_tanh"] * ALL_KERNELS])
def test_products_of_two_tensors_and_of_halves(activation, dtype):
    """As value times activation in float64, rounded once, however the two lie in memory."""
    eps, wide = torch.finfo(dtype).eps, numbers((24, 600), dtype)
    tensors = numbers((24, 300), dtype, 1.0), numbers((24, 300), dtype, 3.0)
    for a, b in (
        tensors, wide.chunk(2, 1), (wide[:, ::2], tensors[1]), (tensors[0][:1].expand(24, -1), tensors[1]), (wide.t()[:24, :20], wide[:24, 5:25]),
        (wide[:, :300].unflatten(1, (3, 100)), tensors[1].unflatten(1, (3, 100))), (wide[:0], wide[:0]), (wide[0, 0], wide[1, 1]), (wide[:, None, :7], wide[:, None, 7:14]),
    ):  # fmt: skip
        inputs = [one.detach().requires_grad_() for one in (a, b)]
        y = Gated(activation, fused=True)(*inputs)
        assert "Paired" in y.grad_fn.name()
        g = numbers(a.shape, dtype, 1.0)
        exact = [one.detach().double().requires_grad_() for one in (a, b)]
        right = exact[0] * get(activation)(exact[1])
        results = (y, *torch.autograd.grad(y, inputs, g))
        for one, other in zip(results, (right, *torch.autograd.grad(right, exact, g.double())), strict=True):
            room = 0.6 if dtype != torch.float32 else 8
            torch.testing.assert_close(one.double(), other, rtol=room * eps, atol=room * eps / 8)
    for first, dim in ((False, 1), (True, 1), (True, 0)):
        layer, plain = (GatedHalves(activation, dim=dim, gate_first=first, fused=fused) for fused in (True, False))
        for one, other in zip(passes(layer, wide, 1.0), passes(plain, wide, 1.0), strict=True):
            torch.testing.assert_close(one, other, rtol=3 * eps, atol=eps)


def test_products_of_other_shapes_and_types_are_as_torch_promotes_them():
    a, b, layer = numbers((4, 300), torch.float32), numbers((4, 1), torch.float32), Gated("sigmoid", fused=True)
    torch.testing.assert_close(layer(a, b), a * torch.sigmoid(b))
    torch.testing.assert_close(layer(a, a.bfloat16()), a * get("sigmoid")(a.bfloat16()), rtol=1e-2, atol=0)
    torch.testing.assert_close(torch.func.vmap(layer)(a, a), layer(a, a))
    assert "leaky_relu, a=0.3" in repr(Gated("leaky_relu", a=0.3)) and "gate_first" in repr(
        GatedHalves("silu", gate_first=True)
    )
    with pytest.raises(RuntimeError, match=r"no second derivative"):
        x = a.requires_grad_()
        torch.autograd.grad(layer(x, x).sum(), x, create_graph=True)[0].sum().backward()


def test_products_within_torch_compile():
    torch._dynamo.reset()
    a, b = numbers((6, 256), torch.bfloat16).requires_grad_(), numbers((6, 600), torch.bfloat16, 1.0).requires_grad_()
    g = numbers((6, 256), torch.bfloat16)
    pair, halves = Gated("silu", fused=True), GatedHalves("silu", gate_first=True, fused=True)
    for function in (
        lambda a, b: pair(a, b[:, ::2][:, :256]),
        lambda a, _: pair(a.t(), a.t()).t(),
        lambda _, b: halves(b[:, 44:556]),
    ):
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=True)
        found, right = (
            (y := way(a, b), *torch.autograd.grad(y, (a, b), g, allow_unused=True)) for way in (compiled, function)
        )
        for one, other in zip(found, right, strict=True):
            assert (one is None and other is None) or (torch.equal(one, other) and one.stride() == other.stride())


def test_products_keep_the_order_in_memory_and_any_length():
    layer = Gated("silu", fused=True)
    a, b = (numbers((2, 3, 40, 50), torch.float32, s).to(memory_format=torch.channels_last) for s in (1.0, 2.0))
    y = layer(a, b)
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, a * torch.nn.functional.silu(b))
    wide = numbers((40, 3001), torch.float32)  # threads, and pieces that begin within a run
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for x, z in (
            (wide[:, :1500], wide[:, 1501:]),
            (wide[:, :1500].contiguous(), wide[:, 1501:]),
            (wide[:, 1::2], wide[:, :1500]),
        ):
            given = [one.detach().requires_grad_() for one in (x, z)]
            out = layer(*given)
            right = given[0] * torch.nn.functional.silu(given[1])
            torch.testing.assert_close(out, right)
            for one, other in zip(
                torch.autograd.grad(out.sum(), given), torch.autograd.grad(right.sum(), given), strict=True
            ):
                torch.testing.assert_close(one, other)
    finally:
        torch.set_num_threads(before)


def test_a_gate_that_draws_in_training_does_so():
    layer, a = Gated("rrelu", fused=True), numbers((4, 300), torch.float32, 1.0)
    assert not torch.equal(layer(a, a), layer(a, a))
    assert torch.equal(layer.eval()(a, a), layer(a, a))
