"""What `actlab.watch` costs a training: at its default sampling, and looking at every step.

python benchmarks/watching.py [--rounds N] [--steps N]

Networks of torch alone and the same loop, on one thread: bare, watched (every 20th step), watched at every step, in turn within a round. Each
arm trains the same network from the same weights, and that it ends with the same weights, bit for bit, is checked. Times are processor seconds of
the process, so that other work on the machine changes them little. A ratio is taken within a round, then median and quartiles over the
rounds. Rows go to watching.csv, written afresh.
"""

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _rows import RESULTS, Spread, machine_columns, spread, table
from recipe_runs import write
from torch import Tensor, nn
from torch.nn import functional as F

import actlab

Batches = list[tuple[Tensor, Tensor]]
ARMS = {"bare": None, "every 20th step": 20, "every step": 1}


class Encoder(nn.Module):
    """A Transformer encoder that classifies sequences of vectors."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True)
        self.encoder, self.out = nn.TransformerEncoder(layer, 3), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (batch, class) of (batch, time, 64)."""
        return self.out(self.encoder(x).mean(1))


class Recurrent(nn.Module):
    """An LSTM that classifies sequences of vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (batch, class) of (batch, time, 64)."""
        return self.out(self.lstm(x)[0][:, -1])


def mlp() -> nn.Module:
    """784-512-512-10."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))  # fmt: skip


def cnn() -> nn.Module:
    """Two convolutions with BatchNorm, in place."""

    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True), nn.MaxPool2d(2)]

    return nn.Sequential(*block(1, 32), *block(32, 64), nn.Flatten(), nn.Linear(64 * 49, 10))


def lenet() -> nn.Module:
    """LeNet with ReLU."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP 784-512-512-10, batch 128": (mlp, (128, 1, 28, 28)),
    "LeNet, batch 128": (lenet, (128, 1, 28, 28)),
    "CNN with BatchNorm, batch 64": (cnn, (64, 1, 28, 28)),
    "Transformer encoder, 3 layers of 64, batch 32 x 20": (Encoder, (32, 20, 64)),
    "LSTM of 128, batch 32 x 20": (Recurrent, (32, 20, 64)),
}


def seconds(model: nn.Module, batches: Batches, steps: int, every: int | None) -> float:
    """Processor seconds of so many steps of a plain loop."""
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def train() -> None:
        for number in range(steps):
            x, y = batches[number % len(batches)]
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    began = time.process_time()
    if every is None:
        train()
    else:
        with actlab.watch(model, every=every):
            train()
    return time.process_time() - began


def measure(name: str, rounds: int, steps: int) -> dict[str, Spread]:
    """Ratios of each arm to the bare loop, over the rounds after one that is not counted."""
    make, shape = CASES[name]
    torch.manual_seed(0)
    start = make()
    batches = [(torch.randn(shape), torch.randint(0, 10, shape[:1])) for _ in range(20)]
    ratios: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for number in range(rounds + 1):
        models = {arm: copy.deepcopy(start) for arm in ARMS}
        took = {arm: seconds(models[arm], batches, steps, every) for arm, every in ARMS.items()}
        for model in models.values():
            assert all(map(torch.equal, model.state_dict().values(), models["bare"].state_dict().values()))
        if number:
            for arm in ARMS:
                ratios[arm].append(took[arm] / took["bare"])
    return {arm: spread(values) for arm, values in ratios.items() if arm != "bare"}


def main() -> None:
    """Measure, print, write."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--rounds", type=int, default=7)
    ask.add_argument("--steps", type=int, default=200)
    ask.add_argument("--out", type=Path, default=RESULTS)
    given = ask.parse_args()
    torch.set_num_threads(1)
    machine = machine_columns(torch.device("cpu"))
    rows: list[dict[str, Any]] = []
    for name in CASES:
        for arm, found in measure(name, given.rounds, given.steps).items():
            rows.append({**machine, "network": name, "looks at": arm, "steps": given.steps, "rounds": found.runs,
                         "ratio_median": found.median, "ratio_low": found.low, "ratio_high": found.high})  # fmt: skip
            print(f"{name}, {arm}: {found.median:.2f} ({found.low:.2f} to {found.high:.2f})", flush=True)
    write(given.out / "watching.csv", rows)
    shown = [(f"{row['network']}, {row['looks at']}", row["ratio_median"], row["ratio_low"], row["ratio_high"]) for row in rows]  # fmt: skip
    table("processor time of a watched training over a bare one", ["network, what is looked at", "median", "low", "high"], shown)  # fmt: skip


if __name__ == "__main__":
    main()
