"""Results that go past the caches: the same bits as the others, wherever they begin."""

import ctypes

import pytest
import torch
from torch._inductor.codecache import CppCodeCache

from actlab import kernels
from actlab.activations import get
from actlab.activations._calculus import wide
from actlab.activations._numerics import arithmetic
from actlab.kernels._forms import _curve, sources
from actlab.kernels._lowering import PREFIX, Argument, source
from actlab.kernels._past import past_the_caches
from actlab.kernels._run import variant_of

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")


def compiled(name, dtype):
    entry = get(name)
    learnt = [torch.tensor(value) if key in entry.learnt else value for key, value in entry.values().items()]
    return CppCodeCache.load(PREFIX + "".join(sources(variant_of(entry, learnt), dtype).values()), device_type="cpu")


def run(kernel, inputs, outputs, count, past):
    def pointers(tensors):
        return (ctypes.c_void_p * len(tensors))(*[one.data_ptr() for one in tensors])

    long = ctypes.c_int64
    kernel(pointers(inputs), pointers(outputs), long(count), long(1), ctypes.c_bool(past))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "prelu"])
def test_the_same_bits(name, dtype):
    """Aligned and not, with and without a rest, near 0 and far from it; nothing is written beyond."""
    library = compiled(name, dtype)
    generator = torch.Generator().manual_seed(0)
    x, g = (torch.randn(1200, generator=generator).to(dtype) for _ in range(2))
    x[600:700] *= 100
    learnt = [torch.tensor(0.25)] * (name == "prelu")
    for begin in (0, 1, 32):
        for count in (1, 64, 129, 1000):
            for form, inputs in (("forward", [x]), ("backward", [g, x])):
                found = []
                for past in (False, True):
                    y, total = torch.full((1300,), 7.0).to(dtype), torch.zeros(1)
                    given = [one[begin:] for one in inputs] + learnt
                    sums = [total] * (form == "backward") * len(learnt)
                    run(library[f"{form}_kernel"], given, [y[begin:], *sums], count, past)
                    assert (y[begin + count :] == 7).all() and (y[:begin] == 7).all()
                    found.append((y, total))
                (y, total), (other, same_total) = found
                assert torch.equal(y, other) and torch.equal(total, same_total)
                assert (y[begin : begin + count] != 7).all()


def test_only_the_first_output_of_one_loop_goes_past():
    text = sources(variant_of(get("gelu"), []), torch.bfloat16)["sided"]
    assert "actlab::put<" in text and "store(out_ptr1" in text
    assert all(", out_ptr0 + " in one for one in text.split("actlab::put<")[1:])
    rows = sources(variant_of(get("prelu"), [torch.tensor(0.25)]), torch.float32, rows=True)
    assert rows and not any("actlab::put" in one for one in rows.values()), "rows may begin anywhere"
    assert past_the_caches("no loop", "out_ptr0") == ("no loop", "")


def test_a_vector_that_is_filled_in_part_is_stored_in_part():
    """Some loops, of second derivatives of long formulas, take half a vector of a half type at a time."""
    variant, given = variant_of(get("phish"), []), Argument(torch.bfloat16)
    with arithmetic("plain"):
        code = source("curve_kernel", _curve(variant, wide), [given, given])
    assert "actlab::put<16>(" in code or torch.backends.cpu.get_cpu_capability() != "AVX512"
    library = CppCodeCache.load(PREFIX + code, device_type="cpu")
    x, g = (torch.linspace(-3, 3, 80).bfloat16() for _ in range(2))
    for count in (16, 48, 64, 70):
        found = []
        for past in (False, True):
            y = torch.full((160,), 7.0).bfloat16()
            run(library["curve_kernel"], [g, x], [y], count, past)
            assert (y[count:] == 7).all() and (y[:count] != 7).all()
            found.append(y)
        assert torch.equal(*found)


def test_large_results_are_right():
    """Of more bytes than most caches have, in memory that was used before, and in parts of several threads."""
    x = torch.randn(2**22 + 37, generator=torch.Generator().manual_seed(0), requires_grad=True)
    layer = get("relu").module(fused=True)
    for _ in range(2):
        y = layer(x)
        gradient = torch.autograd.grad(y, x, y.detach())[0]
        assert torch.equal(y, x.relu()) and torch.equal(gradient, y)
