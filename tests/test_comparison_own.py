"""`actlab.compare` on functions of one's own: validation drawn by the seed, gates, which layers read an activation, costs."""

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import actlab
from actlab import Parts, activations, models
from actlab.comparison.candidates import after_activation, matched_start
from actlab.errors import UsageError
from actlab.properties import measure
from actlab.recipes import ModelPlan, plan
from actlab.recipes._compared import PlannedSubject, gated
from actlab.recipes._held_out import hold_out
from actlab.recipes.declaring import QUICK, declare
from actlab.train import TensorPart, as_part


def spiral(count, seed):
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    t = 3 * torch.rand(count, generator=draw) + 0.3
    a = 1.6 * t + 3.14159 * y
    return torch.stack([t * a.cos(), t * a.sin()], 1) / 2 + 0.05 * torch.randn(count, 2, generator=draw), y


def parts():
    return spiral(300, 1), spiral(200, 2), spiral(400, 3)


def net(activation="relu"):
    name = activations.layer(activation)
    return nn.Sequential(nn.Linear(2, 16), name(), nn.Linear(16, 16), name(), nn.Linear(16, 2))


def test_a_comparison_by_one_call(tmp_path):
    given = {"steps": 60, "quick": True, "margin": 0.02, "settings": {"batch_size": 50, "optimizer": "adamw"}}
    found = actlab.compare(lambda: net(), parts, ("relu", "identity"), into=tmp_path, **given)
    assert [(one.candidate, one.verdict) for one in found.contrasts] == [("identity", "worse")] and found.best == (
        "relu",
    )
    assert {file.name for file in tmp_path.iterdir()} == {
        "compare.toml", "comparison.csv", "comparison.html", "comparison.json", "costs.json", "trials",
    }  # fmt: skip
    again = actlab.compare(net, parts(), ("relu", "identity"), into=tmp_path / "own", **given)
    assert [one.value for one in again.trials] == [one.value for one in found.trials], "by swap or by argument"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": net()}, "expected a function that returns the network anew for every seed; got a network"),
        ({"settings": {"batchsize": 3}}, "no setting 'batchsize'; did you mean 'batch_size'"),
        ({"settings": {"nets.width": 3}}, "no part 'nets'"),
        ({"metric": "f1"}, "no metric 'f1'; there are: accuracy, loss"),
        ({"margin": -1}, "margin: input should be greater than 0; got -1"),
        ({"colour": 3}, "there is no setting 'colour' in this version"),
        ({"baseline": "gelu"}, "the baseline 'gelu' is not among the candidates relu, identity"),
        ({"seeds": 4}, "4 confirmation seeds cannot decide between 1 finalists and the baseline"),
        ({"candidates": ("relu", "swiglu")}, "'swiglu' acts on whole vectors"),
        ({"data": (spiral(4, 0), spiral(4, 0))}, "4 training examples are too few to hold some out for tuning; 5 are needed"),
        ({"data": (spiral(50, 0), spiral(4, 0)), "settings": {"data.validation": 0}}, "has no validation part to tune by"),
    ],
)  # fmt: skip
def test_wrong_calls_are_one_sentence(tmp_path, given, said):
    whole = {"model": net, "data": parts, "candidates": ("relu", "identity"), "into": tmp_path, "quick": True, **given}
    with pytest.raises(UsageError) as caught:
        actlab.compare(**whole)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def subject(data, name, monkeypatch):
    monkeypatch.setitem(actlab._own.given, "here:data", data)
    monkeypatch.setitem(actlab._own.given, "here:net", net)
    planned = plan("here:net").with_changes(data={"source": "here:data"})
    return PlannedSubject(declare("here:net", planned, ("relu", "gelu"), QUICK))


def seen(part):
    return sorted(part[torch.arange(len(part))][0][:, 0].tolist())


def test_validation_is_drawn_anew_by_every_seed_and_class_by_class(monkeypatch):
    x, y = spiral(300, 1)
    found = subject(lambda: ((x, y), spiral(50, 2)), "data", monkeypatch)
    one, two, again = (found.parts(seed) for seed in (1, 2, 1))
    assert not found.fixed
    assert len(one.train) == 240 and len(one.validation) == 60 and len(one.test) == 50
    assert sorted(seen(one.train) + seen(one.validation)) == seen(TensorPart(x, y))
    assert seen(one.validation) == seen(again.validation) != seen(two.validation)
    assert int(one.validation[torch.arange(60)][1].sum()) == 30


def test_a_loader_that_takes_the_seed_splits_by_itself(monkeypatch):
    found = subject(lambda seed: (spiral(30, seed), spiral(20, 1), spiral(20, 2)), "data", monkeypatch)
    assert not found.fixed and seen(found.parts(5).train) == seen(TensorPart(*spiral(30, 5)))


def test_given_validation_is_the_same_for_all_seeds(monkeypatch):
    found = subject(parts, "data", monkeypatch)
    assert found.fixed and found.parts(1) is found.parts(2)


def test_held_out_keeps_what_a_part_tells_of_its_examples():
    part = as_part(TensorDataset(torch.arange(10.0)[:, None], torch.arange(10) % 2))
    part.sizes = torch.arange(10)
    found = hold_out(Parts(part), 100, 0)
    assert len(found.validation) == 2 and len(found.train) == 8
    assert found.train[torch.arange(8)][0].flatten().tolist() == found.train.sizes.tolist()


def reading(model, x):
    names = [name for name, one in model.named_modules() if isinstance(one, nn.Linear | nn.Conv2d)]
    found = after_activation(model, lambda model: model(x))
    return None if found is None else {names[number] for number in found}


def test_only_layers_that_read_an_activation_have_its_gain():
    """Queries, keys and values do not, nor does a gate, which stands between the activation and the layer that reads it."""
    model = models.build("self-attention", inputs=4, width=8, classes=3, heads=2, layers=2, gated=True)
    want = {"layers.0.feed_forward.second", "layers.1.feed_forward.second"}
    assert reading(model, torch.randn(2, 5, 4)) == want
    lenet = models.build("lenet")
    assert reading(lenet, torch.randn(2, 1, 28, 28)) == {"features.3", "classifier.1", "classifier.3", "classifier.5"}
    assert reading(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), torch.randn(1, 2)) is None


def test_a_layer_that_reads_no_activation_has_gain_one():
    model = nn.Sequential(nn.Linear(200, 300), nn.Linear(300, 400), nn.ReLU(), nn.Linear(400, 500))
    matched_start(model, "relu", 0, after=after_activation(model, lambda model: model(torch.randn(1, 200))))
    sizes = [float(model[place].weight.detach().std()) * width**0.5 for place, width in ((0, 200), (1, 300), (3, 400))]
    assert sizes == pytest.approx([1, 1, measure(activations.get("relu")).gain], rel=0.02)


def test_gates_keep_the_number_of_weights():
    given = ModelPlan(name="transformer", activation="relu", arguments={"width": 48, "hidden": 192, "layers": 2})
    changed = given.model_copy(update=gated(given, "swiglu"))
    assert changed.activation == "silu" and changed.arguments["hidden"] == 128
    sizes = [
        sum(weight.numel() for weight in models.build(one.name, activation=one.activation, **one.arguments).parameters())
        for one in (given, changed)
    ]  # fmt: skip
    assert sizes[1] == pytest.approx(sizes[0], rel=0.005)
