"""Comparisons on networks and data as people have them: trained layers, fixed activations, numbers to predict, sizes that differ, what diverges."""

import pytest
import torch
from torch import nn

import actlab
from actlab import _own
from actlab.comparison import wording
from actlab.comparison.protocol import compare
from actlab.recipes import plan
from actlab.recipes._compared import PlannedSubject
from actlab.recipes.declaring import QUICK, declare
from test_comparison import declared, planted

WIDTH = 16


def points(count, seed):
    x = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))
    return x, (x.sum(1) > 0).long()


def data():
    return points(400, 0), points(100, 2), points(200, 1)


def stacked(*outputs):
    return nn.Sequential(nn.Linear(WIDTH, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, *outputs))


def half_trained():
    """Its first layer comes with weights, its second one is frozen."""
    model = stacked(2)
    nn.init.constant_(model[0].weight, 0.1)
    model[2].requires_grad_(False)
    return model


class Mixed(nn.Module):
    """torch's encoder layer, whose activation is fixed in its code, and a head that can be exchanged."""

    def __init__(self):
        super().__init__()
        self.encode = nn.TransformerEncoderLayer(4, 2, 16, 0.0, activation="gelu", batch_first=True)
        self.head = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x):
        return self.head(self.encode(x.reshape(-1, 4, 4)).mean(1))


def subject(monkeypatch, model, given=data):
    monkeypatch.setitem(_own.given, "odd:net", model)
    monkeypatch.setitem(_own.given, "odd:data", given)
    planned = plan("odd:net").with_changes(data={"source": "odd:data"})
    return PlannedSubject(declare("odd:net", planned, ("relu", "gelu"), QUICK))


def test_weights_that_no_seed_draws_are_kept(monkeypatch):
    found = subject(monkeypatch, half_trained)
    assert found.kept_layers == ("0", "2")
    one, other, gelu = (found.model(name, seed) for name, seed in (("relu", 1), ("relu", 2), ("gelu", 1)))
    assert all(bool((model[0].weight == 0.1).all()) for model in (one, other, gelu))
    assert not one[2].weight.requires_grad and not torch.equal(one[4].weight, other[4].weight)
    ratio = gelu[4].weight / one[4].weight
    assert (
        torch.allclose(ratio, ratio.mean().expand_as(ratio)) and ratio.mean() > 1.01
    )  # the gain alone tells them apart


def test_what_is_kept_and_what_is_left_is_said_beside_the_verdict(tmp_path):
    given = {"candidates": ("relu", "prelu"), "steps": 10, "quick": True, "settings": {"batch_size": 50}}
    said = "\n".join(
        one.en for one in wording.cautions(actlab.compare(half_trained, data, into=tmp_path / "a", **given))
    )
    assert "start as they come: 0 and 2" in said and "learn parameters of their own in every layer: prelu (a)" in said
    said = "\n".join(one.en for one in wording.cautions(actlab.compare(Mixed, data, into=tmp_path / "b", **given)))
    assert "activations are fixed in their code: encode" in said


def test_a_guess_that_diverged_trainings_count_as_is_no_merit():
    gone = {("b", seed) for seed in range(3001, 3009)}
    below = planted(lambda name: {"a": 0.05, "b": 0.8}[name], noise=1e-3, diverges=gone)  # guessing is better than a
    found = compare(declared(candidates=("a", "b")), below)
    (one,) = found.contrasts
    assert one.difference > 0 and one.diverged == 8 and one.verdict == "undecided" and found.best == ("a",)


def test_where_all_diverge_nothing_is_equal():
    gone = {(name, seed) for name in "ab" for seed in range(3001, 3020)}
    found = compare(declared(candidates=("a", "b")), planted(lambda _: 0.8, noise=1e-3, diverges=gone))
    assert [one.verdict for one in found.contrasts] == ["undecided"] and found.best == ()
    assert "every training of the confirmation diverged" in wording.headline(found).en


def test_numbers_are_predicted_by_the_squared_error(tmp_path):
    def sums():
        return tuple((x, x.sum(1, keepdim=True)) for x, _ in data())

    given = {"candidates": ("relu", "identity"), "metric": "loss", "steps": 150, "quick": True, "margin": 1e-4}
    found = actlab.compare(lambda: stacked(1), sums, into=tmp_path, settings={"batch_size": 50}, **given)
    assert found.guessing == pytest.approx(16, rel=0.3) and max(one.value for one in found.trials) < 40
    assert [one.verdict for one in found.contrasts] == ["better"]  # a sum is linear


def less(count):
    return lambda: tuple((x, y - count) for x, y in data())


@pytest.mark.parametrize(
    ("net", "given", "said"),
    [
        (lambda: stacked(2), less(1), "expected classes from 0 to 1 (outputs of the network: 2); got -1 to 0"),
        (lambda: stacked(2), less(-5), "got 5 to 6"),
        (lambda: stacked(1), data, "expected classes from 0 to 0 (outputs of the network: 1); got 0 to 1"),
        (lambda: stacked(2), lambda: (*data()[:2], points(0, 1)), "(test): expected examples; got none"),
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), data, "cannot read the data"),
        (lambda: nn.Linear(WIDTH, 2), data, "no activation"),
        (lambda: stacked(3), lambda: tuple((x, x[:, :2]) for x, _ in data()), "expected outputs of the targets' shape (2, 2); got (2, 3)"),
        (lambda: stacked(2), lambda: 1 / 0, "failed: ZeroDivisionError"),
        (lambda: 3, data, "to return an nn.Module; got int"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_one_sentence_before_any_training(tmp_path, net, given, said):
    metric = "loss" if "shape" in said else "accuracy"
    with pytest.raises(actlab.errors.ActlabError) as caught:
        actlab.compare(net, given, ("relu", "gelu"), into=tmp_path / "out", quick=True, metric=metric)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "trials").exists()


@pytest.mark.parametrize("names", [("lenet", "alexnet"), ("lenet", "mlp"), ("mlp", "lenet")])
def test_networks_of_other_sizes_of_image_resize_their_inputs(names):
    planned = plan(names[0]).with_changes(data={"source": "sample"})
    found = PlannedSubject(declare(names[0], planned, names, QUICK, factor="model", steps=10))
    parts = found.parts(1)
    inputs = parts.prepare(parts.train[torch.arange(2)][0], False)
    for name in names:
        with torch.no_grad():
            assert found.model(name, 1).eval()(inputs).shape == (2, 10)
