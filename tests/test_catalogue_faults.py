"""Planted faults: each must be caught by the checks that every entry goes through."""

import pytest
import torch

import checks
from actlab import activations
from actlab.activations import _catalogue, _spec
from actlab.activations._calculus import tied

GOOD = {"formula": "x / (1 + exp(-b * x))", "source": "a test, 2026", "zh": "测试。", "double": True}


def entry(body, slope, curve, **facts):
    body.__doc__ = "A planted fault."
    made = _spec.Activation(body=body, name="planted", **{**GOOD, **facts})
    made.slope(slope)
    made.curve(curve)
    return made


def swish(x, b: _spec.Positive = 1.0):
    return torch.where(x.isneginf(), -torch.zeros_like(x), x * torch.sigmoid(b * x))


def slope(x, b=1.0):
    t = (b * x).clamp(-700, 700)
    return torch.sigmoid(t) * (1 + t * torch.sigmoid(-t))


def curve(x, b=1.0):
    t = (b * x).clamp(-700, 700)
    up, down = torch.sigmoid(t), torch.sigmoid(-t)
    return b * up * down * (2 + t * (down - up))


def with_parameter(body):
    """As a function with the right signature."""

    def planted(x, b: _spec.Positive = 1.0):
        return body(x, b)

    return planted


def faults():
    def detached(made):
        made._slope = lambda x, b: torch.zeros_like(x)
        made._node = tied(made.body, made._slope, (None,), made._widen, rounds=True)
        made._slope = None
        return made

    def relu(x):
        return x.clamp(min=0)

    def step(x):
        return (x > 0).to(x.dtype)

    def nothing(x):
        return torch.zeros_like(x)

    ramp = {"formula": "max(0, x)", "kinks": (0.0,)}
    return {
        "wrong formula": entry(with_parameter(lambda x, b: swish(x, b) * 1.0001), slope, curve),
        "wrong only at other parameters": entry(with_parameter(lambda x, b: swish(x, 1.0)), slope, curve),
        "overflow": entry(with_parameter(lambda x, b: x * torch.exp(b * x) / (1 + torch.exp(b * x))), slope, curve),
        "undeclared kink": entry(relu, step, nothing, formula="max(0, x)", kinks=()),
        "detached backward": detached(entry(with_parameter(swish), slope, curve)),
        "NaN gradient at 0": entry(lambda x: x.clamp(min=0), lambda x: step(x) + 0 * torch.log(x.abs()).mul(0), nothing, **ramp),
    }  # fmt: skip


def caught_by(made):
    found = []
    for check in checks.CHECKS:
        try:
            check(made)
        except AssertionError:
            found.append(check.__name__)
    return found


@pytest.mark.parametrize("fault", ["wrong formula", "wrong only at other parameters", "overflow", "undeclared kink", "detached backward", "NaN gradient at 0"])  # fmt: skip
def test_a_planted_fault_is_caught(fault, monkeypatch):
    made = faults()[fault]
    monkeypatch.setitem(_catalogue._ENTRIES, "planted", made)  # so that it can be pickled
    assert caught_by(made)


def test_the_same_function_without_a_fault_is_not_caught(monkeypatch):
    made = activations.get("relu")
    again = entry(made.body, made.bodies["slope"], lambda x: torch.zeros_like(x), formula="max(0, x)", kinks=(0.0,))
    again.name = "planted"
    monkeypatch.setitem(_catalogue._ENTRIES, "planted", again)
    again.body.__doc__ = "Zero for negative input, the input itself for positive."
    assert caught_by(again) == []
