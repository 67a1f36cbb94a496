"""A rate that is far too large stops with step, layer and advice, and keeps the last good checkpoint."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab.models import MLP, LeNet
from actlab.records import Run
from actlab.train import Diverged, Parts, Settings, TensorPart, fit, guards


def small_alexnet():
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(8 * 16, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10),
    )  # fmt: skip


NETWORKS = {"lenet": lambda: LeNet(activation="relu", pooling="max"), "mlp": MLP, "alexnet-shaped": small_alexnet}


def images(count=256, bad=None):
    generator = torch.Generator().manual_seed(0)
    pixels, labels = (
        torch.randn(count, 1, 28, 28, generator=generator),
        torch.randint(0, 10, (count,), generator=generator),
    )
    if bad is not None:
        pixels[100:] = bad
    return pixels, labels


def diverging(network, directory, settings, data=None):
    torch.manual_seed(0)
    model = NETWORKS[network]()
    inputs, labels = images() if data is None else data
    with pytest.raises(Diverged) as caught:
        fit(model, Parts(TensorPart(inputs, labels)), settings=settings, run_dir=directory)
    return str(caught.value), model


def settings(rate, optimizer="sgd", **others):
    return Settings(learning_rate=rate, optimizer=optimizer, steps=40, batch_size=64, keep_memory=False, **others)


@pytest.mark.parametrize("rate", [1e3, 1e6, 1e30], ids="{:g}".format)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("network", NETWORKS)
def test_diverges_with_step_layer_and_advice(tmp_path, network, optimizer, rate):
    message, model = diverging(network, tmp_path / "run", settings(rate, optimizer))
    found = re.search(r"at step (\d+).* layer '([^']+)'.*--learning-rate (\S+)", message)
    assert found, message
    assert 1 <= int(found[1]) <= 20
    layer = model.get_submodule(found[2])
    assert list(layer.parameters(recurse=False)), f"'{found[2]}' has no weights that a rate could have spoilt"
    assert float(found[3].rstrip(",")) == pytest.approx(rate / 10)
    run = Run.read(tmp_path / "run")
    assert (run.status, run.message) == ("failed", message)


@pytest.mark.parametrize("rate", [10.0, 1e3, 1e30], ids="{:g}".format)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_last_checkpoint_is_a_good_one(tmp_path, network, rate):
    """Its weights are finite, and on the training data they lose no more than a run may."""
    plan = settings(rate, "adamw")
    _, model = diverging(network, tmp_path / "run", plan)
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)["model"]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())
    model.load_state_dict(state)
    inputs, labels = images()
    with torch.no_grad():
        assert (
            F.cross_entropy(model.eval()(inputs), labels).item() < plan.divergence * 2.4
        )  # ln 10 = 2.303 at the start


@pytest.mark.parametrize("bad", [float("nan"), float("inf")], ids=str)
def test_inputs_that_are_not_finite(tmp_path, bad):
    """The fault is in front of the first layer, whatever the step then did to the weights."""
    message, _ = diverging("lenet", tmp_path / "run", settings(0.01), images(bad=bad))
    assert "inputs of step 1 are not finite" in message, message


class Explodes(nn.Module):
    def forward(self, x):
        return torch.exp(1000 * x.abs() + 1000)


def test_culprit_is_the_first_layer_with_a_result_that_is_not_finite():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), Explodes(), nn.Linear(3, 3))
    text = guards.culprit(model, torch.randn(4, 3))
    assert "'1' (Explodes)" in text
    assert model.training and not any(module._forward_hooks for module in model.modules())


def test_culprit_is_the_layer_whose_weights_are_not_finite():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    with torch.no_grad():
        model[2].weight[0, 0] = float("inf")
    assert "layer '2' (Linear), with weights that are not finite" in guards.culprit(model, torch.randn(4, 3))


def test_culprit_of_finite_results_is_the_layer_that_grows_most():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    with torch.no_grad():
        model[1].weight.mul_(1e6)
    assert "'1' (Linear), which enlarges" in guards.culprit(model, torch.randn(4, 3))


def test_weights_that_start_out_bad_are_named(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.constant_(model[1].weight, float("nan"))
    with pytest.raises(Diverged, match=r"step 0.*layer '1'"):
        fit(model, Parts(TensorPart(*images())), settings=settings(0.1), run_dir=tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints" / "last.pt").exists()


def test_a_rate_that_works_does_not_diverge():
    torch.manual_seed(0)
    run = fit(MLP(), Parts(TensorPart(*images())), settings=settings(0.05))
    assert run.status == "finished"


def test_from_the_command_line(cli, tmp_path):
    common = (
        "train",
        "lenet",
        "--data",
        "sample",
        "--limit",
        "200",
        "--steps",
        "40",
        "--learning-rate",
        "1e30",
        "--quiet",
    )
    complaint = cli(*common, "--out", tmp_path / "run").complaint(1)
    assert re.search(r"step \d+.*layer '.*--learning-rate 1e\+29", complaint), complaint
    assert re.search(
        r"第 \d+ 步.*层 '.*--learning-rate 1e\+29", cli("--lang", "zh", *common, "--out", tmp_path / "zh").complaint(1)
    )
