"""Wrong usage is exit code 2, one sentence and the nearest name that there is; in both languages, and never a traceback."""

import re

import pytest

TRAIN = ("train", "lenet", "--data", "sample", "--limit", "20", "--steps", "1")

OWN = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

CONSTANT = 3

def network(classes=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes))

def three():
    return 3

def needs(width):
    return nn.Linear(width, 1)

def table():
    inputs = torch.arange(80.0).reshape(20, 4) / 80
    return TensorDataset(inputs, torch.arange(20) % 2), TensorDataset(inputs, torch.arange(20) % 2)

def small():
    return nn.Linear(4, 2)

def empty():
    return TensorDataset(torch.zeros(0, 4), torch.zeros(0).long()), TensorDataset(torch.zeros(0, 4), torch.zeros(0).long())

def nonsense():
    return {"train": 1}

def alone():
    return TensorDataset(torch.zeros(3, 4), torch.zeros(3).long())

def numbers():
    return 1, 2

def raises():
    return {}["mine"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Some files of one's own, in the folder where the command is called."""
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "fails.py").write_text("1 / 0\n")
    (tmp_path / "broken.py").write_text("def network(:\n")
    (tmp_path / "wants.py").write_text("import a_module_that_nobody_has\n")
    (tmp_path / "broken.toml").write_text("recipe = [\n")
    (tmp_path / "short.toml").write_text('recipe = "lenet"\n')
    (tmp_path / "whole.toml").write_text(
        'recipe = "lenet"\n[data]\nsource = "sample"\nlimit = 20\n[model]\nname = "lenet"\n'
    )
    (tmp_path / "foreign.toml").write_text('recipe = "lenet"\ncolour = 1\n[model]\nname = "lenet"\n')
    (tmp_path / "image.png").write_text("not an image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What is typed, and what the sentence must name.
WRONG = {
    "recipe": (("train", "lenett"), "'lenet'"),
    "recipe with nothing near": (("train", "zzzzzz"), "alexnet, character-lm, forecasting, graph, image-attention, lenet, mlp"),
    "preset": (("train", "alexnet", "--recipe", "clasic"), "'classic'"),
    "preset of another recipe": (("train", "lenet", "--recipe", "fast"), "modern, original"),
    "preset with a config": (("train", "--config", "whole.toml", "--recipe", "fast", "--steps", "1"), "--recipe"),
    "activation": ((*TRAIN, "--activation", "rleu"), "'relu'"),
    "setting": ((*TRAIN, "--set", "momentm=0.9"), "'momentum'"),
    "setting of data": ((*TRAIN, "--set", "data.flipp=0.9"), "'flip'"),
    "setting of a model": (("train", "mlp", "--data", "sample", "--set", "model.droput=0.1"), "'dropout'"),
    "setting without a value": ((*TRAIN, "--set", "momentum"), "name=value"),
    "setting of nothing": ((*TRAIN, "--set", "optimiser.momentum=1"), "optimiser.momentum"),
    "setting of the wrong kind": ((*TRAIN, "--set", "momentum=much"), "momentum"),
    "value of a model's setting": (("train", "mlp", "--data", "sample", "--set", "model.dropout=2"), "dropout"),
    "negative width": (("train", "mlp", "--data", "sample", "--set", "model.hidden=[-1]"), "mlp"),
    "pooling": ((*TRAIN, "--set", "model.pooling=avarage"), "'average'"),
    "initialisation": ((*TRAIN, "--set", "model.initialise=xaver"), "'xavier'"),
    "model": ((*TRAIN, "--set", "model.name=lenett"), "'lenet'"),
    "data": (("train", "lenet", "--data", "smaple"), "'sample'"),
    "data folder": (("train", "lenet", "--data", "./nowhere"), "nowhere"),
    "precision": ((*TRAIN, "--precision", "fp61"), "'fp16'"),
    "schedule": ((*TRAIN, "--schedule", "cosin"), "'cosine'"),
    "optimizer": ((*TRAIN, "--optimizer", "sdg"), "'sgd'"),
    "device": ((*TRAIN, "--device", "cdua"), "'cuda'"),
    "strategy": ((*TRAIN, "--strategy", "dpp"), "'ddp'"),
    "activation of vectors": ((*TRAIN, "--activation", "softmax"), "relu"),
    "muon with weights cut": ((*TRAIN, "--strategy", "fsdp", "--optimizer", "muon"), "ddp"),
    "muon without convolutions": (("train", "mlp", "--data", "sample", "--optimizer", "muon"), "sgd"),
    "epochs": ((*TRAIN, "--epochs", "-1"), "epochs"),
    "batch size": ((*TRAIN, "--batch-size", "0"), "batch_size"),
    "rate of zero": ((*TRAIN, "--learning-rate", "0"), "learning_rate"),
    "rate below zero": ((*TRAIN, "--learning-rate", "-0.1"), "learning_rate"),
    "rate that is no number": ((*TRAIN, "--learning-rate", "nan"), "learning_rate"),
    "infinite rate": ((*TRAIN, "--learning-rate", "inf"), "learning_rate"),
    "limit": ((*TRAIN, "--limit", "0"), "limit"),
    "validation": ((*TRAIN, "--validation", "-5"), "validation"),
    "devices": ((*TRAIN, "--devices", "0"), "devices"),
    "seed below zero": ((*TRAIN, "--seed", "-1"), "seed"),
    "seed too large": ((*TRAIN, "--seed", "99999999999999999999999"), "seed"),
    "nesterov without momentum": ((*TRAIN, "--set", "nesterov=true", "--set", "momentum=0"), "momentum"),
    "patience without validation": ((*TRAIN, "--validation", "0", "--set", "patience=2"), "patience"),
    "neither recipe nor config": (("train",), "--config"),
    "both recipe and config": (("train", "lenet", "--config", "short.toml"), "--config"),
    "config that is missing": (("train", "--config", "nowhere.toml"), "nowhere.toml"),
    "config that is broken": (("train", "--config", "broken.toml"), "broken.toml"),
    "config without a model": (("train", "--config", "short.toml"), "model"),
    "config with a foreign setting": (("train", "--config", "foreign.toml"), "colour"),
    "own file that is missing": (("train", "nowhere.py:net", "--data", "sample"), "nowhere.py"),
    "own name that is missing": (("train", "own.py:netwrk", "--data", "sample"), "'network'"),
    "own name that is empty": (("train", "own.py:", "--data", "sample"), "own.py:"),
    "own file that wants a module": (("train", "wants.py:net", "--data", "sample"), "a_module_that_nobody_has"),
    "own module that is missing": (("train", "nobody.has:net", "--data", "sample"), "nobody"),
    "own model that is none": (("train", "own.py:three", "--data", "sample"), "nn.Module"),
    "own model that is a number": (("train", "own.py:CONSTANT", "--data", "sample"), "CONSTANT"),
    "own model that needs more": (("train", "own.py:needs", "--data", "sample"), "width"),
    "own model with a preset": (("train", "own.py:network", "--recipe", "fast", "--data", "sample"), "fast"),
    "own model of other images": (("train", "own.py:small", "--data", "sample", "--limit", "20", "--steps", "1"), "own.py:small"),
    "own data that are nonsense": (("train", "own.py:small", "--data", "own.py:nonsense"), "own.py:nonsense"),
    "own data without a test part": (("train", "own.py:small", "--data", "own.py:alone"), "own.py:alone"),
    "own data that are numbers": (("train", "own.py:small", "--data", "own.py:numbers"), "Dataset"),
    "own data that are empty": (("train", "own.py:small", "--data", "own.py:empty"), "own.py:empty"),
    "own data for a catalogued model": (("train", "lenet", "--data", "own.py:table"), "lenet"),
    "shape": (("models", "lenet", "--shape", "1xyx3"), "1xyx3"),
    "own model without a shape": (("models", "own.py:network"), "--shape"),
    "model to show": (("models", "alexnt"), "'alexnet'"),
    "data to fetch": (("data", "smaple"), "'sample'"),
    "language": (("--lang", "fr", "runs"), "zh"),
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage(cli, case, language):
    arguments, named = WRONG[case]
    complaint = cli("--lang", language, *arguments).complaint(2)
    assert named in complaint.replace("“", "'").replace("”", "'").replace("、", ", ")
    assert bool(re.search("[\u4e00-\u9fff]", complaint)) == (language == "zh") or case == "language"


CLICK = {
    "subcommand": (("trian",), "train"),
    "option": (("train", "lenet", "--epoch", "1"), "--epochs"),
    "option of another command": (("runs", "--epochs", "1"), "--epochs"),
    "missing argument": (("evaluate",), "run"),
    "text for a number": ((*TRAIN, "--epochs", "many"), "--epochs"),
    "option without its value": (("train", "lenet", "--epochs"), "--epochs"),
    "too many arguments": (("train", "lenet", "mlp"), "mlp"),
    "top below one": (("predict", "run", "image.png", "--top", "0"), "--top"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("case", CLICK)
def test_wrong_command_line(cli, case, language):
    arguments, named = CLICK[case]
    outcome = cli("--lang", language, *arguments)
    assert outcome.code == 2, outcome
    assert named.lower() in outcome.err.lower()
    assert "Traceback" not in outcome.err


FAILED = {
    "evaluate without a run": ("evaluate", "nowhere"),
    "predict without a run": ("predict", "nowhere", "image.png"),
    "report without a run": ("report", "nowhere"),
    "runs without a folder": ("runs", "nowhere"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("case", FAILED)
def test_what_is_not_there(cli, case, language):
    complaint = cli("--lang", language, *FAILED[case]).complaint(1)
    assert "nowhere" in complaint
    assert bool(re.search("[\u4e00-\u9fff]", complaint)) == (language == "zh")


def test_an_existing_run_is_not_overwritten(cli, trained):
    before = (trained / "model.safetensors").read_bytes()
    assert "--resume" in cli(*TRAIN, "--out", trained).complaint(2)
    assert (trained / "model.safetensors").read_bytes() == before


def test_resuming_with_other_settings_names_the_setting(cli, trained):
    complaint = cli(*TRAIN, "--learning-rate", "0.7", "--out", trained, "--resume").complaint(2)
    assert re.search(r"started with .* = .*, not", complaint)


def test_evaluating_wrongly(cli, trained):
    assert "'test'" in cli("evaluate", trained, "--part", "tset").complaint(2)
    assert "'sample'" in cli("evaluate", trained, "--data", "smaple").complaint(2)
    assert "limit" in cli("evaluate", trained, "--limit", "0").complaint(2)


@pytest.mark.parametrize("image", ["image.png", "nowhere.png", "."], ids=["no image", "missing", "a folder"])
def test_predicting_wrongly(cli, trained, image):
    outcome = cli("predict", trained, image)
    assert outcome.code in (1, 2) and image in outcome.complaint(outcome.code)


def test_a_picture_must_be_a_png(cli, trained, tmp_path):
    assert ".png" in cli("report", trained, "--picture", tmp_path / "picture.txt").complaint(2)


def test_a_run_on_ones_own_data_and_other_data(cli):
    assert cli("train", "own.py:small", "--data", "own.py:table", "--steps", "2", "--out", "table", "-q").code == 0
    assert cli("evaluate", "table").code == 0
    assert "table" in cli("predict", "table", "image.png").complaint(2)
    cli("evaluate", "table", "--data", "sample").complaint(2)


def test_damaged_weights_are_one_sentence(cli, tmp_path):
    assert cli("train", "own.py:small", "--data", "own.py:table", "--steps", "2", "--out", "table", "-q").code == 0
    (tmp_path / "table" / "model.safetensors").write_bytes(b"damaged")
    assert "model.safetensors" in cli("evaluate", "table").complaint(1)
    (tmp_path / "table" / "model.safetensors").unlink()
    assert "does not exist" in cli("evaluate", "table").complaint(1)


@pytest.mark.filterwarnings("default")
def test_half_precision_on_a_cpu_works_or_is_refused(cli, recwarn):
    """Fabric would quietly take bfloat16 and warn over two lines of its own source."""
    outcome = cli(*TRAIN, "--precision", "fp16", "--device", "cpu", "-q")
    assert not [str(one.message) for one in recwarn if "fp16" in str(one.message)]
    assert outcome.code == 0 or "bf16" in outcome.complaint(2)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("name", "error"),
    [("fails.py:net", "ZeroDivisionError"), ("broken.py:net", "SyntaxError"), ("own.py:raises", "KeyError: 'mine'")],
)
def test_own_code_that_fails_keeps_its_traceback_below_the_sentence(name, error, language, capsys):
    from actlab.__main__ import run

    assert run(["--lang", language, "train", name, "--data", "sample"]) == 1
    sentence, *traceback = capsys.readouterr().err.splitlines()
    assert sentence.startswith("actlab: ") and name.split(":")[0] in sentence and error.split(":")[0] in sentence
    assert traceback[0].startswith("Traceback") and traceback[-1].startswith(error)


def test_the_help_of_train_names_every_recipe(cli):
    from actlab import recipes

    said = re.sub(r"[\s│]+", "", cli("train", "--help").out)
    assert [name for name in recipes.names() if name not in said] == []
