"""What the README promises runs: its Python and its example files, word for word."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READMES = ["README.md", "README.zh-CN.md"]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("name", READMES)
def test_python_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue, kernels, compare, own, use = blocks(name, "python")
    (tmp_path / "catalogue.py").write_text(catalogue)
    (tmp_path / "kernels.py").write_text(kernels)
    (tmp_path / "compare.py").write_text(compare)
    (tmp_path / "my.py").write_text(own)
    (tmp_path / "use.py").write_text(use)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my", None)
    assert runpy.run_path("catalogue.py")["y"].shape == (11,)
    assert runpy.run_path("kernels.py")["done"].after.bytes_kept > 0
    assert runpy.run_path("compare.py")["found"].best == ("relu",)
    result = runpy.run_path("use.py")
    assert result["run"].test.accuracy > 0.8
    assert (tmp_path / "runs" / "mine" / "model.safetensors").exists()


def test_both_languages_show_the_same_commands() -> None:
    english, chinese = (["".join(re.sub(r" +#.*", "", b)) for b in blocks(name, "sh")] for name in READMES)
    assert english == chinese


@pytest.mark.parametrize("name", READMES)
def test_every_option_shown_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from actlab.__main__ import run

    for command in re.findall(r"^actlab (\w+)(.*?)(?: +#.*)?$", "\n".join(blocks(name, "sh")), re.MULTILINE):
        group = command[0] in ("inspect", "kernels")  # whose options are those of the command that follows
        words = [command[0], *(command[1].split()[:1] if group else [])]
        assert run([*words, "--help"]) == 0
        text = re.sub(r"\s+", " ", capsys.readouterr().out)
        for option in re.findall(r"--[a-z-]+", command[1]):
            assert option[:12] in text, f"{command[0]} has no {option}"


@pytest.mark.parametrize("name", READMES)
def test_links_and_pictures_exist(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target
