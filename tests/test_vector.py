"""Activations of a whole axis: against torch and against their definitions, with their Jacobians."""

import math

import pytest
import torch

import vector_checks
from actlab.activations import get
from actlab.errors import UsageError
from vector_checks import NAMES


def inputs(dtype=torch.float64):
    return torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def test_there_are_ten():
    assert sorted(vector_checks.REFERENCES) == NAMES and len(NAMES) == 10


@pytest.mark.parametrize("check", vector_checks.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, check):
    check(name)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_jacobian(name):
    x = inputs()[0].requires_grad_()
    assert torch.autograd.gradcheck(get(name), x)
    assert torch.autograd.gradgradcheck(get(name), x)
    jacobian = get(name).jacobian(x.detach())
    row = torch.autograd.functional.jacobian(get(name), x.detach()[1])
    torch.testing.assert_close(jacobian[1], row)


def test_jacobian_of_softmax_is_the_one_in_the_books():
    x = inputs()[0, 0]
    p = torch.softmax(x, -1)
    torch.testing.assert_close(get("softmax").jacobian(x), torch.diag(p) - torch.outer(p, p))


def test_sparsemax_is_the_nearest_distribution():
    """By the conditions of Karush, Kuhn and Tucker: p = max(x - t, 0) with sum 1; and by hand for three."""
    x = 3 * inputs()
    p = get("sparsemax")(x)
    torch.testing.assert_close(p.sum(-1), torch.ones(2, 4, dtype=torch.float64))
    assert (p >= 0).all() and (p == 0).any()
    shift = torch.where(p > 0, x - p, torch.full_like(x, math.nan))
    assert (shift.nan_to_num(nan=-1e9).amax(-1) - shift.nan_to_num(nan=1e9).amin(-1)).abs().max() < 1e-12
    assert (
        torch.where(p == 0, x, torch.full_like(x, -1e9)).amax(-1) <= shift.nan_to_num(nan=-1e9).amax(-1) + 1e-12
    ).all()
    torch.testing.assert_close(get("sparsemax")(torch.tensor([0.5, 0.3, -1.0])), torch.tensor([0.6, 0.4, 0.0]))
    torch.testing.assert_close(get("sparsemax")(torch.tensor([1e4, 0.0])), torch.tensor([1.0, 0.0]))


def test_a_distribution_of_nothing_but_minus_infinity_is_nan_as_in_torch():
    assert get("softmax")(torch.full((3,), -math.inf)).isnan().all()


def test_large_numbers_do_not_overflow():
    torch.testing.assert_close(get("softmax")(torch.tensor([1e4, 1e4, -1e4])), torch.tensor([0.5, 0.5, 0.0]))
    torch.testing.assert_close(get("log_softmax")(torch.tensor([1e4, 0.0])), torch.tensor([0.0, -1e4]))


@pytest.mark.parametrize("name", NAMES)
def test_texts(name):
    entry = get(name)
    assert entry.summary.endswith(".") and entry.zh.endswith("。") and any(letter.isdigit() for letter in entry.source)


def test_refusals():
    with pytest.raises(UsageError) as raised:
        get("glu")(torch.ones(2, 5))
    assert str(raised.value) == "glu: expected an axis -1 whose size is a multiple of 2; got shape (2, 5)"
    with pytest.raises(UsageError, match="multiple of 3"):
        get("maxout")(torch.ones(2, 4), pieces=3)
    with pytest.raises(TypeError, match="softmax: no parameter 'axis'; it has: dim"):
        get("softmax")(torch.ones(2), axis=0)
    with pytest.raises(TypeError, match=r"softmax: dim must be a whole number; got 0\.5"):
        get("softmax")(torch.ones(2), dim=0.5)
    with pytest.raises(TypeError, match="expected a tensor of floating-point numbers"):
        get("softmax")(torch.ones(2, dtype=torch.int64))


@pytest.mark.parametrize("name", NAMES)
def test_an_axis_that_is_not_there(name):
    with pytest.raises(UsageError, match=f"{name}: expected an input with an axis 5; got shape"):
        get(name)(torch.ones(2, 4), dim=5)
    with pytest.raises(UsageError, match=f"{name}: expected an input with an axis -1; got shape"):
        get(name)(torch.tensor(1.0))
