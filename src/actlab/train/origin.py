"""Where a run comes from: what the record says beside the numbers."""

from collections.abc import Callable
from typing import Any

from pydantic import Field

from ..records import Record


class Origin(Record):
    """Names for the record and for `config.toml`; the defaults serve a model of one's own in a script."""

    recipe: str = "own model"
    preset: str = ""
    plan: dict[str, Any] = Field(default_factory=dict)  # what `config.toml` holds, and a resumed run must equal
    # a plan of an earlier version as this one has it: with what it did not know yet
    completed: Callable[[dict[str, Any]], dict[str, Any]] = dict
    model: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)
    input_shape: tuple[int, ...] = ()
    multiply_adds: int | None = None
    loss_unit: str = "nats per example"
    files: dict[str, str] = Field(default_factory=dict)  # texts for the run directory, such as a vocabulary
