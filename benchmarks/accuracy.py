"""Errors of every activation in units of the last place, beside torch's own where it has the function.

python benchmarks/accuracy.py [--count 2000000] [--only gelu,relu]

float16 and bfloat16: every finite input. float32: `--count` inputs of every size. Both by the float64 result, which tests hold
against the definition at 50 digits. float64: fixed points of every size by the definition itself. An input whose exact result is
beyond the type's largest number is left out. Writes docs/accuracy.md and benchmarks/results/accuracy.csv.
"""

import argparse
import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import torch
from _rows import RESULTS
from torch import Tensor
from torch.nn import functional as F

from actlab import activations
from actlab.activations import Activation
from actlab.formula import parse

DOCS = Path(__file__).parent.parent / "docs"
_FORMAT = {torch.float16: (10, -14), torch.bfloat16: (7, -126), torch.float32: (23, -126), torch.float64: (52, -1022)}
TYPES = tuple(_FORMAT)
KINDS = ("value", "slope", "curve")
# Torch's own function where it has one, with our defaults.
TORCH: dict[str, Callable[[Tensor], Tensor]] = {
    "absolute": torch.abs, "arctan": torch.atan, "celu": F.celu, "clipped_relu": F.relu6, "cosine": torch.cos, "elu": F.elu,
    "erf": torch.erf, "exponential": torch.exp, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hard_shrink": F.hardshrink, "hard_swish": F.hardswish, "hard_tanh": F.hardtanh, "leaky_relu": F.leaky_relu,
    "log_sigmoid": F.logsigmoid, "mish": F.mish, "normalized_sinc": torch.sinc, "relu": F.relu, "selu": F.selu, "sigmoid": torch.sigmoid,
    "sinusoid": torch.sin, "soft_shrink": F.softshrink, "softplus": F.softplus, "softsign": F.softsign, "swish": F.silu,
    "tanh": torch.tanh, "tanh_shrink": F.tanhshrink,
}  # fmt: skip
POINTS = [
    sign * size for size in (1e-300, 1e-30, 1e-8, 1e-3, 0.013, 0.11, 0.29, 0.497, 0.7003, 0.753, 0.88, 1.19, 1.28, 1.43, 1.93, 2.7, 3.3, 4.2, 5.9, 7.7, 11.3, 17.9, 25.4)
    for sign in (-1, 1)
]  # fmt: skip


def inputs(dtype: torch.dtype, count: int) -> Tensor:
    """Every number of a half type; of float32 half over all bit patterns and half between -20 and 20."""
    if dtype in (torch.float16, torch.bfloat16):
        x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    else:
        generator = torch.Generator().manual_seed(0)
        bits = torch.randint(-(2**31), 2**31, (count // 2,), generator=generator, dtype=torch.int64).to(torch.int32)
        near = torch.rand(count - count // 2, generator=generator, dtype=torch.float64).mul(40).sub(20).float()
        x = torch.cat([bits.view(torch.float32), near])
    return x[x.isfinite()]


def errors(found: Tensor, exact: Tensor, dtype: torch.dtype) -> Tensor:
    """In ulp of `dtype`, by the exponent bits of the float64 result; infinite for a NaN; 0 where that result is beyond the type."""
    bits, least = _FORMAT[dtype]
    exponent = ((exact.view(torch.int64) >> 52) & 0x7FF).clamp(min=1023 + least)
    unit = ((exponent - bits) << 52).view(torch.float64)
    error = (found.double() - exact).abs_().div_(unit).nan_to_num_(nan=math.inf, posinf=math.inf)
    return torch.where(exact.abs() <= torch.finfo(dtype).max, error, torch.zeros_like(error))


def torchs(function: Callable[[Tensor], Tensor], x: Tensor, order: int) -> Tensor:
    """Torch's value, or its derivative by autograd."""
    if order == 0:
        return function(x)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
    return slope


def ours(entry: Activation, x: Tensor, order: int) -> Tensor:
    """Our value or derivative."""
    return entry.derivative(x, order) if order else entry(x)


def worst_narrow(entry: Activation, dtype: torch.dtype, order: int, count: int) -> tuple[float, float | None]:
    """Ours and torch's largest error over the inputs of that type."""
    x = inputs(dtype, count)
    exact = ours(entry, x.double(), order)
    mine = errors(ours(entry, x, order), exact, dtype).max().item()
    function = TORCH.get(entry.name)
    return mine, None if function is None else errors(torchs(function, x, order), exact, dtype).max().item()


def worst_double(entry: Activation, order: int) -> tuple[float, float | None]:
    """Ours and torch's largest error over fixed points, by the definition at 50 digits."""
    kind = KINDS[order]
    breaks = entry.points((*entry.kinks, *entry.jumps))
    points = [x for x in POINTS if all(abs(x - one) > 1e-9 for one in breaks)]
    exact, values = entry.definition().exact(order), entry.values()
    wanted = [exact(x, **values) for x in points]
    x = torch.tensor(points, dtype=torch.float64)
    floor = parse(entry.bounds[kind].floor).torch()(x).expand(x.shape) if kind in entry.bounds else torch.zeros_like(x)
    function = TORCH.get(entry.name)
    found = [ours(entry, x, order)] + ([torchs(function, x, order)] if function and order < 2 else [])
    worst = [
        max(_error(y, w, f) for y, w, f in zip(one.tolist(), wanted, floor.tolist(), strict=True)) for one in found
    ]
    return worst[0], worst[1] if len(worst) > 1 else None


def _error(found: float, wanted: Any, floor: float) -> float:
    size = max(abs(float(wanted)), floor)
    unit = 2.0 ** (max(math.frexp(size)[1] - 1 if size else -1022, -1022) - 52)
    return float(abs(mpmath.mpf(found) - wanted)) / unit if math.isfinite(found) else math.inf


def rows_of(entry: Activation, count: int) -> list[dict[str, Any]]:
    """One row for each type and kind."""
    rows = []
    for dtype in TYPES:
        for order, kind in enumerate(KINDS):
            if (order == 2 and dtype != torch.float64) or (order and entry.surrogate):
                continue
            pair = worst_double(entry, order) if dtype == torch.float64 else worst_narrow(entry, dtype, order, count)
            tested = len(POINTS) if dtype == torch.float64 else 2**16 if dtype.itemsize == 2 else count
            rows.append({"activation": entry.name, "type": str(dtype).removeprefix("torch."), "kind": kind, "inputs": tested, "actlab_ulp": pair[0], "torch_ulp": pair[1]})  # fmt: skip
    return rows


def cell(row: dict[str, Any] | None) -> str:
    """Ours, and torch's behind a bar."""
    if row is None:
        return ""
    return short(row["actlab_ulp"]) + ("" if row["torch_ulp"] is None else f" / {short(row['torch_ulp'])}")


def short(error: float) -> str:
    """Three digits at most."""
    if math.isinf(error):
        return "∞"
    return f"{error:.2f}" if error < 100 else f"{error:.1e}".replace("e+0", "e").replace("e+", "e")


def page(rows: list[dict[str, Any]], count: int) -> str:
    """docs/accuracy.md."""
    known = {(row["activation"], row["type"], row["kind"]): row for row in rows}
    columns = [("float16", "value"), ("float16", "slope"), ("bfloat16", "value"), ("bfloat16", "slope"), ("float32", "value"), ("float32", "slope"), ("float64", "value"), ("float64", "slope"), ("float64", "curve")]  # fmt: skip
    short_names = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "float64": "fp64"}
    kinds = {"value": "f", "slope": "f'", "curve": "f''"}
    head = ["activation", *(f"{short_names[kind]} {kinds[what]}" for kind, what in columns)]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += [
        "| " + " | ".join([name, *(cell(known.get((name, *column))) for column in columns)]) + " |"
        for name in dict.fromkeys(row["activation"] for row in rows)
    ]
    stated = [
        f"- {name}, {kind}: {bound.ulp:g} ulp of the larger of the exact result and {bound.floor}: {bound.why}."
        for name in activations.names(vectors=False)
        for kind, bound in activations.get(name).bounds.items()
    ]
    return f"""# Accuracy

Largest errors in units of the last place (ulp): Actlab's, and after the bar torch {torch.__version__.split("+")[0]}'s where it has the
function, on a CPU with default parameters. 0.50 is a correctly rounded result; ∞ means NaN or infinity where the exact result is finite.
Written by `make accuracy`; the rows are in [accuracy.csv](../benchmarks/results/accuracy.csv).

fp16 and bf16: all 65,536 inputs. fp32: {count:,} inputs, half of them over all bit patterns, half between -20 and 20. fp64: {len(POINTS)} points from
1e-300 to 25.4 by the definition at 50 digits, tests use others. Derivatives of torch are those of its backward pass.

最大误差，单位为末位单位（ulp）：Actlab 的结果，斜杠后为 torch 的结果（若有该函数）。0.50 即正确舍入；∞ 表示精确结果有限而得到 NaN 或无穷。

{chr(10).join(lines)}

## Stated bounds

In float64 the usual bound is 4 ulp. Where terms cancel it cannot hold next to a zero, and the entry states what does; narrower types are
computed in float64 there, and keep the usual bounds.

{chr(10).join(stated)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2_000_000, help="float32 inputs (2,000,000)")
    parser.add_argument("--only", help="names, with commas; then nothing is written")
    given = parser.parse_args()
    rows = []
    for name in given.only.split(",") if given.only else activations.names(vectors=False):
        found = rows_of(activations.get(name), given.count)
        rows += found
        print(f"{name:24}" + "  ".join(f"{row['type']} {row['kind']} {cell(row)}" for row in found), flush=True)
    if given.only:
        return
    with (RESULTS / "accuracy.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )
    (DOCS / "accuracy.md").write_text(page(rows, given.count), encoding="utf-8")


if __name__ == "__main__":
    main()
