"""Kernels that take four vectors at once: the same numbers at every length, and only loops of that kind."""

import math

import pytest
import torch

from actlab import kernels
from actlab.activations import get
from actlab.kernels._forms import sources
from actlab.kernels._grouping import grouped
from actlab.kernels._run import variant_of

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")
NAMES = ("relu", "leaky_relu", "hard_tanh", "absolute", "soft_shrink")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_numbers_at_every_length(name, dtype):
    """Those of plain operations, whatever is left over of four vectors, and wherever in memory they begin."""
    generator = torch.Generator().manual_seed(0)
    x, g = (torch.randn(301, generator=generator).to(dtype) for _ in range(2))
    x[::17], x[5::29], x[3::31] = 0.0, math.inf, math.nan
    fused, plain = (get(name).module(fused=on, **({"save": "input"} if on else {})) for on in (True, False))
    for begin, length in ((b, n) for b in (0, 1, 3) for n in (*range(1, 70), 127, 128, 129, 255, 256, 257, 298)):
        found = []
        for layer in (fused, plain):
            leaf = x[begin : begin + length].clone() if begin == 0 else x[begin : begin + length].detach()
            leaf.requires_grad_()
            y = layer(leaf)
            found.append((y, torch.autograd.grad(y, leaf, g[begin : begin + length])[0]))
        for ours, theirs in zip(*found, strict=True):
            assert torch.equal(ours.nan_to_num(7), theirs.nan_to_num(7))
            assert torch.equal(ours.isnan(), theirs.isnan())


def test_loads_come_before_stores():
    for name, dtype, width in (("tanh", torch.float32, 16), ("hard_swish", torch.bfloat16, 32)):
        text = sources(variant_of(get(name), []), dtype)["backward"]
        if f"x0 += {width})" not in text:
            pytest.skip("shorter vectors")
        group = text[text.index("x0 += ") : text.index(f"x0 += {width})")]
        assert group.count("loadu(in_ptr1") == 4 == group.count("actlab::put")
        assert group.rindex("loadu(") < group.index("actlab::put")


def test_short_loops_in_float32_load_vectors_as_the_processor_likes():
    text = sources(variant_of(get("relu"), []), torch.float32)["backward"]
    assert text.count("actlab::loaded(in_ptr") == 2 and "tmp0_0" not in text


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channels_side_by_side_of_every_number(dtype):
    """Of rows too: what is left over of four vectors, and sums of more rows and columns than are worked on at once."""
    generator = torch.Generator().manual_seed(4)
    for rows, channels in (
        *((7, one) for one in (2, 15, 16, 17, 33, 63, 64, 65, 127, 128, 129, 200)),
        (900, 33),
        (9, 5000),
    ):
        x, g = (torch.randn(rows, channels, generator=generator).to(dtype) for _ in range(2))
        layer = get("prelu").module(fused=True, size=channels, axis=1)
        with torch.no_grad():
            layer.a.copy_(torch.randn(channels, generator=generator))
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        y.backward(g)
        assert torch.equal(y, torch.where(x > 0, x.float(), layer.a * x.float()).to(dtype))
        assert torch.equal(leaf.grad, (g.float() * torch.where(x > 0, 1.0, layer.a)).to(dtype))
        terms = g.double() * x.double().clamp(max=0)
        assert ((layer.a.grad - terms.sum(0)).abs() <= 1e-6 * terms.abs().sum(0)).all()


def test_other_loops_stay_as_they_are():
    rows = sources(variant_of(get("prelu"), [torch.tensor(0.25)]), torch.float32, rows=True)
    assert rows and all("tmp0_0" not in text for text in rows.values()), "short ones of float32"
    one = sources(variant_of(get("softsign"), []), torch.bfloat16)["forward"]
    assert "tmp0_0" in one and grouped(one) == one, "it has two loops by now"
    assert "tmp0_0" not in sources(variant_of(get("snake"), [1.0]), torch.float32)["curve"], "a loop of float64"


def test_signs_take_no_detour():
    text = sources(variant_of(get("absolute"), []), torch.float32)["backward"]
    assert "actlab::sign(" in text and "decltype" not in text


def test_a_layer_whose_parameter_learns_remembers_its_kernel_but_not_its_parameter():
    x = torch.linspace(-3, 3, 64)
    layer = get("prelu").module(fused=True)

    def slope():
        return round(-layer(-torch.ones(1)).item(), 4)

    assert slope() == 0.25 == slope() and layer._shortcut is not None
    with torch.no_grad():
        layer.a.fill_(0.5)
    assert slope() == 0.5
    layer.a = torch.nn.Parameter(torch.tensor(0.75))
    assert slope() == 0.75 == slope()
    layer._parameters["a"] = torch.nn.Parameter(torch.tensor(1.5))
    assert slope() == 1.5
    swapped = torch.func.functional_call(layer, {"a": torch.tensor(2.0)}, (-torch.ones(1),))
    assert swapped.item() == -2.0 and slope() == 1.5
    many = torch.func.functional_call(layer, {"a": torch.tensor([1.0, 2.0])}, (-torch.ones(1, 2),))
    assert many.flatten().tolist() == [-1.0, -2.0]
    for dtype in (torch.float64, torch.bfloat16, torch.float32):
        layer.to(dtype)
        torch.testing.assert_close(layer(x.to(dtype)), torch.where(x > 0, x, 1.5 * x).to(dtype), rtol=8e-3, atol=0)
    torch.nn.utils.parametrize.register_parametrization(layer, "a", torch.nn.Softplus())
    expected = torch.nn.functional.softplus(torch.tensor(1.5)).item()
    assert math.isclose(-layer(-torch.ones(1)).item(), expected, rel_tol=1e-6)


def test_parameters_keep_their_names_whatever_their_order():
    x, layer = torch.ones(1), get("star_relu").module(fused=True)
    for _ in range(2):
        assert math.isclose(layer(x).item(), 0.4472, rel_tol=1e-4)
    torch.nn.utils.parametrize.register_parametrization(layer, "s", torch.nn.Identity())
    torch.nn.utils.parametrize.remove_parametrizations(layer, "s")
    assert list(layer._parameters) == ["b", "s"], "the order is not what this test is about"
    for _ in range(2):
        assert math.isclose(layer(x).item(), 0.4472, rel_tol=1e-4)
