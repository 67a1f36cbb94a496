"""Forward passes over large tensors beside what bounds them: a copy of the tensor, and their arithmetic alone.

python benchmarks/bounds.py [--only gelu,sinusoid] [--size 24] [--rounds 7] [--threads 2] [--quick]

`arithmetic` is what an element takes where memory does not matter: 8,192 of them less 4,096 of them, in the first caches, so that the
call itself falls out, the median of nine times; one thread does it, and so many do their share at once in the whole pass. The bound is the
larger of a copy and that share. In every round all functions take turns; freed memory stays in the process, as in `actlab train`. Rows go to bounds.csv.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from _rows import RESULTS, append, machine_columns, spread, table
from activations import TYPES, USUAL, seconds

from actlab import activations, fused, kernels
from actlab.train.memory import keep_freed_memory

LINEAR = ("relu", "leaky_relu", "hard_tanh", "clipped_relu", "hard_sigmoid", "hard_swish", "hard_shrink", "soft_shrink", "absolute", "threshold")  # fmt: skip
SIGMOIDS = ("sigmoid", "tanh", "lecun_tanh", "symmetrical_sigmoid", "softsign", "arctan")
HEAVY = ("sinusoid", "cosine", "erf", "softplus", "log_sigmoid", "logish", "gaussian", "gelu", "gelu_tanh", "swish", "mish", "elu", "snake", "sinc", "cloglog")  # fmt: skip


def one_round(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> dict[str, float]:
    """Nanoseconds an element of a copy, of the arithmetic and of the whole pass, one after the other."""
    small, half = x[: 2**13].clone(), x[: 2**12].clone()
    repeats, cpu = max(1, 2**24 // len(x)), torch.device("cpu")
    copied = seconds(x.clone, repeats, cpu) / len(x)
    whole = seconds(lambda: function(x), repeats, cpu) / len(x)
    turns = [[seconds(lambda part=part: function(part), 100, cpu) for part in (small, half)] for _ in range(9)]
    arithmetic = median(one[0] - one[1] for one in turns) / len(half) / torch.get_num_threads()
    return {"clone": copied * 1e9, "arithmetic": arithmetic * 1e9, "fused": whole * 1e9}


def measure(names: list[str], power: int, rounds: int) -> dict[tuple[str, str], list[dict[str, float]]]:
    """The rounds of every function and type. All are asked once before any is asked again: what disturbs the machine for a minute
    falls on one round of many functions instead of on all rounds of one."""
    normal = torch.randn(2**power, generator=torch.Generator().manual_seed(0))
    inputs = {short: normal.to(TYPES[short]) for short in USUAL.split(",")}
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with torch.no_grad():
        for number in range(rounds + 1):
            for name in names:
                function = activations.get(name)
                for short, x in inputs.items():
                    one = one_round(function, x)
                    if number:  # the first round compiles and warms
                        found.setdefault((name, short), []).append(one)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names, with commas")
    parser.add_argument("--size", type=int, default=24, help="power of two")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="two functions, a small tensor, two rounds: does it run")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else [*LINEAR, *SIGMOIDS, *HEAVY]
    power, rounds = given.size, given.rounds
    if given.quick:
        names, power, rounds = ["relu", "erf"], 14, 2
    if kernels.library() is None:
        raise SystemExit("expected a C++ compiler; install one, such as g++")
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    fused()
    machine, rows = machine_columns(torch.device("cpu")), []
    for (name, short), turns in measure(names, power, rounds).items():
        times = {way: spread([one[way] for one in turns]) for way in turns[0]}
        share = spread([one["clone"] / one["fused"] for one in turns])
        bound = spread([one["fused"] / max(one["clone"], one["arithmetic"]) for one in turns])
        rows.append(
            {**machine, "activation": name, "type": short, "size": f"2^{power}", **{f"{way}_ns": found.median for way, found in times.items()},
             "share_of_copy": share.median, "share_low": share.low, "share_high": share.high,
             "times_bound": bound.median, "bound_low": bound.low, "bound_high": bound.high, "rounds": bound.runs}
        )  # fmt: skip
    append(given.out / "bounds.csv", rows)
    table(
        "forward over a copy of memory and over the larger of that and the arithmetic",
        ["activation", "type", "copy ns", "arithmetic ns", "forward ns", "share of a copy", "times the bound"],
        [(row["activation"], row["type"], *[f"{row[f'{way}_ns']:.3f}" for way in ("clone", "arithmetic", "fused")], f"{row['share_of_copy']:.2f}", f"{row['times_bound']:.2f}") for row in rows],
    )  # fmt: skip


if __name__ == "__main__":
    main()
