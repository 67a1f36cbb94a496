"""Several processes, and processes that are stopped or killed: as real processes through the command line."""

import json
import signal

import pytest
import torch
from safetensors.torch import load_file

from actlab.records import Run
from conftest import until

# 50 examples in batches of 7: of two processes one has more in every batch, and none in the last, which is one example.
ODD = (
    "train",
    "lenet",
    "--data",
    "sample",
    "--limit",
    "50",
    "--batch-size",
    "7",
    "--steps",
    "50",
    "--seed",
    "3",
    "--quiet",
)
# Long enough to be caught on the way; a checkpoint after every epoch of 32 steps and, where time allows, within.
LONG = (
    "train", "lenet", "--data", "sample", "--limit", "500", "--batch-size", "16", "--epochs", "8", "--quiet",
    "--set", "patience=8", "--set", "checkpoint_seconds=0.05", "--out", "run",
)  # fmt: skip
STEPS = 256


def events(directory, kind):
    """Whole lines only: another process may be writing."""
    path = directory / "events.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


def result(directory):
    test = Run.read(directory).test
    return (directory / "metrics.csv").read_bytes(), (directory / "model.safetensors").read_bytes(), test.model_dump()


def underway(process, directory, steps):
    """Let it get that many steps further than it was when it started."""

    def further():
        assert process.process.poll() is None, process.wait()
        here = [event["step"] for event in events(directory, "step")][before:]
        return len(here) > 1 and here[-1] - here[0] >= steps

    before = len(events(directory, "step"))
    assert until(further, 90)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_train_like_one(cli, launch, tmp_path, strategy):
    """Every loss of 50 steps to 1e-5, whole and odd batches and the epoch's end included."""
    assert cli(*ODD, "--out", tmp_path / "one").code == 0
    assert launch(*ODD, "--devices", "2", "--strategy", strategy, "--out", "two").wait().code == 0
    one, two = (events(tmp_path / name, "step") for name in ("one", "two"))
    assert [event["step"] for event in one] == [event["step"] for event in two] == list(range(1, 51))
    assert [event["examples"] for event in two] == [event["examples"] for event in one]
    losses = [torch.tensor([event["loss"] for event in run], dtype=torch.float64) for run in (one, two)]
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=1e-5)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-5)
    first, second = (Run.read(tmp_path / name) for name in ("one", "two"))
    assert second.machine.processes == 2
    assert second.test.confusion == first.test.confusion
    assert second.test.loss == pytest.approx(first.test.loss, abs=1e-5)


PROCESSES = {
    "one process": ("--devices", "1"),
    "two processes": ("--devices", "2"),
    "two processes with slices": ("--devices", "2", "--strategy", "fsdp", "--set", "ema=0.9", "--set", "clip_norm=1"),
}


@pytest.fixture(scope="module", params=PROCESSES.values(), ids=PROCESSES)
def whole(request, tmp_path_factory):
    """The uninterrupted run, as a process of its own too."""
    from conftest import Launched

    folder = tmp_path_factory.mktemp("whole")
    process = Launched([*LONG, *request.param], folder, None)
    outcome = process.wait()
    assert outcome.code == 0, outcome
    return request.param, folder / "run", outcome


def test_a_run_that_goes_well_says_nothing_on_standard_error(whole):
    assert whole[2].err == ""


def test_the_test_result_is_that_of_the_weights_kept(cli, whole):
    """With early stopping every process must take up the best weights before it tests its share."""
    said = Run.read(whole[1]).test
    found = json.loads(cli("evaluate", whole[1], "--json").out)
    assert found["loss"] == pytest.approx(said.loss, rel=1e-5)
    assert found["accuracy"] == said.accuracy


def test_stopped_and_killed_again_and_again(launch, tmp_path, whole):
    """Ctrl-C, SIGTERM to the first process, kill -9 of all, and kill -9 of the first alone; then to the end, with the same bytes."""
    devices, expected, _ = whole
    command = (*LONG, *devices, "--resume")

    for number, whole_tree in ((signal.SIGINT, True), (signal.SIGTERM, False)):
        process = launch(*command)
        underway(process, tmp_path / "run", 10)
        process.signal(number, whole_tree=whole_tree)
        complaint = process.wait(60).complaint(1)
        assert f"stopped by {number.name} after step" in complaint and "--resume" in complaint
        assert process.tree_is_gone(20)
        assert Run.read(tmp_path / "run").status == "interrupted"
        reached = int(complaint.split("after step ")[1].split()[0])
        assert events(tmp_path / "run", "checkpoint")[-1]["step"] == reached

    for whole_tree in (True, False):
        process = launch(*command)
        underway(process, tmp_path / "run", 20)
        process.signal(signal.SIGKILL, whole_tree=whole_tree)
        assert process.tree_is_gone(30), "processes are left behind"
        process.kill()

    outcome = launch(*command).wait()
    assert outcome.code == 0, outcome
    assert result(tmp_path / "run") == result(expected)
    assert Run.read(tmp_path / "run").resumed >= 2  # a session killed before its first checkpoint leaves no trace


def test_a_full_disk_stops_all_processes_with_one_sentence(launch, tmp_path):
    process = launch(*LONG, "--devices", "2", file_bytes=400_000)
    assert process.wait(60).complaint(1).startswith("could not write")
    assert process.tree_is_gone(20)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_divergence_stops_all_processes_with_one_sentence(launch, strategy):
    process = launch(*LONG, "--devices", "2", "--strategy", strategy, "--learning-rate", "1e30")
    complaint = process.wait(60).complaint(1)
    assert "layer '" in complaint and "FSDP" not in complaint
    assert process.tree_is_gone(20)


def test_wrong_usage_with_several_processes_is_one_sentence(launch):
    process = launch(
        *LONG, "--devices", "2", "--optimizer", "muon", "--set", "model.name=mlp", "--set", "model.arguments={}"
    )
    assert "muon" in process.wait(60).complaint(2)
    assert process.tree_is_gone(20)


OWN = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

def net():
    return nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))

def data(seed=0):
    inputs = torch.randn(600, 16, generator=torch.Generator().manual_seed(seed))
    targets = (inputs.sum(1) > 0).long()
    return [TensorDataset(inputs[part], targets[part]) for part in (slice(400), slice(400, 500), slice(500, 600))]
"""


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_running_averages_and_a_part_smaller_than_the_processes(cli, launch, tmp_path, strategy):
    """One batch of validation for two processes: the one without must not be waited for; averages are those of the weights kept."""
    (tmp_path / "own.py").write_text(OWN.replace("return [", "return tuple([").replace("600))]", "600))])"))
    command = (
        "train",
        "own.py:net",
        "--data",
        "own.py:data",
        "--epochs",
        "3",
        "--devices",
        "2",
        "--strategy",
        strategy,
        "--quiet",
        "--out",
        "run",
    )
    outcome = launch(*command).wait()
    assert outcome.code == 0 and outcome.err == "", outcome
    said = Run.read(tmp_path / "run").test
    found = json.loads(cli("evaluate", tmp_path / "run", "--json").out)
    assert found["loss"] == pytest.approx(said.loss, rel=1e-4)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_data_with_nan_in_one_process_stop_both(launch, tmp_path, strategy):
    """The first batch of the second process alone holds it."""
    data = OWN.replace(
        "    targets =", "    targets = (inputs.sum(1) > 0).long()\n    inputs[1::2] = float('nan')\n    _ ="
    )
    (tmp_path / "own.py").write_text(data.replace("return [", "return tuple([").replace("600))]", "600))])"))
    process = launch("train", "own.py:net", "--data", "own.py:data", "--epochs", "2", "--devices", "2", "--strategy", strategy, "--quiet")  # fmt: skip
    assert "not finite" in process.wait(60).complaint(1)
    assert process.tree_is_gone(20)
