"""Activations that draw in training: the numbers, their kernels, what is kept, derivatives, and torch.compile."""

import struct
from itertools import islice, pairwise

import pytest
import torch
from torch import nn

import actlab
from actlab import kernels
from actlab.activations import get
from actlab.activations._drawing import bits, noise
from actlab.errors import UsageError
from actlab.kernels import _gpu, _run
from actlab.kernels._lean import INPUT, OUTPUT
from actlab.optimizing import bytes_kept

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),  # by torch.compile itself
]
NEEDS_COMPILER = pytest.mark.skipif(kernels.library() is None, reason="no compiler")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SHAPES = ((), (0,), (3,), (7, 33), (300_001,), (2, 3, 5, 7))
MASK = 2**64 - 1


def splitmix(seed):
    """SplitMix64 as its authors write it, in whole numbers."""
    while True:
        seed = seed + 0x9E3779B97F4A7C15 & MASK
        z = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
        yield z ^ (z >> 31)


def passes(layer, x, seed=5):
    """Value, gradient and the gradient of the gradient by what came from above."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    g = torch.linspace(-1, 1, max(1, x.numel())).to(x.dtype)[: x.numel()].reshape(x.shape).requires_grad_()
    torch.manual_seed(seed)
    y = layer(x)
    (slope,) = torch.autograd.grad(y, x, g, create_graph=True)
    (twice,) = torch.autograd.grad((slope * 3).sum(), g)
    return y, slope, twice


def test_noise_is_that_of_its_source(monkeypatch):
    seed = 2**62 - 5
    drawn = b"".join(islice((one.to_bytes(8, "little") for one in splitmix(seed)), 13))
    expected = [(one + 0.5) / 65536 for one in struct.unpack("<50H", drawn[:100])]
    assert noise(torch.tensor(seed), torch.empty(5, 10)).flatten().tolist() == expected
    elsewhere = type("Device", (), {"type": "cuda"})
    monkeypatch.setattr(torch, "arange", lambda *range, arange=torch.arange, **_: arange(*range))
    assert ((bits(torch.tensor(seed), 50, elsewhere) + 0.5) / 65536).tolist() == expected


@pytest.mark.parametrize("fused", [False, pytest.param(True, marks=NEEDS_COMPILER)])
@pytest.mark.parametrize("limits", [(1 / 8, 1 / 3), (-0.2, 0.7)])
def test_slopes_are_uniform_and_those_of_the_backward_pass_are_the_same(limits, fused):
    low, high = limits
    layer = get("rrelu").module(l=low, u=high, fused=fused)
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    y = passes(layer, x)[0].detach()
    slopes = (y / x)[x < 0].double()
    assert torch.equal(y[x > 0], x[x > 0]) and low <= slopes.min() and slopes.max() <= high
    sorted_slopes = (slopes.sort().values - low) / (high - low)
    steps = (torch.arange(len(slopes)) + 0.5) / len(slopes)
    assert (sorted_slopes - steps).abs().max() < 1.63 / len(slopes) ** 0.5  # Kolmogorov and Smirnov, one in a hundred
    shifted = slopes - slopes.mean()
    for lag in (1, 2, 8, 1024):  # neighbours tell nothing about each other
        assert abs(float((shifted[lag:] * shifted[:-lag]).mean() / shifted.square().mean())) < 0.015
    inner = x.clone().requires_grad_()
    torch.manual_seed(5)
    layer(inner).sum().backward()
    torch.testing.assert_close(inner.grad[x < 0].double(), slopes, rtol=1e-6, atol=0)
    assert layer.eval()(-torch.ones(1000)).unique().tolist() == pytest.approx([-(low + high) / 2])


@NEEDS_COMPILER
@pytest.mark.parametrize("save", ["auto", "input", "output"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kernels_draw_what_plain_operations_draw(shape, dtype, save):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    forms = [x, x.to(memory_format=torch.channels_last)] if x.dim() == 4 else [x]
    if x.dim() == 2:
        forms += [x.t(), x[:, ::2], x[:1].expand(9, -1)]
    for given in forms:
        plain = passes(get("rrelu").module(fused=False), given)
        layer = get("rrelu").module(fused=True, save=save)
        for found in (passes(layer, given), passes(layer, given)):  # the second call goes a shorter way
            assert all(torch.equal(one, other) and one.dtype == dtype for one, other in zip(found, plain, strict=True))
            assert given.dim() < 4 or found[0].stride() == given.stride()
        with actlab.fused(save=save):
            torch.manual_seed(5)
            y = get("rrelu")(given, training=True)
        assert torch.equal(y, plain[0])


@NEEDS_COMPILER
def test_the_kernel_is_what_draws(monkeypatch):
    layer = get("rrelu").module(fused=True)
    layer(torch.ones(3))
    monkeypatch.setattr(layer.activation, "_drawn", None)
    monkeypatch.setattr(type(layer.activation), "tie", None)
    y = layer(torch.randn(50, requires_grad=True))
    assert "Drawn" in y.grad_fn.name()


@NEEDS_COMPILER
def test_a_short_way_builds_nothing(monkeypatch):
    """Of a GPU's tensors nothing is decided here: kernels for the CPU would take seconds, and nobody would call them."""
    monkeypatch.setattr(_run, "ready", None)
    assert _run.shortcut(get("rrelu"), (0.11, 0.12), "auto", torch.bfloat16, draws=True) is None


@NEEDS_COMPILER
def test_numbers_do_not_depend_on_threads():
    x, results, before = torch.randn(500_000), [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(passes(get("rrelu").module(fused=True), x))
    finally:
        torch.set_num_threads(before)
    for one, other in pairwise(results):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@NEEDS_COMPILER
@pytest.mark.parametrize("training", [True, False])
def test_neither_mask_nor_input_is_kept(training):
    """The seed is eight bytes a call."""

    def kept(save, dtype=torch.bfloat16):
        model = nn.Sequential(nn.Linear(64, 64), get("rrelu").module(fused=True, save=save), nn.Linear(64, 64))
        model.to(dtype).train(training)
        x = torch.randn(128, 64, dtype=dtype)
        return (bytes_kept(lambda: model(x), model) - x.nbytes - (8 if training else 0)) / (128 * 64)

    assert (kept("auto"), kept("output"), kept("input")) == (2.0, 2.0, 4.0)
    assert (kept("auto", torch.float32), kept("output", torch.float32)) == (8.0, 4.0)


@NEEDS_COMPILER
def test_an_output_that_does_not_tell_is_not_kept():
    layer = get("rrelu").module(l=-0.2, u=0.7, fused=True, save="output")
    with pytest.raises(UsageError, match="the slope cannot be told from the output; take save='input'"):
        layer(torch.ones(3))
    x = torch.randn(99).bfloat16()
    found = (passes(get("rrelu").module(l=-0.2, u=0.7, fused=fused, save="auto"), x) for fused in (True, False))
    assert all(torch.equal(*one) for one in zip(*found, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_noise_is_of_float32_whatever_the_default_is(dtype):
    expected = noise(torch.tensor(3), torch.empty(99))
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        with torch.device("meta"):
            found = noise(torch.tensor(3, device="cpu"), torch.empty(99, device="cpu"))
    finally:
        torch.set_default_dtype(before)
    assert found.dtype == torch.float32 and torch.equal(found, expected)


@pytest.mark.parametrize("fused", [False, pytest.param(True, marks=NEEDS_COMPILER)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_within_torch_compile(dtype, fused):
    """Other numbers than outside, which are drawn by the compiler's own generator, but again the same in both passes."""
    layer = get("rrelu").module(fused=fused)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = torch.randn(4, 500).to(dtype).requires_grad_()
    y = compiled(x)
    (slope,) = torch.autograd.grad(y, x, torch.ones_like(y))
    fell = x < 0
    torch.testing.assert_close((x * slope)[fell], y[fell], rtol=2 * torch.finfo(dtype).eps, atol=0)
    assert slope[fell].unique().numel() > 20 and not torch.equal(compiled(x), y)


@NEEDS_COMPILER
@pytest.mark.parametrize("dtype", DTYPES)
def test_under_autocast_and_where_special_numbers_come(dtype):
    x = torch.tensor(
        [float("nan"), float("inf"), -float("inf"), -0.0, 0.0, torch.finfo(dtype).tiny, -torch.finfo(dtype).tiny]
    )
    for layer in (get("rrelu").module(), get("rrelu").module(fused=True)):
        y, slope, _ = passes(layer, x.to(dtype))
        assert y[0].isnan() and y[1] == torch.inf and y[2] == -torch.inf and y[3] == 0 and slope.isfinite().all()
        assert y[5] == x.to(dtype)[5]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(x.to(dtype)).dtype == dtype


@NEEDS_COMPILER
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("keep", [INPUT, OUTPUT])
def test_the_same_numbers_by_the_kernel_for_gpus(dtype, keep):
    """As far as that goes without one: through the same compiler on the CPU."""
    entry = get("rrelu")
    of = _run.variant_of(entry, tuple(entry.values().values()))
    x = torch.randn(7, 33).to(dtype)[:, ::2]

    def on_gpu(x):
        return _gpu.run(of, x, keep, torch.randint(2**62, ()))

    for one, other in zip(passes(on_gpu, x), passes(entry.module(), x), strict=True):
        assert torch.equal(one, other)


@NEEDS_COMPILER
def test_optimize_takes_ours_and_leaves_those_that_would_draw_otherwise():
    model = nn.Sequential(
        nn.Linear(8, 64), get("rrelu").module(), nn.Linear(64, 64), nn.RReLU(), nn.Linear(64, 2)
    ).bfloat16()
    x = torch.randn(256, 8).bfloat16()
    done = actlab.optimize(model, x)
    assert [name for name, *_ in done.exchanged] == ["1"] and done.difference == 0
    assert done.after.bytes_kept == done.before.bytes_kept - 256 * 64 * 2
