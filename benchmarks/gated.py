"""Gated units side by side: forward, backward and bytes kept of GLU, SwiGLU, GEGLU and ReGLU, in torch, under torch.compile, and ours.

python benchmarks/gated.py [--only swiglu] [--rounds 7] [--threads 2] [--quick]

`eager` is torch's GLU, or the formula in torch operations where it has none; `compile` torch.compile of that; `fused` ours. Inputs are
batches of normal numbers, gated along their last axis; the first is the smallest for which there is a kernel. In every round each way
takes its turn. Bytes kept are those of distinct storages that the forward pass keeps, an element of the output. Rows go to
benchmarks/results/gated.csv.
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

GATES: dict[str, Callable[[Tensor], Tensor] | None] = {"glu": None, "swiglu": F.silu, "geglu": F.gelu, "reglu": F.relu}
SHAPES = ((8, 128), (64, 512), (512, 1024), (4096, 2048), (8192, 8192))
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def formula(name: str) -> Callable[[Tensor], Tensor]:
    """As a user would write it."""
    gate = GATES[name]
    if gate is None:
        return F.glu

    def gated(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return first * gate(second)

    return gated


def measure(name: str, shape: tuple[int, int], dtype: torch.dtype, rounds: int) -> dict[str, dict[str, Any]]:
    """Seconds of forward and backward, and bytes kept an element of the output, for every way, in turn."""
    torch._dynamo.reset()
    x, g = torch.randn(shape).to(dtype).requires_grad_(), torch.randn(shape[0], shape[1] // 2).to(dtype)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "eager": formula(name), "compile": torch.compile(formula(name), dynamic=False), "fused": activations.get(name).module(fused=True),
    }  # fmt: skip
    repeats = max(3, min(200, 2**21 // g.numel()))
    times: dict[str, tuple[list[float], list[float]]] = {way: ([], []) for way in ways}
    order = list(ways)
    for number in range(rounds + 1):
        for way in order[number % len(order) :] + order[: number % len(order)]:
            function = ways[way]
            torch.autograd.grad(function(x), x, g)
            start = time.perf_counter()
            outputs = [function(x) for _ in range(repeats)]
            middle = time.perf_counter()
            for y in outputs:
                torch.autograd.grad(y, x, g)
            end = time.perf_counter()
            del outputs, y
            if number:  # the first round compiles and warms
                times[way][0].append((middle - start) / repeats)
                times[way][1].append((end - middle) / repeats)
    kept = {
        way: bytes_kept(lambda function=function: function(x), nn.Identity()) / g.numel()
        for way, function in ways.items()
    }
    return {
        way: {"forward": spread(one), "backward": spread(other), "bytes": kept[way]}
        for way, (one, other) in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names, with commas; the default is all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="one unit, one size, two rounds: does it run")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else list(GATES)
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
                elements = shape[0] * shape[1] // 2
                rows = []
                for way, one in found.items():
                    row = {
                        **machine,
                        "unit": name,
                        "type": kind,
                        "input": f"{shape[0]}x{shape[1]}",
                        "way": way,
                        "bytes_kept": one["bytes"],
                    }
                    for what in ("forward", "backward"):
                        scaled = [1e9 * value / elements for value in (one[what].median, one[what].low, one[what].high)]
                        row |= dict(zip((f"{what}_ns", f"{what}_low", f"{what}_high"), scaled, strict=True))
                    rows.append({**row, "rounds": one["forward"].runs})
                append(given.out / "gated.csv", rows)
                lines += [(name, kind, row["input"], row["way"], row["forward_ns"], row["backward_ns"], row["bytes_kept"]) for row in rows]  # fmt: skip
    table(
        "gated units, ns an element of the output",
        ("unit", "type", "input", "way", "forward", "backward", "bytes"),
        lines,
    )


if __name__ == "__main__":
    main()
