"""A new activation is one entry in one file: everything else finds it by itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import actlab

FAMILY = '''
"""A family of one."""

import torch
from torch import Tensor

from ._catalogue import activation
from ._spec import Learnable
from ._teaching import Teaching, Text


@activation(
    formula="c * log(1 + x^2)",
    source="a test, 2026",
    also=("log_square",),
    zh="测试用的函数。",
    teaching=Teaching(good=Text("Tests.", "测试。"), bad=Text("None known.", "暂无。"), related=("absolute",)),
)
def wiggle(x: Tensor, c: Learnable = 0.5) -> Tensor:
    """A function that only this test has."""
    return c * torch.log1p(x * x)


@wiggle.slope
def _(x: Tensor, c: float | Tensor) -> Tensor:
    return 2 * c * x / (1 + x * x)


@wiggle.partial("c")
def _(x: Tensor, c: float | Tensor) -> Tensor:
    return torch.log1p(x * x)
'''
USE = """
import torch, checks
from actlab.activations import get, log_square, wiggle
assert log_square is wiggle and get("wiggle").module().c.item() == 0.5
assert wiggle.latex(1) and wiggle.definition().javascript() and wiggle.properties().even
for check in (checks.check_value, checks.check_slope, checks.check_gradients, checks.check_learning, checks.check_module, checks.check_breaks):
    check(wiggle)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Commands with a copy of the package that has one file more."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(Path(actlab.__file__).parent, folder / "actlab", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "actlab" / "activations" / "of_a_test.py").write_text(FAMILY, encoding="utf-8")
    paths = os.pathsep.join([str(folder), str(Path(__file__).parent)])

    def called(*arguments):
        environment = {**os.environ, "PYTHONPATH": paths, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=folder, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return called


def test_the_package_knows_it(run):
    run("-c", USE)


def test_the_commands_know_it(run):
    assert "wiggle" in run("-m", "actlab", "list", "--learnable")
    shown = run("-m", "actlab", "show", "log_square", "--plot", "wiggle.svg")
    assert "only this test has" in shown and "wiggle.svg" in shown
    run(
        "-m",
        "actlab",
        "train",
        "mlp",
        "--data",
        "sample",
        "--limit",
        "20",
        "--steps",
        "1",
        "--activation",
        "wiggle",
        "--quiet",
    )
