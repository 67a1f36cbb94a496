"""What the commands do when they are used well."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from actlab import activations, recipes
from actlab.data import images
from actlab.records import Run
from small import data_for

OWN = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

def network(classes=10, channels=1):
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * channels, classes))

def table(seed=0, limit=None):
    inputs = torch.randn(limit or 60, 4, generator=torch.Generator().manual_seed(seed))
    part = TensorDataset(inputs, (inputs[:, 0] > 0).long())
    return part, part, part

def small(activation="relu"):
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pictures(tmp_path):
    """A folder of coloured image files: two classes of ten."""
    numbers = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            pixels = numbers.integers(0, 90, (20, 24, 3), dtype=np.uint8) + np.uint8(160 * label)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


COMPILED = ("mish", "prelu", "swish", "tanh")  # kernels of all take minutes to compile: `make kernel-tests` does


@pytest.mark.parametrize("name", activations.names(vectors=False))
def test_every_activation_trains(cli, tmp_path, name):
    outcome = cli(
        "train", "lenet", "--data", "sample", "--limit", "20", "--batch-size", "8", "--steps", "1", "--activation", name,
        "--out", tmp_path / "run", "-q", "--fused" if name in COMPILED else "--no-fused",
    )  # fmt: skip
    if name == "exponential":  # of an exponential in five layers nothing else can come
        assert "diverged at step 1" in outcome.complaint(1)
        return
    assert outcome.code == 0 and outcome.out == outcome.err == "", outcome
    run = Run.read(tmp_path / "run")
    assert run.model.arguments["activation"] == name and run.steps == 1


LIGHT = [(name, preset) for name, presets in recipes.names().items() for preset in presets if name != "alexnet"]


@pytest.mark.parametrize(("recipe", "preset"), LIGHT)
def test_every_light_recipe_takes_epochs_limit_and_activation(cli, tmp_path, recipe, preset):
    activation = "softsign" if recipe == "character-lm" else "prelu"  # in an LSTM, something bounded
    limit = (
        [] if recipe in ("forecasting", "character-lm", "graph", "translation") else ["--limit", "30"]
    )  # of rows, and of nothing
    outcome = cli(
        "train", recipe, "--recipe", preset, *data_for(recipe, tmp_path), "--epochs", "2", *limit, "--batch-size", "16",
        "--activation", activation, "--seed", "5", "--out", tmp_path / "run",
    )  # fmt: skip
    assert outcome.code == 0 and "epoch 2/2" in outcome.out and "report" in outcome.out, outcome
    run = Run.read(tmp_path / "run")
    assert (run.recipe, run.preset, len(run.epochs)) == (recipe, preset, 2)
    # Of the words five have a second variant.
    assert run.data.sizes["train"] == (35 if recipe == "pronunciation" else 30) or not limit
    assert run.model.arguments["activation"] == activation


@pytest.mark.parametrize("preset", recipes.names()["alexnet"])
def test_every_alexnet_recipe_takes_a_step(cli, tmp_path, preset):
    activation = {"fast": "relu", "classic": "gelu", "accurate": "silu"}[preset]
    try:
        outcome = cli(
            "train", "alexnet", "--recipe", preset, "--data", "sample", "--limit", "8", "--batch-size", "4", "--steps", "1",
            "--activation", activation, "--out", tmp_path / "run", "-q",
        )  # fmt: skip
        assert outcome.code == 0, outcome
        run = Run.read(tmp_path / "run")
        assert (run.model.parameters, run.model.multiply_adds, run.steps) == (46_764_746, 938_146_176, 1)
        assert run.model.arguments.get("pool_first", False) == (preset == "fast")
        assert run.test.count == 8
    finally:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)  # more than half a gigabyte


def test_a_run_directory_is_whole(trained):
    names = sorted(path.name for path in trained.iterdir())
    assert names == [
        "checkpoints",
        "config.toml",
        "events.jsonl",
        "metrics.csv",
        "model.safetensors",
        "report.html",
        "run.json",
    ]
    kinds = [json.loads(line)["event"] for line in (trained / "events.jsonl").read_text().splitlines()]
    assert kinds[0] == "start" and kinds[-1] == "finished" and "epoch" in kinds and "checkpoint" in kinds


def test_config_replays_to_the_same_bytes(cli, trained, tmp_path):
    assert cli("train", "--config", trained / "config.toml", "--out", tmp_path / "again", "-q").code == 0
    assert cli("train", "--config", trained, "--out", tmp_path / "folder", "-q").code == 0
    for name in ("model.safetensors", "metrics.csv", "config.toml"):
        wanted = (trained / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == wanted == (tmp_path / "folder" / name).read_bytes()


def test_another_seed_is_another_run(cli, trained, tmp_path):
    assert cli("train", "--config", trained, "--seed", "1", "--out", tmp_path / "other", "-q").code == 0
    for name in ("model.safetensors", "metrics.csv"):
        assert (tmp_path / "other" / name).read_bytes() != (trained / name).read_bytes()


def test_augmentation_and_dropout_repeat_with_the_seed(cli, tmp_path):
    command = ("train", "mlp", "--data", "sample", "--limit", "60", "--batch-size", "16", "--epochs", "2", "-q",
               "--set", "data.flip=0.5", "--set", "data.crop=2", "--set", "data.erase=0.5", "--set", "data.colour=0.3")  # fmt: skip
    for name in ("one", "two"):
        assert cli(*command, "--out", tmp_path / name).code == 0
    for name in ("model.safetensors", "metrics.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_resume_without_a_directory_finds_the_run(cli, tmp_path):
    command = ("train", "lenet", "--data", "sample", "--limit", "20", "--steps", "1", "-q")
    assert cli(*command).code == 0
    assert cli(*command, "--seed", "2").code == 0
    assert cli(*command, "--resume").code == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_evaluate_says_what_the_record_says(cli, trained):
    record = Run.read(trained).test
    found = json.loads(cli("evaluate", trained, "--json").out)
    assert found["loss"] == pytest.approx(record.loss, rel=1e-6)
    assert (found["accuracy"], found["count"]) == (record.accuracy, record.count)
    assert tuple(map(tuple, found["confusion"])) == record.confusion
    assert f"accuracy {record.accuracy:.4f}" in cli("evaluate", trained).out
    assert "准确率" in cli("--lang", "zh", "evaluate", trained).out
    assert json.loads(cli("evaluate", trained, "--part", "train", "--limit", "10", "--json").out)["count"] == 10


def test_a_moved_run_still_works(cli, trained, tmp_path):
    before = cli("evaluate", trained, "--json").out
    shutil.copytree(trained, tmp_path / "elsewhere" / "moved")
    assert cli("evaluate", "elsewhere/moved", "--json").out == before
    assert cli("report", "elsewhere/moved").code == 0


def test_predict_names_classes(cli, trained, tmp_path):
    data = images.load("sample", limit=4)
    for number, pixels in enumerate(data.test.images):
        Image.fromarray(pixels[0].numpy()).save(tmp_path / f"{number}.png")
    answers = json.loads(cli("predict", trained, *(f"{n}.png" for n in range(4)), "--top", "10", "--json").out)
    assert [answer["image"] for answer in answers] == [f"{n}.png" for n in range(4)]
    from actlab.recipes.load import Trained

    expected = Trained(trained).logits(data.test.images).softmax(1)
    for answer, row in zip(answers, expected, strict=True):
        probabilities = list(answer["classes"].values())
        assert sorted(probabilities, reverse=True) == probabilities
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert answer["classes"] == pytest.approx(dict(zip(data.classes, row.tolist(), strict=True)), abs=1e-5)
    table = cli("predict", trained, "0.png").out
    assert next(iter(answers[0]["classes"])) in table and "image" in table


def test_runs_lists_them(cli, trained):
    rows = json.loads(cli("runs", trained.parent, "--json").out)
    assert rows[0]["status"] == "finished" and rows[0]["test_accuracy"] == Run.read(trained).test.accuracy
    assert "finished" in cli("runs", trained.parent).out
    (trained.parent / "empty").mkdir(exist_ok=True)
    assert "no runs" in cli("runs", trained.parent / "empty").out


def test_report_and_picture(cli, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    outcome = cli("report", "run", "--picture", "picture.png")
    assert outcome.code == 0, outcome
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    with Image.open(tmp_path / "picture.png") as picture:
        assert min(picture.size) > 100


def test_models_are_listed_and_shown(cli):
    from actlab import models

    assert [line.split()[0] for line in cli("models").out.splitlines()] == models.names()
    assert "61,706 parameters" in cli("models", "lenet").out
    assert re.search(r"46,764,746 parameters, 938\.146 M multiply-adds", cli("models", "alexnet").out)
    assert "60,965,224 parameters" in cli("models", "alexnet-two-stream").out
    assert cli("models", "own.py:network", "--shape", "3x20x20").code == 0
    assert "61,706" not in cli("models", "lenet", "--shape", "3x28x28").out
    assert "PReLU" in cli("models", "lenet", "--activation", "prelu").out


def test_data_are_listed_and_checked(cli):
    assert "sample" in cli("data").out and "fashion-mnist" in cli("data").out
    assert "images, 10 classes, checked" in cli("data", "sample").out


def test_own_model_on_a_folder_of_pictures(cli, pictures, tmp_path):
    outcome = cli(
        "train", "own.py:network", "--data", pictures, "--epochs", "30", "--batch-size", "8", "--out", "run", "-q"
    )
    assert outcome.code == 0, outcome
    run = Run.read(tmp_path / "run")
    assert (run.data.classes, run.model.input_shape[0]) == (("dark", "light"), 3)
    assert run.model.name.endswith("own.py:network")
    assert run.test.accuracy == 1.0
    assert json.loads(cli("evaluate", "run", "--json").out)["accuracy"] == 1.0
    (answer,) = json.loads(cli("predict", "run", pictures / "light" / "0.png", "--json").out)
    assert next(iter(answer["classes"])) == "light"


@pytest.mark.parametrize("recipe", ["lenet", "mlp"])
def test_catalogued_model_on_a_folder_of_pictures(cli, pictures, tmp_path, recipe):
    outcome = cli("train", recipe, "--data", pictures, "--steps", "2", "--out", "run", "-q")
    assert outcome.code == 0, outcome
    assert Run.read(tmp_path / "run").data.classes == ("dark", "light")
    assert cli("evaluate", "run").code == 0


def test_own_data(cli, tmp_path):
    command = (
        "train",
        "own.py:small",
        "--data",
        "own.py:table",
        "--limit",
        "40",
        "--epochs",
        "3",
        "--batch-size",
        "10",
    )
    assert cli(*command, "--out", "run", "-q").code == 0
    run = Run.read(tmp_path / "run")
    assert (run.data.sizes["train"], run.examples, run.steps) == (40, 120, 12)
    found = json.loads(cli("evaluate", "run", "--json").out)
    assert found["loss"] == pytest.approx(run.test.loss, rel=1e-6)
    assert cli("train", "--config", "run/config.toml", "--out", "again", "-q").code == 0
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "run" / "model.safetensors"
    ).read_bytes()


def test_quiet_prints_nothing_and_plain_a_line_an_epoch(cli, tmp_path):
    command = ("train", "mlp", "--data", "sample", "--limit", "30", "--epochs", "2")
    lines = cli(*command, "--out", tmp_path / "loud").out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == ["1/2", "2/2"]
    assert cli(*command, "--out", tmp_path / "quiet", "--quiet").out == ""
    chinese = cli("--lang", "zh", *command, "--out", tmp_path / "chinese").out
    assert "第 2/2 轮" in chinese and "epoch" not in chinese


@pytest.mark.parametrize("language", ["en", "zh"])
def test_help_of_every_command(cli, language):
    for command in ((), ("train",), ("evaluate",), ("predict",), ("runs",), ("report",), ("models",), ("data",)):
        outcome = cli("--lang", language, *command, "--help")
        assert outcome.code == 0 and "Usage" in outcome.out + outcome.err, command


def test_options_and_settings_say_the_same(cli, tmp_path):
    common = ("train", "lenet", "--data", "sample", "--limit", "20", "--steps", "1", "-q")
    assert cli(*common, "--learning-rate", "0.03", "--seed", "4", "--out", tmp_path / "a").code == 0
    assert cli(*common, "--set", "learning_rate=0.03", "--set", "seed=4", "--out", tmp_path / "b").code == 0
    assert (tmp_path / "a" / "config.toml").read_text() == (tmp_path / "b" / "config.toml").read_text()
    assert torch.equal(*(torch.tensor(list((tmp_path / n / "model.safetensors").read_bytes())) for n in "ab"))
