"""AlexNet's training speed: Actlab beside the notes' code path, interleaved, so that both meet the same machine.

python benchmarks/alexnet.py [--batches N] [--rounds N] [--device cuda] [--quick]

Two definitions of examples per second: "compute" times forward, backward and step alone, as the notes do; "wall" times the whole loop,
data and the counting of loss and accuracy included. Neither contains evaluation. A ratio is taken within a round, then its median and
quartiles over the rounds. All paths run in one process, twice: with glibc's memory settings untouched, and with the settings each path
is run with, since `actlab train` keeps freed memory. The second comparison is made once more in alternating child processes.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _paths import ActlabPath, NotesPath, ResizedOneByOne
from _rows import RESULTS, Spread, append, machine_columns, spread, table
from torch.utils.data import DataLoader

from actlab.data import images
from actlab.errors import ActlabError
from actlab.recipes.alexnet import CLASSIC, FAST
from actlab.train.memory import keep_freed_memory

FULL_TRAINING_SET = 60_000
FAST_EXAMPLES = (FAST.settings.steps or 0) * FAST.settings.batch_size
CLASSIC_EXAMPLES = CLASSIC.settings.epochs * FULL_TRAINING_SET
TIME_TARGET = 40  # times sooner at test accuracy 0.885
NOTES_GPU_RATE = 4149.6  # examples/s, the notes' figure, by the compute clock
GPU_FLOPS, FLOP_PER_EXAMPLE = 790e12, 5.561e9  # dense bf16 of one GPU; forward and backward of one example
AS_RUN = "as each is run"
Path_ = NotesPath | ActlabPath
Rates = dict[str, dict[str, list[float]]]  # path -> definition -> examples/s of every round


class Stopwatch:
    """Sums intervals. On a GPU by events, so that nothing waits for the device between steps."""

    def __init__(self, device: torch.device):
        self._cuda, self._marks = device.type == "cuda", []

    def mark(self) -> None:
        """Begin or end an interval."""
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def seconds(self) -> float:
        """All intervals together; waits for the device."""
        if self._cuda:
            torch.cuda.synchronize()
        pairs = zip(self._marks[::2], self._marks[1::2], strict=True)
        return sum(a.elapsed_time(b) / 1000 if self._cuda else b - a for a, b in pairs)


def build(name: str, data: images.ImageData, given: argparse.Namespace) -> Path_:
    """A path by its name in the tables."""
    if name == "notes":
        return NotesPath(data, batch_size=given.batch_size, device=given.device)
    return ActlabPath({"fast": FAST, "classic": CLASSIC}[name], data, batch_size=given.batch_size, device=given.device)


def train(path: Path_, batches: int, batch_size: int) -> dict[str, float]:
    """Examples per second of some training steps, by both definitions."""
    compute, wall = Stopwatch(path.device), Stopwatch(path.device)
    wall.mark()
    for _ in range(batches):
        inputs, targets = path.fetch()
        compute.mark()
        outputs, loss = path.compute(inputs, targets)
        compute.mark()
        path.tally(outputs, targets, loss)
    wall.mark()
    examples = batches * batch_size
    return {"compute": examples / compute.seconds(), "wall": examples / wall.seconds()}


def fetch(path: Path_, batches: int, batch_size: int) -> float:
    """Examples per second of the data path alone, after one batch to warm up."""
    path.fetch()
    watch = Stopwatch(path.device)
    watch.mark()
    for _ in range(batches):
        path.fetch()
    watch.mark()
    return batches * batch_size / watch.seconds()


def fetch_with_workers(data: images.ImageData, batches: int, batch_size: int, workers: int = 2) -> float:
    """Examples per second of the notes' DataLoader with worker processes, once their queues are used up."""
    loader = DataLoader(
        ResizedOneByOne(data.train), batch_size=batch_size, shuffle=True, drop_last=True, num_workers=workers
    )
    batch = iter(loader)
    for _ in range(min(2 * workers, len(loader) - batches)):
        next(batch)
    began = time.perf_counter()
    for _ in range(batches):
        next(batch)
    return batches * batch_size / (time.perf_counter() - began)


def same_bits(data: images.ImageData, batch_size: int) -> bool:
    """Whether a whole batch is the same, bit for bit, from both data paths (without normalising, as in the notes)."""
    one_by_one = ResizedOneByOne(data.train)
    theirs = torch.stack([one_by_one[index][0] for index in range(batch_size)])
    return torch.equal(theirs, images.Prepare(size=224)(data.train.images[:batch_size], training=True))


def as_it_is_run(name: str) -> None:
    """Set glibc's memory for a path: kept for Actlab's, as `actlab train` does; for the notes' what glibc itself arrives at.

    By itself glibc raises its two thresholds with the blocks it sees freed, up to 32 and 64 MiB; blocks above come fresh every time.
    """
    if name == "notes":
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 64 << 20)  # M_TRIM_THRESHOLD
        libc.malloc_trim(0)
    else:
        keep_freed_memory()


def measure(data: images.ImageData, given: argparse.Namespace, settle: Callable[[str], None] | None = None) -> Rates:
    """All paths in this process, in an order that turns by one place every round; `settle` is called before each one's turn."""
    names = ["notes", "fast", "classic"]
    paths = {name: build(name, data, given) for name in names}
    for path in paths.values():
        train(path, 1, given.batch_size)
    rates: Rates = {name: {"compute": [], "wall": [], "data": [], "data, 1 thread": []} for name in names}
    rates["notes, 2 workers"] = {"data": []}
    for number in range(given.rounds):
        turned = names[number % 3 :] + names[: number % 3]
        for name in turned:
            if settle is not None:
                settle(name)
                train(paths[name], 2, given.batch_size)  # until its memory is its own again
            for definition, rate in train(paths[name], given.batches, given.batch_size).items():
                rates[name][definition].append(rate)
        for name in turned:
            if settle is not None:
                settle(name)
            rates[name]["data"].append(fetch(paths[name], given.data_batches, given.batch_size))
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # spares Pillow's path the waiting of two threads for each other, sample by sample
            rates[name]["data, 1 thread"].append(fetch(paths[name], given.data_batches, given.batch_size))
            torch.set_num_threads(threads)
        rates["notes, 2 workers"]["data"].append(fetch_with_workers(data, given.data_batches, given.batch_size))
        print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
    return rates


def measure_in_children(given: argparse.Namespace) -> Rates:
    """Each path in a process of its own, one after the other: only so can one keep freed memory and the other not."""
    rates: Rates = {name: {"compute": [], "wall": []} for name in ("notes", "fast")}
    for number in range(given.child_rounds):
        for name in ("notes", "fast") if number % 2 == 0 else ("fast", "notes"):
            command = [sys.executable, __file__, "--child", name, "--data", given.data, "--device", given.device]
            command += ["--batches", str(given.batches), "--batch-size", str(given.batch_size)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            for definition, rate in json.loads(answer.stdout.splitlines()[-1]).items():
                rates[name][definition].append(rate)
        print(f"child round {number + 1} of {given.child_rounds}", file=sys.stderr)
    return rates


def be_child(given: argparse.Namespace) -> None:
    """Measure one path and print its rates as JSON. The fast recipe starts as `actlab train` does, by keeping freed memory."""
    if given.child == "fast":
        keep_freed_memory()
    path = build(given.child, images.load(given.data, validation=0), given)
    train(path, min(2, given.batches), given.batch_size)
    print(json.dumps(train(path, given.batches, given.batch_size)))


def ratios(rates: Rates, ours: str, definition: str) -> list[float]:
    """Ours over the notes', round by round."""
    return [a / b for a, b in zip(rates[ours][definition], rates["notes"][definition], strict=True)]


def rows_of(rates: Rates, memory: str) -> list[dict[str, Any]]:
    """Rates, ratios and the time to 0.885 as rows; `memory` says how glibc was set for Actlab's paths."""
    rows = []
    for name, definitions in rates.items():
        for definition, values in definitions.items():
            rows.append(_row(name, definition, memory, "examples/s", spread(values)))
    for name in (name for name in rates if name != "notes"):
        rows += [
            _row(f"{name} / notes", definition, memory, "ratio", spread(ratios(rates, name, definition)))
            for definition in rates[name]
        ]
    sooner = [CLASSIC_EXAMPLES / FAST_EXAMPLES * ratio for ratio in ratios(rates, "fast", "wall")]
    rows.append(_row("time to 0.885: notes / fast", "wall", memory, "ratio", spread(sooner)))
    return rows


def _row(path: str, definition: str, memory: str, unit: str, s: Spread) -> dict[str, Any]:
    return {"path": path, "definition": definition, "memory": memory, "unit": unit, **vars(s)}


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """One table of rates and ratios."""
    columns = ("path", "definition", "unit", "median", "low", "high", "runs")
    table(title, columns, [[row[column] for column in columns] for row in rows])


def time_to_accuracy(rows: list[dict[str, Any]], memory: str) -> dict[str, Any]:
    """Seconds of training by the wall clock until 0.885, and how many times sooner the fast recipe is there."""
    found = {(row["path"], row["definition"]): row for row in rows if row["memory"] == memory}
    ratio = found["time to 0.885: notes / fast", "wall"]
    return {
        "memory": memory,
        "fast_examples": FAST_EXAMPLES,
        "fast_seconds": FAST_EXAMPLES / found["fast", "wall"]["median"],
        "notes_examples": CLASSIC_EXAMPLES,
        "notes_seconds": CLASSIC_EXAMPLES / found["notes", "wall"]["median"],
        "ratio": {key: ratio[key] for key in ("median", "low", "high", "runs")},
        "target": TIME_TARGET,
        "reached": ratio["median"] >= TIME_TARGET,
    }


def gpu_targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fast recipe beside the notes' GPU figure and what the arithmetic units could do."""
    ceiling = GPU_FLOPS / FLOP_PER_EXAMPLE
    rates = [row for row in rows if row["path"] == "fast" and row["definition"] in ("compute", "wall")]
    return [
        {
            "definition": row["definition"],
            "examples_per_second": row["median"],
            "times_notes": row["median"] / NOTES_GPU_RATE,
            "share_of_ceiling": row["median"] / ceiling,
        }
        for row in rates
    ]


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Measure everything, print the tables, and return what the JSON file holds."""
    machine = machine_columns(torch.device(given.device))
    data = images.load(given.data, validation=0)
    identical = same_bits(data, min(given.batch_size, len(data.train)))
    rates = measure(data, given)
    rows = rows_of(rates, "as glibc sets it")
    device = torch.device(given.device)
    print(", ".join(f"{name} {value}" for name, value in machine.items()), f"data {given.data}", sep=", ")
    show(f"One process, interleaved, batch {given.batch_size}; quartiles over rounds of {given.batches} steps", rows)
    summaries = [time_to_accuracy(rows, "as glibc sets it")]
    if device.type == "cpu" and keep_freed_memory():
        run_rows = rows_of(measure(data, given, as_it_is_run), AS_RUN)
        show("The same, each path with the memory settings it is run with", run_rows)
        summaries.append(time_to_accuracy(run_rows, AS_RUN))
        rows += run_rows
    if device.type == "cpu" and given.child_rounds:
        child_rows = rows_of(measure_in_children(given), "kept by fast")
        show("Alternating processes, freed memory kept by the fast path only", child_rows)
        summaries.append(time_to_accuracy(child_rows, "kept by fast"))
        rows += child_rows
    print()
    for s in summaries:
        print(
            f"training to 0.885, memory {s['memory']}: {s['fast_examples']:,} examples in {s['fast_seconds']:,.0f} s, the notes' "
            f"{s['notes_examples']:,} in {s['notes_seconds']:,.0f} s: {s['ratio']['median']:.1f} times sooner "
            f"(quartiles {s['ratio']['low']:.1f} to {s['ratio']['high']:.1f}); at least {TIME_TARGET} {'reached' if s['reached'] else 'MISSED'}"
        )
    targets = gpu_targets(rows) if device.type == "cuda" else []
    for t in targets:
        print(
            f"fast by the {t['definition']} clock: {t['examples_per_second']:,.0f} examples/s, {t['times_notes']:.2f} times the notes' "
            f"{NOTES_GPU_RATE:,} and {t['share_of_ceiling']:.1%} of the ceiling {GPU_FLOPS / FLOP_PER_EXAMPLE:,.0f}"
        )
    print(f"both data paths give the same bits for a whole batch: {'yes' if identical else 'NO'}")
    return {
        "machine": machine,
        "data": given.data,
        "batch": given.batch_size,
        "same_bits": identical,
        "rows": rows,
        "time_to_accuracy": summaries,
        "gpu_targets": targets,
    }


def write(result: dict[str, Any], folder: Path) -> None:
    """Append to alexnet.csv; alexnet.json holds the last measurement only."""
    fixed = {**result["machine"], "data": result["data"], "batch": result["batch"]}
    append(folder / "alexnet.csv", [{**fixed, **row} for row in result["rows"]])
    (folder / "alexnet.json").write_text(json.dumps(result, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """The command line, with the defaults of the device or of --quick filled in."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, help="training steps of a path in a round (3; 50 on a GPU)")
    parser.add_argument("--rounds", type=int, help="rounds in one process (7)")
    parser.add_argument("--child-rounds", type=int, help="rounds of alternating processes (3)")
    parser.add_argument("--batch-size", type=int, help="128")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--data", help="fashion-mnist; with --quick, sample")
    parser.add_argument("--out", type=Path, help="folder of the results (benchmarks/results; with --quick, none)")
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds, to see that it works: the rates mean nothing"
    )
    parser.add_argument("--child", choices=("notes", "fast"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    cuda = given.device == "cuda"
    full = {"batches": 50 if cuda else 3, "rounds": 7, "child_rounds": 3, "batch_size": 128, "data_batches": 20}
    quick = {"batches": 1, "rounds": 2, "child_rounds": 1, "batch_size": 2, "data_batches": 2}
    for name, value in {
        **(quick if given.quick else full),
        "data": "sample" if given.quick else "fashion-mnist",
    }.items():
        if getattr(given, name, None) is None:
            setattr(given, name, value)
    if given.out is None and not given.quick:
        given.out = RESULTS
    return given


def main() -> int:
    """0, or 2 after one sentence about what cannot be done here."""
    given = arguments()
    try:
        if given.device == "cuda" and not torch.cuda.is_available():
            raise ActlabError("device cuda is not available here; use --device cpu")
        if given.child:
            be_child(given)
            return 0
        result = run(given)
        if given.out is not None:
            write(result, given.out)
    except ActlabError as error:
        print(f"alexnet.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
