"""The rows of `actlab list`, remembered between calls: importing torch to measure them again takes most of a second."""

import hashlib
import json
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from .._files import write_whole
from .._language import language, say
from ..errors import ActlabError

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
        if self.vector and any(wanted.get(one) is not None for one in MEASURED):
            return False
        if self.vector and wanted.get("learnable"):
            return False
        return (not search or search.lower() in self.text) and all(
            facts.get(name) == value for name, value in wanted.items() if not (self.vector and name == "learnable")
        )


def rows() -> list[Row]:
    """All of them, in the language in force."""
    if "torch" in sys.modules:  # nothing to save
        return measured()
    import platformdirs

    place, key = Path(platformdirs.user_cache_dir("actlab")) / f"list-{language()}.json", _key()
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(place.read_text(encoding="utf-8"))
        if known["key"] == key:
            return [Row(*one) for one in known["rows"]]
    found = measured()
    with suppress(OSError, ActlabError):  # a full or read-only disk costs the time, nothing else
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, lambda path: path.write_text(json.dumps({"key": key, "rows": found}), encoding="utf-8"))
    return found


def _key() -> str:
    """What the rows depend on: our code and torch's version."""
    found = hashlib.sha256(version("torch").encode())
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()


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
