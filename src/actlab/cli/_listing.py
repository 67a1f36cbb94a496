"""The rows of `actlab list`, kept in the package: importing torch to measure them takes more than a second."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from .._files import digest
from .._language import choose, language, say

LISTING = Path(__file__).parent / "listing.json"
MEASURED = ("monotone", "bounded", "smooth", "zero_centred")


class Row(NamedTuple):
    """A line of the table, and what it can be chosen by."""

    cells: list[str]  # name, range, trend, form, summary
    text: str  # what a search looks through, in lower case
    vector: bool
    learnable: bool
    measured: dict[str, bool | None]  # MEASURED; empty for functions of whole vectors

    def fits(self, search: str | None, asked: dict[str, bool | None]) -> bool:
        """Whether all that was asked for, None being nothing, holds."""
        facts = {**self.measured, "vector": self.vector, "learnable": self.learnable}
        wanted = {name: value for name, value in asked.items() if value is not None}
        return (not search or search.lower() in self.text) and all(
            facts.get(name) == value for name, value in wanted.items()
        )


def rows() -> list[Row]:
    """All of them, in the language in force: from the package's file while that belongs to this code, else measured now."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(LISTING.read_text(encoding="utf-8"))
        if known["key"] == key():
            return [Row(*one) for one in known[language()]]
    return measured()


def listing() -> str:
    """The text of the package's file; `make docs` writes it."""
    before, parts = language(), [f'"key": "{key()}"']
    for one in ("en", "zh"):
        choose(one)
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in measured())
        parts.append(f'"{one}": [\n{lines}\n]')
    choose(before)
    return "{" + ",\n".join(parts) + "}\n"


def key() -> str:
    """What the rows depend on: the entries, what measures them and what words it."""
    package = Path(__file__).parents[1]
    others = (package / "properties.py", package / "_property_words.py", Path(__file__))
    entries = (file for folder in ("activations", "formula") for file in (package / folder).rglob("*.py"))
    return digest((*entries, *others))


def measured() -> list[Row]:
    """All of them, measured now."""
    import torch

    from .. import activations

    torch.set_num_threads(1)  # many small tensors: on a busy machine a second thread triples the time
    return [_row(activations.get(name), activations) for name in activations.names()]


def _row(entry: Any, activations: Any) -> Row:
    from .._property_words import form, range_text, trend

    text = " ".join([entry.name, *entry.also, *entry.presets, entry.formula, entry.summary]).lower()
    if isinstance(entry, activations.VectorActivation):
        return Row([entry.name, "", "", say("vector", "向量"), entry.summary], text, True, False, {})
    found = entry.properties()
    cells = [entry.name, range_text(found), trend(found), form(found), entry.summary]
    learnable = any(one.domain.learnable for one in entry.parameters)
    return Row(cells, text, False, learnable, {one: getattr(found, one) for one in MEASURED})
