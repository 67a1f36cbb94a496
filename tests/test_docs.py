"""The committed pages are those that the entries give."""

import importlib.util
from pathlib import Path

import pytest

from actlab import _language, activations

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_catalogue", DOCS / "make_catalogue.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    _language.choose(None)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_pages_are_up_to_date(maker, lang):
    """`make docs` writes them anew."""
    folder = DOCS / "catalogue" / ("zh" if lang == "zh" else "")
    expected = {f"{name}.md": maker.page(activations.get(name), lang) for name in activations.names()}
    expected["README.md"] = maker.index(lang)
    found = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.md")}
    assert found.keys() == expected.keys()
    assert [name for name, text in expected.items() if found[name] != text] == []


def test_every_picture_is_there():
    found = {file.stem for file in (DOCS / "catalogue" / "pictures").glob("*.svg")}
    assert found == set(activations.names(vectors=False))
