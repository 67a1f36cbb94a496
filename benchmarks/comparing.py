"""Whether `actlab compare` may be trusted: planted effects that it must find, and one activation that must not beat itself.

python benchmarks/comparing.py [--experiments N] [--nulls N] [--workers N]

Every experiment is a comparison of its own, with data and seeds of its own, by the quick protocol (5 rates, 3 screening and 8 confirmation
seeds). Planted: relu against the identity on a spiral, relu against sigmoid in a network of 20 layers. Null: eight names for relu, each with seeds
of its own, which is harder than the paired seeds that a comparison uses (paired, one activation under two names gives the same numbers): a
winner is a false one. Rows go to comparing.csv, written afresh, with Wilson intervals.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from _rows import RESULTS, machine_columns, table
from joblib import Parallel, delayed
from recipe_runs import write
from torch import nn

from actlab.activations import layer
from actlab.comparison.candidates import matched_start
from actlab.comparison.protocol import check, compare
from actlab.comparison.running import Runner
from actlab.intervals import wilson
from actlab.records import Declaration
from actlab.train import Parts, Settings, TensorPart

NAMES = tuple(f"relu {number}" for number in range(8))


def spiral(count: int, seed: int) -> TensorPart:
    """Two arms in the plane, with noise."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    t = 3 * torch.rand(count, generator=draw) + 0.3
    a = 1.6 * t + 3.14159 * y
    x = torch.stack([t * a.cos(), t * a.sin()], 1) / 2 + 0.05 * torch.randn(count, 2, generator=draw)
    return TensorPart(x, y)


class Planted:
    """Fully connected networks on a spiral. A candidate is an activation, or a name for relu that draws seeds of its own."""

    fixed, loss = True, None

    def __init__(self, declared: Declaration):
        self.declared = declared
        number, self.depth, self.width = (declared.plan[name] for name in ("number", "depth", "width"))
        self.data = Parts(spiral(300, 3 * number), spiral(200, 3 * number + 1), spiral(400, 3 * number + 2))

    def model(self, candidate: str, seed: int) -> nn.Module:
        """The network as its training begins."""
        name, _, own = candidate.partition(" ")
        layers: list[nn.Module] = [nn.Linear(2, self.width), layer(name)()]
        for _ in range(self.depth - 1):
            layers += [nn.Linear(self.width, self.width), layer(name)()]
        model = nn.Sequential(*layers, nn.Linear(self.width, 2))
        return matched_start(model, name, seed + 1_000_003 * int(own or 0))

    def parts(self, seed: int) -> Parts:
        """The same for every seed."""
        return self.data

    def settings(self, candidate: str, rate: float, seed: int) -> Settings:
        """Adam, whose rates matter little to depth."""
        own = int(candidate.partition(" ")[2] or 0)
        return Settings(
            seed=seed + 1_000_003 * own, steps=self.declared.steps, learning_rate=rate, optimizer="adamw", batch_size=50
        )


def experiment(kind: str, number: int, quick: bool = False) -> tuple[str, Any]:
    """One comparison: what it found."""
    torch.set_num_threads(1)
    candidates, depth, width, steps = {
        "identity": (("relu", "identity"), 2, 16, 100),
        "sigmoid": (("relu", "sigmoid"), 20, 12, 60),
        "null": (NAMES, 1, 8, 30),
    }[kind]
    steps = steps // 20 if quick else steps
    seeds = 10_000 * (number + 1)
    declared = check(
        Declaration(
            target=kind, candidates=candidates, baseline=candidates[0], margin=0.02, steps=steps, rates=(1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
            tuning_seeds=(seeds,), screening_seeds=tuple(range(seeds + 1, seeds + 4)), confirmation_seeds=tuple(range(seeds + 10, seeds + 18)),
            finalists=1 if kind != "null" else 3, plan={"number": number, "depth": depth, "width": width},
        )
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(declared, Planted, Path(folder))
        found = compare(declared, runner)
    return kind, [one.verdict for one in found.contrasts]


def main() -> None:
    """Carry out, count, print, write."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--experiments", type=int, default=40)
    ask.add_argument("--nulls", type=int, default=200)
    ask.add_argument("--workers", type=int, default=2)
    ask.add_argument("--quick", action="store_true", help="a twentieth of the steps: the counts mean nothing")
    ask.add_argument("--out", type=Path, default=RESULTS)
    given = ask.parse_args()
    machine, rows = machine_columns(torch.device("cpu")), []
    wanted = {"identity": given.experiments, "sigmoid": given.experiments, "null": given.nulls}
    for kind, count in wanted.items():
        began = time.perf_counter()
        found = Parallel(n_jobs=given.workers)(
            delayed(experiment)(kind, number, given.quick) for number in range(count)
        )
        took = time.perf_counter() - began
        hits = sum(
            any(word in ("better", "worse") for word in verdicts) if kind == "null" else verdicts == ["worse"]
            for _, verdicts in found
        )
        low, high = wilson(hits, count)
        what = "a false winner among eight names of relu" if kind == "null" else f"{kind} found worse than relu"
        rows.append(
            {
                **machine,
                "what": what,
                "experiments": count,
                "times": hits,
                "rate_low": low,
                "rate_high": high,
                "seconds": took,
            }
        )
        print(f"{what}: {hits} of {count} ({low:.3f} to {high:.3f}), {took:.0f} s", flush=True)
        write(given.out / "comparing.csv", rows)
    table("comparisons", ["what", "experiments", "times", "low", "high"], [(r["what"], r["experiments"], r["times"], r["rate_low"], r["rate_high"]) for r in rows])  # fmt: skip


if __name__ == "__main__":
    main()
