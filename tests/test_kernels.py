"""Fused kernels: the catalogue's contract on their path, the lean backward pass, autograd, threads, torch.compile, and no compiler.

Kernels of all entries take long to compile: `make kernel-tests` (ACTLAB_KERNELS=all) checks every one, this run some of each kind.
"""

import math
import pickle
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

import actlab
import checks
from actlab import activations, kernels
from actlab.activations import get
from actlab.errors import UsageError
from actlab.kernels import _run, _run_parts, _runtime, _waiting
from actlab.kernels import _source_cache as cache
from actlab.kernels._forms import sources
from actlab.kernels._lean import OUTPUT, OUTPUT_AND_SIDE, is_good, lean
from actlab.kernels._run import variant_of

SOME = ("relu", "prelu", "swish", "elu", "hard_swish")
NAMES = activations.names(vectors=False) if checks.ALL_KERNELS else SOME
HALF = (torch.bfloat16, torch.float16)
NEEDS_COMPILER = pytest.mark.skipif(kernels.library() is None, reason="no compiler")
pytestmark = NEEDS_COMPILER


@pytest.fixture
def fused():
    with actlab.fused(save="input"):
        yield


def fixed(name, **options):
    """A fused layer whose parameters are numbers."""
    return get(name).module(fused=True, learn=False, **options)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", NAMES)
def test_contract_of_the_catalogue(name, check, fused):
    check(get(name))


# Of a slope from an output only the checks that measure its last bits are too much to ask; test_lean_backward measures it.
EXACT = (checks.check_half_types, checks.check_backward_everywhere, checks.check_compiles)


@pytest.mark.parametrize(
    "check", [one for one in checks.CHECKS if one not in EXACT], ids=lambda check: check.__name__.removeprefix("check_")
)
@pytest.mark.parametrize("name", NAMES)
def test_contract_of_the_lean_path(name, check):
    entry = get(name)
    values = [torch.tensor(1.0) if one.domain.learnable else one.default for one in entry.parameters]
    save = "auto" if lean(variant_of(entry, values)) is None else "output"
    with actlab.fused(save=save):
        check(entry)


@pytest.mark.parametrize("name", SOME)
def test_the_kernel_is_what_computes(name, fused, monkeypatch):
    """Without this, a kernel that is never built would pass the contract by plain operations."""
    layer = get(name).module()
    x = torch.randn(50, requires_grad=True)
    y = layer(x)
    monkeypatch.setattr(type(layer.activation), "plain", None)
    assert torch.equal(layer(x), y)
    assert "Activation" in y.grad_fn.name()


@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_kernel(name, dtype):
    """One that cannot be made only warns: the contract would then hold by plain operations, several times as slow."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernels.build(get(name), dtype)


def test_a_planted_fault_in_a_kernel_is_caught():
    """The contract on this path can fail: a slope that is wrong only in the kernel's own arithmetic."""
    from actlab.activations import _numerics

    entry = actlab.define("wrong_in_kernels", "x / (1 + exp(-x))")
    right = entry.bodies["slope"]
    entry.bodies["slope"] = lambda x: right(x) + (0 if _numerics.precision() == "exact" else 1e-3)
    entry._node = entry._slope = None
    with actlab.fused(), pytest.raises(AssertionError, match="wrong_in_kernels: slope"):
        checks.check_half_types(entry)


@pytest.mark.skipif(not checks.ALL_KERNELS, reason="compiles for another processor: make kernel-tests")
@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() != "AVX512", reason="these vectors are the usual ones here")
def test_on_a_processor_with_shorter_vectors():
    names = "relu,tanh,gelu,swish,serf,mish,sigmoid,selu,snake,rrelu"
    run = [sys.executable, "-W", "error", str(Path(__file__).with_name("other_vectors.py")), "256", names]
    assert subprocess.run(run, capture_output=True, text=True, timeout=900).stderr == ""


def test_our_own_steps_stand_in_place_of_the_compilers():
    """Another version of torch may write them otherwise: then they would be missed by their speed alone."""
    names = ("mish", "tanh", "arctan", "cosine")
    text = "".join(one for name in names for one in sources(variant_of(get(name), []), torch.float32).values())
    for own, theirs in (
        ("actlab::bits_as<float>", "bit_cast"),
        ("actlab::compare", "VecMask"),
        ("actlab::chosen", "blendv"),
        ("actlab::scaled", "ldexp"),
        ("actlab::exponential", ".exp()"),
        ("actlab::sine", ".sin()"),
        ("actlab::inverse", ".reciprocal()"),
    ):
        assert own in text and theirs not in text
    halves = "".join(sources(variant_of(get(name), []), torch.bfloat16)[way] for name, way in _WAVES_AND_GROWTH)
    for rough, theirs in (("sine", ".sin()"), ("cosine", ".cos()"), ("exponential", ".exp()")):
        assert f"actlab::rough_{rough}(" in halves and f"actlab::{rough}(" not in halves and theirs not in halves
        assert f"actlab::rough_{rough}(" not in text


_WAVES_AND_GROWTH = (("cosine", "forward"), ("cosine", "backward"), ("gaussian", "forward"), ("gaussian", "backward"))


@pytest.mark.parametrize("dtype", HALF)
def test_exponential_of_half_types_at_all_their_numbers(dtype):
    """Beside float64: as right as rounding is, at infinities, NaN and where results are smaller than normal numbers too."""
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    with actlab.fused():
        found = get("exponential")(x)
    exact = torch.exp(x.double())
    assert found.isnan().equal(x.isnan())
    infinite = exact.to(dtype).isinf()
    assert found.isinf().equal(infinite)
    usual = ~(infinite | x.isnan())
    info = torch.finfo(dtype)
    unit = torch.exp2(torch.floor(torch.log2(exact.clamp(min=info.smallest_normal)))) * info.eps
    assert float(((found.double() - exact) / unit)[usual].abs().max()) <= 0.501


@pytest.mark.parametrize("name", ["sinusoid", "cosine"])
def test_waves_at_their_zeros_far_out_and_beside_far_ones(name):
    """Within 1.2 ulp where what is left of x is tiny, where x is too long for vectors, and alike whoever the neighbours are."""
    multiples = torch.arange(0, 64_000, 7, dtype=torch.float64) * (torch.pi / 2)
    far = torch.tensor([99_999.99, 1e5, 100_000.01, 1.7e7, 8e15, 2.0**77, 3.4028235e38])
    tiny = torch.tensor([0.0, 1e-45, 1e-38, 3e-6, 0.5235988])
    x = torch.cat([multiples.float(), far, tiny, torch.rand(20_000, generator=torch.Generator().manual_seed(3)) * 1e5])
    x = torch.cat([x, -x])
    layer = fixed(name)
    found, exact = layer(x), getattr(torch, {"sinusoid": "sin"}.get(name, "cos"))(x.double())
    unit = torch.exp2(exact.abs().clamp(min=2.0**-126).log2().floor() - 23)
    assert ((found.double() - exact).abs() / unit).max() <= 1.2
    assert torch.equal(found.signbit(), exact.signbit())
    alone = layer(torch.full((256,), 2.5))
    assert torch.equal(layer(torch.tensor([2.5, 1e30] * 128))[::2], alone[::2])
    assert layer(torch.tensor([math.inf, -math.inf, math.nan] * 32)).isnan().all()


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "elu", "softplus", "gelu", "silu", "hard_swish"])
def test_lean_backward(name, dtype):
    """Values as on the exact path; slopes within what rounding the output allows; memory as stated."""
    x = torch.randn(30_000, generator=torch.Generator().manual_seed(1)).to(dtype)
    exact, slim = fixed(name, save="input"), fixed(name, save="output")
    leaf = x.clone().requires_grad_()
    y = slim(leaf)
    assert torch.equal(y, exact(x))
    y.backward(torch.ones_like(y))
    slope = get(name).derivative(x.double())
    error = (leaf.grad.double() - slope).square().mean().sqrt()
    rounding = (slope.to(dtype).double() - slope).square().mean().sqrt()
    assert (
        error
        <= (3 if is_good(variant_of(get(name), list(get(name).values().values())), dtype) else 8) * rounding + 1e-12
    )


@pytest.mark.parametrize(
    "name, keep",
    [
        ("relu", OUTPUT),
        ("tanh", OUTPUT),
        ("gelu", OUTPUT_AND_SIDE),
        ("absolute", OUTPUT_AND_SIDE),
        ("sinc", None),
        ("prelu", None),
    ],
)
def test_what_tells_the_slope(name, keep):
    entry = get(name)
    values = [torch.tensor(0.2)] if name == "prelu" else list(entry.values().values())
    way = lean(variant_of(entry, values))
    assert (way and way.keep) == keep


def test_leaky_relu_with_a_negative_slope_keeps_its_input():
    assert lean(variant_of(get("leaky_relu"), [-0.1])) is None
    with pytest.raises(UsageError, match=r"leaky_relu.*save='input'"):
        fixed("leaky_relu", a=-0.1, save="output")(torch.randn(4, requires_grad=True))


@pytest.mark.parametrize(
    "dtype, name, bytes_each",
    [
        (torch.bfloat16, "relu", 2.0),
        (torch.bfloat16, "gelu", 2.125),
        (torch.bfloat16, "softplus", 2.0),
        (torch.float32, "straight_through_step", 4.0),
        (torch.float32, "gelu", 8.0),
    ],
)
def test_bytes_kept_between_two_layers(dtype, name, bytes_each):
    from actlab.optimizing import bytes_kept

    model = nn.Sequential(nn.Linear(64, 256), fixed(name), nn.Linear(256, 256)).to(dtype)
    x = torch.randn(128, 64).to(dtype)
    kept = bytes_kept(lambda: model(x), model) - x.untyped_storage().nbytes()
    assert kept / (128 * 256) == pytest.approx(bytes_each, abs=0.005)


@pytest.mark.parametrize("name", ["identity", "straight_through_step"])
def test_where_the_slope_is_1_the_gradient_is_handed_on(name):
    entry, x = get(name), torch.randn(3, 70, requires_grad=True)
    assert entry.hands_on and entry.derivative(x.detach()).eq(1).all()
    y = fixed(name)(x)
    given = []
    y.register_hook(given.append)
    (g,) = torch.autograd.grad(y, x, torch.randn(3, 70).t().contiguous().t(), create_graph=True)
    assert g.data_ptr() == given[0].data_ptr() and torch.equal(g, given[0])
    g = torch.ones(3, 70, requires_grad=True)
    (dx,) = torch.autograd.grad(fixed(name)(x), x, g, create_graph=True)
    assert torch.autograd.grad((dx * dx).sum(), g)[0].eq(2).all()


def test_saves_are_checked():
    with pytest.raises(UsageError, match="save must be one of auto, input, output; got 'nothing'"):
        get("relu").module(save="nothing")


@pytest.mark.parametrize("name", ["relu", "gelu"])
@pytest.mark.parametrize("save", ["input", "output"])
def test_layouts(name, save):
    """Transposed, strided, expanded, channels-last, empty and zero-dimensional tensors, and gradients in another layout."""
    base = torch.randn(6, 4, 5, 3)
    layer, plain = fixed(name, save=save), get(name).module(fused=False, learn=False)
    for x in (
        base,
        base.transpose(0, 2),
        base[::2, :, 1:],
        base[:1].expand(3, 4, 5, 3),
        base.to(memory_format=torch.channels_last),
        base[:0],
        base[0, 0, 0, 0],
    ):
        a, b = x.detach().requires_grad_(), x.detach().requires_grad_()
        ya, yb = layer(a), plain(b)
        assert ya.shape == x.shape
        g = torch.randn(x.shape[::-1]).permute(tuple(range(x.dim()))[::-1])
        for y, leaf in ((ya, a), (yb, b)):
            y.backward(g)
            assert leaf.grad.shape == x.shape
        torch.testing.assert_close(ya, yb, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-6 if save == "input" else 1e-2)


@pytest.mark.parametrize(
    "shape, axis",
    [
        ((7, 12), 1),
        ((3, 12, 5, 4), 1),
        ((3, 12, 40, 30), 1),
        ((2, 5, 12), -1),
        ((0, 12), 1),
        ((0, 12, 5), 1),
        ((3, 12, 0), 1),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_parameters_of_channels(shape, axis, last):
    x = torch.randn(shape)
    if last and x.dim() == 4:
        x = x.to(memory_format=torch.channels_last)
    a, b = (get("prelu").module(size=12, axis=axis, fused=fused) for fused in (True, False))
    with torch.no_grad():
        a.a.copy_(torch.linspace(-0.5, 0.5, 12))
        b.a.copy_(a.a)
    xa, xb = x.clone().requires_grad_(), x.clone().requires_grad_()
    g = torch.randn_like(x)
    a(xa).backward(g)
    b(xb).backward(g)
    torch.testing.assert_close(xa.grad, xb.grad)
    exact = (g.double() * x.double().clamp(max=0)).movedim(axis, 0).flatten(1).sum(1)
    torch.testing.assert_close(a.a.grad.double(), exact, rtol=1e-5, atol=1e-4)
    with pytest.raises(UsageError, match="expected 12 channels"):
        a(torch.randn(2, 11))


def test_a_tensor_given_to_the_function_broadcasts_as_everywhere():
    x, a = torch.randn(2, 5, 5), torch.linspace(-0.5, 0.5, 5)
    for shaped in (a, a.reshape(5, 1), torch.tensor([0.3]), torch.tensor(0.3)):
        with actlab.fused():
            found = get("prelu")(x, a=shaped)
        torch.testing.assert_close(found, get("prelu")(x, a=shaped))
    p, n = torch.linspace(0.1, 0.5, 5), torch.tensor(-1.0)
    with actlab.fused():
        found = get("xielu")(x, alpha_p=p, alpha_n=n)
    torch.testing.assert_close(found, get("xielu")(x, alpha_p=p, alpha_n=n))


def test_gradients_of_parameters_are_summed_in_float32_and_alike_for_every_number_of_threads():
    x, threads = torch.randn(300_001).bfloat16(), torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            layer = get("prelu").module(fused=True)
            layer(x).backward(torch.full_like(x, 0.01))
            found.append(layer.a.grad.item())
    finally:
        torch.set_num_threads(threads)
    exact = (x.double().clamp(max=0) * torch.tensor(0.01).bfloat16().double()).sum().item()
    assert found[0] == found[1] == found[2] == pytest.approx(exact, rel=1e-5)


def test_second_derivatives_are_right_or_refused():
    x = torch.randn(40, requires_grad=True)
    (g,) = torch.autograd.grad(fixed("gelu")(x).sum(), x, create_graph=True)
    (gg,) = torch.autograd.grad((g**2).sum(), x, create_graph=True)
    expected = 2 * get("gelu").derivative(x.detach()) * get("gelu").derivative(x.detach(), 2)
    torch.testing.assert_close(gg, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(RuntimeError, match="two derivatives; for a third take module\\(fused=False\\)"):
        torch.autograd.grad(gg.sum(), x)
    (g,) = torch.autograd.grad(fixed("gelu", save="output")(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="kept its output; take module\\(save='input'\\)"):
        torch.autograd.grad(g.sum(), x)
    (g,) = torch.autograd.grad(get("prelu").module(fused=True)(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="where parameters learn; take module\\(fused=False\\)"):
        torch.autograd.grad(g.sum(), x)


@pytest.mark.parametrize("save", ["input", "output"])
def test_inside_torch_compile_without_a_break(save):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(8, 16), fixed("gelu", save=save), nn.Linear(16, 8), get("prelu").module(fused=True)
    ).bfloat16()
    x = torch.randn(5, 8).bfloat16()
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        y = compiled(x)
        y.float().square().sum().backward()
    found = [one.grad.clone() for one in model.parameters()]
    model.zero_grad()
    expected = model(x)
    expected.float().square().sum().backward()
    torch.testing.assert_close(y, expected, rtol=2e-2, atol=2e-2)
    for one, gradient in zip(model.parameters(), found, strict=True):
        torch.testing.assert_close(gradient, one.grad, rtol=5e-2, atol=5e-2)


def test_from_several_threads():
    layer = fixed("sigmoid")
    xs = [torch.randn(20_000) for _ in range(24)]

    def slope(x):
        leaf = x.clone().requires_grad_()
        layer(leaf).sum().backward()
        return leaf.grad

    with ThreadPoolExecutor(8) as pool:
        for x, found in zip(xs, pool.map(slope, xs), strict=True):
            torch.testing.assert_close(found, torch.sigmoid(x) * (1 - torch.sigmoid(x)))


def test_changed_outputs_are_noticed():
    """Writing into a tensor that the backward pass needs is an error, as everywhere in torch."""
    for name in ("relu", "gelu"):
        x = torch.randn(10, requires_grad=True)
        y = fixed(name, save="output")(x)
        y.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


def test_the_switch_is_a_context_and_a_switch():
    assert not actlab.fused.on
    with actlab.fused():
        assert actlab.fused.on
        with actlab.fused(False):
            assert not actlab.fused.on
        assert actlab.fused.on
    switch = actlab.fused()
    assert actlab.fused.on
    switch.__exit__()
    assert not actlab.fused.on


def test_users_own_activations_are_fused_by_their_formula():
    first, second = actlab.define("mine", "x * tanh(c * x)", c=1.5), actlab.define("mine", "x * tanh(c * x) + x", c=1.5)
    x = torch.randn(100)
    for entry in (first, second):
        torch.testing.assert_close(entry.module(fused=True)(x), entry(x), rtol=1e-5, atol=1e-6)


def test_without_a_compiler_plain_operations_compute_and_it_is_said_once(monkeypatch):
    from torch._inductor.codecache import CppCodeCache

    def missing(*_, **__):
        raise FileNotFoundError("no C++ compiler")

    monkeypatch.setattr(CppCodeCache, "load", missing)
    monkeypatch.setattr(_runtime, "_BUILT", {})
    monkeypatch.setattr(_run, "_DECIDED", {})
    monkeypatch.setattr(_run_parts, "_PLANS", {})
    loaded = (_runtime.own, _runtime.library)
    for one in loaded:
        one.cache_clear()
    try:
        with pytest.warns(
            UserWarning, match="plain operations, because kernels cannot be compiled here: no C\\+\\+ compiler"
        ) as said:
            y = fixed("relu")(torch.tensor([-1.0, 2.0]))
            get("tanh").module(fused=True)(torch.ones(3))
            for name in ("swiglu", "maxout", "sparsemax"):
                get(name).module(fused=True)(torch.ones(4))
        assert y.tolist() == [0, 2] and len(said) == 1
    finally:
        for one in loaded:
            one.cache_clear()


@pytest.mark.parametrize("name", ["relu", "softsign", "hard_swish"])
def test_second_derivatives_without_a_body_of_their_own(name):
    x = torch.linspace(-4.1, 4.3, 51).requires_grad_()
    (g,) = torch.autograd.grad(fixed(name)(x).sum(), x, create_graph=True)
    (gg,) = torch.autograd.grad((g * 3).sum(), x)
    torch.testing.assert_close(gg, 3 * get(name).derivative(x.detach(), 2))


def test_one_parameter_for_each_element():
    x = torch.randn(2, 5, 5)
    a, b = (get("prelu").module(size=(5,), fused=fused) for fused in (True, False))
    for one in (a, b):
        with torch.no_grad():
            one.a.copy_(torch.linspace(-0.5, 0.5, 5))
    torch.testing.assert_close(a(x), b(x))
    with pytest.raises(UsageError, match="expected 1 channels"):
        get("prelu").module(size=1, fused=True)(torch.randn(2, 3))


def test_a_second_derivative_by_a_parameter_alone_is_refused():
    layer = get("swish").module(fused=True)
    y = layer(torch.randn(20)).sum()
    (g,) = torch.autograd.grad(y, layer.b, create_graph=True)
    with pytest.raises(RuntimeError, match="where parameters learn"):
        (y + 10 * g**2).backward()


def test_hooks_on_saved_tensors_may_lay_them_out_anew():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    found = []
    for pack in (lambda t: t, lambda t: t.contiguous()):
        leaf = x.clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            y = fixed("gelu", save="output")(leaf)
        y.backward(torch.ones_like(y))
        found.append(leaf.grad)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_transformations_within_torch_compile_take_plain_operations():
    layer, x = fixed("gelu"), torch.tensor([0.3, 1.2])
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: torch.func.jvp(layer, (x,), (torch.ones_like(x),))[1], backend="aot_eager")
    torch.testing.assert_close(compiled(x), get("gelu").derivative(x))


def test_building_from_two_threads_at_once(monkeypatch):
    monkeypatch.setattr(_runtime, "_BUILT", {})
    monkeypatch.setattr(_run, "_DECIDED", {})
    work = [("elu", torch.float32), ("softplus", torch.bfloat16), ("sigmoid", torch.float32), ("elu", torch.float16)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ThreadPoolExecutor(4) as pool:
            forms = list(pool.map(lambda one: kernels.build(get(one[0]), one[1]), work))
    assert all("backward" in one for one in forms)


def test_kernels_for_channels_side_by_side_are_built_when_the_first_such_parameter_comes(monkeypatch):
    monkeypatch.setattr(_runtime, "_BUILT", {})
    monkeypatch.setattr(_run, "_DECIDED", {})
    x, built = torch.randn(5, 3), lambda: {(dtype, rows) for _, dtype, rows in _runtime._BUILT}
    one, each = get("prelu").module(fused=True), get("prelu").module(size=3, fused=True)
    torch.testing.assert_close(one(x), torch.where(x > 0, x, 0.25 * x))
    assert built() == {(torch.float32, False)}
    torch.testing.assert_close(each(x), one(x))
    assert built() == {(torch.float32, False), (torch.float32, True)}


def test_who_waits_at_a_terminal_is_told_what_for(monkeypatch, capsys):
    monkeypatch.setattr(_waiting, "_SECONDS", 0.01)
    with _waiting.compiling("a thing"):
        time.sleep(0.05)
    assert capsys.readouterr().err == ""  # no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with _waiting.compiling("a thing"):
        time.sleep(0.2)
    assert capsys.readouterr().err == "actlab: compiling a thing: once on this machine, up to a minute\n"
    with _waiting.compiling("a thing"):
        pass
    time.sleep(0.05)
    assert capsys.readouterr().err == ""  # not when it is done


def test_a_switch_can_be_used_twice():
    switch = actlab.fused()
    with switch:
        assert actlab.fused.on
    assert not actlab.fused.on
    with switch:
        assert actlab.fused.on
    assert not actlab.fused.on


def test_weights_of_torchs_prelu_are_taken():
    old, new = nn.PReLU(3), get("prelu").module(size=3, fused=True)
    with torch.no_grad():
        old.weight.copy_(torch.tensor([0.1, 0.2, 0.3]))
    new.load_state_dict(old.state_dict())
    assert torch.equal(new.a, old.weight)


def test_the_way_found_by_one_call_is_forgotten_when_anything_changes():
    """Layers remember the kernel of their last call; changed parameters, switches and types must reach the next one."""
    x = torch.linspace(-3, 3, 64)
    layer = activations.get("leaky_relu").module(a=0.1, fused=True)
    plain = activations.get("leaky_relu")
    for _ in range(2):
        torch.testing.assert_close(layer(x), plain(x, a=0.1))
    assert layer._shortcut is not None
    layer.a = 0.4
    torch.testing.assert_close(layer(x), plain(x, a=0.4))
    assert pickle.loads(pickle.dumps(layer))._shortcut is None
    for dtype in (torch.float64, torch.bfloat16, torch.float32):
        assert layer(x.to(dtype)).dtype == dtype
    layer.fused = None
    with actlab.fused(save="output"):
        asked = x.clone().requires_grad_()
        for _ in range(2):
            layer(asked).sum().backward()
    with actlab.fused(False):
        assert layer(asked).grad_fn.name() != "ActivationBackward", "the switch was not heeded"
    for wrong in ([1.0], "x", None):
        with pytest.raises((TypeError, AttributeError)):
            layer(wrong)


def test_the_function_remembers_its_kernel_as_long_as_nothing_changes():
    x, swish = torch.linspace(-3, 3, 64), activations.get("swish")
    plain = swish(x)
    with actlab.fused():
        for _ in range(2):
            torch.testing.assert_close(swish(x), plain)
        assert swish._shortcut is not None
        torch.testing.assert_close(swish(x, b=2.0), swish.module(b=2.0, learn=False, fused=False)(x))
        for dtype in (torch.float64, torch.bfloat16, torch.float32):
            assert swish(x.to(dtype)).dtype == dtype
        torch.testing.assert_close(torch.func.vmap(swish)(x.view(8, 8)).flatten(), plain)
        for wrong in ([1.0], "x", None, torch.arange(3)):
            with pytest.raises(TypeError):
                swish(wrong)
    asked = x.clone().requires_grad_()
    assert swish(asked).grad_fn.name() != "ActivationBackward", "the switch was not heeded"
    with actlab.fused(save="output"):
        swish(asked).sum().backward()
    torch.testing.assert_close(asked.grad, swish.derivative(x), rtol=1e-3, atol=1e-3)


def test_every_process_finds_what_another_has_generated():
    ask = [sys.executable, "-c", "from actlab.kernels import _source_cache as cache; print(cache._code())"]
    found = {subprocess.run(ask, capture_output=True, text=True, check=True, timeout=120).stdout for _ in range(2)}
    assert found == {cache._code() + "\n"}


def test_generated_sources_are_kept_and_survive_damage(monkeypatch, tmp_path):
    entry = activations.get("softsign")
    variant, place = variant_of(entry, []), tmp_path / "kept.json"
    monkeypatch.setattr(cache, "_place", lambda *_: place)
    found = cache.kept_sources(variant, torch.float32)
    made = []
    monkeypatch.setattr(cache, "sources", lambda *given, rows: made.append(given) or found)
    assert cache.kept_sources(variant, torch.float32) == found and not made
    for damage in ("", "{", "[]", '{"forward": 3}', "null", "{}", '{"none": 1, "x'):
        place.write_text(damage)
        assert cache.kept_sources(variant, torch.float32) == found
    assert len(made) == 7, "a damaged file was believed"
    place.write_text('{"none": "as before"}')
    with pytest.raises(cache.NoKernel, match="as before"):
        cache.kept_sources(variant, torch.float32)
