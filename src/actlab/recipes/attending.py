"""What a run's network attends to while it answers one item: an image, a sentence, a word, a recording, or a node of a graph."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .._language import say
from ..data import speech
from ..errors import UsageError
from ..inspection import Heads, heads
from ..models.transformer import START
from .inspected import of_run
from .load import Trained, kind
from .load_task import TrainedTask


@dataclass(frozen=True, eq=False)
class Attended:
    """Weights of a layer's heads, and names of queries (rows) and keys (columns)."""

    heads: Heads
    rows: list[str]
    columns: list[str]
    image: np.ndarray | None = None  # whose square of patches are the keys
    marked: int | None = None  # the row that was asked for

    def query(self, place: tuple[int, int] | None) -> int | None:
        """The row of the patch at (row, column); without a place, what the item itself asks for."""
        if place is None:
            return self.marked
        if self.image is None:
            raise UsageError(
                say("only patches of an image have a row and column; leave out --at", "只有图像的图块有行列位置；请去掉 --at")
            )  # fmt: skip
        side = math.isqrt(len(self.rows))
        if max(place) >= side:
            raise UsageError(
                say(
                    f"expected a patch from 0,0 to {side - 1},{side - 1}; got {place[0]},{place[1]}",
                    f"图块应为 0,0 到 {side - 1},{side - 1}；得到 {place[0]},{place[1]}",
                )
            )
        return place[0] * side + place[1]

    def strongest(self, query: int | None = None) -> list[tuple[float | None, str, str, float]]:
        """For each head its evenness, and the largest weight (of row `query`) with the names of its row and column."""
        found = []
        for even, weights in zip(self.heads.evenness, self.heads.weights, strict=True):
            first = 0 if query is None else query
            some = weights if query is None else weights[query : query + 1]
            row, column = divmod(int(some.argmax()), some.shape[1])
            found.append((even, self.rows[first + row], self.columns[column], float(some[row, column])))
        return found


def attended(run: str | Path, item: str, layer: str | None = None) -> Attended:
    """The attention of a layer (the last by default) of a run's network for one item, as `actlab predict` and `pronounce` read them.

    Raises UsageError for runs without attention or of another kind, and for an item that cannot be read.
    """
    if kind(run) == "images":
        trained = Trained(run)
        seen = of_run(trained, item)
        found = heads(trained.model, lambda net: net(seen.inputs), layer)
        _, rows, columns = found.weights.shape
        square = rows == columns and math.isqrt(rows) ** 2 == rows
        names = [f"{number // math.isqrt(rows)},{number % math.isqrt(rows)}" if square else str(number) for number in range(columns)]  # fmt: skip
        return Attended(found, names[:rows] if square else _numbers(rows), names, seen.shown if square else None)
    other = TrainedTask(run, *_READERS)
    return _READERS[other.plan.data.task](other, item, layer)


def _sentence(one: TrainedTask, item: str, layer: str | None) -> Attended:
    words = one.task.split(item)
    encoded = one.task.encode(words)[None]
    return Attended(heads(one.model, lambda net: net(encoded), layer), words, words)


def _recording(one: TrainedTask, item: str, layer: str | None) -> Attended:
    sound = speech.features(speech.read_wave(item), one.task.mels)
    found = heads(one.model, lambda net: net((sound[None], torch.tensor([len(sound)]))), layer)
    times = [f"{number / 100:.2f} s" for number in range(len(sound))]
    return Attended(found, times, times)


def _node(one: TrainedTask, item: str, layer: str | None) -> Attended:
    one.task.tell(one.model, item, 1)  # refuses what is no node
    found = heads(one.model, lambda net: net(torch.tensor([int(item)])), layer)
    nodes = _numbers(found.weights.shape[1])
    return Attended(found, nodes, nodes, marked=int(item))


def _pair(one: TrainedTask, item: str, layer: str | None) -> Attended:
    """The encoder looks at the source, the decoder at what is written, and across at the source."""
    task = one.task
    source = task.split(one.model, item)
    (answer,) = task.decode(one.model, [source], "greedy" if task.autoregressive else "refine")
    numbers = task.target.numbers(answer)
    given = torch.cat([torch.tensor([START]), numbers]) if task.autoregressive else numbers

    def run(net: Any) -> None:
        memory, mask = net.encode(source[None])
        if len(given):
            net.decode(given[None], memory, mask)

    found = heads(one.model, run, layer)
    read = list(task.source.tokens(source.tolist()))
    fed = [*([say("start", "开始")] if task.autoregressive else []), *answer]
    written = [*answer, *([say("end", "结束")] if task.autoregressive else [])]
    if not found.layer.startswith("decoder"):
        return Attended(found, read, read)
    return Attended(found, written, read) if found.layer.endswith("cross") else Attended(found, fed, fed)


def _numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


_READERS = {"slots": _sentence, "speech": _recording, "graph": _node, "pairs": _pair}
