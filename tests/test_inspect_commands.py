"""`actlab inspect filters`, `features`, `receptive-field` and `attention`, used well and badly."""

import json

import numpy as np
import pytest
from PIL import Image

OWN = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 2, 3))

class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x):
        raise ArithmeticError("on purpose")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_inspect.py").write_text(OWN)
    pixels = np.random.default_rng(0).integers(0, 255, (16, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    (tmp_path / "none.png").write_text("no image")
    return "own_inspect.py:net"


def test_commands_on_a_network_of_ones_own(cli, own, tmp_path):
    for command, words in (
        (("filters", own), "4 filters of 3 x 3 x 3"),
        (("features", own, "one.png", "--layer", "1"), "1 (ReLU): 4 x 16 x 20"),
        (("receptive-field", own, "one.png", "--channel", "1", "--at", "3,3"), "8 x 8 pixels, rows 5 to 12"),
    ):
        outcome = cli("inspect", *command, "--lang", "en", "--plot", "out.png")
        assert outcome.code == 0 and words in outcome.out and outcome.out.endswith("out.png\n"), outcome
        with Image.open(tmp_path / "out.png") as picture:
            assert picture.size[0] > 800
        found = json.loads(cli("inspect", *command, "--json").out)
        assert found["layer"]
    for command in (("features", own, "one.png"), ("receptive-field", own, "one.png")):
        chinese = cli("inspect", *command, "--lang", "zh", "--plot", "zh.svg")
        assert chinese.code == 0 and any(letter >= "\u4e00" for letter in chinese.out) and "<svg" in (tmp_path / "zh.svg").read_text()  # fmt: skip
    small = cli("inspect", "features", own, "one.png", "--input", "3,8,8", "--json")
    assert json.loads(small.out)["shape"] == [2, 2, 2]


def test_commands_on_a_run(cli, trained):
    assert "6 filters of 1 x 5 x 5" in cli("inspect", "filters", trained).out
    found = json.loads(cli("inspect", "receptive-field", trained, "test:3", "--at", "5,5", "--json").out)
    assert (found["height"], found["width"], found["at"]) == (14, 14, [5, 5])
    bars = json.loads(cli("inspect", "features", trained, "test:3", "--layer", "classifier.5", "--json").out)
    assert len(bars["channels"]) == 10


def test_attention_of_runs(cli, tmp_path):
    run = tmp_path / "patches"
    short = ("--data", "sample", "--limit", "20", "--batch-size", "8", "--steps", "1", "--quiet", "--out", run)
    assert cli("train", "image-attention", *short).code == 0
    outcome = cli("inspect", "attention", run, "test:0", "--at", "1,2", "--plot", tmp_path / "a.png")
    assert outcome.code == 0 and "'1,2' looks at" in outcome.out and (tmp_path / "a.png").exists(), outcome
    found = json.loads(cli("inspect", "attention", run, "test:0", "--json").out)
    assert found["shape"][1:] == [49, 49] and found["rows"][8] == "1,1"
    graph = tmp_path / "graph"
    assert cli("train", "graph", "--steps", "1", "--quiet", "--out", graph).code == 0
    outcome = cli("inspect", "attention", graph, "3", "--plot", tmp_path / "b.svg")
    assert outcome.code == 0 and "'3' looks at" in outcome.out, outcome
    assert "expected a run on images" in cli("inspect", "filters", graph).complaint(2)
    assert "only patches" in cli("inspect", "attention", graph, "3", "--at", "0,0").complaint(2)
    assert "expected a patch from 0,0 to 6,6" in cli("inspect", "attention", run, "test:0", "--at", "7,0").complaint(2)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("features", "OWN", "gone.png"), 1, "there is no 'gone.png'"),
        (("features", "OWN", "none.png"), 1, "not an image"),
        (("features", "OWN", "test:3"), 2, "expected an image file"),
        (("features", "OWN", "one.png", "--layer", "conv"), 2, "no layer 'conv'; there are: 0, 1, 2, 3"),
        (("features", "OWN", "one.png", "--input", "3,8"), 2, "expected 3 whole numbers for --input"),
        (("receptive-field", "OWN", "one.png", "--at", "a,b"), 2, "expected 2 whole numbers for --at"),
        (("receptive-field", "OWN", "one.png", "--at", "50,0"), 2, "expected a row from 0 to 5"),
        (("filters", "nowhere"), 1, "nowhere"),
        (("filters", "own_inspect.py:other"), 2, "no name in own_inspect.py 'other'"),
        (("filters", "OWN", "--plot", "out.gif"), 2, "ending in .png or .svg"),
        (("filters", "OWN", "--plot", "no/folder/out.png"), 1, "could not write"),
        (("attention", "nowhere", "1"), 1, "nowhere"),
    ],
)
def test_complaints(cli, own, arguments, code, words):
    outcome = cli("inspect", *(own if one == "OWN" else one for one in arguments))
    assert words in outcome.complaint(code)


def test_complaints_about_a_run(cli, trained):
    assert "test:0 to test:" in cli("inspect", "features", trained, "test:99999").complaint(2)
    assert "leave out --input" in cli("inspect", "features", trained, "test:0", "--input", "1,28,28").complaint(2)
    assert "LeNet has none" in cli("inspect", "attention", trained, "test:0").complaint(2)
    assert "no part 'tests'" in cli("inspect", "features", trained, "tests:0").complaint(2)


def test_a_failing_network_keeps_its_traceback(cli, own):
    outcome = cli("inspect", "features", "own_inspect.py:Failing", "one.png")
    assert outcome.code == 1 and "Failing fails on an input of shape (1, 3, 16, 20): ArithmeticError" in outcome.err
    assert 'raise ArithmeticError("on purpose")' in outcome.err
