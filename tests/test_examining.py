"""Diagnosis of run directories: how the loss went and why, units that died or came back, runs still under way."""

import dataclasses
import threading

import pytest
import torch
from torch import nn

from actlab.__main__ import run
from actlab.diagnosis import words
from actlab.diagnosis.past import Past
from actlab.recipes import examining
from actlab.records import Diagnosis, Run

SLOW = (
    *("--set", "learning_rate=0.002", "--set", "momentum=0", "--set", "nesterov=false", "--set", "schedule=constant"),
    *("--optimizer", "sgd", "--set", "model.initialise=default"),
)


def train(place, *more):
    assert run(["train", "mlp", "--data", "sample", "--quiet", "--limit", "1000", "--out", str(place), *more]) == 0
    return place


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """An MLP that took steps that were far too small."""
    return train(tmp_path_factory.mktemp("runs") / "slow", "--set", "steps=90", *SLOW)


def test_a_plateau_is_explained_and_its_cure_named(slow):
    found, one = examining.examine(slow, batches=6)
    plateau = next(finding for finding in found.findings if finding.rule == "plateau")
    assert plateau.value == 90 and plateau.severity == "warning" and plateau.details["guessing"]
    assert 2 * plateau.details["update"] < plateau.details["cures"]["matched start"] < 1e-3
    text = words.sentence(plateau)
    assert "stayed at 2.3, that of guessing, for 90 steps" in text.en and "猜测的损失" in text.zh
    assert "He's rule" in words.remedy(plateau).en and "He" in words.remedy(plateau).zh
    assert one.step == 90


def test_a_run_that_learns_has_no_plateau_and_no_trials(tmp_path, monkeypatch):
    from actlab.diagnosis import diagnosing

    monkeypatch.setattr(diagnosing, "learn_one_batch", lambda *_: pytest.fail("the run has shown that it can learn"))
    place = train(tmp_path / "good", "--set", "steps=90")
    found, _ = examining.examine(place, batches=6)
    assert not [one for one in found.findings if one.severity != "note"]


def test_units_that_died_are_told_from_those_that_were_dead_from_the_start(tmp_path):
    place = train(tmp_path / "run", "--set", "steps=20")
    found, one = examining.examine(place, batches=6)
    start, now = found.checkpoints
    assert (start.step, now.step) == (0, 20)
    site = found.sites[0].name
    model = one.beginning()
    with torch.no_grad():
        hidden = torch.cat([x.flatten(1) for x, _ in one.batches])
        layer = next(m for m in model.modules() if isinstance(m, nn.Linear))
        dead = (layer(hidden) <= 0).all(0).nonzero().flatten().tolist()
    assert list(start.silent[site]) == dead, "by hand, from the first layer"
    assert now.silent[site] == found.sites[0].silent


def test_a_run_under_way_is_followed_to_its_end(slow, tmp_path, monkeypatch):
    """Three checkpoints and a run that ends after the third."""
    stamps, states = iter([None, 1, 1, 2, 3, 3]), iter(["running"] * 5 + ["finished"])
    monkeypatch.setattr(examining, "_stamp", lambda _: next(stamps))
    kept = Run.read(slow)
    monkeypatch.setattr(examining.Run, "read", lambda _: kept.model_copy(update={"status": next(states)}))
    real, seen = examining.examine, []

    def examine(path, **how):
        seen.append(len(how["earlier"]))
        with monkeypatch.context() as m:
            m.setattr(examining.Run, "read", lambda _: kept)
            found, one = real(path, **how)
            return found, dataclasses.replace(one, step=10 * len(seen))

    monkeypatch.setattr(examining, "examine", examine)
    found = list(examining.follow(slow, batches=2, pause=0.0))
    assert len(found) == 3 and seen == [0, 2, 3]
    assert len(found[-1][0].checkpoints) == 4
    assert Diagnosis.model_validate_json(found[-1][0].model_dump_json()) == found[-1][0]


def test_live_on_a_run_that_has_ended_looks_once(slow, tmp_path, capsys):
    assert run(["diagnose", str(slow), "--live", "--batches", "2", "--out", str(tmp_path / "d")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("step 90: loss 2.") and "plateau" in out
    page = (tmp_path / "d" / "diagnosis.html").read_text(encoding="utf-8")
    assert "Dead, dormant, revived" in page or "dead" not in out


def test_live_follows_a_real_training(tmp_path, capsys):
    place = tmp_path / "run"
    more = ("--set", "steps=400", "--set", "checkpoint_seconds=0.2")
    thread = threading.Thread(target=train, args=(place, *more))
    thread.start()
    while not (place / "run.json").exists() or not (place / "checkpoints" / "last.pt").exists():
        assert thread.is_alive()
    steps = [step for _, step in examining.follow(place, batches=2, pause=0.05)]
    thread.join()
    assert steps == sorted(set(steps)) and steps[-1] == 400


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("tests/none.py:net", "--data", "tests/none.py:data", "--live"), "--live follows a run directory"),
        (("nowhere", "--live"), "expected a run directory with run.json; 'nowhere' has none"),
    ],
)
def test_what_cannot_be_followed(given, said, capsys):
    assert run(["diagnose", *given]) != 0
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("steps", "losses", "level", "longest"),
    [
        ([10, 20, 30], [2.3, 2.31, 1.0], 2.3, 20),
        ([10, 20, 30], [9.0, 2.3, 2.3], 2.3, 20),
        ([5, 6, 7, 50], [1.0, 2.3, 1.0, 2.3], 2.3, 43),
        ([10], [2.0], 2.3, 0),
    ],
)
def test_longest_stay(steps, losses, level, longest):
    assert Past(steps, losses).flat(level, 0.03) == longest
