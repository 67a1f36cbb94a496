"""The fine curve of a run: the step lines of `events.jsonl` as arrays."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

QUANTITIES = ("loss", "accuracy", "learning_rate", "gradient_norm")


@dataclass(frozen=True)
class Steps:
    """What was written every few seconds of training, in order of steps; NaN where a number is missing."""

    examples: np.ndarray  # seen up to and including this step
    steps: np.ndarray  # done up to and including this one
    values: dict[str, np.ndarray] = field(default_factory=dict)

    def finite(self, quantity: str) -> bool:
        """Whether there is a curve to draw: two finite values or more."""
        return int(np.isfinite(self.values.get(quantity, np.empty(0))).sum()) >= 2


def read_steps(run_directory: Path) -> Steps:
    """The step events of a run, without the lines that a crash cut off; empty where there is no such file.

    A resumed run repeats steps: the last occurrence of a step counts.
    """
    rows: dict[int, dict[str, Any]] = {}
    try:
        for event in _step_events(run_directory / "events.jsonl"):
            rows[int(event["step"])] = event
    except OSError:
        rows = {}  # unreadable: the curves then show the epochs alone
    ordered = [rows[step] for step in sorted(rows)]
    return Steps(
        examples=np.array([event["examples"] for event in ordered], dtype=float),
        steps=np.array(sorted(rows), dtype=int),
        values={name: np.array([_number(event.get(name)) for event in ordered], dtype=float) for name in QUANTITIES},
    )


def _step_events(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if not isinstance(event, dict) or event.get("event") != "step":
                continue
            if math.isfinite(_number(event.get("step"))) and _number(event.get("examples")) >= 0:
                yield event


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value) if math.isfinite(value) else math.nan
        except OverflowError:  # an integer of 400 digits
            return math.nan
    return math.nan
