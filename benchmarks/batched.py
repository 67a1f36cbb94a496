"""Many trainings as one batch beside `fit` one after another, interleaved, on one thread.

python benchmarks/batched.py [--rounds 7] [--quick]

Every round gives each way its turn with networks of the same first weights; the ratio is taken within a round, then median and
quartiles. Nothing is evaluated and no run directory is written: training alone, the batch's own check of its first step included.
`difference` is the largest of any weight, over the largest weight of its tensor, after the last round. Rows go to batched.csv.
"""

import argparse
import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _rows import RESULTS, append, machine_columns, spread, table
from torch import Tensor, nn

from actlab.comparison.batched import train_batched
from actlab.data.images import Prepare, load
from actlab.models.lenet import LeNet
from actlab.models.mlp import MLP
from actlab.train import Parts, Settings, TensorPart, change, fit


@dataclass(frozen=True)
class Case:
    """Networks of one shape, and how long they train."""

    name: str
    make: Callable[[], nn.Module]
    parts: Parts
    batch: int
    steps: int
    counts: tuple[int, ...] = (16,)
    optimizer: str = "sgd"


def spiral(count: int) -> tuple[Tensor, Tensor]:
    """Two arms that wind once around each other."""
    generator = torch.Generator().manual_seed(0)
    arm = torch.arange(count) % 2
    turn = torch.rand(count, generator=generator).sqrt()
    angle = 2 * math.pi * turn + math.pi * arm
    noise = 0.03 * torch.randn(count, 2, generator=generator)
    return torch.stack([turn * angle.cos(), turn * angle.sin()], 1) + noise, arm


def cases(quick: bool) -> list[Case]:
    """From the smallest network, where comparisons of activations live, to convolutions."""
    plane = Parts(TensorPart(*spiral(1000)))
    data = load("sample" if quick else "fashion-mnist")
    images = Parts(data.train, prepare=Prepare(mean=data.mean, std=data.std))

    def flat(activation: str) -> Callable[[], nn.Module]:
        return lambda: MLP(2, inputs=2, hidden=(32, 32), activation=activation)

    found = [
        Case("MLP 2-32-32-2 gelu", flat("gelu"), plane, 64, 200, (1, 2, 4, 8, 16, 32)),
        Case("MLP 2-32-32-2 relu", flat("relu"), plane, 64, 200),
        Case("MLP 2-32-32-2 swish, learnable", flat("swish"), plane, 64, 200),
        Case("MLP 2-32-32-2 gelu, adamw", flat("gelu"), plane, 64, 200, optimizer="adamw"),
        Case("MLP 784-64-32-10 gelu", lambda: MLP(hidden=(64, 32), activation="gelu"), images, 32, 100),
        Case("MLP 784-256-128-10 gelu", lambda: MLP(activation="gelu"), images, 128, 30),
        Case("LeNet gelu", lambda: LeNet(activation="gelu"), images, 64, 6),
    ]
    return [Case(one.name, one.make, one.parts, 8, 2, (2,), one.optimizer) for one in found] if quick else found


def measure(case: Case, count: int, rounds: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of both ways, by round after a first one, and how far their weights are apart."""
    base = change(
        Settings(device="cpu"),
        {"steps": case.steps, "batch_size": case.batch, "optimizer": case.optimizer, "learning_rate": 0.01}
        | ({"momentum": 0.9} if case.optimizer == "sgd" else {}),
    )
    settings = [change(base, {"seed": seed}) for seed in range(count)]
    seconds: dict[str, list[float]] = {"batched": [], "one by one": []}
    together: list[nn.Module] = []
    alone: list[nn.Module] = []
    for number in range(rounds + 1):
        torch.manual_seed(number)
        together = [case.make() for _ in range(count)]
        alone = copy.deepcopy(together)
        began = time.perf_counter()
        train_batched(together, case.parts, settings=settings)
        between = time.perf_counter()
        for model, own in zip(alone, settings, strict=True):
            fit(model, case.parts, settings=own)
        ended = time.perf_counter()
        if number:
            seconds["batched"].append(between - began)
            seconds["one by one"].append(ended - between)
    return seconds, max(apart(one, other) for one, other in zip(together, alone, strict=True))


@torch.no_grad()
def apart(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of any weight, over the largest weight of its tensor."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-6)) for a, b in pairs)


def rows_of(case: Case, rounds: int, machine: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each number of networks."""
    rows: list[dict[str, Any]] = []
    for count in case.counts:
        seconds, difference = measure(case, count, rounds)
        ratio = spread([b / a for a, b in zip(seconds["batched"], seconds["one by one"], strict=True)])
        rows.append(
            {**machine, "network": case.name, "batch": case.batch, "steps": case.steps, "networks": count,
             "seconds_batched": spread(seconds["batched"]).median, "seconds_one_by_one": spread(seconds["one by one"]).median,
             "times_sooner": ratio.median, "low": ratio.low, "high": ratio.high, "rounds": ratio.runs, "difference": difference}
        )  # fmt: skip
        print(f"  {case.name}, {count} networks: {ratio.median:.2f} times sooner", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="two networks, two steps, two rounds: does it run")
    given = parser.parse_args()
    torch.set_num_threads(1)
    machine, rows = machine_columns(torch.device("cpu")), []
    for case in cases(given.quick):
        rows += rows_of(case, 2 if given.quick else given.rounds, machine)
    append(given.out / "batched.csv", rows)
    table(
        "trainings as one batch, beside one after another",
        ["network", "networks", "s batched", "s one by one", "times sooner", "quartiles", "difference"],
        [
            (row["network"], str(row["networks"]), f"{row['seconds_batched']:.3f}", f"{row['seconds_one_by_one']:.3f}",
             f"{row['times_sooner']:.2f}", f"{row['low']:.2f}-{row['high']:.2f}", f"{row['difference']:.1e}")
            for row in rows
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
