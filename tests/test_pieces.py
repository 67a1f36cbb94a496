"""Pieces of polynomials: how near they come, at their ends, on both sides and in kernels."""

import math

import mpmath
import pytest
import torch

from actlab import kernels
from actlab.activations import _pieces as pieces
from actlab.activations import get
from actlab.activations._fits import scale_of, steps
from actlab.activations._float32 import erf_ratio, tanh_ratio
from actlab.activations._numerics import arithmetic
from actlab.kernels._lowering import Argument, NoKernel, source


def falling(x):
    return torch.exp(-x)


def rising(x):
    return 2 - torch.exp(-x)


def ulps(found, exact):
    exact = exact.double()
    return ((found.double() - exact).abs() / torch.exp2(exact.abs().log2().floor() - 23)).max().item()


@pytest.mark.parametrize(("function", "last"), [(tanh_ratio, 9.14), (erf_ratio, 4.0), (falling, 3.0)])
def test_within_one_unit_and_a_bit_as_a_sum_of_two_within_a_thousandth_more_than_rounding(function, last):
    x = last * torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    assert ulps(pieces.along(x, function, last), function(x.double())) < 1.1
    first, rest = pieces.along_as_pair(x, function, last)
    assert ulps((first.double() + rest.double()).float(), function(x.double())) < 0.6


def test_against_fifty_digits():
    x = torch.linspace(0.01, 3.9, 97)
    first, rest = pieces.along_as_pair(x, erf_ratio, 4.0)
    with mpmath.workdps(50):
        for at, value in zip(x.tolist(), (first.double() + rest.double()).tolist(), strict=True):
            assert abs(value / (mpmath.erf(at) / at) - 1) < 4e-8


def test_beyond_the_last_it_is_constant_and_nan_stays():
    x = torch.tensor([3.0, 5.0, math.inf, math.nan])
    y = pieces.along(x, falling, 3.0)
    assert y[0] == y[1] == y[2] and y[3].isnan()
    assert abs(y[0] / math.exp(-3) - 1) < 1e-6


def test_the_sign_of_the_side_decides():
    x = torch.tensor([0.0, 0.5, 1.0, 0.5])
    y = pieces.sides(x, torch.tensor([1.0, -1.0, 0.0, -0.0]), falling, rising, 2.0)
    expected = torch.stack([falling(x)[0], rising(x)[1], falling(x)[2], rising(x)[3]])
    torch.testing.assert_close(y, expected, rtol=1e-6, atol=0)


def test_a_function_too_wild_is_refused():
    with pytest.raises(ValueError, match="expected a function that polynomials of degree 8 tell"):
        pieces.along(torch.ones(3), lambda x: torch.sin(50 * x), 3.0)


def test_whole_steps_are_taken_off_exactly():
    """What is left of x is a number of float32 for every scale whose step has few digits, and no other scale is taken for one."""
    for parts in range(16, 257):
        scale = scale_of(parts / 256)
        assert steps((scale, -scale)) == (parts / 256, parts / 256)
        x = (32 * parts / 256 * torch.rand(2_000, generator=torch.Generator().manual_seed(parts))).double()
        rest = x.float().double() - torch.round(x.float().double() * scale) * (parts / 256)
        assert torch.equal(rest.float().double(), rest)
    for scale in (3.5, 2.66, 14 / math.pi, 1e-3, 1e30):
        assert steps((scale,)) is None and steps((1.0, scale)) is None


@pytest.mark.skipif(kernels.library() is None, reason="no compiler")
def test_in_kernels_they_stand_in_place_of_two_other_steps():
    def function(x):
        return pieces.sides(x.abs(), x, falling, rising, 2.0) + sum(pieces.along_as_pair(x.abs(), falling, 3.0))

    code = source("planted_kernel", function, [Argument(torch.float32)])
    assert code.count("static constexpr actlab::Pieces<") == 2
    assert "Part::whole, true>" in code and "Part::first, false>" in code and "Part::rest, false>" in code
    assert "nextafter" not in code and "hypot" not in code


@pytest.mark.skipif(kernels.library() is None, reason="no compiler")
def test_a_kernel_that_takes_those_steps_itself_is_refused():
    with pytest.raises(NoKernel, match="outside of vectors"):
        source("planted_kernel", lambda x: torch.hypot(x, x + 1), [Argument(torch.float32)])


@pytest.mark.parametrize(
    "name, low, high", [("softplus", 0.0, 40.0), ("log_sigmoid", -40.0, 0.0), ("arctan", -1.57, 1.57)]
)
def test_slopes_from_outputs_in_kernels(name, low, high):
    """Within 1e-6 of what float64 makes of the output; at its ends what is true there."""
    body = get(name).bodies["from_output"]
    values = tuple(get(name).values().values())
    y = torch.linspace(low, high, 100_001, dtype=torch.float64)
    y = torch.cat([y, low + (high - low) * torch.logspace(-30, -3, 1000, dtype=torch.float64)]).float()
    with arithmetic("plain"):
        found = body(y, *values)
        ends = body(torch.tensor([0.0, math.inf if high == 40 else -math.inf, math.nan]), *values)
    torch.testing.assert_close(found.double(), body(y.double(), *values), rtol=1e-6, atol=2.5e-7 * (name == "arctan"))
    if name != "arctan":
        assert ends[:2].tolist() == [0.0, 1.0]
    assert ends[2].isnan()
