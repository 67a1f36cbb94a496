"""Functions of an axis side by side: forward, backward and bytes kept in torch, under torch.compile, and ours.

python benchmarks/vectors.py [--only swiglu,gate] [--rounds 7] [--threads 2] [--quick]

GLU, SwiGLU, GEGLU, ReGLU, maxout of two pieces, CReLU and sparsemax along the last axis, and `gate`, a SiLU times another tensor. `eager`
is torch's function, or the formula in torch operations where it has none; `compile` torch.compile of that; `fused` ours. Inputs are
batches of normal numbers. In every round each way takes its turn. Times are those of an element of the input. Bytes kept are those of
distinct storages that the forward pass keeps beside its output, which the next layer keeps anyway. Rows go to
benchmarks/results/vectors.csv.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _rows import RESULTS, append, machine_columns, spread, table
from torch import Tensor, nn
from torch.nn import functional as F

from actlab import activations, kernels
from actlab.optimizing import bytes_kept
from actlab.train.memory import keep_freed_memory


def halves(gate: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def gated(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return first * gate(second)

    return gated


def sparsemax(x: Tensor) -> Tensor:
    """As its paper's authors and others write it: sort, sums, and the last place that counts."""
    ordered = x.sort(-1, descending=True).values
    sums, place = ordered.cumsum(-1), torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    count = (1 + place * ordered > sums).sum(-1, keepdim=True)
    return (x - (sums.gather(-1, count - 1) - 1) / count).clamp(min=0)


# As users would write them.
FORMULAS: dict[str, Callable[..., Tensor]] = {
    "glu": F.glu, "swiglu": halves(F.silu), "geglu": halves(F.gelu), "reglu": halves(F.relu),
    "maxout": lambda x: x.unflatten(-1, (-1, 2)).max(-1).values, "crelu": lambda x: torch.cat([F.relu(x), F.relu(-x)], -1),
    "sparsemax": sparsemax, "gate": lambda value, gate: value * F.silu(gate),
}  # fmt: skip
SHAPES = ((8, 128), (64, 512), (512, 1024), (4096, 2048), (8192, 8192))
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def measure(name: str, shape: tuple[int, int], dtype: torch.dtype, rounds: int) -> dict[str, dict[str, Any]]:
    """Seconds of forward and backward, and bytes kept an element of the input, for every way, in turn."""
    torch._dynamo.reset()
    formula, pair = FORMULAS[name], name == "gate"
    ours = activations.Gated("silu", fused=True) if pair else activations.get(name).module(fused=True)
    given = [torch.randn(shape[0], shape[1] // (1 + pair)).to(dtype).requires_grad_() for _ in range(1 + pair)]
    g, elements = torch.randn(formula(*given).shape).to(dtype), shape[0] * shape[1]
    ways = {"eager": formula, "compile": torch.compile(formula, dynamic=False), "fused": ours}
    repeats = max(3, min(200, 2**20 // elements))
    times: dict[str, tuple[list[float], list[float]]] = {way: ([], []) for way in ways}
    order = list(ways)
    for number in range(rounds + 1):
        for way in order[number % len(order) :] + order[: number % len(order)]:
            function = ways[way]
            torch.autograd.grad(function(*given), given, g)
            start = time.perf_counter()
            outputs = [function(*given) for _ in range(repeats)]
            middle = time.perf_counter()
            for y in outputs:
                torch.autograd.grad(y, given, g)
            end = time.perf_counter()
            del outputs, y
            if number:  # the first round compiles and warms
                times[way][0].append((middle - start) / repeats)
                times[way][1].append((end - middle) / repeats)
    kept = {way: beside_output(function, given) / elements for way, function in ways.items()}
    return {
        way: {"forward": spread(one), "backward": spread(other), "bytes": kept[way]}
        for way, (one, other) in times.items()
    }


def beside_output(function: Callable[..., Tensor], given: list[Tensor]) -> int:
    """Bytes that a forward pass keeps, without those of its own result."""
    result: list[Tensor] = []
    identity = nn.Identity()
    identity.result = nn.Parameter(torch.empty(0))

    def call() -> None:
        result.append(function(*given))
        identity.result.data = result[0].detach()  # what belongs to the model is left out of the count

    return bytes_kept(call, identity)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names, with commas; the default is all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="one function, one size, two rounds: does it run")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else list(FORMULAS)
    shapes, types, rounds = SHAPES, TYPES, given.rounds
    if given.quick:
        names, shapes, types, rounds = ["swiglu"], SHAPES[1:2], {"bf16": torch.bfloat16}, 2
    if kernels.library() is None:
        raise SystemExit("expected a C++ compiler; install one, such as g++")
    keep_freed_memory()
    torch.set_num_threads(given.threads)
    machine, lines = machine_columns(torch.device("cpu")), []
    for kind, dtype in types.items():
        for shape in shapes:
            for name in names:
                found = measure(name, shape, dtype, rounds)
                elements = shape[0] * shape[1]
                rows = []
                for way, one in found.items():
                    row = {
                        **machine,
                        "function": name,
                        "type": kind,
                        "input": f"{shape[0]}x{shape[1]}",
                        "way": way,
                        "bytes_kept": one["bytes"],
                    }
                    for what in ("forward", "backward"):
                        scaled = [1e9 * value / elements for value in (one[what].median, one[what].low, one[what].high)]
                        row |= dict(zip((f"{what}_ns", f"{what}_low", f"{what}_high"), scaled, strict=True))
                    rows.append({**row, "rounds": one["forward"].runs})
                append(given.out / "vectors.csv", rows)
                lines += [(name, kind, row["input"], row["way"], row["forward_ns"], row["backward_ns"], row["bytes_kept"]) for row in rows]  # fmt: skip
    table(
        "functions of an axis, ns an element of the input",
        ("function", "type", "input", "way", "forward", "backward", "bytes"),
        lines,
    )


if __name__ == "__main__":
    main()
