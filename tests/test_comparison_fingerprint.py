"""The fingerprint that tells a resumed comparison whether the network or the data have changed since it was begun."""

import pytest
import torch

from actlab import Parts
from actlab.recipes._fingerprint import fingerprint
from actlab.train import TensorPart

BODY = "from torch import nn\ndef net():\n    return nn.Linear(2, {})\n"
X, Y = torch.arange(20.0).reshape(10, 2), torch.arange(10) % 2


def of(folder, text, x=X, y=Y, test=None):
    folder.mkdir(exist_ok=True)
    (folder / "my.py").write_text(text)
    return fingerprint([f"{folder / 'my.py'}:net"], Parts(TensorPart(x, y), TensorPart(x, y), test))


def test_comments_and_layout_do_not_count_the_code_does(tmp_path):
    begun = of(tmp_path, BODY.format(3))
    assert begun == of(tmp_path, "# a note\n" + BODY.format(3).replace("2, 3", "2,   3")) and len(begun) == 16
    assert begun != of(tmp_path, BODY.format(4))


def test_of_two_files_of_one_name_each_has_its_own(tmp_path):
    of(tmp_path / "one", BODY.format(3))
    assert of(tmp_path / "two", BODY.format(4)) != of(tmp_path / "one", BODY.format(3)) == of(tmp_path / "three", BODY.format(3))  # fmt: skip


@pytest.mark.parametrize("change", [{"x": X + 1}, {"y": 1 - Y}, {"x": X[:9], "y": Y[:9]}, {"test": TensorPart(X, Y)}])
def test_data_count(tmp_path, change):
    assert of(tmp_path, BODY.format(3)) != of(tmp_path, BODY.format(3), **change)


def test_what_no_file_holds_is_known_by_its_bytecode(tmp_path, monkeypatch):
    from actlab import _own

    found = []
    for text in ("lambda: 1 + 2 + y", "lambda: 1 + 2 + y", "lambda: 1 * 2 - y"):
        monkeypatch.setitem(_own.given, "typed:net", eval(compile(text, "<stdin>", "eval")))
        found.append(fingerprint(["typed:net"], Parts(TensorPart(X, Y), None, None)))
    assert found[0] == found[1] != found[2]
