"""Convolution against self-attention with little data: LeNet and attention over patches on 1, 10 and 100 % of Fashion-MNIST.

python benchmarks/little_data.py [--seeds 3] [--quick]

The notes say that a convolution, being attention confined to a window, does better while data are few. Each network has the settings of
its recipe (`lenet` modern, `image-attention` patches) and, for one amount of data, as many steps as the other: 1,000 on 1 %, 2,500 on
10 %, ten epochs on all. The images left out are never seen; nothing is chosen by the test part. One row a training goes to
little-data.csv; a training that has its row there is not done again.
"""

import argparse
import csv
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from _rows import RESULTS, machine_columns, table
from recipe_runs import write

import actlab
from actlab.data import images
from actlab.data._split import draw
from actlab.recipes.image_attention import PRESETS
from actlab.recipes.lenet import MODERN
from actlab.recipes.run import build_model, input_shape, preparation
from actlab.train import Parts

PLANS = {"LeNet": MODERN, "attention": PRESETS["patches"]}
SHARES = {0.01: 1000, 0.1: 2500, 1.0: None}  # of the training images: steps, or ten epochs


def train(plan, data: images.ImageData, share: float, steps: int | None, seed: int) -> actlab.Run:
    """One training on that share of the training images, class by class in proportion."""
    count = max(10, round(share * len(data.train)))
    part = images.ImageSplit(*data.train[draw(data.train.labels, count, seed)])
    torch.manual_seed(seed)
    model = build_model(plan.model, data.facts())
    shape = input_shape(model, data.facts())
    prepare = preparation(plan.data, data.facts(), shape)
    changes = {"seed": seed, "epochs": 10, "steps": steps}
    return actlab.fit(
        model,
        Parts(part, None, data.test, prepare=prepare, facts=data.facts()),
        settings=plan.settings.model_copy(update=changes),
    )


def finished(path: Path) -> list[dict[str, Any]]:
    """The rows of an earlier call."""
    if not path.exists():
        return []
    numbers = {"share": float, "seed": int, "test_accuracy": float}
    with path.open(newline="") as file:
        return [{key: numbers.get(key, str)(value) for key, value in row.items()} for row in csv.DictReader(file)]


def main() -> None:
    """Train all, print means and deviations, write the rows."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--quick", action="store_true", help="two steps on the sample, to see that it runs; no file")
    ask.add_argument("--out", type=Path, default=RESULTS / "little-data.csv")
    given = ask.parse_args()
    data = images.load("sample" if given.quick else "fashion-mnist", validation=0)
    machine = machine_columns(torch.device("cpu"))
    rows = [] if given.quick else finished(given.out)
    done = {(row["share"], row["seed"], row["network"]) for row in rows}
    for share, steps in SHARES.items():
        for seed in range(given.seeds):
            for name, plan in PLANS.items():
                if (share, seed, name) in done:
                    continue
                run = train(plan, data, share, 2 if given.quick else steps, seed)
                assert run.test is not None
                rows.append({
                    **machine, "data": run.data.name, "network": name, "share": share, "images": round(share * len(data.train)),
                    "seed": seed, "steps": run.steps, "parameters": run.model.parameters,
                    "test_accuracy": run.test.accuracy, "training_seconds": run.clock.training,
                })  # fmt: skip
                print(f"{share:.0%} seed {seed} {name}: {run.test.accuracy:.4f}", flush=True)
                if not given.quick:  # after each, for all of them take the better part of an hour
                    write(given.out, rows)
    found = {(r["share"], r["network"]): [o["test_accuracy"] for o in rows if (o["share"], o["network"]) == (r["share"], r["network"])] for r in rows}  # fmt: skip
    spread = {key: f"{mean(all_):.4f} (sd {stdev(all_) if len(all_) > 1 else 0:.4f})" for key, all_ in found.items()}
    table(
        "test accuracy", ["share", *PLANS], [[f"{share:.0%}", *(spread[share, name] for name in PLANS)] for share in SHARES]
    )  # fmt: skip


if __name__ == "__main__":
    main()
