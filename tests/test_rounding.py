"""bfloat16 out of kernels: rounded to even at every number, the smallest too, and NaN whatever its bits."""

import pytest
import torch

from actlab import kernels
from actlab.activations import get
from actlab.kernels._rounding import inputs_to_ask, rounded_by_inputs

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")


@pytest.mark.parametrize("order", ["sorted", "mixed"])
@pytest.mark.parametrize(
    "name, exact", [("relu", lambda x: x.clamp(min=0)), ("leaky_relu", lambda x: torch.where(x > 0, x, 0.01 * x))]
)
def test_every_pattern_of_bits(name, exact, order):
    """In stretches of their kind, as of denormal ones, and each among others."""
    bits = (
        torch.arange(2**16) if order == "sorted" else torch.randperm(2**16, generator=torch.Generator().manual_seed(0))
    )
    x = bits.to(torch.int32).to(torch.int16).view(torch.bfloat16)
    y = get(name).module(fused=True)(x)
    expected = exact(x.float()).bfloat16()
    assert torch.equal(y.isnan(), x.isnan())
    assert torch.equal(y[~x.isnan()].view(torch.int16) & 0x7FFF, expected[~x.isnan()].view(torch.int16) & 0x7FFF)
    tiny = (x.abs() < torch.finfo(torch.bfloat16).tiny) & (x != 0)
    assert tiny.sum() == 254 and (y[tiny] != 0).sum() >= 127


def test_a_parameter_that_is_none_stays_so():
    """Rounding must not carry over the bits of a NaN into its sign, among denormal numbers least of all."""
    layer = get("prelu").module(fused=True)
    with torch.no_grad():
        layer.a.copy_(torch.tensor(0x7FFFFFFF, dtype=torch.int32).view(torch.float32))
    x = torch.full((64,), -1.0).bfloat16()
    x[::2] = 1e-39
    y = layer(x)
    assert y[1::2].isnan().all() and torch.equal(y[::2], x[::2])


# What is large throughout, what is as large as its input, a slope near to 1, and one that is as small as the output that tells it.
@pytest.mark.parametrize(
    "function, count, expected",
    [
        (torch.exp, 1, None),
        (lambda x: 1 + x * x, 1, ()),
        (lambda x: x / 2, 1, (0,)),
        (lambda x: x**3, 1, None),
        (lambda g, x: g / (1 + x.abs().clamp(max=9)), 2, (0,)),
        (lambda g, x: torch.where(x > 0, g, 0.0), 2, (0,)),
        (lambda g, y: g * y, 2, (0, 1)),
        (lambda g, y: g * y * y, 2, None),
        (lambda g, y, side: g * torch.where(side > 0, y, 1.0), 3, (0, 1)),
    ],
)
def test_which_inputs_tell_that_no_result_is_too_small(function, count, expected):
    assert inputs_to_ask(function, count) == expected


def test_only_what_is_loaded_whole_is_asked():
    load = "auto tmp0 = at::vec::Vectorized<at::BFloat16>::loadu(in_ptr0 + static_cast<int64_t>(x0), 32);\n"
    text = f"{load}auto tmp2 = actlab::narrowed(tmp1);"
    assert rounded_by_inputs(text, ["in_ptr0"]) == f"{load}auto tmp2 = actlab::narrowed_by_inputs(tmp1, tmp0);"
    assert rounded_by_inputs(text, []) == f"{load}auto tmp2 = actlab::narrowed_by_inputs(tmp1);"
    assert rounded_by_inputs(text, ["in_ptr1"]) == text


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_the_smallest_results_of_slopes_from_inputs_and_outputs_are_there(name):
    """g f'(x) where g is among the smallest numbers, among others and alone, and where the output is."""
    bits = torch.arange(0, 2**15, 7).to(torch.int16)
    g = torch.cat([bits.view(torch.bfloat16), torch.ones(61).bfloat16()])
    g = g[g.isfinite()]
    for x in (torch.full_like(g, 0.5), torch.full_like(g, -87.0), torch.full_like(g, 1e-30)):
        for save in ("input", "output"):
            leaf = x.clone().requires_grad_()
            y = get(name).module(fused=True, save=save)(leaf)
            y.backward(g)
            inner = y.detach().double() if save == "output" else get(name)(x.double())
            slope = inner * (1 - inner) if name == "sigmoid" else 1 - inner * inner
            expected = (g.double() * slope).bfloat16()
            unit = 2.0**-7 * expected.double().abs().clamp(min=torch.finfo(torch.bfloat16).tiny)
            assert ((leaf.grad.double() - expected.double()).abs() <= unit).all()
