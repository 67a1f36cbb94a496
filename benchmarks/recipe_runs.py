"""Train a recipe of AlexNet with several seeds, and gather what came out.

python benchmarks/recipe_runs.py fast --seeds 5 [--resume] [--folder DIR]
python benchmarks/recipe_runs.py classic --collect runs/alexnet-classic-*      # no training: rows of finished runs

Writes alexnet-NAME.csv, one row a run, and for recipes of several epochs alexnet-NAME-epochs.csv; both afresh, from exactly the runs
named. Seconds are the runs' own: training is the whole loop with data but without evaluation, compute leaves waiting for data out
too, total is everything. The classic recipe runs in bf16 and channels-last here unless --precision fp32 asks for the notes' own.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from _rows import RESULTS, figure, table

from actlab import Run
from actlab.errors import ActlabError, UsageError
from actlab.recipes.alexnet import CLASSIC, PRESETS

# The notes' result after ten epochs.
NOTES = {"epoch": 10, "train_loss": 0.327, "train_accuracy": 0.881, "test_accuracy": 0.885}
CLASSIC_EXAMPLES = CLASSIC.settings.epochs * 60_000
QUICK = ["--data", "sample", "--limit", "20", "--batch-size", "20"]


def train(given: argparse.Namespace) -> list[Path]:
    """One `actlab train` after the other; the run directories. Raises ActlabError when one of them fails."""
    places = []
    for seed in range(given.seeds):
        place = given.folder / f"alexnet-{given.name}-seed-{seed}"
        places.append(place)
        if given.resume and _is_finished(place):
            continue
        command = [sys.executable, "-m", "actlab", "train", "alexnet", "--recipe", given.name, "--seed", str(seed)]
        command += ["--out", str(place)] + ["--resume"] * given.resume + (QUICK if given.quick else [])
        if given.quick:
            command += ["--epochs", "2"] if given.name == "classic" else ["--steps", "2"]
        precision = given.precision or ("bf16" if given.name == "classic" else None)
        if precision:
            command += [
                "--precision",
                precision,
                "--set",
                f"channels_last={'false' if precision == 'fp32' else 'true'}",
            ]
        print(f"{given.name}, seed {seed}: {' '.join(command[1:])}", flush=True)
        code = subprocess.run(command, check=False).returncode
        if code:
            raise ActlabError(f"the run with seed {seed} ended with exit code {code}; go on with --resume")
    return places


def _is_finished(place: Path) -> bool:
    return (place / "run.json").exists() and Run.read(place).status == "finished"


def gather(name: str, places: Sequence[Path]) -> list[tuple[Path, Run]]:
    """The records, by seed; raises UsageError for a run of another recipe or one that is not finished."""
    runs = []
    for place in places:
        run = Run.read(place)
        if (run.recipe, run.preset) != ("alexnet", name) or run.status != "finished":
            raise UsageError(
                f"expected finished runs of alexnet {name}; '{place}' is {run.recipe} {run.preset}, {run.status}"
            )
        runs.append((place, run))
    return sorted(runs, key=lambda pair: pair[1].settings["settings"]["seed"])


def row_of(run: Run) -> dict[str, Any]:
    """Result, clocks and machine of a run."""
    settings, clock, machine = run.settings["settings"], run.clock, run.machine
    return {
        "date": run.created[:10],
        "processor": machine.processor,
        "cores": machine.cores,
        "threads": machine.threads,
        "device": machine.device,
        "torch": machine.torch,
        "actlab": machine.actlab,
        "data": run.data.name,
        "precision": settings["precision"],
        "seed": settings["seed"],
        "test_accuracy": run.test.accuracy if run.test else None,
        "test_loss": run.test.loss if run.test else None,
        "examples": run.examples,
        "training_seconds": clock.training,
        "compute_seconds": clock.compute,
        "total_seconds": clock.total,
        "examples_per_second_compute": run.examples / clock.compute,
        "examples_per_second_wall": run.examples / clock.training,
        "examples_per_second_total": run.examples / clock.total,
        "resumed": run.resumed,
    }


def epoch_rows(runs: Sequence[tuple[Path, Run]]) -> list[dict[str, Any]]:
    """Every run's metrics.csv under its seed."""
    rows = []
    for place, run in runs:
        with (place / "metrics.csv").open(newline="") as file:
            rows += [{"seed": run.settings["settings"]["seed"], **row} for row in csv.DictReader(file)]
    return rows


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A CSV file with these rows and nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: figure(value) for name, value in row.items()} for row in rows)


def notes_rate(results: Path) -> dict[str, str] | None:
    """The last row of alexnet.csv with the notes' path by the wall clock, on a CPU with the real data."""
    path = results / "alexnet.csv"
    if not path.exists():
        return None
    with path.open(newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["path"], row["definition"], row["device"], row["data"]) == ("notes", "wall", "cpu", "fashion-mnist")
        ]
    return rows[-1] if rows else None


def compare_with_classic(rows: Sequence[dict[str, Any]], results: Path) -> list[str]:
    """How much sooner the runs were ready than the notes' path with the classic recipe's examples, in words."""
    rate = notes_rate(results)
    if rate is None:
        return ["no rate of the notes' path in alexnet.csv: run benchmarks/alexnet.py to see how much sooner that is"]
    seconds = CLASSIC_EXAMPLES / float(rate["median"])
    ratios = [seconds / row["training_seconds"] for row in rows]
    lines = [
        f"the notes' path needs {seconds:,.0f} s for {CLASSIC_EXAMPLES:,} examples at {float(rate['median']):.1f} examples/s, "
        f"measured {rate['date']} (alexnet.csv; {rate['processor']}, {rate['cores']} cores): "
        f"{mean(ratios):.1f} times the training time of these runs ({min(ratios):.1f} to {max(ratios):.1f})"
    ]
    if any((row["processor"], str(row["cores"])) != (rate["processor"], rate["cores"]) for row in rows):
        lines.append("that rate is of another machine than some of these runs: the ratio says little")
    return lines


def show(name: str, rows: Sequence[dict[str, Any]], epochs: Sequence[dict[str, Any]]) -> None:
    """The runs, their mean and spread, and for several epochs the last one beside the notes."""
    columns = ("seed", "test_accuracy", "test_loss", "examples", "training_seconds", "compute_seconds", "total_seconds")
    columns += ("examples_per_second_compute", "examples_per_second_wall")
    short = [column.replace("examples_per_second_", "ex/s ").replace("_seconds", " s") for column in columns]
    table(f"alexnet {name}", short, [[str(row["seed"]), *(row[column] for column in columns[1:])] for row in rows])
    for column in ("test_accuracy", "test_loss", "training_seconds"):
        values = [row[column] for row in rows]
        spread = (
            f", standard deviation {stdev(values):.4f}, {min(values):.4f} to {max(values):.4f}" if len(rows) > 1 else ""
        )
        print(f"{column}: mean {mean(values):.4f}{spread}, {len(rows)} seed(s)")
    if name == "classic":
        columns = ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
        lines = [[f"seed {row['seed']}", *(row[column] for column in columns)] for row in epochs]
        table("epochs", ("run", *columns), [*lines, ["notes", *(str(NOTES.get(column, "")) for column in columns)]])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=sorted(PRESETS), help="the recipe")
    parser.add_argument("--seeds", type=int, default=1, help="train with seeds 0, 1, ... (1)")
    parser.add_argument("--resume", action="store_true", help="go on with runs that stopped, skip finished ones")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="where the run directories lie (runs)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="instead of the recipe's; fp32 also means NCHW")
    parser.add_argument("--collect", type=Path, nargs="+", metavar="DIR", help="only gather these finished runs")
    parser.add_argument("--out", type=Path, help="folder of the results (benchmarks/results; with --quick, none)")
    parser.add_argument("--quick", action="store_true", help="a few steps on the sample, to see that it works")
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error(f"--seeds must be at least 1; got {given.seeds}")
    return given


def run(given: argparse.Namespace) -> None:
    """Train or collect, write, print."""
    runs = gather(given.name, given.collect or train(given))
    rows = [row_of(run) for _, run in runs]
    epochs = epoch_rows(runs) if any(len(run.epochs) > 1 for _, run in runs) else []
    out = given.out or (None if given.quick else RESULTS)
    if out is not None:
        write(out / f"alexnet-{given.name}.csv", rows)
        if epochs:
            notes = (
                [{name: {"seed": "notes", **NOTES}.get(name, "") for name in epochs[0]}]
                if given.name == "classic"
                else []
            )
            write(out / f"alexnet-{given.name}-epochs.csv", [*epochs, *notes])
    show(given.name, rows, epochs)
    if given.name == "fast":
        print(*compare_with_classic(rows, out or RESULTS), sep="\n")


def main() -> int:
    """0, 1 when a training failed, 2 for what cannot be."""
    try:
        run(arguments())
    except ActlabError as error:
        print(f"recipe_runs.py: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
