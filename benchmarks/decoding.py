"""Decoding and training of the Transformer beside torch's own, interleaved.

python benchmarks/decoding.py [--rounds 7] [--quick]

`redecode` is nn.TransformerDecoder, which has no cache and decodes the whole prefix for every token, as its users do; `cached` is ours
token by token with keys and values kept; `parallel` all places in one pass, `refine` in four. All write 64 tokens (no end mark is
taken) with the same sizes: width 256, 4 heads, 3 layers each, hidden 1024, source of 32 tokens; batches of 1 and 64. `train` is one
step, forward and backward, of nn.Transformer and of ours, 64 pairs of 32 tokens. Ratios are taken within a round, then median and
quartiles. Rows go to decoding.csv.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _rows import RESULTS, append, machine_columns, spread, table
from torch import Tensor, nn

from actlab.decoding import greedy, mask_predict
from actlab.models.transformer import MASKED, PADDING, START, Transformer
from actlab.tasks.answering import stepping
from actlab.train.memory import keep_freed_memory

WIDTH, HEADS, LAYERS, HIDDEN, WORDS, TOKENS, SOURCE = 256, 4, 3, 1024, 200, 64, 32


class Torchs(nn.Module):
    """The same network from nn.Transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(WORDS, WIDTH), nn.Embedding(WORDS, WIDTH)
        self.core = nn.Transformer(WIDTH, HEADS, LAYERS, LAYERS, HIDDEN, 0.1, batch_first=True, norm_first=True)
        self.output = nn.Linear(WIDTH, WORDS)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Scores (batch, time, words)."""
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        return self.output(self.core(self.source(source), self.target(target), tgt_mask=mask, tgt_is_causal=True))

    @torch.no_grad()
    def redecode(self, source: Tensor, tokens: int) -> Tensor:
        """Greedy, the whole prefix anew for every token."""
        memory = self.core.encoder(self.source(source))
        found = torch.full((len(source), 1), START)
        for _ in range(tokens):
            mask = nn.Transformer.generate_square_subsequent_mask(found.shape[1])
            out = self.core.decoder(self.target(found), memory, tgt_mask=mask, tgt_is_causal=True)
            found = torch.cat([found, self.output(out[:, -1:]).argmax(-1)], 1)
        return found


def decoders(batch: int, tokens: int) -> dict[str, Callable[[], Any]]:
    """The ways to write so many tokens."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"width": WIDTH, "heads": HEADS, "layers": LAYERS, "hidden": HIDDEN}
    theirs = Torchs().eval()
    ours, parallel = (
        Transformer(WORDS, WORDS, **sizes).eval(),
        Transformer(WORDS, WORDS, autoregressive=False, **sizes).eval(),
    )
    source = torch.randint(5, WORDS, (batch, SOURCE))

    def cached() -> Any:
        step, state = stepping(ours, source)
        return greedy(step, torch.full((batch,), START), state, end=-1, steps=tokens)

    def at_once(iterations: int) -> Any:
        with torch.no_grad():
            memory, mask = parallel.encode(source)
            lengths = torch.full((batch,), tokens)
            return mask_predict(lambda y: parallel.decode(y, memory, mask)[0], lengths, masked=MASKED, padding=PADDING, never=(0, 1, 2, 3, 4), iterations=iterations)  # fmt: skip

    return {
        "redecode": lambda: theirs.redecode(source, tokens),
        "cached": cached,
        "parallel": lambda: at_once(1),
        "refine": lambda: at_once(4),
    }


def trainers(batch: int) -> dict[str, Callable[[], Any]]:
    """One step of training, forward and backward."""
    torch.manual_seed(0)
    theirs, ours = Torchs(), Transformer(WORDS, WORDS, width=WIDTH, heads=HEADS, layers=LAYERS, hidden=HIDDEN)
    source, target = torch.randint(5, WORDS, (batch, SOURCE)), torch.randint(5, WORDS, (batch, SOURCE))

    def step(model: nn.Module, forward: Callable[[], Tensor]) -> Callable[[], None]:
        def run() -> None:
            model.zero_grad()
            nn.functional.cross_entropy(forward().flatten(0, 1), target.flatten()).backward()

        return run

    return {
        "train torch": step(theirs, lambda: theirs(source, target)),
        "train ours": step(ours, lambda: ours((source, target))),
    }


def measure(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, by round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, run in ways.items():
            began = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="four tokens, one round: does it run")
    given = parser.parse_args()
    keep_freed_memory()
    tokens, rounds = (4, 1) if given.quick else (TOKENS, given.rounds)
    machine, rows = machine_columns(torch.device("cpu")), []
    for batch in (1,) if given.quick else (1, 64):
        for ways, reference in ((decoders(batch, tokens), "redecode"), (trainers(batch), "train torch")):
            seconds = measure(ways, rounds)
            for name, found in seconds.items():
                gain = spread([a / b for a, b in zip(seconds[reference], found, strict=True)])
                rows.append(
                    {**machine, "way": name, "batch": batch, "tokens": tokens, "milliseconds": spread(found).median * 1e3,
                     "times_as_fast": gain.median, "low": gain.low, "high": gain.high, "rounds": gain.runs}
                )  # fmt: skip
    append(given.out / "decoding.csv", rows)
    table(
        "times as fast as torch's own",
        ["way", "batch", "ms", "times", "quartiles"],
        [(row["way"], row["batch"], f"{row['milliseconds']:.1f}", f"{row['times_as_fast']:.2f}", f"{row['low']:.2f}-{row['high']:.2f}") for row in rows],
    )  # fmt: skip


if __name__ == "__main__":
    main()
