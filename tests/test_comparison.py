"""Comparisons: the protocol on planted values, real trainings on a spiral, resuming, several processes, what is refused."""

import io
import itertools
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from torch import nn

from actlab import _language, activations, intervals
from actlab.__main__ import run
from actlab.comparison.candidates import matched_dropout, matched_start
from actlab.comparison.protocol import check, compare, trainings
from actlab.comparison.running import chance
from actlab.errors import UsageError
from actlab.properties import measure
from actlab.records import Comparison, Declaration, Trial
from actlab.train import TensorPart

NAMES = tuple("abcdefgh")


def declared(**changes):
    given = {
        "target": "planted",
        "candidates": NAMES,
        "baseline": "a",
        "margin": 0.01,
        "rates": (0.01, 0.1, 1.0, 10.0, 100.0),
    }
    return Declaration(**{**given, **changes})


def planted(value, draw=None, noise=0.02, best=1.0, diverges=()):
    """A trainer whose value is that of `value(candidate)`, less at a wrong rate, with noise of its own for every training."""
    draw = draw or np.random.RandomState(0)

    def train(jobs):
        found = []
        for job in jobs:
            rate = best.get(job.candidate, 1.0) if isinstance(best, dict) else best
            miss = 0.05 * abs(math.log10(job.rate / rate))
            bad = (job.candidate, job.seed) in diverges
            number = 0.1 if bad else value(job.candidate) - miss + noise * draw.randn()
            found.append(
                Trial(
                    candidate=job.candidate, rate=job.rate, seed=job.seed, stage=job.stage, value=number, diverged=bad
                )
            )
        return found

    return train


def test_eight_names_of_one_thing_win_in_at_most_five_per_cent(monkeypatch):
    """Unpaired noise, which is the hard case: with paired seeds one activation under two names gives the same numbers."""
    monkeypatch.setattr(intervals, "_forecast", lambda *_: 1)
    draw, winners = np.random.RandomState(0), 0
    for _ in range(200):
        found = compare(declared(), planted(lambda _: 0.8, draw))
        winners += any(one.verdict in ("better", "worse") for one in found.contrasts)
    assert winners <= 17, "5 % of 200, and two standard deviations"


def test_a_planted_effect_is_found(monkeypatch):
    """Of three deviations, which ten pairs show with a power above 0.99."""
    monkeypatch.setattr(intervals, "_forecast", lambda *_: 1)
    draw, right = np.random.RandomState(1), 0
    for _ in range(40):
        found = compare(declared(), planted(lambda name: 0.86 if name == "c" else 0.8, draw))
        verdicts = {one.candidate: one.verdict for one in found.contrasts}
        right += verdicts.get("c") == "better" and found.best[0] == "c"
    assert right >= 38


@pytest.mark.parametrize("order", [NAMES[::-1], ("c", "a", "h", "b", "g", "d", "f", "e")])
def test_the_order_of_the_candidates_changes_nothing(order):
    def train(jobs):  # noise that depends on the job alone
        return [
            one
            for job in jobs
            for one in planted(
                lambda name: 0.8 + 0.02 * (name == "c"),
                np.random.RandomState(hash((job.candidate, job.seed, job.rate)) % 2**32),
            )([job])
        ]

    one, other = compare(declared(), train), compare(declared(candidates=order), train)
    assert set(one.contrasts) == set(other.contrasts) and one.best == other.best and one.screened == other.screened
    assert sorted(one.tuned, key=str) == sorted(other.tuned, key=str)


def test_a_best_rate_at_the_end_extends_the_grid_twice_and_then_cannot_win():
    best = {"b": 1e9, "c": 600.0}
    found = compare(
        declared(candidates=("a", "b", "c")),
        planted(lambda name: {"a": 0.5, "b": 0.9, "c": 0.6}[name], best=best, noise=1e-3),
    )
    tuned = {one.candidate: one for one in found.tuned}
    assert len(tuned["a"].tried) == 5 and not tuned["a"].at_edge
    assert len(tuned["c"].tried) == 7 and not tuned["c"].at_edge and tuned["c"].rate == pytest.approx(1000)
    assert len(tuned["b"].tried) == 9 and tuned["b"].at_edge
    verdicts = {one.candidate: one.verdict for one in found.contrasts}
    assert verdicts == {"b": "undecided", "c": "better"} and found.best == ("c",)


def test_divergence_counts_at_chance_and_is_reported():
    gone = {("b", seed) for seed in (3001, 3002, 3003)}
    found = compare(declared(candidates=("a", "b")), planted(lambda _: 0.8, noise=1e-3, diverges=gone))
    (one,) = found.contrasts
    assert one.diverged == 3 and one.diverged_low < 0.3 < one.diverged_high
    assert one.difference == pytest.approx(-0.21, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"candidates": ("a",)}, "expected two candidates or more, each once; got a"),
        ({"candidates": ("a", "b", "a")}, "expected two candidates or more, each once; got a, b, a"),
        ({"baseline": "z"}, "the baseline 'z' is not among the candidates a, b, c, d, e, f, g, h"),
        ({"rates": (0.1, 1.0)}, "expected three different learning rates above 0 or more; got 2"),
        ({"steps": 9}, "a budget of 9 steps is too small to tune a learning rate; take 10 or more"),
        ({"confirmation_seeds": (1001, 2, 3)}, "expected seeds for tuning, screening and confirmation, none of them twice"),
        ({"confirmation_seeds": (1, 2, 3, 4, 5)}, "5 confirmation seeds cannot decide between 3 finalists and the baseline at alpha 0.05, whatever they show; take 7 or more"),
    ],
)  # fmt: skip
def test_what_is_refused_before_any_training(changes, said):
    with pytest.raises(UsageError) as caught:
        compare(declared(**changes), lambda jobs: pytest.fail("nothing is to be trained"))
    assert str(caught.value) == said


def test_the_number_of_trainings_is_what_is_done():
    count = itertools.count()

    def train(jobs):
        return [(next(count), one)[1] for one in planted(lambda _: 0.8, noise=0.0)(jobs)]

    compare(declared(), train)
    assert next(count) == trainings(declared())[0] == 8 * 2 * 5 + 8 * 5 + 4 * 2 * 10


def test_candidates_of_a_seed_start_from_the_same_numbers():
    def made(name, seed):
        return matched_start(
            nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 40), nn.Conv1d(1, 2, 3)), name, seed
        )

    relu, tanh, other = made("relu", 0), made("tanh", 0), made("relu", 1)
    assert torch.equal(relu[0].weight, tanh[0].weight) and not torch.equal(relu[0].weight, other[0].weight)
    ratio = measure(activations.get("relu")).gain / measure(activations.get("tanh")).gain
    torch.testing.assert_close(relu[2].weight, tanh[2].weight * ratio)
    torch.testing.assert_close(relu[2].weight.std() * 30**0.5, torch.tensor(2**0.5), rtol=0.1, atol=0)
    assert not any(one.bias.any() for one in (relu[0], relu[2], relu[3]))


def test_the_second_moment_is_kept_from_layer_to_layer():
    for name in ("relu", "gelu", "tanh", "selu", "elu"):
        model = nn.Sequential(*(layer for _ in range(6) for layer in (nn.Linear(512, 512), activations.layer(name)())))
        matched_start(model, name, 3)
        x = torch.randn(256, 512, generator=torch.Generator().manual_seed(0))
        before = model[:1](x)
        after = model[:11](x)  # what the sixth linear layer puts out
        assert 0.5 < float((after.pow(2).mean() / before.pow(2).mean()).detach()) < 2.0, name


def test_selu_gets_alpha_dropout():
    make = lambda: nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1), nn.Sequential(nn.Dropout(0.2)))  # noqa: E731
    assert [type(one).__name__ for one in matched_dropout(make(), "selu").modules()].count("AlphaDropout") == 2
    assert not any("Alpha" in type(one).__name__ for one in matched_dropout(make(), "relu").modules())


def test_chance_is_what_a_guess_gets():
    part = TensorPart(torch.zeros(8, 1), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1]))
    assert chance(part, "accuracy") == 0.75
    assert chance(part, "loss") == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert chance(TensorPart(torch.zeros(4, 1), torch.tensor([0.0, 0.0, 2.0, 2.0])), "loss") == 1.0


OWN = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from actlab import Parts
from actlab.train import as_part

def net():
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))

def plain():
    return nn.Linear(2, 2)

def spiral(count, seed):
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    t = 3 * torch.rand(count, generator=draw) + 0.3
    a = 1.6 * t + 3.14159 * y
    x = torch.stack([t * a.cos(), t * a.sin()], 1) / 2 + 0.05 * torch.randn(count, 2, generator=draw)
    return TensorDataset(x, y)

def data():
    return spiral(300, 1), spiral(200, 2), spiral(400, 3)

def untested():
    return Parts(as_part(spiral(300, 1)), as_part(spiral(200, 2)))

def unheld():
    return spiral(300, 1), spiral(400, 3)
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "my.py").write_text(OWN)
    return tmp_path


def command(own, *more, out="out", workers="1", budget="60"):
    given = (
        "--data",
        f"{own / 'my.py'}:data",
        "--activations",
        "relu,identity",
        "--budget",
        budget,
        "--workers",
        workers,
        "--quick",
        "--margin",
        "0.02",
    )
    return ["compare", f"{own / 'my.py'}:net", *given, "--set", "batch_size=50", "--out", str(own / out), *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The user's folder with a comparison in `done`, and what was said; nobody may change it."""
    folder, said = tmp_path_factory.mktemp("own"), io.StringIO()
    (folder / "my.py").write_text(OWN)
    _language.choose("en")
    with redirect_stdout(said):
        assert run(command(folder, out="done")) == 0
    return folder, said.getvalue()


@pytest.fixture
def done(finished):
    """Its folder with a copy of the comparison in `out`."""
    folder, _ = finished
    shutil.rmtree(folder / "out", ignore_errors=True)
    shutil.copytree(folder / "done", folder / "out")
    return folder


def test_a_spiral_wants_more_than_the_identity_and_the_second_call_trains_nothing(finished, done, monkeypatch):
    own, said = done, finished[1]
    assert "relu better than identity" in said and "Set of best: relu" in said
    record = (own / "out" / "comparison.json").read_bytes()
    found = Comparison.model_validate_json(record)
    assert found.part == "test" and found.contrasts[0].verdict == "worse" and found.contrasts[0].candidate == "identity"
    assert len((own / "out" / "comparison.csv").read_text().splitlines()) == 1 + len(found.trials)
    from actlab.comparison import running

    monkeypatch.setattr(running, "_trained", lambda *_: pytest.fail("all trials are there"))
    assert run(command(own)) == 0
    assert (own / "out" / "comparison.json").read_bytes() == record


def test_the_same_declaration_gives_the_same_record_with_one_process_and_with_two(finished):
    own, _ = finished
    assert run(command(own, out="two", workers="2")) == 0
    one, two = ((own / name / "comparison.json").read_bytes() for name in ("done", "two"))
    assert one == two


def test_killed_and_run_again_it_repeats_no_finished_trial(finished):
    own, _ = finished
    call = [sys.executable, "-m", "actlab", *command(own, out="killed")]
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    trials = own / "killed" / "trials"
    while process.poll() is None and not (trials.is_dir() and any(trials.glob("*.json"))):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {file.name: file.stat().st_mtime_ns for file in trials.glob("*.json")}
    assert before
    assert run(command(own, out="killed")) == 0
    after = {file.name: file.stat().st_mtime_ns for file in trials.glob("*.json")}
    assert all(after[name] == stamp for name, stamp in before.items()) and len(after) > len(before)
    assert (own / "killed" / "comparison.json").read_bytes() == (own / "done" / "comparison.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"relu,identity": "relu,sliu"}, "no activation 'sliu'; did you mean 'silu'"),
        ({"relu,identity": "relu,softmax"}, "'softmax' acts on whole vectors and cannot take the place of a pointwise activation"),
        ({"my.py:net": "my.py:plain"}, "found no activation to exchange"),
        ({"my.py:data": "my.py:unheld", "batch_size=50": "data.validation=0"}, "has no validation part to tune by"),
        ({"my.py:data": "my.py:untested", "60": "5"}, "a budget of 5 steps is too small to tune a learning rate"),
        ({"--quick": "--metric=f1"}, "no metric 'f1'; there are: accuracy, loss"),
        ({"--activations": "--vary", "relu,identity": "colour=a,b"}, "no factor 'colour'; there are: activation, init, model"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence_before_any_training(own, capsys, change, said):
    given = []
    for part in command(own):
        new = next((part.replace(old, other) for old, other in change.items() if old in part), part)
        given.append(new)
    assert run(given) in (1, 2)
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert not (own / "out" / "trials").exists()


def test_what_is_missing_of_a_batch_is_trained_as_it_was(done):
    trials = sorted((done / "out" / "trials").glob("*.json"))
    for file in (*trials[::3], done / "out" / "comparison.json"):
        file.unlink()
    assert run(command(done)) == 0
    assert (done / "out" / "comparison.json").read_bytes() == (done / "done" / "comparison.json").read_bytes()


def test_another_declaration_is_refused_in_a_folder_that_holds_one(done, capsys):
    assert run(command(done, "--seeds", "9")) == 2
    assert "holds another comparison; choose another folder with --out" in capsys.readouterr().err


def test_another_network_of_the_same_name_is_refused(done, capsys):
    file = done / "my.py"
    file.write_text(OWN.replace("nn.Linear(2, 16), nn.ReLU()", "nn.Linear(2, 16), nn.Dropout(0.5), nn.ReLU()"))
    try:
        assert run(command(done)) == 2
        assert "the network or the data have changed since" in capsys.readouterr().err
    finally:
        file.write_text(OWN)


def test_a_damaged_trial_is_named(done, capsys):
    file = next((done / "out" / "trials").glob("*.json"))
    file.write_text("{")
    assert run(command(done)) == 1
    assert f"the trial '{file}' cannot be read" in capsys.readouterr().err


def test_without_a_test_part_the_words_are_those_of_validation(own, capsys):
    given = [part.replace("my.py:data", "my.py:untested") for part in command(own, budget="10")]
    assert run(given) == 0
    assert "validation" in capsys.readouterr().out


def test_starts_can_be_compared_too(own, capsys):
    given = [
        "--data",
        f"{own / 'my.py'}:data",
        "--vary",
        "init=he,xavier,default",
        "--budget",
        "10",
        "--quick",
        "--workers",
        "1",
    ]
    assert run(["compare", f"{own / 'my.py'}:net", *given, "--out", str(own / "inits")]) == 0
    assert "he" in capsys.readouterr().out


def test_a_declaration_survives_its_file(own):
    found = check(declared())
    assert Declaration.model_validate_json(found.model_dump_json()) == found
