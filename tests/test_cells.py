"""Polynomials that only need come to where bfloat16 is rounded right: cells, the deepest polynomial, and what it saves."""

import numpy as np
import pytest
import torch

from actlab.activations import Activation, get
from actlab.activations import names as activation_names
from actlab.activations._fits import Side
from actlab.activations._fits import fit as near_throughout
from actlab.activations._pieces import Pieces
from actlab.kernels._cells import Cells, Goal, fit
from actlab.kernels._dividing import Division, End
from actlab.kernels._half import every, off_by
from actlab.kernels._near import near
from actlab.kernels._run import variant_of

BF16 = torch.bfloat16


def decaying(x):
    return torch.exp(-x)


def divided(function, scale, count, **more):
    side = Side(function, scale, count, **more)
    return Division.of((side,), ((count - 0.5) / scale,), (End(torch.inf, False),), up=False)


def rounded_to(numbers):
    return torch.from_numpy(numbers).float().bfloat16()


def test_what_lies_in_a_cell_is_rounded_right_and_what_lies_beyond_it_is_not():
    cells = Cells.of(decaying)
    assert np.isnan(cells.low[cells.at < -89]).all()  # infinite there
    cells = cells.where(cells.at > -88)
    x = torch.from_numpy(cells.at)
    exact = decaying(x)
    within = torch.rand(len(x), generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()
    inside = rounded_to(cells.low + (cells.high - cells.low) * (0.001 + 0.998 * within))
    assert off_by(inside.double(), exact, BF16) <= 0.506
    size = cells.high - cells.low
    for outside in (cells.low - 0.01 * size, cells.high + 0.01 * size):
        wrong = (rounded_to(outside).double() - exact).abs() / (2.0**-7 * torch.exp2(exact.log2().floor()))
        wrong = wrong[exact > 1e-30]
        assert (wrong > 0.5).float().mean() > 0.97  # but for those at ties, which reach to either side


def test_cells_of_what_is_multiplied_lie_beside_the_function():
    cells = Cells.of(decaying, within=0.05)
    exact = decaying(torch.from_numpy(cells.at)).numpy()
    some = (cells.at > -88) & (exact > 1e-30)
    cells, exact = cells.where(some), exact[some]
    unit = 2.0**-7 * np.exp2(np.floor(np.log2(exact)))
    assert (cells.low >= exact - 0.0501 * unit).all() and (cells.high <= exact + 0.0501 * unit).all()


@pytest.mark.parametrize("direct", [False, True])
def test_a_degree_less_than_to_be_near_throughout(direct):
    """exp(-x) up to 7.75, 32 intervals of 1/4: right at every number with degree 2, which is nowhere within 3e-5 of it."""
    division = divided(decaying, 4.0, 32)
    assert near_throughout(division.sides, 2, 3e-5) is None
    found = fit(Cells.of(decaying), division, 2, times=False, direct=direct)
    assert (
        found is not None
        and len(found.coefficients) == 3
        and fit(Cells.of(decaying), division, 1, times=False, direct=direct) is None
    )
    table = Pieces.of(found, division.sides, division.reaches, direct=direct)
    x = every(BF16).float()
    x = x[(x >= 0) & (x < division.reaches[0])]
    assert off_by(table.at(x, x), decaying(x.double()), BF16) <= 0.506


def test_at_a_root_digits_are_kept():
    """x - 1/3 next to it: the nearest number is 3e-4 away from it, and 6e-5 of what float32 tells of x would be too much."""
    root, scale = float(torch.tensor(1 / 3)), 3.0

    def function(x):
        return (x - root) * torch.exp(-x)

    division = divided(function, scale, 32, roots=(root,))
    found = fit(Cells.of(function, within=0.01), division, 4, times=False, direct=False)
    assert found is not None and found.coefficients[0][1] == 0 and found.shifts[1] != 0
    x = every(BF16).float()
    x = x[(x >= 0) & (x < division.reaches[0])]
    assert off_by(Pieces.of(found, division.sides, division.reaches).at(x, x), function(x.double()), BF16) <= 0.512


def test_a_jump_within_an_interval_is_no_polynomial():
    def jumping(x):
        return torch.where(x < 1.02, 1.0, 2.0) * torch.ones_like(x)

    assert fit(Cells.of(jumping), divided(jumping, 4.0, 32), 6, times=False, direct=False) is None


@pytest.mark.parametrize(
    "name, given",
    [("selu", {"l": 1e300, "a": 1e300}), ("swish", {"b": float("nan")}), ("swish", {"b": float("inf")})],
)
@pytest.mark.parametrize("kind", ["value", "slope"])
def test_what_is_no_number_has_no_polynomial(name, given, kind, monkeypatch):
    """All of its results are infinite or NaN: none can be wrong, and 0 is no answer."""
    monkeypatch.setattr("actlab.activations._pieces.in_one_step", lambda: True)
    near.cache_clear()
    entry = get(name)
    found = near(variant_of(entry, tuple((entry.values() | given).values())), kind, BF16)
    near.cache_clear()
    assert found is None


@pytest.mark.parametrize("seed", range(40))
def test_the_deepest_is_that_of_a_linear_program(seed):
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(seed)
    count, degree = int(random.integers(3, 80)), int(random.integers(0, 6))
    at = np.sort(random.uniform(-1, 1, count))
    half = random.uniform(0.5, 2, count)
    middle = np.sin(3 * at) + random.normal(0, 10.0 ** random.uniform(-2, 0.3), count)
    terms = np.vander(at, degree + 1, increasing=True) / half[:, None]
    ones = np.ones((count, 1))
    best = optimize.linprog(
        np.append(np.zeros(degree + 1), 1.0),
        A_ub=np.concatenate([np.hstack([terms, -ones]), np.hstack([-terms, -ones])]),
        b_ub=np.concatenate([middle / half, -middle / half]),
        bounds=[(None, None)] * (degree + 2),
    )
    first = Goal(at, middle, half).deepest(degree)
    assert (first is None) == (best.fun > 0.997)
    if first is not None and best.fun > 0.71 and count > degree + 2:
        assert abs(first - best.x[degree]) <= 1e-3 * max(1, abs(best.x[degree]))


def test_fewer_numbers_than_coefficients():
    empty = np.empty(0)
    assert Goal(empty, empty, empty).rounded(2) == (0.0, 0.0, 0.0)
    one = np.array([2.0])
    assert Goal(one, 3 * one, one).rounded(2) == (6.0, 0.0, 0.0)
    two = np.array([1.0, 2.0])
    assert Goal(two, 3 * two, two).rounded(1) == (0.0, 3.0)


@pytest.mark.parametrize("name", ["elu", "celu", "selu"])
@pytest.mark.parametrize("kind", ["value", "slope"])
def test_a_kink_lies_between_two_intervals(name, kind, monkeypatch):
    """So that there is one function along x; at 0 and -0 it is what the entry says."""
    monkeypatch.setattr("actlab.activations._pieces.in_one_step", lambda: True)
    near.cache_clear()
    entry = get(name)
    found = near(variant_of(entry, tuple(entry.values().values())), kind, BF16)
    near.cache_clear()
    assert found is not None and found.line and found.table.up and not found.sides
    x = every(BF16)
    x = x[found.holds(x.float())]
    order = int(kind == "slope")
    assert off_by(found.at(x.float()), entry.evaluate(x.double(), order), BF16) <= 0.506
    ends = torch.tensor([0.0, -0.0])
    torch.testing.assert_close(found.at(ends), entry.evaluate(ends.double(), order).float(), rtol=1e-3, atol=0)


def test_every_activation_by_pieces_takes_few_steps(monkeypatch):
    """Degree 2 or 3 for most values, where float32 needs 5 to 8: what makes bfloat16 worth a kernel of its own."""
    monkeypatch.setattr("actlab.activations._pieces.in_one_step", lambda: True)
    near.cache_clear()
    entries = [one for one in map(get, activation_names()) if isinstance(one, Activation)]
    tables = {
        entry.name: near(variant_of(entry, tuple(entry.values().values())), "value", BF16)
        for entry in entries
        if {"value", "half value"} & set(entry.pieces)
    }
    near.cache_clear()
    degrees = {name: len(found.table.coefficients) - 1 for name, found in tables.items() if found is not None}
    assert len(degrees) == len(tables) > 20
    assert sum(degree == 2 for degree in degrees.values()) > len(degrees) / 2
    assert max(degrees.values()) <= 4 and degrees["gelu"] == degrees["swish"] == 3 and degrees["sigmoid"] == 2
