"""Letters to phonemes, token by token against all at once: errors on the test words, and how long an answer takes.

python benchmarks/pronunciation.py --autoregressive RUN --parallel RUN [--stress RUN] [--curves] [--words N]

The runs are those of `actlab train pronunciation` (`--recipe parallel` for the second, `--set data.stress=true` for the third). All test
words are decoded: PER is edits over the phonemes of the nearest reference, WER the share of words that match none. Seconds a word are of
one thread, for words one by one and 64 at a time, the same words for every way and the ways interleaved; median and quartiles of the
rounds. Rows go to pronunciation.csv, written afresh, and with --curves every epoch of the runs to pronunciation-epochs.csv.
"""

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import torch
from _rows import RESULTS, machine_columns, spread, table
from recipe_runs import write

from actlab.recipes.load_task import TrainedTask
from actlab.recipes.run_task import open_task

PUBLISHED = {"per": 0.0523, "wer": 0.221}  # Yolchuyeva, Nemeth & Gyires-Toth 2019, without stress
WAYS = {
    "autoregressive": (("greedy", {}), ("beam 5", {"width": 5})),
    "parallel": (("one pass", {}), ("refined 4", {"iterations": 4}), ("refined 10", {"iterations": 10})),
    "stress": (("greedy", {}), ("beam 5", {"width": 5})),
}
MODE = {"greedy": "greedy", "beam": "beam", "one": "parallel", "refined": "refine"}


class Way:
    """One network decoded in one way."""

    def __init__(self, kind: str, trained: TrainedTask, label: str, options: dict[str, Any]):
        self.kind, self.trained, self.label, self.options = kind, trained, label, options

    def answer(self, sources: list[torch.Tensor]) -> list[tuple[str, ...]]:
        """Phonemes of each."""
        task = self.trained.task
        return task.decode(self.trained.model, sources, MODE[self.label.split()[0]], **self.options)

    def errors(self, words: list[tuple[str, ...]]) -> dict[str, float]:
        """PER and WER."""
        task = self.trained.task
        return task.errors(words, self.answer([task.source.encode(word) for word in words]))


def seconds(ways: list[Way], words: list[tuple[str, ...]], batch: int, rounds: int) -> dict[Way, list[float]]:
    """Seconds a word, by round; the ways take turns."""
    found: dict[Way, list[float]] = {way: [] for way in ways}
    batches = [words[begin : begin + batch] for begin in range(0, len(words), batch)]
    for number in range(rounds + 1):
        for way in ways:
            began = time.perf_counter()
            for some in batches:
                way.answer([way.trained.task.source.encode(word) for word in some])
            if number:
                found[way].append((time.perf_counter() - began) / len(words))
    return found


def main() -> None:
    """Decode, time, print, write."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in WAYS:
        ask.add_argument(f"--{kind}", type=Path, required=kind != "stress")
    ask.add_argument("--words", type=int, help="at most so many test words")
    ask.add_argument("--rounds", type=int, default=5)
    ask.add_argument("--curves", action="store_true")
    ask.add_argument("--out", type=Path, default=RESULTS)
    given = ask.parse_args()
    torch.set_num_threads(1)
    machine = machine_columns(torch.device("cpu"))
    ways, rows, curves = [], [], []
    for kind, labels in WAYS.items():
        place = getattr(given, kind)
        if place is None:
            continue
        trained = TrainedTask(place, "pairs")
        trained.task.take(open_task(trained.plan))
        ways += [Way(kind, trained, label, options) for label, options in labels]
        with (place / "metrics.csv").open(newline="") as file:
            curves += [{"network": kind, **row} for row in csv.DictReader(file)]
    words = {way: [word for word, _ in way.trained.task.data.test][: given.words] for way in ways}
    timed = [way for way in ways if way.kind != "stress"]
    took = {
        batch: seconds(timed, words[timed[0]][: 64 if batch == 1 else 640], batch, given.rounds) for batch in (1, 64)
    }
    for way in ways:
        run = way.trained.run
        row: dict[str, Any] = {
            **machine, "network": way.kind, "decoding": way.label, "parameters": run.model.parameters,
            "epochs": len(run.epochs), "seed": run.settings["settings"]["seed"], "words": len(words[way]), **way.errors(words[way]),
        }  # fmt: skip
        for batch in (1, 64):
            times = spread(took[batch][way]) if way in took[batch] else None
            for name in ("median", "low", "high"):
                row[f"ms_{name}_batch_{batch}"] = None if times is None else 1e3 * getattr(times, name)
        rows.append(row)
        print(f"{way.kind} {way.label}: PER {row['per']:.2%}, WER {row['wer']:.2%}", flush=True)
    if given.words is None:
        write(given.out / "pronunciation.csv", rows)
        if given.curves:
            columns = list(dict.fromkeys(name for row in curves for name in row))
            write(given.out / "pronunciation-epochs.csv", [{name: row.get(name) for name in columns} for row in curves])
    table(
        f"errors on the test words, milliseconds a word (published Transformer: PER {PUBLISHED['per']:.2%}, WER {PUBLISHED['wer']:.1%})",
        ["network and decoding", "PER %", "WER %", "ms at batch 1", "ms at batch 64"],
        [
            (f"{row['network']}, {row['decoding']}", 100 * row["per"], 100 * row["wer"],
             *("" if row[f"ms_median_batch_{b}"] is None else f"{row[f'ms_median_batch_{b}']:.2f}" for b in (1, 64)))
            for row in rows
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
