"""Networks with their own activations, under torch.compile, and after `actlab.optimize`: bytes kept and seconds a step.

python benchmarks/block.py [--only mlp,vit,gpt,llama,alexnet] [--rounds 7] [--quick]

`eager` is the network as it is, `compile` torch.compile of it, `fused` after actlab.optimize, `fused-compile` torch.compile of that. A
step is forward, backward and no update, in bfloat16 weights but for AlexNet, which trains under bf16 autocast. Ways take turns in every
round. Bytes kept are those of distinct storages that the forward pass keeps, weights left out; the peak is the most that a step
holds at once beyond what was there before, by the allocator's records. Rows go to benchmarks/results/block.csv.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from _rows import RESULTS, append, machine_columns, spread, table
from torch import Tensor, nn
from torch.nn import functional as F

import actlab
from actlab import models
from actlab.optimizing import bytes_kept
from actlab.train.memory import keep_freed_memory


class FeedForward(nn.Module):
    """Two linear layers with an activation between, or LLaMA's three with a gate."""

    def __init__(self, width: int, inner: int, activation: nn.Module, *, gated: bool):
        super().__init__()
        self.up, self.down, self.act = nn.Linear(width, inner), nn.Linear(inner, width), activation
        self.gate = nn.Linear(width, inner) if gated else None

    def forward(self, x: Tensor) -> Tensor:
        up = self.up(x)
        return self.down(self.act(up) if self.gate is None else self.act(self.gate(x)) * up)


class Block(nn.Module):
    """A pre-norm Transformer block: attention and a feed-forward part, with or without a gate."""

    def __init__(self, width: int, heads: int, inner: int, activation: nn.Module, *, gated: bool, causal: bool):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = FeedForward(width, inner, activation, gated=gated)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(self.norms[0](x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(*parts.unbind(0), is_causal=self.causal)
        x = x + self.out(found.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norms[1](x))


def networks(*, quick: bool) -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]:
    """Name -> how to build it, and the shape of its input."""
    width, length, batch, depth = (64, 32, 2, 1) if quick else (384, 256, 8, 4)

    def blocks(activation: Callable[[], nn.Module], **options: bool) -> nn.Module:
        return nn.Sequential(
            *[Block(width, width // 64 or 1, 4 * width, activation(), **options) for _ in range(depth)]
        )

    return {
        "mlp": (lambda: nn.Sequential(*[part for _ in range(depth) for part in (nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width), nn.GELU())]), (batch * length, width)),
        "vit": (lambda: blocks(nn.GELU, gated=False, causal=False), (batch, length, width)),
        "gpt": (lambda: blocks(lambda: nn.GELU(approximate="tanh"), gated=False, causal=True), (batch, length, width)),
        "llama": (lambda: blocks(nn.SiLU, gated=True, causal=True), (batch, length, width)),
        "alexnet": (lambda: models.build("alexnet", activation="gelu"), (2 if quick else 16, 1, 224, 224)),
    }  # fmt: skip


def ways(build: Callable[[], nn.Module]) -> dict[str, nn.Module]:
    """The same network in four ways."""
    torch.manual_seed(0)
    plain = build()
    fused = actlab.optimize(deepcopy(plain)).model
    found = {"eager": plain, "fused": fused}
    return found | {"compile": torch.compile(deepcopy(plain)), "fused-compile": torch.compile(deepcopy(fused))}  # type: ignore[dict-item]


def step(network: nn.Module, x: Tensor, *, autocast: bool) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16) if autocast else nullcontext():
        y = network(x)
    y.float().square().mean().backward()
    network.zero_grad(set_to_none=True)


def peak_bytes(call: Callable[[], None]) -> int:
    """The most memory that the call holds at once, of what it allocates itself."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    events = [one for one in profiler.profiler.kineto_results.events() if one.name() == "[memory]"]
    events.sort(key=lambda one: one.start_ns())
    return max(accumulate((one.nbytes() for one in events), initial=0))


def measure(name: str, rounds: int, *, quick: bool) -> dict[str, dict[str, Any]]:
    build, shape = networks(quick=quick)[name]
    autocast = name == "alexnet"
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    x = x if autocast else x.bfloat16()
    found = ways((lambda: build()) if autocast else (lambda: build().bfloat16()))
    times: dict[str, list[float]] = {way: [] for way in found}
    for number in range(rounds + 1):
        for way, network in found.items():
            start = time.perf_counter()
            step(network, x, autocast=autocast)
            if number:  # the first round compiles
                times[way].append(time.perf_counter() - start)
    kept, peak = {}, {}
    for way, network in found.items():
        with torch.autocast("cpu", dtype=torch.bfloat16) if autocast else nullcontext():
            kept[way] = bytes_kept(lambda network=network: network(x), network)
        peak[way] = peak_bytes(lambda network=network: step(network, x, autocast=autocast))
    return {way: {"seconds": spread(times[way]), "bytes": kept[way], "peak": peak[way]} for way in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="mlp,vit,gpt,llama,alexnet")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="tiny networks, two rounds: does it run")
    given = parser.parse_args()
    keep_freed_memory()
    machine = machine_columns(torch.device("cpu"))
    for name in given.only.split(","):
        torch._dynamo.reset()
        found = measure(name, 2 if given.quick else given.rounds, quick=given.quick)
        append(given.out / "block.csv", [
            {**machine, "network": name, "way": way, "bytes_kept": one["bytes"], "peak_bytes": one["peak"], "seconds": one["seconds"].median, "low": one["seconds"].low, "high": one["seconds"].high, "rounds": one["seconds"].runs}
            for way, one in found.items()
        ])  # fmt: skip
        table(name, ["way", "MB kept", "MB at the peak", "ms a step", "from", "to"], [(way, one["bytes"] / 1e6, one["peak"] / 1e6, *(1e3 * value for value in (one["seconds"].median, one["seconds"].low, one["seconds"].high))) for way, one in found.items()])  # fmt: skip


if __name__ == "__main__":
    main()
