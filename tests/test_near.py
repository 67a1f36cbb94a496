"""Activations by pieces of polynomials near 0: how good they are, at roots, at the limits, and that nobody's neighbours matter."""

import math

import mpmath
import pytest
import torch

from actlab import kernels
from actlab.activations import get
from actlab.kernels._half import every, off_by
from actlab.kernels._lowering import _bits
from actlab.kernels._near import near
from actlab.kernels._run import variant_of

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")


@pytest.fixture(autouse=True)
def looked_up(monkeypatch):
    """As on a processor that looks pieces up in one step, whatever this one does."""
    monkeypatch.setattr("actlab.activations._pieces.in_one_step", lambda: True)
    near.cache_clear()
    yield
    near.cache_clear()


def variant(name, **given):
    entry = get(name)
    return variant_of(entry, tuple((entry.values() | given).values()))


def ulps(found, exact):
    exact = exact.double()
    return ((found.double() - exact).abs() / torch.exp2(exact.abs().log2().floor() - 23)).max().item()


@pytest.mark.parametrize("name", ["gelu", "swish", "elish", "softplus", "sinc", "snake"])
def test_values_within_two_units(name):
    found = near(variant(name), "value", torch.float32)
    x = torch.empty(300_000).uniform_(
        max(found.low, -30), min(found.high, 30), generator=torch.Generator().manual_seed(5)
    )
    assert ulps(found.at(x), get(name).evaluate(x.double())) < 2
    ends = torch.tensor([found.low, found.high, 0.0, -0.0, 1e-40, -1e-40, 1e-20])
    assert ulps(found.at(ends[:2]), get(name).evaluate(ends[:2].double())) < 2
    torch.testing.assert_close(found.at(ends), get(name)(ends), rtol=3e-7, atol=1e-44)


@pytest.mark.parametrize(
    "name, given", [("gelu", {}), ("gelu_tanh", {}), ("swish", {"b": 1.702}), ("mish", {}), ("elish", {})]
)
def test_values_of_millions_of_numbers_within_two_units(name, given):
    """A few hundred thousand do not have the worst ones: GELU's was near 0.05."""
    found, entry = near(variant(name, **given), "value", torch.float32), get(name)
    generator = torch.Generator().manual_seed(100)
    for low, high in ((-0.1, 0.1), (-1.0, 1.0), (-5.0, 5.0), (max(found.low, -8), max(found.low, -8) + 1.3)):
        x = torch.empty(1_000_000).uniform_(low, high, generator=generator)
        assert ulps(found.at(x), entry.evaluate(x.double(), **given)) < 2


@pytest.mark.parametrize("name", ["gelu", "mish", "phish", "sinc", "normalized_sinc"])
def test_slopes_keep_their_digits_at_their_roots(name):
    """The floats next to the root, by 50 digits: their slopes are some 1e-9."""
    found = near(variant(name), "slope", torch.float32)
    place, shift = next((place, shift) for place, shift in enumerate(found.table.shifts) if shift)
    number = -(place - found.table.left) if found.sides else place if not found.line or place < 16 else place - 32
    x = torch.tensor((number + shift) / found.table.scales[-1])
    for _ in range(4):
        x = torch.nextafter(x, torch.tensor(-10.0))
    for _ in range(9):
        x = torch.nextafter(x, torch.tensor(10.0))
        with mpmath.workdps(50):
            exact = mpmath.diff(
                {
                    "gelu": lambda t: t * mpmath.ncdf(t),
                    "mish": lambda t: t * mpmath.tanh(mpmath.log(1 + mpmath.exp(t))),
                    "phish": lambda t: t * mpmath.tanh(t * mpmath.ncdf(t)),
                    "sinc": mpmath.sinc,
                    "normalized_sinc": mpmath.sincpi,
                }[name],
                mpmath.mpf(x.item()),
            )
        assert abs(found.at(x).item() / float(exact) - 1) < 4e-7


def test_a_square_is_for_half_types():
    """It has twice the error of its root: in float32 more than slopes may have."""
    found, x = near(variant("snake"), "slope", torch.bfloat16), every(torch.bfloat16)
    assert found.squared
    x = x[found.holds(x.float())]
    assert off_by(found.at(x.float()), get("snake").evaluate(x.double(), 1), torch.bfloat16) < 0.51
    assert near(variant("snake"), "slope", torch.float32) is None


def test_parameters_that_are_numbers_have_their_own_and_those_that_learn_none():
    own = near(variant("swish", b=1.702), "value", torch.float32)
    x = torch.linspace(own.low, own.high, 10_001)
    assert ulps(own.at(x[x != 0]), get("quick_gelu").evaluate(x[x != 0].double())) < 2
    assert near(variant("swish", b=torch.tensor(1.0)), "value", torch.float32) is None
    assert near(variant("relu"), "value", torch.float32) is None


def test_torchs_default_type_does_not_matter():
    usual = near(variant("mish"), "slope", torch.float32)
    near.cache_clear()
    torch.set_default_dtype(torch.float64)
    try:
        assert near(variant("mish"), "slope", torch.float32) == usual
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "name, given",
    [("softplus", {"b": 1e4}), ("selu", {"l": 1e300, "a": 1e300}), ("squareplus", {"b": 1e-9}), ("snake", {"a": 50.0})],
)
def test_what_no_polynomial_tells_has_none(name, given):
    assert near(variant(name, **given), "value", torch.float32) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["value", "slope"])
def test_half_types_come_out_as_if_rounded_once(kind, dtype):
    found, order = near(variant("mish"), kind, dtype), ("value", "slope").index(kind)
    x = every(dtype)
    x = x[found.holds(x.float())]
    exact = get("mish").evaluate(x.double(), order)
    unit = torch.finfo(dtype).eps * torch.exp2(exact.abs().clamp(min=torch.finfo(dtype).tiny).log2().floor())
    assert ((found.at(x.float()).to(dtype).double() - exact).abs() <= 0.51 * unit).all()


@pytest.mark.parametrize("name", ["tanh", "symmetrical_sigmoid", "elu"])
def test_what_comes_to_something_is_told_everywhere_in_half_types(name):
    """By pieces alone, which end where it is rounded to what it comes to: at every number, infinite ones too."""
    found = near(variant(name), "value", torch.bfloat16)
    assert found.everywhere and found.least is not None
    x = every(torch.bfloat16)
    exact = get(name).evaluate(x.double())
    for y in (found.at(x.float()).bfloat16(), get(name).module(fused=True)(x)):
        unit = 2.0**-7 * torch.exp2(exact.abs().clamp(min=torch.finfo(torch.bfloat16).tiny).log2().floor())
        assert ((y.double() - exact).abs() <= 0.51 * unit).all()
    ends = torch.tensor([math.inf, -math.inf, math.nan]).bfloat16()
    torch.testing.assert_close(found.at(ends.float()).bfloat16(), get(name)(ends), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name, kind, dtype", [("softplus", "value", torch.float32), ("mish", "slope", torch.float32)])
def test_along_x_what_is_left_of_zero_lies_last(name, kind, dtype):
    """A processor looks up by the last digits of a whole number, of which -1 has only ones; a negative scale counts from the right."""
    found = near(variant(name), kind, dtype)
    (scale,), first = found.table.scales, found.table.coefficients[0]
    assert found.line and not found.sides and (scale < 0) == (kind == "value")
    for number in (-15, -2, -1, 1, 2, 14):
        x = torch.tensor([number / scale], dtype=torch.float64)
        exact = get(name).evaluate(x, int(kind == "slope")).item()
        assert math.isclose(first[number % 32], exact, rel_tol=1e-6, abs_tol=1e-8)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_by_the_left_side_alone(name):
    """x less what is missing of it to the right of 0, however far, but for infinity and NaN, which are computed the usual way; -0 stays."""
    found = near(variant(name), "value", torch.float32)
    assert found.mirrored and not found.times and found.low < -5 and found.high == torch.finfo(torch.float32).max
    x = torch.tensor([7.0, 100.0, 3e38, 0.0, -0.0])
    assert torch.equal(found.at(x), x) and torch.equal(torch.signbit(found.at(x)), torch.signbit(x))
    layer, ends = get(name).module(fused=True), torch.tensor([math.inf, -math.inf, math.nan, -200.0, 7.0])
    torch.testing.assert_close(layer(ends), get(name)(ends), rtol=0, atol=0, equal_nan=True)


def test_by_the_size_alone():
    """tanh has the sign of x, up to what float32 tells from 1 and beyond."""
    found = near(variant("tanh"), "value", torch.float32)
    assert found.signed and found.everywhere and not found.times
    x = torch.tensor([0.3, -0.3, 100.0, -math.inf, 0.0, -0.0, math.nan])
    for y in (found.at(x), get("tanh").module(fused=True)(x)):
        torch.testing.assert_close(y, x.double().tanh().float(), rtol=2e-7, atol=0, equal_nan=True)
        assert torch.equal(torch.signbit(y[:6]), torch.signbit(x[:6]))


def test_neither_products_nor_sums_of_two_where_values_are_told_whole():
    """One polynomial, whose last sum is rounded: half the steps that x times a sum of two takes, and nearer to it."""
    for name in ("gelu", "swish", "sinc", "xielu", "softplus", "tanh"):
        found = near(variant(name), "value", torch.float32)
        assert not (found.times or found.table.low or found.careful) and len(found.table.coefficients) <= 7


@pytest.mark.parametrize("name, below", [("sinc", 3.14), ("xielu", -2.44)])
def test_values_keep_their_digits_at_roots_anywhere_in_an_interval(name, below):
    found, entry = near(variant(name), "value", torch.float32), get(name)
    assert any(found.table.shifts)
    low, high = torch.tensor(below), torch.tensor(below + 0.02)
    sign = entry.evaluate(low.double()[None]).sign()
    assert sign * entry.evaluate(high.double()[None]) < 0
    for _ in range(30):  # to the last number before it
        middle = (low + high) / 2
        low, high = (middle, high) if entry.evaluate(middle.double()[None]) * sign > 0 else (low, middle)
    x = low + 2.0**-22 * torch.arange(-40, 41)
    assert ulps(found.at(x), entry.evaluate(x.double())) < 2


def test_far_on_the_side_that_is_constant_is_near():
    found = near(variant("gelu"), "value", torch.bfloat16)
    assert found.line and found.low > -8 and found.high > 1e38 and found.ends[0] is None and found.ends[1] < 4
    x = torch.tensor([3.0, 100.0, 1e30])
    assert torch.equal(found.at(x).bfloat16(), x.bfloat16())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_limits_are_the_last_numbers_within(dtype):
    kind = {2: torch.int16, 4: torch.int32}[dtype.itemsize]
    for limit in (5.3271, 3.4028234663852886e38):
        at = torch.tensor(_bits(limit, dtype), dtype=kind).view(dtype)
        assert at.float() <= limit and at.isfinite()
        assert torch.nextafter(at, torch.tensor(math.inf, dtype=dtype)).float() > torch.tensor(limit)
        bits = 8 * dtype.itemsize
        assert _bits(-limit, dtype) == _bits(limit, dtype) + (1 << (bits - 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 15, 63, 64, 65, 200, 5000])
def test_every_element_is_computed_for_itself(size, dtype):
    """Among near ones, far ones, infinities and numbers that are none, in stretches of any length."""
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(size, generator=generator)
    x = torch.where(torch.rand(size, generator=generator) < 0.02, 8 * x, x)
    x = torch.where(torch.rand(size, generator=generator) < 0.01, math.inf, x)
    x = torch.where(torch.rand(size, generator=generator) < 0.01, -math.nan, x).to(dtype)
    layer = get("swish").module(fused=True, learn=False, save="input")
    leaf = x.clone().requires_grad_()
    y = layer(leaf)
    y.backward(torch.ones_like(y))
    for place in {0, size // 2, size - 1, *torch.arange(0, size, 97).tolist()}:
        alone = x[place : place + 1].expand(256).contiguous().requires_grad_()
        result = layer(alone)
        result.backward(torch.ones_like(result))
        assert torch.equal(result[:1].nan_to_num(7), y[place : place + 1].nan_to_num(7))
        assert torch.equal(alone.grad[:1].nan_to_num(7), leaf.grad[place : place + 1].nan_to_num(7))
    torch.testing.assert_close(
        y, get("swish")(x), equal_nan=True, rtol=1e-6 if dtype == torch.float32 else 8e-3, atol=0
    )
    assert torch.equal(y.isnan(), x.isnan())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wide", [2.0, 5.0, 1e4])
def test_wide_inputs_in_one_large_tensor_or_in_parts(dtype, wide):
    """Few far ones, many, and nearly all; large results go past the caches, those of parts do not."""
    x = (wide * torch.randn(2**25 // dtype.itemsize + 77, generator=torch.Generator().manual_seed(2))).to(dtype)
    leaf = x.clone().requires_grad_()
    layer = get("swish").module(fused=True, learn=False, save="input")
    y = layer(leaf)
    y.backward(leaf.detach())
    for begin in range(0, len(x), 1_000_003):
        part = x[begin : begin + 1_000_003].clone().requires_grad_()
        result = layer(part)
        result.backward(part.detach())
        assert torch.equal(result, y[begin : begin + len(part)])
        assert torch.equal(part.grad, leaf.grad[begin : begin + len(part)])
    some = x[:: len(x) // 50_000]
    tolerance = 3e-7 if dtype == torch.float32 else 4e-3
    torch.testing.assert_close(y[:: len(x) // 50_000].double(), get("swish")(some.double()), rtol=tolerance, atol=1e-37)
