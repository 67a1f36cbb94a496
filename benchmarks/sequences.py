"""The recipes for sentences, speech and series with several seeds: what each scored on its test part.

python benchmarks/sequences.py [--only slot-filling/bilstm,...] [--seeds 3] [--folder DIR] [--resume] [--quick]

Needs SNIPS and the spoken digits on the machine (ACTLAB_DATA) or a network to fetch them. `spoken-digits/lstm@theo` tests on one
speaker whom the training never hears; without --only all six take their turn. One row for every score of every run goes to
sequences.csv, which is written afresh from exactly the runs named; means and spread go to the terminal.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from _rows import RESULTS, figure, table
from recipe_runs import write

from actlab import Run
from actlab.errors import ActlabError

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
SLOTS = ("bilstm", "elman", "jordan", "peephole", "gru")
SERIES = ("sunspots-nar", "sunspots-tdnn", "glucose-narx")
CASES = (
    *(f"slot-filling/{one}" for one in SLOTS),
    *(f"forecasting/{one}" for one in SERIES),
    "spoken-digits/lstm",
    "spoken-digits/tdnn",
    *(f"spoken-digits/{kind}@{speaker}" for kind in ("lstm", "tdnn") for speaker in SPEAKERS),
)


def seeds_of(case: str, seeds: int) -> int:
    """How many seeds: of the speakers one each, they are the repetition."""
    return 1 if "@" in case else seeds


def train(case: str, seed: int, given: argparse.Namespace) -> Path:
    """One run; raises ActlabError when it fails."""
    recipe, preset = case.split("/")
    preset, _, speaker = preset.partition("@")
    place = given.folder / f"{recipe}-{preset}{'-' + speaker if speaker else ''}-seed-{seed}"
    if given.resume and (place / "run.json").exists() and Run.read(place).status == "finished":
        return place
    command = [
        sys.executable,
        "-m",
        "actlab",
        "train",
        recipe,
        "--recipe",
        preset,
        "--seed",
        str(seed),
        "--out",
        str(place),
    ]
    command += ["--set", f"data.split={speaker}"] if speaker else []
    command += ["--resume"] if given.resume else []
    command += ["--epochs", "1", "--quiet"] if given.quick else []
    print(f"{case}, seed {seed}", flush=True)
    if code := subprocess.run(command, check=False).returncode:
        raise ActlabError(f"{case} with seed {seed} ended with exit code {code}; go on with --resume")
    return place


def rows_of(case: str, run: Run) -> list[dict[str, Any]]:
    """One row for each score."""
    assert run.test is not None
    accuracy = {} if run.test.accuracy is None else {"accuracy": run.test.accuracy}
    machine = run.machine
    shared = {
        "date": run.created[:10], "processor": machine.processor, "cores": machine.cores, "threads": machine.threads,
        "torch": machine.torch, "case": case, "seed": run.settings["settings"]["seed"], "examples": run.examples,
        "training_seconds": run.clock.training, "parameters": run.model.parameters, "test_count": run.test.count,
    }  # fmt: skip
    return [{**shared, "score": name, "value": value} for name, value in {**accuracy, **run.test.scores}.items()]


def summary(rows: Sequence[dict[str, Any]]) -> None:
    """Mean, lowest and highest of every score."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row["case"], row["score"]), []).append(row["value"])
    table(
        "scores on the test part",
        ["case", "score", "mean", "lowest", "highest", "runs"],
        [(case, score, *map(figure, (mean(v), min(v), max(v))), len(v)) for (case, score), v in found.items()],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"of {', '.join(CASES)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one epoch of two series: does it run")
    given = parser.parse_args()
    cases = given.only.split(",") if given.only else ["forecasting/sunspots-nar"] if given.quick else list(CASES)
    rows: list[dict[str, Any]] = []
    for case in cases:
        for seed in range(seeds_of(case, given.seeds)):
            rows += rows_of(case, Run.read(train(case, seed, given)))
    write(given.out / "sequences.csv", rows)
    summary(rows)


if __name__ == "__main__":
    main()
