"""Activations side by side: forward, backward and bytes kept, for what people use and for ours.

python benchmarks/activations.py [--only gelu,mish] [--sizes 10,14,18,22,26] [--rounds 7] [--threads 2] [--device cuda] [--quick]

Ways: `eager` is torch's own function, or the formula in torch operations where it has none; `compile` is torch.compile of that;
`library` the form that timm or Hugging Face write; `fused` is ours as it comes, `fused-input` and `fused-output` ours told to keep what
it would not (it keeps the input of float32, and of half types the output where that tells the slope); `clone` copies the tensor and is
the limit of any pass over it. Each is called as a function, those with parameters that learn (PReLU, and names that end in `_learning`)
as layers on both sides; `rrelu_training` draws. In every round each way takes its turn, so that all meet the same machine, and is called once before the clock
starts; what memory a result gets depends on what was called before, so every round begins with another way. Freed memory stays in the
process, as in `actlab train`. Rows go to benchmarks/results/activations.csv, a picture of them to activations.svg, a summary to the
terminal. Inputs are normal; with `--deviation 4` many lie where kernels for numbers near 0 do not reach.
"""

import argparse
import ctypes
import gc
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _rows import RESULTS, append, machine_columns, spread, table
from _speed_picture import Cells, draw
from accuracy import TORCH
from torch import Tensor, nn
from torch.nn import functional as F

from actlab import activations, fused, kernels
from actlab.activations import Activation
from actlab.optimizing import bytes_kept
from actlab.train.memory import keep_freed_memory

# Torch's functions told our parameters.
TOLD: dict[str, Callable[[Tensor], Tensor]] = {
    "hard_sigmoid": lambda x: (0.2 * x + 0.5).clamp(0, 1),  # torch's has another slope
    "rrelu": lambda x: F.rrelu(x, 1 / 8, 1 / 3, training=False),
    "rrelu_training": lambda x: F.rrelu(x, 1 / 8, 1 / 3, training=True),
    "threshold": lambda x: F.threshold(x, 1.0, 0.0),
}
NATIVE = {*TORCH, *TOLD, "prelu"}
# As timm and Hugging Face write them, from their formulas.
LIBRARY: dict[str, Callable[[Tensor], Tensor]] = {
    "mish": lambda x: x.mul(F.softplus(x).tanh()),
    "swish": lambda x: x.mul(x.sigmoid()),
    "hard_swish": lambda x: x * F.relu6(x + 3.0) / 6.0,
    "gelu_tanh": lambda x: 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0)))),
    "gelu": lambda x: x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0))),
    "relu_squared": lambda x: torch.square(F.relu(x)),
    "laplace": lambda x: 0.5 * (1.0 + torch.erf((x - 0.707107) / (0.282095 * math.sqrt(2.0)))),
    "hard_mish": lambda x: 0.5 * x * (x + 2).clamp(min=0, max=2),
}
# What users write for functions that torch lacks.
COMPOSITE: dict[str, Callable[[Tensor], Tensor]] = {
    "bent_identity": lambda x: (torch.sqrt(x * x + 1) - 1) / 2 + x,
    "gaussian": lambda x: torch.exp(-x * x),
    "lecun_tanh": lambda x: 1.7159 * torch.tanh(x * (2 / 3)),
    "symmetrical_sigmoid": lambda x: (1 - torch.exp(-x)) / (1 + torch.exp(-x)),
    "cloglog": lambda x: 1 - torch.exp(-torch.exp(x)),
    "relu_squared": lambda x: F.relu(x) ** 2,
    "squareplus": lambda x: (x + torch.sqrt(x * x + 4)) / 2,
    "laplace": LIBRARY["laplace"],
    "hard_mish": LIBRARY["hard_mish"],
    "logish": lambda x: x * torch.log(1 + torch.sigmoid(x)),
    "serf": lambda x: x * torch.erf(F.softplus(x)),
    "tanh_exp": lambda x: x * torch.tanh(torch.exp(x)),
    "phish": lambda x: x * torch.tanh(F.gelu(x)),
    "snake": lambda x: x + torch.sin(x) ** 2,
    "sinc": lambda x: torch.where(x == 0, torch.ones_like(x), torch.sin(x) / x),
    "growing_cosine": lambda x: x * torch.cos(x),
    "elish": lambda x: torch.where(x >= 0, x * torch.sigmoid(x), (torch.exp(x) - 1) * torch.sigmoid(x)),
    "shifted_softplus": lambda x: F.softplus(x) - math.log(2),
    "sqrt_softplus": lambda x: torch.sqrt(F.softplus(x)),
    "smelu": lambda x: torch.where(x >= 1, x, torch.where(x <= -1, torch.zeros_like(x), (x + 1) ** 2 / 4)),
    "star_relu": lambda x: 0.8944 * F.relu(x) ** 2 - 0.4472,
    "clipped_gelu": lambda x: F.gelu(x).clamp(-10, 10),
    "hard_elish": lambda x: torch.where(x >= 0, x, torch.exp(x) - 1) * ((x + 1) / 2).clamp(0, 1),
    "xielu": lambda x: torch.where(
        x > 0, 0.80007 * x * x + 0.5 * x, 0.8 * (torch.expm1(x.clamp(max=-1e-6)) - x) + 0.5 * x
    ),
    "straight_through_step": lambda x: (x >= 0).to(x.dtype) + (x - x.detach()),
    "sigmoid_surrogate_step": lambda x: (x >= 0).to(x.dtype) + (torch.sigmoid(x) - torch.sigmoid(x).detach()),
}


class Learning(nn.Module):
    """A formula with parameters of its own, as a user would write it."""

    def __init__(self, formula: Callable[..., Tensor], *start: float):
        super().__init__()
        self.formula = formula
        self.own = nn.ParameterList([nn.Parameter(torch.tensor(one)) for one in start])

    def forward(self, x: Tensor) -> Tensor:
        return self.formula(x, *self.own)


# Of entries whose parameters learn, for names that end in `_learning`.
LEARNING: dict[str, Callable[[], nn.Module]] = {
    "snake": lambda: Learning(lambda x, a: x + torch.sin(a * x) ** 2 / a, 1.0),
    "star_relu": lambda: Learning(lambda x, s, b: s * F.relu(x) ** 2 + b, 0.8944, -0.4472),
    "swish": lambda: Learning(lambda x, b: x * torch.sigmoid(b * x), 1.0),
    "xielu": lambda: Learning(
        lambda x, p, n: torch.where(
            x > 0,
            F.softplus(p) * x * x + 0.5 * x,
            (0.5 + F.softplus(n)) * (torch.expm1(x.clamp(max=-1e-6)) - x) + 0.5 * x,
        ),
        0.2035149379,
        -1.0502256128,
    ),
}
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
USUAL = "fp32,bf16"


_CPU = torch.device("cpu")


def functions(
    name: str, dtype: torch.dtype, device: torch.device = _CPU
) -> dict[str, nn.Module | Callable[[Tensor], Tensor]]:
    """The ways there are for an activation."""
    learns, draws = name == "prelu" or name.endswith("_learning"), name.endswith("_training")
    entry: Activation = activations.get(name.removesuffix("_learning").removesuffix("_training"))
    eager: Callable[[Tensor], Tensor] | None = COMPOSITE.get(name) or TORCH.get(name) or TOLD.get(name)
    if learns:
        eager = (nn.PReLU() if name == "prelu" else LEARNING[entry.name]()).to(device, dtype)
    found: dict[str, Any] = {"clone": torch.clone}
    if eager is not None:
        found |= {"eager": eager, "compile": torch.compile(_fresh(eager), dynamic=False)}
    if name in LIBRARY:
        found["library"] = LIBRARY[name]
    found["fused"] = entry.module().to(device, dtype) if learns or draws else entry
    if not learns and kernels.tells_slope(entry, entry.values()):
        other = "output" if dtype == torch.float32 else "input"
        found[f"fused-{other}"] = entry.module(save=other, learn=False).train(draws)
    return found


def _fresh(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function of its own, so that torch.compile keeps one cache for each."""
    return function if isinstance(function, nn.Module) else lambda x: function(x)


def measure(
    name: str, dtype: torch.dtype, device: torch.device, size: int, rounds: int, deviation: float = 1.0
) -> dict[str, dict[str, Any]]:
    """Seconds of forward and backward and bytes kept an element, for every way, in turn; of normal inputs with this standard deviation."""
    generator = torch.Generator().manual_seed(0)
    x, g = (torch.randn(size, generator=generator, device="cpu").mul(one).to(device, dtype) for one in (deviation, 1.0))
    leaf = x.clone().requires_grad_()
    ways = functions(name, dtype, device)
    repeats = max(20 if device.type == "cuda" else 1, min(200, 2**22 // size))
    times: dict[str, dict[str, list[float]]] = {way: {"forward": [], "backward": []} for way in ways}
    order = list(ways)
    for number in range(rounds + 1):
        for way in order[number % len(order) :] + order[: number % len(order)]:
            function = ways[way]
            with torch.no_grad():
                forward = seconds(lambda function=function: function(x), repeats, device)
            backward = _backward_seconds(function, leaf, g, repeats)
            if number:  # the first round compiles and warms
                times[way]["forward"].append(forward)
                times[way]["backward"].append(backward)
    kept = {way: _kept(function, dtype, device) for way, function in ways.items()}
    return {
        way: {**{what: spread(one) for what, one in found.items()}, "bytes": kept[way]} for way, found in times.items()
    }


def seconds(call: Callable[[], Any], repeats: int, device: torch.device) -> float:
    """Of one of so many calls, after one before the clock starts."""
    call()
    _finish(device)
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    _finish(device)
    return (time.perf_counter() - start) / repeats


def _finish(device: torch.device) -> None:
    """Wait for it."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def _backward_seconds(function: Callable[[Tensor], Tensor], leaf: Tensor, g: Tensor, repeats: int) -> float:
    """Of the backward pass alone: forward passes are made before the clock starts, a few at a time to spare memory."""
    inputs = [leaf, *(function.parameters() if isinstance(function, nn.Module) else ())]
    torch.autograd.grad(function(leaf), inputs, g)
    total, done = 0.0, 0
    while done < repeats:
        batch = min(20, repeats - done)
        outputs = [function(leaf) for _ in range(batch)]
        _finish(leaf.device)
        start = time.perf_counter()
        for y in outputs:
            torch.autograd.grad(y, inputs, g)
        _finish(leaf.device)
        total += time.perf_counter() - start
        done += batch
    return total / repeats


def _kept(function: Callable[[Tensor], Tensor], dtype: torch.dtype, device: torch.device) -> float:
    """Bytes an element between two linear layers, the first one's input left out."""
    first, second = (nn.Linear(256, 256).to(device, dtype) for _ in range(2))
    x = torch.randn(256, 256).to(device, dtype)
    whole = nn.ModuleList([first, second, *([function] if isinstance(function, nn.Module) else [])])
    return (bytes_kept(lambda: second(function(first(x))), whole) - x.untyped_storage().nbytes()) / x.numel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names, with commas; the default is all that have an eager form")
    parser.add_argument("--sizes", default="10,14,18,22,26", help="powers of two")
    parser.add_argument("--types", default=USUAL, help=f"of {', '.join(TYPES)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--deviation", type=float, default=1.0, help="of the inputs; those of another than 1 have files of their own"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="two functions, one size, two rounds: does it run")
    given = parser.parse_args()
    names = (
        given.only.split(",")
        if given.only
        else sorted({*NATIVE, *COMPOSITE, *(f"{name}_learning" for name in LEARNING)})
    )
    sizes = [int(one) for one in given.sizes.split(",")]
    types, rounds = given.types.split(","), given.rounds
    if given.quick:
        names, sizes, types, rounds = ["relu", "gaussian"], [10], ["bf16"], 2
    if kernels.library() is None:
        raise SystemExit("expected a C++ compiler; install one, such as g++")
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("device cuda is not available here; use --device cpu")
    file = "activations" if given.deviation == 1 else f"activations-deviation-{given.deviation:g}"
    device = torch.device(given.device)
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    fused()
    machine, rows = machine_columns(device), []
    for name in names:
        for short in types:
            for power in sizes:
                torch._dynamo.reset()
                _give_back()
                found = measure(name, TYPES[short], device, 2**power, rounds, given.deviation)
                fresh = [_row(machine, name, short, power, way, one) for way, one in found.items()]
                rows += fresh
                append(given.out / f"{file}.csv", fresh)
                print(_line(name, short, power, found), flush=True)
    cells: Cells = {}
    for row in rows:
        cells.setdefault((row["activation"], row["type"], row["size"]), {})[row["way"]] = row
    summary(cells)
    draw(cells, given.out / f"{file}.svg")


def _give_back() -> None:
    """Freed memory back to the system: kept through all functions at 2^26 it lies in pieces that fit nothing, and 24 GiB are not enough."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def _row(machine: dict[str, Any], name: str, short: str, power: int, way: str, one: dict[str, Any]) -> dict[str, Any]:
    return {
        **machine, "activation": name, "type": short, "size": f"2^{power}", "way": way, "bytes_kept": one["bytes"],
        **{f"{what}_{part}": getattr(one[what], field) / 2**power * 1e9 for what in ("forward", "backward") for part, field in (("ns", "median"), ("low", "low"), ("high", "high"))},
        "rounds": one["forward"].runs,
    }  # fmt: skip


def _line(name: str, short: str, power: int, found: dict[str, dict[str, Any]]) -> str:
    parts = [
        f"{way} {one['forward'].median / 2**power * 1e9:.3f}+{one['backward'].median / 2**power * 1e9:.3f}"
        for way, one in found.items()
    ]
    return f"{name} {short} 2^{power}  ns an element, forward+backward: " + "  ".join(parts)


def summary(cells: Cells) -> None:
    """Wins, ties and losses of the fused way against the better of eager and compile, and the cells it loses."""
    counts, lost, gains = {"faster": 0, "equal": 0, "slower": 0}, [], []
    for key, ways in cells.items():
        if "eager" not in ways:
            continue
        elements = 2 ** int(key[2][2:])
        for what in ("forward", "backward"):
            best = min((ways[one] for one in ("eager", "compile")), key=lambda row: row[f"{what}_ns"])
            ours = ways["fused"]
            margin = max(0.05 * best[f"{what}_ns"], 2000 / elements)
            verdict = (
                "slower"
                if ours[f"{what}_low"] > best[f"{what}_high"] + margin
                else "faster"
                if ours[f"{what}_high"] < best[f"{what}_low"]
                else "equal"
            )
            counts[verdict] += 1
            if verdict == "slower":
                lost.append((" ".join(key), what, ours[f"{what}_ns"], best[f"{what}_ns"], best["way"]))
        if key[0] not in NATIVE:
            gains.append(
                math.log(
                    (ways["eager"]["forward_ns"] + ways["eager"]["backward_ns"])
                    / (ways["fused"]["forward_ns"] + ways["fused"]["backward_ns"])
                )
            )
    table("fused against the better of eager and compile", ["verdict", "cells"], list(counts.items()))
    if lost:
        table(
            "slower by more than 5 % and 2 microseconds, beyond the quartiles",
            ["cell", "pass", "fused ns", "best ns", "way"],
            lost,
        )
    if gains:
        print(
            f"\nforward and backward over eager, functions torch lacks: {math.exp(sum(gains) / len(gains)):.2f} times (geometric mean of {len(gains)} cells)"
        )


if __name__ == "__main__":
    main()
