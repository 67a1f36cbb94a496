"""Remedies: they turn networks that do not learn into ones that do, with an interval, and claim nothing where nothing helps."""

import json

import pytest
import torch
from scipy import stats
from torch import nn

from actlab.diagnosis import diagnose, fix
from actlab.diagnosis.fixing import said, verdict
from actlab.errors import UsageError
from networks import cnn, mlp, rows
from planted import PLANTED


def tried(name, **how):
    make, data, _, _, _ = PLANTED[name]
    torch.manual_seed(0)
    model = make()
    batches = data()
    before = [one.clone() for one in model.state_dict().values()]
    state = torch.get_rng_state()
    attempts = fix(model, batches, diagnose(model, batches, trials=False), **how)
    assert all(map(torch.equal, before, model.state_dict().values())), "the user's network stays as it is"
    assert torch.equal(state, torch.get_rng_state())
    return attempts


@pytest.mark.parametrize(
    ("name", "steps", "seeds", "remedy"),
    [
        ("dead: bias, MLP", 100, 3, "other activation"),
        ("vanishing: 20 sigmoid layers", 200, 5, "other activation"),
        ("exploding: RNN", 150, 5, "clipping"),
        ("gain: ReLU MLP", 100, 3, "matched start"),
    ],
)
def test_what_does_not_learn_learns(name, steps, seeds, remedy):
    found = {one.remedy: one for one in tried(name, steps=steps, seeds=seeds)}[remedy]
    assert found.verdict == "better" and found.learns == (False, True), said(found)
    assert found.low < found.difference < found.high < 0 and len(found.without) == seeds
    assert all("learns now" in text or "学得动" in text for text in said(found))
    compile(found.code, "code", "exec")


@pytest.mark.parametrize("name", ["labels: MLP", "NaN: logarithm"])
def test_nothing_is_claimed_where_the_network_is_not_at_fault(name):
    assert tried(name, steps=5, seeds=2) == []


def test_a_healthy_network_needs_nothing():
    torch.manual_seed(0)
    model, batches = cnn(), [(torch.randn(32, 1, 14, 14), torch.randint(0, 4, (32,))) for _ in range(6)]
    assert fix(model, batches, diagnose(model, batches, trials=False), steps=5) == []


def test_pasted_code_does_what_was_measured():
    make, data, _, _, _ = PLANTED["gain: ReLU MLP"]
    torch.manual_seed(0)
    model = make()
    found = tried("gain: ReLU MLP", steps=40, seeds=2)[0]
    exec(found.code, {"model": model, "nn": nn})
    assert not [one for one in diagnose(model, data(), trials=False).findings if one.severity != "note"]


def test_the_same_twice():
    a, b = (tried("gain: ReLU MLP", steps=20, seeds=2) for _ in range(2))
    assert a == b


def test_the_network_may_be_made_anew_for_every_seed():
    def make():
        model = mlp()
        with torch.no_grad():
            model[2].bias -= 20
        return model

    torch.manual_seed(0)
    batches = rows()
    found = fix(make, batches, diagnose(make(), batches, trials=False), steps=60, seeds=3)[0]
    assert found.verdict == "better" and len(set(found.with_)) == 3


@pytest.mark.parametrize(
    ("without", "with_", "guess", "word"),
    [
        ([1.0, 1.1, 0.9, 1.0], [0.5, 0.55, 0.52, 0.48], 1.4, "better"),
        ([0.5, 0.55, 0.52, 0.48], [1.0, 1.1, 0.9, 1.0], 1.4, "worse"),
        ([1.0, 1.1, 0.9, 1.0], [1.001, 1.1, 0.9, 1.0], 1.4, "practically equal"),
        ([1.0, 1.1, 0.9, 1.0], [0.5, 1.5, 0.8, 1.1], 1.4, "undecided"),
        ([3.0, 3.0], [3.0, 3.0], None, "practically equal"),
    ],
)
def test_verdict_is_the_paired_t(without, with_, guess, word):
    found = verdict(without, with_, guess)
    assert found["verdict"] == word and (found["more_seeds"] > 0) == (word == "undecided")
    if without != with_:
        interval = stats.ttest_rel(with_, without).confidence_interval(0.95)
        assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("how", "words"),
    [({"seeds": 1}, "at least 2 seeds"), ({"optimizer": "Adams"}, "has no 'Adams'"), ({"steps": 0}, "1 step")],
)
def test_bad_input(how, words):
    with pytest.raises(UsageError, match=words):
        fix(mlp(), rows(), diagnose(mlp(), rows(), trials=False), **how)


def test_command(cli, tmp_path):
    (tmp_path / "own_fix.py").write_text(
        """
import torch
from torch import nn

def dead():
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4))
    model[0].bias.data -= 20
    return model

def sound():
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4))

def data():
    draw = torch.Generator().manual_seed(0)
    rule = torch.randn(20, 4, generator=draw)
    for _ in range(12):
        x = torch.randn(64, 20, generator=draw)
        yield x, (x @ rule).argmax(1)

def labels():
    draw = torch.Generator().manual_seed(1)
    for x, y in data():
        yield x, y[torch.randperm(64, generator=draw)]
"""
    )
    place = tmp_path / "own_fix.py"
    how = ("--fix", "--seeds", "3", "--steps", "60", "--out", tmp_path / "out")
    outcome = cli("diagnose", f"{place}:dead", "--data", f"{place}:data", *how)
    assert outcome.code == 0 and "it learns now" in outcome.out and "leaky_relu" in outcome.out, outcome
    found = json.loads((tmp_path / "out" / "findings.json").read_text())["attempts"]
    assert found[0]["verdict"] == "better" and "学得动" in (tmp_path / "out" / "diagnosis.html").read_text()
    assert "no remedy is needed" in cli("diagnose", f"{place}:sound", "--data", f"{place}:data", *how).out
    assert "nothing is claimed" in cli("diagnose", f"{place}:sound", "--data", f"{place}:labels", *how).out
