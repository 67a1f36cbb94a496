"""Recurrent layers beside bare nn.LSTM code: one training step, forward and backward, interleaved.

python benchmarks/recurrent.py [--rounds 9] [--quick]

`bare` is nn.LSTM itself. Every round gives each layer its turn; ratios are taken within a round, then median and quartiles. `explicit`
are the steps as the papers write them, under autograd. Rows go to recurrent.csv.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _rows import RESULTS, append, machine_columns, spread, table
from torch import nn

from actlab.layers import Recurrent
from actlab.train.memory import keep_freed_memory

SIZES = ((32, 20, 200, 200), (16, 50, 40, 128), (64, 100, 256, 256))  # batch, time, inputs, hidden
SLOTS = 72  # outputs of the Jordan layer, as in slot filling


def steps(size: tuple[int, int, int, int]) -> dict[str, Callable[[], None]]:
    """One training step of every layer on the same input."""
    batch, time_, inputs, hidden = size
    torch.manual_seed(0)
    x = torch.randn(batch, time_, inputs)
    bare = nn.LSTM(inputs, hidden, batch_first=True)
    layers = {
        cell: Recurrent(
            cell, inputs, hidden, **({"outputs": SLOTS, "output_activation": "softmax"} if cell == "jordan" else {})
        )
        for cell in ("lstm", "peephole", "jordan", "elman", "gru")
    }

    def step(call: Callable[..., Any], module: nn.Module) -> Callable[[], None]:
        def run() -> None:
            module.zero_grad()
            call(x)[0].sum().backward()

        return run

    found = {"bare": step(bare, bare)} | {cell: step(layer, layer) for cell, layer in layers.items()}
    for cell in ("peephole", "jordan"):
        found[f"{cell} explicit"] = step(layers[cell].explicit, layers[cell])
    return found


def measure(size: tuple[int, int, int, int], rounds: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of a step, by round."""
    ways = steps(size)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, run in ways.items():
            began = time.perf_counter()
            for _ in range(repeats):
                run()
            if number:
                seconds[name].append((time.perf_counter() - began) / repeats)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="one small size, two rounds: does it run")
    given = parser.parse_args()
    keep_freed_memory()
    machine, rows = machine_columns(torch.device("cpu")), []
    for size in ((2, 3, 4, 5),) if given.quick else SIZES:
        seconds = measure(size, 2 if given.quick else given.rounds, 2 if given.quick else 8)
        for name, found in seconds.items():
            ratio = spread([a / b for a, b in zip(found, seconds["bare"], strict=True)])
            batch, time_, inputs, hidden = size
            rows.append(
                {**machine, "layer": name, "batch": batch, "time": time_, "inputs": inputs, "hidden": hidden,
                 "milliseconds": spread(found).median * 1e3, "times_bare": ratio.median, "low": ratio.low, "high": ratio.high, "rounds": ratio.runs}
            )  # fmt: skip
    append(given.out / "recurrent.csv", rows)
    table(
        "a training step, times that of bare nn.LSTM",
        ["layer", "batch x time x inputs x hidden", "ms", "times", "quartiles"],
        [
            (row["layer"], "x".join(str(row[key]) for key in ("batch", "time", "inputs", "hidden")), f"{row['milliseconds']:.2f}", f"{row['times_bare']:.2f}", f"{row['low']:.2f}-{row['high']:.2f}")
            for row in rows
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
