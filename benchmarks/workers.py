"""Trainings side by side: what two processes make of two cores.

python benchmarks/workers.py [--trainings N] [--steps N] [--rounds N] [--workers N]

N independent trainings of LeNet on Fashion-MNIST, as `actlab compare` gives them out, by several processes of one thread; beside it N over that
number of processes in this process alone, which is the ideal. The processes' start and their reading of the data are in the time. In turn,
medians with quartiles; one row goes to workers.csv, written afresh.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from _rows import RESULTS, machine_columns, spread, table
from recipe_runs import write

from actlab.comparison.backends import Place
from actlab.comparison.protocol import Job, check
from actlab.comparison.running import Runner
from actlab.recipes import plan
from actlab.recipes._compared import open_subject
from actlab.recipes.declaring import declare


def seconds(count: int, steps: int, workers: int, source: str) -> float:
    """For so many trainings, from the first process to the last result."""
    planned = plan("lenet").with_changes(data={"source": source})
    declared = check(declare("lenet", planned, ("relu", "gelu"), steps=steps))
    jobs = [Job("relu", planned.settings.learning_rate, seed, "screening") for seed in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(declared, open_subject, Path(folder), place=Place(workers=workers))
        began = time.perf_counter()
        try:
            found = runner(jobs)
        finally:
            runner.close()
        took = time.perf_counter() - began
    assert len(found) == count
    return took


def main() -> None:
    """Measure in turn, print, write."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--trainings", type=int, default=48)
    ask.add_argument("--steps", type=int, default=300)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--workers", type=int, default=2)
    ask.add_argument("--quick", action="store_true", help="few short trainings on the sample: the ratio means nothing")
    ask.add_argument("--out", type=Path, default=RESULTS)
    given = ask.parse_args()
    torch.set_num_threads(1)
    machine = machine_columns(torch.device("cpu"))
    count, steps, source = (4, 10, "sample") if given.quick else (given.trainings, given.steps, "fashion-mnist")
    seconds(1, 10, 1, source)  # kernels are compiled, data are cached
    ratios, ideals = [], []
    for number in range(1 if given.quick else given.rounds):
        order = (1, given.workers) if number % 2 else (given.workers, 1)
        took = {workers: seconds(count * workers // given.workers, steps, workers, source) for workers in order}
        ratios.append(took[given.workers] / took[1])
        ideals.append(took[1])
        print(f"{count} trainings by {given.workers} processes {took[given.workers]:.1f} s, {count // given.workers} by one {took[1]:.1f} s: {ratios[-1]:.3f}", flush=True)  # fmt: skip
    ratio, ideal = spread(ratios), spread(ideals)
    row = {
        **machine, "network": "lenet", "steps": steps, "trainings": count, "workers": given.workers, "ideal_seconds": ideal.median,
        "times_ideal": ratio.median, "low": ratio.low, "high": ratio.high, "rounds": ratio.runs,
    }  # fmt: skip
    write(given.out / "workers.csv", [row])
    table("side by side", ["trainings", "processes", "times the ideal", "low", "high"], [(count, given.workers, ratio.median, ratio.low, ratio.high)])  # fmt: skip


if __name__ == "__main__":
    main()
