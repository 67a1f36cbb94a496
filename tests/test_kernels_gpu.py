"""Kernels for GPUs, as far as they go without one: their results through the same compiler on the CPU, and the Triton code it writes for a GPU."""

import re

import pytest
import torch
from torch._inductor.runtime.hints import DeviceProperties

from actlab import activations, kernels
from actlab.activations import get
from actlab.errors import UsageError
from actlab.kernels import _gpu, _run
from actlab.kernels._gpu_parts import run as run_parts
from actlab.kernels._gpu_parts import run_pair
from actlab.kernels._lean import CHOICE, INPUT, OUTPUT
from actlab.kernels._run import kept, variant_of
from actlab.kernels._variant import Parting
from checks import ALL_KERNELS

SOME = ("swish", "gelu", "elu", "relu", "rrelu")
NAMES = activations.names(vectors=False) if ALL_KERNELS else SOME
pytestmark = [
    pytest.mark.skipif(kernels.library() is None, reason="no compiler"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated"),
]


def variant(name):
    entry = get(name)
    return variant_of(entry, tuple(entry.values().values()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", sorted({*NAMES, "tanh_exp", "straight_through_step"}))
def test_value_and_slope(name, dtype):
    of = variant(name)
    x = torch.randn(7, 33, generator=torch.Generator().manual_seed(0)).to(dtype)[:, ::2].requires_grad_()
    y = _gpu.run(of, x, kept(of, "auto", dtype))
    (slope,) = torch.autograd.grad(y, x, torch.ones_like(y))
    wide = x.detach().double()
    unit = torch.finfo(dtype).eps
    torch.testing.assert_close(y.double(), get(name)(wide), rtol=2 * unit, atol=0)
    lean = 3 if kept(of, "auto", dtype) == OUTPUT else 1
    torch.testing.assert_close(slope.double(), get(name).derivative(wide), rtol=2 * lean * unit, atol=lean * unit)
    assert y.dtype == dtype and y.shape == x.shape


def parting(name):
    entry = get(name)
    return (
        Parting(entry.gate, tuple(entry.gate.values().values()))
        if entry.gate
        else Parting(entry, (2,) * (name == "maxout"))
    )


PARTED = {"swiglu": INPUT, "reglu": INPUT, "crelu": OUTPUT, "maxout": CHOICE}
COMPILED = PARTED if ALL_KERNELS else ("reglu", "crelu", "maxout")  # swiglu's take half a minute


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", COMPILED)
def test_functions_of_parts_of_an_axis(name, dtype):
    of, given = parting(name), 1 if name == "crelu" else 2
    x = torch.randn(5, 6, 9, generator=torch.Generator().manual_seed(0)).to(dtype)
    for flipped in (False, True) if PARTED[name] == INPUT else (False,):
        cut, axis = (x.unflatten(1, (3, 2)), 2) if name == "maxout" else (x, 1)
        cut = cut.detach().requires_grad_()
        y = run_parts(of, cut, axis, given, PARTED[name], flipped=flipped)
        g = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        wide = (
            x.double().flip(1).unflatten(1, (2, 3)).flip(2).flatten(1, 2) if flipped else x.double()
        )  # halves exchanged
        wide.requires_grad_()
        right = get(name)(wide, dim=1)
        (slope,) = torch.autograd.grad(right, wide, g.double().reshape(right.shape))
        slope = torch.cat(slope.chunk(2, 1)[::-1], 1) if flipped else slope
        unit = torch.finfo(dtype).eps
        torch.testing.assert_close(y.double().reshape(right.shape), right.detach(), rtol=2 * unit, atol=unit)
        torch.testing.assert_close(
            torch.autograd.grad(y, cut, g)[0].double().reshape(x.shape), slope, rtol=4 * unit, atol=unit
        )
    y = run_parts(of, cut, axis, given, PARTED[name], flipped=False)
    (slope,) = torch.autograd.grad(y, cut, torch.ones_like(y).requires_grad_(), create_graph=True)
    with pytest.raises(UsageError, match="no second derivative"):
        slope.sum().backward()
    empty = cut[:0].detach().requires_grad_()
    run_parts(of, empty, axis, given, PARTED[name], flipped=False).sum().backward()
    assert empty.grad.shape == empty.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_with_a_gate(dtype):
    a, b = (torch.randn(5, 18, generator=torch.Generator().manual_seed(n)).to(dtype).requires_grad_() for n in (0, 1))
    found = run_pair(parting("swiglu"), a, b)
    right = a.double() * get("swish")(b.double())
    unit = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), right, rtol=2 * unit, atol=unit)
    for one, other in zip(
        torch.autograd.grad(found.sum(), (a, b)), torch.autograd.grad(right.sum(), (a, b)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=4 * unit, atol=2 * unit)


def test_second_derivatives_are_right_or_refused_there():
    x = torch.randn(40, requires_grad=True)
    (g,) = torch.autograd.grad(_gpu.run(variant("elu"), x, INPUT).sum(), x, create_graph=True)
    torch.testing.assert_close(torch.autograd.grad(g.sum(), x)[0], get("elu").derivative(x.detach(), 2))
    with pytest.raises(UsageError, match="kept its output; take module\\(save='input'\\)"):
        torch.autograd.grad(_gpu.run(variant("elu"), x, OUTPUT).sum(), x, create_graph=True)


def test_tensors_of_a_gpu_find_their_way(monkeypatch):
    class There:
        is_cuda, dtype = True, torch.bfloat16

    monkeypatch.setattr(_run, "_TENSORS", (There,))
    monkeypatch.setattr(_gpu, "run", lambda of, x, keep, seed: (of.key, type(x), keep, *[seed] * bool(seed)))
    assert _run._elsewhere(get("elu"), There(), (1.0,), "auto") == ("elu(a=1.0)", There, OUTPUT)
    assert _run._elsewhere(get("elu"), There(), (1.0,), "input") == ("elu(a=1.0)", There, INPUT)
    assert _run._elsewhere(get("rrelu"), There(), (0.1, 0.2), "auto", 3)[2:] == (OUTPUT, 3)
    assert _run._elsewhere(get("elu"), torch.ones(3), (1.0,), "auto") is None


def test_parameters_that_learn_and_other_types_are_left_to_plain_operations():
    assert _gpu.run(variant_of(get("prelu"), [torch.tensor(0.25)]), torch.ones(3), INPUT) is None
    assert _gpu.run(variant("elu"), torch.ones(3, dtype=torch.float64), INPUT) is None


def test_where_nothing_can_be_compiled_the_operations_still_work(monkeypatch):
    def broken(*_):
        raise RuntimeError("no Triton here")

    monkeypatch.setattr(
        _gpu, "_passes", lambda of, form, *rest: (_gpu.traced(_gpu.form_of(of, rest[0], form), *rest), broken)
    )
    monkeypatch.setattr(_gpu._Failed, "once", False)
    x = torch.randn(9)
    with pytest.warns(UserWarning, match="run as plain operations on cpu.*no Triton here"):
        first = _gpu.run(variant("swish"), x, INPUT)
    torch.testing.assert_close(first, get("swish")(x))
    torch.testing.assert_close(_gpu.run(variant("swish"), x, INPUT), first)  # and says so once


@pytest.fixture
def pretended(monkeypatch):
    """torch's compiler with an H100 before it that is not there: enough to write code, not to run it."""
    properties = DeviceProperties("cuda", 0, 132, 90, 9, 65536, 2048, 1024, 32)
    for place, answer in {
        "torch._inductor.runtime.hints.DeviceProperties.create": properties,
        "torch._dynamo.device_interface.CudaInterface.Worker.get_device_properties": properties,
        "torch.cuda.get_device_properties": properties,
        "torch.cuda.get_device_capability": (9, 0),
        "torch.cuda.current_device": 0,
        "torch.utils._triton.triton_hash_with_backend": "none",
        "torch._inductor.scheduler.has_triton": True,
    }.items():
        monkeypatch.setattr(place, lambda *_, answer=answer, **__: answer)


def triton(of, form, dtype):
    """The Triton code that torch's compiler writes of a form."""
    from torch._inductor import config
    from torch._inductor.debug import DebugContext
    from torch._inductor.decomposition import select_decomp_table
    from torch._inductor.graph import GraphLowering
    from torch._inductor.virtualized import V
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    what = _gpu.form_of(of, dtype, form)
    with FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True):  # tensors of a device that is not there
        graph = _gpu.traced(what, dtype, torch.device("cuda"))
    arguments = [one.meta["val"] for one in graph.graph.find_nodes(op="placeholder")]
    mode = arguments[0].fake_mode
    with mode:
        graph = make_fx(graph, decomposition_table=select_decomp_table())(*arguments)
    lowering = GraphLowering(graph, example_inputs=arguments, shape_env=mode.shape_env, is_inference=True)
    with (
        V.set_fake_mode(mode),
        V.set_debug_handler(DebugContext()),
        V.set_graph_handler(lowering),
        config.patch(_gpu.options(dtype)),
    ):
        lowering.run(*arguments)
        return str(lowering.codegen()[0].value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", NAMES)
def test_triton_code_is_one_pass_over_memory(name, dtype, pretended):
    of = variant(name)
    kind = {torch.bfloat16: "bf16", torch.float32: "fp32"}[dtype]
    forms = {"forward": 1, "backward": 2, **({"from_output": 2} if kept(of, "auto", dtype) == OUTPUT else {})}
    if of.entry.random:
        forms["drawn"] = 3  # the seed too
    for form, reads in forms.items():
        try:
            code = triton(of, form, dtype)
        except NotImplementedError:  # torch.where between two numbers wants memory of the device even in pretence
            assert name not in SOME
            continue
        assert code.count("@triton.jit") == 1, form
        assert len(re.findall(r"tl\.load\(", code)) <= reads and code.count("tl.store(") == 1, form
        (signature,) = re.findall(r"'signature': \{(.*?)\}", code)
        assert set(re.findall(r"'\*(\w+)'", signature)) == {kind} | ({"i64"} if form == "drawn" else set()), form
        assert f"'enable_fp_fusion': {dtype != torch.float32}" in code and "'disable_ftz': True" in code
        assert "nextafter" not in code, "what only the CPU's kernels have a meaning for"
        assert "float64" not in code or dtype == torch.float32 or name not in SOME, form


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", PARTED)
def test_triton_code_of_functions_of_parts_is_one_pass_too(name, dtype, pretended):
    forms = {"maxout": ["choosing", "parted_backward"], "crelu": ["parted", "parted_backward"]}
    for form in forms.get(name, ["parted", "parted flipped", "parted_backward", "paired", "paired_backward"]):
        code = triton(parting(name), form, dtype)
        assert code.count("@triton.jit") == 1, (form, code)
