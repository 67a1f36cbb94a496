"""What the benchmarks share: median and quartiles, the machine's columns, tables, and rows appended to a CSV file."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch

from actlab.errors import UsageError
from actlab.train.machine import describe

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements."""

    median: float
    low: float  # lower quartile
    high: float  # upper quartile
    runs: int


def spread(values: Sequence[float]) -> Spread:
    """Of one value, the quartiles are that value."""
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return Spread(median(values), low, high, len(values))


def machine_columns(device: torch.device) -> dict[str, Any]:
    """When and on what a row was measured; nothing that names the host or a folder."""
    facts = describe(device, 1)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": facts.processor,
        "cores": facts.cores,
        "threads": facts.threads,
        "device": facts.device,
        "torch": facts.torch,
        "load": round(os.getloadavg()[0], 1),  # of the last minute, before measuring: what else kept the cores busy
    }


def append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to a CSV file; raises UsageError if the file has other columns."""
    columns = list(rows[0])
    new = not path.exists()
    if not new and (found := path.read_text().splitlines()[0].split(",")) != columns:
        raise UsageError(f"expected '{path}' to have the columns {', '.join(columns)}; got {', '.join(found)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows({name: figure(value) for name, value in row.items()} for row in rows)


def figure(value: Any) -> Any:
    """Floats with five digits, everything else as it is."""
    return f"{value:.5g}" if isinstance(value, float) and abs(value) < 1e5 else value


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print with the first column to the left and the others to the right."""
    texts = [[cell if isinstance(cell, str) else f"{cell:,.4g}" for cell in row] for row in rows]
    widths = [max(len(line[place]) for line in [list(columns), *texts]) for place in range(len(columns))]
    print(f"\n{title}")
    for line in [list(columns), *texts]:
        cells = [
            f"{cell:<{width}}" if place == 0 else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  " + "  ".join(cells))
