"""`actlab list`, `show`, `define` and `choose` as a person would call them."""

import subprocess
import sys

import pytest

from actlab import activations
from actlab.cli import _listing


def test_list_names_everything(cli):
    outcome = cli("list")
    assert outcome.code == 0 and outcome.err == ""
    listed = [line.split()[0] for line in outcome.out.splitlines()[1:-1]]
    assert listed == activations.names()


def test_list_filters(cli):
    def listed(*arguments):
        return {line.split()[0] for line in cli("list", *arguments).out.splitlines()[1:-1]}

    bounded = listed("--bounded", "--monotone")
    assert {"sigmoid", "tanh", "hard_tanh"} <= bounded and not bounded & {"relu", "sinusoid", "softmax"}
    assert listed("--learnable") == {"prelu", "swish", "snake", "star_relu", "xielu"}
    assert "swiglu" in listed("--vector") and "gelu" not in listed("--vector")
    assert listed("--no-smooth", "--bounded") >= {"binary_step", "hard_tanh", "clipped_relu"}
    assert listed("shazeer") == set() and listed("silu") >= {"swish"}


@pytest.mark.parametrize("name", activations.names(aliases=True))
def test_show_explains_every_entry(cli, name):
    outcome = cli("show", name)
    entry = activations.get(name)
    assert outcome.code == 0 and outcome.err == ""
    flat = " ".join(outcome.out.split())
    assert entry.summary in flat and entry.source.split(",")[0] in flat and "good for" in flat and "pitfalls" in flat


@pytest.mark.parametrize("name", ["gelu", "hard_shrink", "softmax"])
def test_show_in_chinese(cli, name):
    outcome = cli("show", name, "--lang", "zh")
    assert (
        outcome.code == 0
        and activations.get(name).zh in outcome.out
        and "适用" in outcome.out
        and "出处" in outcome.out
    )


def test_show_with_parameters(cli):
    assert "0.2236" in cli("show", "elu", "--set", "a=0.2236").out
    assert "a must lie in (0, inf); got -1.0" in cli("show", "elu", "--set", "a=-1").complaint(2)
    assert "no parameter 'alpha'" in cli("show", "elu", "--set", "alpha=1").complaint(2)
    assert "NAME=NUMBER" in cli("show", "elu", "--set", "a=much").complaint(2)
    assert "did you mean 'silu'" in cli("show", "siul").complaint(2)


@pytest.mark.parametrize("ending", ["png", "svg"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_pictures(cli, tmp_path, ending, lang):
    file = tmp_path / f"picture.{ending}"
    outcome = cli("show", "hard_swish", "--plot", file, "--lang", lang)
    assert outcome.code == 0
    start = file.read_bytes()[:100]
    assert start.startswith(b"\x89PNG") if ending == "png" else b"<?xml" in start
    again = tmp_path / f"again.{ending}"
    cli("show", "hard_swish", "--plot", again, "--lang", lang)
    assert again.read_bytes() == file.read_bytes()


def test_pictures_that_cannot_be(cli, tmp_path):
    assert ".png or .svg" in cli("show", "gelu", "--plot", tmp_path / "x.jpg").complaint(2)
    assert "whole vectors" in cli("show", "softmax", "--plot", tmp_path / "x.png").complaint(2)
    assert cli("show", "gelu", "--plot", tmp_path / "nowhere" / "x.png").complaint(1).startswith("could not write")


def test_define_shows_a_formula_of_ones_own(cli, tmp_path):
    file = tmp_path / "own.svg"
    outcome = cli("define", "x * tanh(c * x)", "--set", "c=1.5", "--show", "--plot", file)
    assert outcome.code == 0 and "E[f(Z)" in outcome.out and "torch.tanh" in outcome.out and file.exists()
    assert "did you mean 'sigmoid'" in cli("define", "x * sigmiod(x)").complaint(2)


@pytest.mark.parametrize(
    "arguments, name",
    [
        (("--task", "classification", "--layer", "output", "--classes", "2"), "sigmoid"),
        (("--task", "classification", "--layer", "output", "--classes", "10"), "softmax"),
        (("--task", "multilabel", "--layer", "output"), "sigmoid"),
        (("--task", "regression", "--layer", "output"), "identity"),
        (("--task", "positive", "--layer", "output"), "softplus"),
        (("--layer", "hidden", "--network", "rnn"), "tanh"),
        (("--layer", "gate"), "sigmoid"),
        ((), "relu"),
    ],
)
def test_choose(cli, arguments, name):
    outcome = cli("choose", *arguments)
    assert outcome.code == 0 and outcome.out.startswith(f"{name}: ")


def test_advice_names_only_what_there_is_and_speaks_both_languages():
    from actlab.choosing import _GATE, _HIDDEN, _OUTPUT

    for advice in (*_OUTPUT.values(), *_HIDDEN.values(), _GATE):
        assert all(activations.get(name) for name in (advice.name, *advice.instead))
        assert advice.why.en and advice.why.zh and bool(advice.with_it.en) == bool(advice.with_it.zh)


def test_choose_refuses_what_it_does_not_know(cli):
    assert "did you mean 'output'" in cli("choose", "--layer", "ouput").complaint(2)
    assert "did you mean 'regression'" in cli("choose", "--task", "regresion").complaint(2)
    assert "two classes" in cli("choose", "--layer", "output", "--classes", "1").complaint(2)


def test_list_needs_nothing_heavy():
    """matplotlib, sympy and lightning would double the time that the command takes when it measures."""
    code = "import sys; from actlab.cli import _listing; _listing.measured(); print(sorted({'matplotlib', 'sympy', 'mpmath', 'lightning_fabric'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_equivalents_are_those_of_the_name_and_the_parameters(cli):
    assert "torch.nn.SiLU()" in cli("show", "silu").out
    quick, hard = cli("show", "quick_gelu").out, cli("show", "hardsigmoid").out
    assert "SiLU()" not in quick and "timm" in quick
    assert "torch.nn.Hardsigmoid()" in hard and "torch.nn.Hardsigmoid()" not in cli("show", "hard_sigmoid").out
    assert "torch.nn.LeakyReLU()" not in cli("show", "leaky_relu", "--set", "a=0.2").out
    assert "0.2" in cli("show", "leaky_relu", "--set", "a=0.2").out


def test_the_list_needs_no_torch_and_is_what_measuring_finds(monkeypatch, tmp_path, cli):
    code = "import sys; from actlab.__main__ import run; run(['list', '--bounded']); assert 'torch' not in sys.modules"
    out = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True).stdout
    assert "sigmoid" in out
    assert _listing.LISTING.read_text(encoding="utf-8") == _listing.listing(), "`make docs` writes it anew"
    expected = cli("list").out
    for damage in (
        "",
        "{",
        "{}",
        '{"key": 1, "en": 2}',
        _listing.LISTING.read_text(encoding="utf-8").replace('"key": "', '"key": "0'),
    ):
        (tmp_path / "listing.json").write_text(damage, encoding="utf-8")
        monkeypatch.setattr(_listing, "LISTING", tmp_path / "listing.json")
        assert cli("list").out == expected
