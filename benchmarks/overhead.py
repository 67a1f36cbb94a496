"""What `fit` costs beside a bare loop of the same step.

python benchmarks/overhead.py [--rounds N] [--quick]

Both train the same network from the same weights on the same batches with the same optimizers, and both keep freed memory. The bare loop
fetches and prepares a batch, sets the learning rate, goes forward, backward and a step (autocast, clipping where the recipe clips), and
adds up loss and right answers, as any textbook loop does; no Fabric, no seeding of steps, no guards, no events. `fit` is timed by its own
training clock, less its checkpoints, which have a row of their own: there are two in so short a run, at its start and at its end. That
both end with the same weights, bit for bit, is checked. A ratio is taken within a round, then median and quartiles over the rounds.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _rows import RESULTS, append, machine_columns, spread, table
from torch import nn
from torch.nn import functional as F

from actlab import Parts, fit
from actlab.data import images
from actlab.errors import ActlabError
from actlab.recipes.alexnet import FAST
from actlab.recipes.lenet import MODERN
from actlab.recipes.planning import Plan
from actlab.recipes.run import build_model, input_shape, preparation
from actlab.train import optimizers, seeds
from actlab.train.memory import keep_freed_memory
from actlab.train.schedules import factor

TARGETS = {"alexnet": 0.01, "lenet": 0.05}  # of the time of a step


@dataclass(frozen=True)
class Case:
    """A recipe, cut to some steps."""

    plan: Plan
    steps: int
    data: images.ImageData

    @property
    def name(self) -> str:
        """As in the tables."""
        return self.plan.recipe

    def start(self) -> tuple[nn.Module, Parts]:
        """A fresh network, always with the same weights, and the training data."""
        facts = self.data.facts()
        torch.manual_seed(self.plan.settings.seed)
        model = build_model(self.plan.model, facts)
        prepare = preparation(self.plan.data, facts, input_shape(model, facts), augment=True)
        return model, Parts(self.data.train, prepare=prepare)


def case(plan: Plan, steps: int, data: images.ImageData, batch_size: int) -> Case:
    """The recipe with that many steps on a CPU."""
    gentle = {"learning_rate": 1e-3, "muon_learning_rate": 1e-3}  # so few steps leave no time to warm up
    return Case(
        plan.with_changes(settings={"steps": steps, "batch_size": batch_size, "device": "cpu", **gentle}), steps, data
    )


def time_fit(given: Case, run_dir: Path | None = None) -> tuple[float, nn.Module]:
    """Seconds of a step by the clock of the run, and the network."""
    model, parts = given.start()
    run = fit(model, parts, settings=given.plan.settings, run_dir=run_dir)
    saving = sum(_checkpoint_seconds(run_dir)) if run_dir else 0.0
    return (run.clock.training - saving) / run.steps, model


def time_bare(given: Case) -> tuple[float, nn.Module]:
    """The same with torch alone."""
    model, parts = given.start()
    s = given.plan.settings
    layout = torch.channels_last if s.channels_last else torch.contiguous_format
    model.to(memory_format=layout)
    chosen = optimizers.build(model, s)
    size, per_epoch, loss_sum, right = s.batch_size, s.steps_per_epoch(len(parts.train)), 0.0, 0
    order = seeds.order(s.seed, 0, len(parts.train))
    parameters = list(model.parameters())
    model.train()
    began = time.perf_counter()
    for step in range(given.steps):
        if step and step % per_epoch == 0:
            order = seeds.order(s.seed, step // per_epoch, len(parts.train))
        place = step % per_epoch * size
        inputs, targets = parts.train[order[place : place + size]]
        inputs = parts.prepare(inputs, True).contiguous(memory_format=layout)
        optimizers.set_rates(chosen, factor(s.schedule, step, given.steps, s.warmup))
        with torch.autocast("cpu", torch.bfloat16, enabled=s.precision == "bf16"):
            outputs = model(inputs)
        outputs = outputs.float()
        loss = F.cross_entropy(outputs, targets, label_smoothing=s.label_smoothing)
        loss.backward()
        if s.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, s.clip_norm)
        for optimizer in chosen:
            optimizer.step()
            optimizer.zero_grad()
        loss_sum += loss.item() * len(targets)
        right += int((outputs.argmax(1) == targets).sum())
    return (time.perf_counter() - began) / given.steps, model


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def measure(given: Case, rounds: int) -> dict[str, Any]:
    """Seconds of a step of each kind, round by round, in turning order; the first round only warms up."""
    seconds: dict[str, list[float]] = {"bare loop": [], "fit": [], "fit with run_dir": []}
    checkpoints: list[float] = []
    identical = True
    kinds = list(seconds)
    for number in range(rounds + 1):
        models: dict[str, nn.Module] = {}
        for kind in kinds[number % 3 :] + kinds[: number % 3]:
            with tempfile.TemporaryDirectory() as folder:
                if kind == "bare loop":
                    each, models[kind] = time_bare(given)
                else:
                    run_dir = Path(folder) / "run" if kind == "fit with run_dir" else None
                    each, models[kind] = time_fit(given, run_dir)
                    checkpoints += _checkpoint_seconds(run_dir) if run_dir else []
            if number:
                seconds[kind].append(each)
        identical &= same_weights(models["bare loop"], models["fit"])
        print(f"{given.name}: round {number} of {rounds}", file=sys.stderr)
    return {"seconds": seconds, "checkpoint_seconds": checkpoints, "same_weights": identical}


def _checkpoint_seconds(run_dir: Path) -> list[float]:
    events = map(json.loads, (run_dir / "events.jsonl").read_text().splitlines())
    return [event["seconds"] for event in events if event["event"] == "checkpoint"]


def rows_of(given: Case, measured: dict[str, Any]) -> list[dict[str, Any]]:
    """Time of a step, what `fit` adds to it as a share and in microseconds, and time of a checkpoint."""
    seconds = measured["seconds"]
    rows = [
        _row(given, kind, "milliseconds per step", [1e3 * one for one in values]) for kind, values in seconds.items()
    ]
    for kind in ("fit", "fit with run_dir"):
        pairs = list(zip(seconds[kind], seconds["bare loop"], strict=True))
        rows.append(_row(given, f"{kind} / bare loop", "overhead ratio", [ours / bare - 1 for ours, bare in pairs]))
        rows.append(_row(given, f"{kind} - bare loop", "microseconds per step", [1e6 * (a - b) for a, b in pairs]))
    return [*rows, _row(given, "one checkpoint", "milliseconds", [1e3 * one for one in measured["checkpoint_seconds"]])]


def _row(given: Case, what: str, unit: str, values: list[float]) -> dict[str, Any]:
    settings = given.plan.settings
    fixed = {"model": given.name, "precision": settings.precision, "batch": settings.batch_size, "steps": given.steps}
    return {**fixed, "what": what, "unit": unit, **vars(spread(values))}


def show(given: Case, rows: list[dict[str, Any]], identical: bool) -> None:
    """The table, and whether the target is met."""
    columns = ("what", "unit", "median", "low", "high", "runs")
    title = f"{given.name}, {rows[0]['precision']}, batch {rows[0]['batch']}, {given.steps} steps a run; quartiles over runs"
    table(title, columns, [[row[column] for column in columns] for row in rows])
    for row in rows:
        if row["unit"] == "overhead ratio":
            target = TARGETS[given.name]
            verdict = (
                "reached"
                if row["high"] < target
                else "MISSED"
                if row["low"] >= target
                else "UNDECIDED: the quartiles lie on both sides"
            )
            print(
                f"  {row['what']}: {row['median']:+.2%} ({row['low']:+.2%} to {row['high']:+.2%}), under {target:.0%} {verdict}"
            )
    print(f"  fit and the bare loop end with the same weights, bit for bit: {'yes' if identical else 'NO'}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=None, help="pairs that are measured (AlexNet 9, LeNet 15)")
    parser.add_argument("--threads", type=int, help="of torch (all; 1 where other work shares the cores)")
    parser.add_argument("--model", choices=list(TARGETS), help="only this one")
    parser.add_argument("--out", type=Path, help="folder of the results (benchmarks/results; with --quick, none)")
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds, to see that it works: the rates mean nothing"
    )
    given = parser.parse_args()
    if given.out is None and not given.quick:
        given.out = RESULTS
    return given


def run(given: argparse.Namespace) -> None:
    """Measure, print and append to overhead.csv."""
    if given.threads:
        torch.set_num_threads(given.threads)
    machine = machine_columns(torch.device("cpu"))
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    keep_freed_memory()
    data = images.load("sample" if given.quick else "fashion-mnist", validation=0)
    cases = {
        "alexnet": (case(FAST, 1, data, 2) if given.quick else case(FAST, 4, data, 128), 9),
        "lenet": (case(MODERN, 5, data, 8) if given.quick else case(MODERN, 430, data, 128), 15),
    }
    for name, (one, rounds) in cases.items():
        if given.model in (None, name):
            measured = measure(one, given.rounds or (1 if given.quick else rounds))
            rows = rows_of(one, measured)
            show(one, rows, measured["same_weights"])
            if given.out is not None:
                append(
                    given.out / "overhead.csv",
                    [{**machine, "same_weights": measured["same_weights"], **row} for row in rows],
                )


def main() -> int:
    """0, or 2 after one sentence about what cannot be done here."""
    try:
        run(arguments())
    except ActlabError as error:
        print(f"overhead.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
