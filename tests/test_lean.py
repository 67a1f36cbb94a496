"""Slopes from outputs in half types: how near they come to what an output can tell at all, and by which steps."""

import pytest
import torch

from actlab import kernels
from actlab.activations import get
from actlab.activations._pieces import in_one_step
from actlab.kernels import _fitting, _fitting_pieces, _lean, _run, _runtime
from actlab.kernels._lean import lean
from actlab.kernels._run import variant_of
from actlab.kernels._shared import StandIn, stand_ins, standing_in

NEEDS_COMPILER = pytest.mark.skipif(kernels.library() is None, reason="no compiler")
BY_PIECES = pytest.mark.skipif(not in_one_step(), reason="looked up in one step by other processors")
HALF = (torch.bfloat16, torch.float16)


def usual(name):
    return variant_of(get(name), list(get(name).values().values()))


def ratios(name, dtype, way, *, inputs):
    """Root mean square of what the slope is off, over that of rounding it, and the least that any function of the output and the side has."""
    x = torch.linspace(-8, 8, 1_000_001, dtype=torch.float64)
    share = torch.exp(-0.5 * x * x)
    x = x.to(dtype).double() if inputs else x
    y, slope = get(name).evaluate(x).to(dtype), get(name).evaluate(x, 1)
    side = torch.zeros_like(x, dtype=torch.bool) if way.side is None else way.side(x)
    found = way.slope(y.float(), *[side] * (way.side is not None)).double()
    _, cell = (2.0 * y.double() + 1000.0 * side).unique(return_inverse=True)
    total = torch.zeros(int(cell.max()) + 1, dtype=torch.float64)
    mean = (total.index_add(0, cell, share * slope) / total.index_add(0, cell, share))[cell]
    off = [float((share * (one - slope).square()).sum().sqrt()) for one in (found, mean, slope.to(dtype))]
    return off[0] / off[2], off[1] / off[2]


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(
    "name", ["gelu", "gelu_tanh", "swish", "mish", "tanh_exp", "tanh", "sigmoid", "elu", "softplus"]
)
def test_no_function_of_the_output_is_much_nearer(name, dtype):
    found, best = ratios(name, dtype, lean(usual(name), dtype), inputs=False)
    assert found <= 1.03 * best
    if name in ("gelu", "gelu_tanh", "elu", "softplus", "sigmoid") and dtype == torch.bfloat16:
        assert found <= 1.31


def test_neither_is_for_hard_swish_and_numbers_of_its_type():
    """Between them, where the curve ends in x itself, an output may be of either."""
    for dtype in HALF:
        found, best = ratios("hard_swish", dtype, lean(usual("hard_swish"), dtype), inputs=True)
        assert found <= 1.08 * best


@pytest.mark.parametrize("name, least", [("swish", 1.07), ("hard_swish", 1.4), ("gelu", 1.1)])
def test_without_stand_ins_it_would_be_further(name, least):
    found, best = ratios(name, torch.bfloat16, lean(usual(name)), inputs=name == "hard_swish")  # that for float32
    assert found > least * best


@pytest.mark.parametrize("name", ["gelu", "swish", "mish", "hard_swish"])
def test_around_the_minimum_slopes_are_right_on_average(name):
    way = lean(usual(name), torch.bfloat16)
    x = torch.linspace(-4, 2, 2_000_001, dtype=torch.float64)
    y = get(name)(x).bfloat16().float()
    here, side = y == y.min(), way.side(x)
    for rising in (True, False):
        some = here & (side == rising)
        exact = get(name).derivative(x[some])
        assert abs(way.slope(y[some], side[some]).double().mean() - exact.mean()) < 0.06 * exact.abs().max()


def test_stand_ins_take_the_place_of_their_output_alone():
    y = torch.tensor([-1.0, -0.5, 0.25, 1.0, torch.nan, torch.inf])
    known = (StandIn(-1.0, -0.75, -1), StandIn(0.25, 0.125, 0), StandIn(-0.5, -0.625, 0))
    assert [one.clamps for one in known] == [True, False, False]
    assert standing_in(lambda y: y, known)(y).tolist()[:4] == [-0.75, -0.625, 0.125, 1.0]
    twice = (StandIn(-1.0, -0.5, -1), StandIn(-0.5, 1.0, 0), StandIn(1.0, 0.0, 0))  # each takes y as it came
    assert standing_in(lambda y: y, twice)(y).tolist()[:4] == [-0.5, 1.0, 0.25, 0.0]
    assert standing_in(lambda y: y, known)(y)[4].isnan() and standing_in(lambda y: y, known)(y)[5] == torch.inf
    assert StandIn(1.0, 0.75, 1).clamps and not StandIn(1.0, 1.25, 1).clamps


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "softplus", "absolute", "relu_squared", "rrelu", "exponential"])
def test_outputs_that_tell_the_slope_need_none(name):
    of, entry = usual(name), get(name)
    way = lean(of)
    for dtype in HALF:
        assert stand_ins(entry.evaluate, lambda x: entry.evaluate(x, 1), way.slope, way.side, dtype) == ()


@BY_PIECES
@NEEDS_COMPILER
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", ["gelu", "swish", "mish", "serf"])
def test_by_pieces_and_by_the_kernel_that_looks_them_up(name, dtype):
    entry = get(name)
    found = _fitting_pieces.fit(entry, tuple(entry.values().values()), dtype)
    assert found is not None and len(found.table.coefficients) - 1 <= (2 if dtype == torch.bfloat16 else 3)
    x = torch.cat([3 * torch.randn(50_003), torch.tensor([0.0, -0.0, 1e4, -1e4, torch.inf, found.at])]).to(dtype)
    leaf = x.clone().requires_grad_()
    layer = entry.module(fused=True, save="output", learn=False)
    (slope,) = torch.autograd.grad(layer(leaf), leaf, torch.ones_like(leaf))
    way = lean(usual(name), dtype)
    assert "from_sided" in _runtime.forms(usual(name).key, dtype)
    exact = way.slope(layer(x).float(), way.side(x.float()))
    unit = torch.finfo(dtype).eps
    torch.testing.assert_close(slope.double(), exact.double(), rtol=unit, atol=unit / 256)
    torch.testing.assert_close(
        slope.double(),
        entry.derivative(x.double()),
        rtol=unit,
        atol={torch.bfloat16: 0.02, torch.float16: 0.007}[dtype],
    )
    assert layer(torch.tensor([torch.nan], dtype=dtype)).isnan()


@BY_PIECES
def test_where_there_are_no_lookups_polynomials_tell_it(monkeypatch):
    monkeypatch.setattr(_fitting_pieces, "in_one_step", lambda: False)
    entry = get("gelu")
    assert _fitting_pieces.fit.__wrapped__(entry, (), torch.bfloat16) is None
    assert _fitting.fit(entry, ()) is not None and _fitting_pieces.fit(entry, (), torch.float32) is None


def test_without_a_compiler_there_are_no_lookups_and_nothing_raises(monkeypatch):
    def missing():
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr("torch._inductor.cpu_vec_isa.pick_vec_isa", missing)
    assert in_one_step.__wrapped__() is False


def test_serf_keeps_its_input_where_its_output_is_not_enough():
    entry = get("serf")
    assert lean(usual("serf"), torch.float32) is None
    assert _run.kept(usual("serf"), "auto", torch.float32) == _lean.INPUT
    assert (lean(usual("serf"), torch.bfloat16) is not None) == in_one_step()
    assert not kernels.tells_slope(entry, entry.values()) and kernels.tells_slope(get("gelu"), {})
