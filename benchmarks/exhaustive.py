"""Every one of the 2^32 float32 inputs: largest error of value and derivative, by the float64 result.

python benchmarks/exhaustive.py [--only relu,sigmoid]     # minutes each, gelu twenty

Appends a row for each function to benchmarks/results/exhaustive.csv.
"""

import argparse
import csv
import datetime
import time

import torch
from _rows import RESULTS
from accuracy import errors, ours

from actlab import activations
from actlab.train.memory import keep_freed_memory

NAMES = ("relu", "leaky_relu", "sigmoid", "tanh", "softplus", "swish", "gelu")
LIMITS = (2.0, 4.0)  # ulp, of value and derivative
CHUNK = 2**16  # what is made of it stays in the cache: nine times as fast as 2^22


def largest(name: str) -> dict[str, object]:
    """One row."""
    entry, began = activations.get(name), time.perf_counter()
    worst, nan, over = [0.0, 0.0], 0, 0
    for start in range(-(2**31), 2**31, CHUNK):
        x = torch.arange(start, start + CHUNK, dtype=torch.int64).to(torch.int32).view(torch.float32)
        x = x[x.isfinite()]
        if not len(x):
            continue
        for order in (0, 1):
            found = ours(entry, x, order)
            error = errors(found, ours(entry, x.double(), order), torch.float32)
            top = error.max().item()
            worst[order] = max(worst[order], top)
            over += int((error > LIMITS[order]).sum()) if top > LIMITS[order] else 0
            nan += int(found.isnan().sum())
        done = (start + CHUNK + 2**31) / 2**32
        if (start + CHUNK) % 2**28 == 0:
            print(f"{name}: {done:.0%}, value {worst[0]:.3f} ulp, derivative {worst[1]:.3f} ulp", flush=True)
    seconds = time.perf_counter() - began
    return {"date": datetime.date.today().isoformat(), "activation": name, "inputs": 2**32 - 2**25, "value_ulp": round(worst[0], 4), "derivative_ulp": round(worst[1], 4), "over_limit": over, "nan": nan, "seconds": round(seconds)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names, with commas")
    given = parser.parse_args()
    keep_freed_memory()
    path = RESULTS / "exhaustive.csv"
    for name in given.only.split(",") if given.only else NAMES:
        row = largest(name)
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(row, flush=True)


if __name__ == "__main__":
    main()
