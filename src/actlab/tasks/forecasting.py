"""Forecasting: the next values of a series from its past, and from the inputs it depends on."""

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from .._language import say
from ..data import series
from ..data.series import Series
from ..errors import UsageError
from ..models import NARX
from ..records import DataFacts
from ..train.parts import Forward, Part, Parts, Scores
from . import made_of
from ._linear import LinearARX

_FILE = "series.json"
Transform = Literal["identity", "sqrt"]


class SeriesPart:
    """Windows of a series: inputs (batch, memory + 1, columns) that end with the step to forecast, targets (batch).

    The target's own value in the last row is zero, so that nobody can look at it.
    """

    def __init__(self, values: Tensor, rows: Tensor, memory: int):
        self.values, self.rows, self.memory = values, rows, memory

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        windows = self.windows(self.rows[indices])
        targets = windows[:, -1, -1].clone()
        windows[:, -1, -1] = 0
        return windows, targets

    def windows(self, rows: Tensor) -> Tensor:
        """(batch, memory + 1, columns) that end with these rows."""
        return self.windows_of(self.values, rows)

    def windows_of(self, values: Tensor, rows: Tensor) -> Tensor:
        """The same windows of other values (time, columns)."""
        return values[rows[:, None] + torch.arange(-self.memory, 1)]


class Forecasting:
    """The task: mean squared error of the next value, in standard deviations of the training part.

    `columns`: inputs first, the target last. `transform="sqrt"` learns 2 (sqrt(1 + y) - 1) in place of y, which evens out a series
    whose swings grow with its level (Ghaddar & Tong 1981 for sunspots); errors are reported in the series' own unit all the same.
    """

    def __init__(self, columns: Sequence[str], memory: int, mean: Sequence[float], std: Sequence[float], *, transform: Transform, horizons: Sequence[int], name: str, step: str, data: Series | None = None, cuts: tuple[int, int] = (0, 0)):  # fmt: skip
        self.columns, self.memory, self.transform = tuple(columns), memory, transform
        self.mean, self.std = torch.tensor(mean), torch.tensor(std)
        self.horizons, self.name, self.step = tuple(horizons), name, step
        self._data, self._cuts = data, cuts
        self._linear: LinearARX | None = None
        self._plain: LinearARX | None = None  # of the series as it is, where it is learnt transformed
        self._raw = torch.empty(0)

    @classmethod
    def open(cls, source: str, *, target: str | None, inputs: Sequence[str], memory: int, transform: Transform, horizons: Sequence[int], test_from: str | float, validation: float, limit: int | None) -> "Forecasting":  # fmt: skip
        """From a series by name or a CSV file. `test_from` is the first time to test on, or a share of the rows such as 0.85."""
        data = series.load(source, target=target, inputs=inputs)
        if limit is not None and limit < len(data.values):
            first = len(data.values) - limit
            pieces = tuple((max(a, first), b) for a, b in data.pieces if b > first)
            data = Series(**{**vars(data), "pieces": pieces})
        if not data.pieces:
            raise UsageError(
                say(
                    f"the last {limit} rows of '{data.name}' hold no whole one",
                    f"“{data.name}”最后 {limit} 行中没有完整的行",
                )
            )
        test = _row(data, str(test_from))
        began = data.pieces[0][0]
        middle = test - math.floor((test - began) * validation)
        seen = torch.cat([data.values[a : min(b, middle)] for a, b in data.pieces if a < middle])
        if len(seen) < 2:
            raise UsageError(
                say(
                    "the test part leaves nothing to learn from; choose a later test_from",
                    "测试部分之前没有可学习的数据；请把 test_from 设得更晚",
                )
            )
        seen = torch.cat([seen[:, :-1], _changed(seen[:, -1:], transform, data.name)], 1)
        return cls(
            data.columns, memory, seen.mean(0).tolist(), _spread(seen, data.columns).tolist(),
            transform=transform, horizons=horizons, name=data.name, step=data.step, data=data, cuts=(middle, test),
        )  # fmt: skip

    @classmethod
    def reopen(cls, directory: Path) -> "Forecasting":
        """From a run directory, without data."""
        return made_of(directory, _FILE, lambda found: cls(**found))

    def take(self, other: "Forecasting") -> None:
        """Forecast another series of the same columns in these scales; raises UsageError for other columns."""
        self._expect(other.columns)
        self._data, self._cuts = other._data, other._cuts

    def _expect(self, columns: Sequence[str]) -> None:
        if tuple(columns) != self.columns:
            raise UsageError(
                say(
                    f"expected the columns {', '.join(self.columns)}; got {', '.join(columns)}",
                    f"需要列 {'、'.join(self.columns)}；得到 {'、'.join(columns)}",
                )
            )

    def files(self) -> dict[str, str]:
        """Columns and scales."""
        found = {"columns": self.columns, "memory": self.memory, "mean": self.mean.tolist(), "std": self.std.tolist(),
                 "transform": self.transform, "horizons": self.horizons, "name": self.name, "step": self.step}  # fmt: skip
        return {_FILE: json.dumps(found, ensure_ascii=False, indent=1) + "\n"}

    def offered(self, model: str) -> dict[str, Any]:
        """For NARX the number of inputs and the delays; for others the columns, and one output for each window."""
        if model == "narx":
            return {"inputs": len(self.columns) - 1, "input_delays": self.memory, "output_delays": self.memory}
        return {"inputs": len(self.columns), "classes": 1, "summary": "last"}

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error, in squared standard deviations."""
        return (outputs.reshape(targets.shape) - targets).square().mean()

    def scaled(self, values: Tensor) -> Tensor:
        """Rows (time, columns) as the network sees them."""
        target = _changed(values[:, -1:].double(), self.transform, self.name)
        values = torch.cat([values[:, :-1].double(), target], 1)
        return ((values - self.mean) / self.std).float()

    def unscaled(self, target: Tensor) -> Tensor:
        """Targets in the series' own unit."""
        target = target.double() * self.std[-1] + self.mean[-1]
        return (target / 2 + 1).clamp(min=0).square() - 1 if self.transform == "sqrt" else target

    def parts(self) -> Parts:
        """Three parts one after the other in time; a window never reaches over a gap. Its last row decides where it belongs."""
        data = self._data
        assert data is not None
        values = self.scaled(data.values)
        bounds = (0, *self._cuts, len(values))
        parts = []
        for begin, end in itertools.pairwise(bounds):
            rows = [
                torch.arange(max(a + self.memory, begin), min(b, end))
                for a, b in data.pieces
                if min(b, end) > max(a + self.memory, begin)
            ]
            parts.append(SeriesPart(values, torch.cat(rows) if rows else torch.arange(0), self.memory))
        if not len(parts[0]) or not len(parts[2]):
            raise UsageError(
                say(
                    f"no piece of the {'training' if not len(parts[0]) else 'test'} part holds {self.memory + 1} steps without a gap; choose a smaller data.memory",
                    f"{'训练' if not len(parts[0]) else '测试'}部分没有连续 {self.memory + 1} 步的数据；请减小 data.memory",
                )
            )
        self._linear = LinearARX(parts[0].windows(parts[0].rows))
        if self.transform != "identity":
            self._raw = data.values.float()
            self._plain = LinearARX(parts[0].windows_of(self._raw, parts[0].rows))
        facts = DataFacts(
            name=data.name,
            sizes={name: len(part) for name, part in zip(("train", "validation", "test"), parts, strict=True)},
            licence=data.licence,
            attribution=data.attribution,
        )
        validation = parts[1] if len(parts[1]) else None
        return Parts(parts[0], validation, parts[2], facts=facts, scores=Scores(lambda f, p: self._measure(f, p, p is parts[2]), "rmse", lowest=True))  # fmt: skip

    def begin(self, model: Any) -> None:
        """Let a network with a direct linear path start as the linear ARX, its hidden units silent: training adds what is not linear."""
        linear = getattr(model, "linear", None)
        if self._linear is None or not isinstance(model, NARX) or linear is None:
            return
        constant, *weights = self._linear.weights[:, 0].tolist()
        if len(weights) != linear.in_features:  # other delays than the window's
            return
        if model.residual:
            weights[-1] -= 1
        with torch.no_grad():
            linear.weight.copy_(torch.tensor([weights]))
            model.output.weight.zero_()
            model.output.bias.fill_(constant)

    def _measure(self, forward: Forward, part: Part, baselines: bool) -> dict[str, float]:
        """Root mean squared errors in the series' own unit: one step ahead, and closed loop at each horizon.

        `mase` is the mean absolute error one step ahead over that of persistence (Hyndman & Koehler 2006). Beside the network, with
        `baselines`: persistence (the last value stays) and a linear ARX of the same delays, in closed loop too.
        """
        assert isinstance(part, SeriesPart)
        found: dict[str, float] = {}
        windows = part.windows(part.rows)
        truth = self.unscaled(windows[:, -1, -1])
        error = self.unscaled(_in_pieces(forward, windows)) - truth
        naive = self.unscaled(windows[:, -2, -1]) - truth
        found["rmse"] = _root(error)
        if naive.any():
            found["mase"] = float(error.abs().mean() / naive.abs().mean())
        if baselines and self._linear is not None:
            found |= {"persistence": _root(naive), "linear": _root(self.unscaled(self._linear(windows)) - truth)}
            if self._plain is not None:
                found["linear_plain"] = _root(self._plain(part.windows_of(self._raw, part.rows)) - truth)
        for horizon in self.horizons:
            starts = self._whole(part, horizon)
            if not len(starts):
                continue
            truth = self.unscaled(part.values[starts + horizon - 1, -1])
            ways = {"rmse": forward} | ({"linear": self._linear} if baselines else {})
            for name, way in ways.items():
                found[f"{name}_{horizon}"] = _root(
                    self.unscaled(closed_loop(way, part, starts, horizon)[:, -1]) - truth
                )
            if baselines:
                found[f"persistence_{horizon}"] = _root(self.unscaled(part.values[starts - 1, -1]) - truth)
        return found

    @staticmethod
    def _whole(part: SeriesPart, horizon: int) -> Tensor:
        """Rows of the part from which `horizon` steps lie in the same piece and part."""
        rows = part.rows
        ends = rows + horizon - 1
        inside = torch.isin(ends, rows)
        place = torch.searchsorted(rows, ends.clamp(max=int(rows[-1])))
        together = inside & (place - torch.arange(len(rows)) == horizon - 1)
        return rows[together]

    def forecast(self, model: Any, data: Series, steps: int) -> dict[str, Any]:
        """{"times", "forecast", "truth", "past"} of `steps` steps, in the series' own unit.

        Without inputs they are the steps after the last row. With inputs, which must be known, they are the last ones of the series:
        the network sees the target up to there, and the inputs all through.
        """
        begin, end = data.pieces[-1]
        known = len(self.columns) > 1
        first = end - steps if known else end
        self._expect(data.columns)
        if first - begin < self.memory:
            raise UsageError(
                say(
                    f"expected {self.memory + (steps if known else 0)} steps without a gap at the end of '{data.name}'; there are {end - begin}",
                    f"“{data.name}”末尾需要连续 {self.memory + (steps if known else 0)} 步；只有 {end - begin} 步",
                )
            )
        values = self.scaled(data.values)
        if not known:
            values = torch.cat([values, values.new_zeros(steps, values.shape[1])])
        part = SeriesPart(values, torch.tensor([first]), self.memory)
        with torch.no_grad():
            found = self.unscaled(closed_loop(model, part, part.rows, steps)[0])
        shown = range(max(begin, first - max(4 * steps, 2 * self.memory)), first)
        return {
            "columns": self.columns,
            "step": self.step,
            "past_times": [data.times[row] for row in shown],
            "past": data.values[list(shown), -1].tolist(),
            "times": [data.times[row] for row in range(first, end)] if known else _later(data.times[:end], steps),
            "forecast": found.tolist(),
            "truth": data.values[first:end, -1].tolist() if known else [],
        }


def closed_loop(forward: Any, part: SeriesPart, starts: Tensor, steps: int) -> Tensor:
    """Forecasts (batch, steps) from these rows on, in which the network's own outputs take the place of the true ones."""
    windows = part.windows(starts)
    found = []
    for step in range(steps):
        windows[:, -1, :-1] = part.values[starts + step, :-1]
        windows[:, -1, -1] = 0
        y = _in_pieces(forward, windows)
        found.append(y)
        windows[:, -1, -1] = y
        windows = torch.cat([windows[:, 1:], windows[:, -1:]], 1)
    return torch.stack(found, 1)


def _in_pieces(forward: Any, windows: Tensor) -> Tensor:
    """One value for each window, a few thousand at a time; the last target is hidden."""
    hidden = windows.clone()
    hidden[:, -1, -1] = 0
    return torch.cat([forward(piece).reshape(-1).float().cpu() for piece in hidden.split(4096)])


def _root(error: Tensor) -> float:
    return float(error.square().mean().sqrt())


def _changed(target: Tensor, transform: str, name: str) -> Tensor:
    if transform != "sqrt":
        return target
    if (target <= -1).any():
        raise UsageError(
            say(
                f"transform=sqrt is for series above -1; '{name}' goes lower",
                f"transform=sqrt 只适用于大于 -1 的序列；“{name}”更低",
            )
        )
    return 2 * ((1 + target).sqrt() - 1)


def _row(data: Series, test_from: str) -> int:
    """The first row of the test part."""
    try:
        share = float(test_from)
    except ValueError:
        share = math.inf
    if 0 < share < 1:
        return data.pieces[0][0] + round((len(data.values) - data.pieces[0][0]) * share)
    later = [row for row, time in enumerate(data.times) if _at_or_after(time, test_from)]
    if not later or later[0] <= data.pieces[0][0]:
        raise UsageError(
            say(
                f"test_from: expected a time after {data.times[0]} and up to {data.times[-1]}, or a share such as 0.85; got '{test_from}'",
                f"test_from：应为 {data.times[0]} 之后、{data.times[-1]} 之前的时间，或如 0.85 的比例；得到“{test_from}”",
            )
        )
    return later[0]


def _at_or_after(time: str, wanted: str) -> bool:
    try:
        return float(time) >= float(wanted)
    except ValueError:
        return time >= wanted


def _later(times: Sequence[str], steps: int) -> list[str]:
    """Names of the steps after the last row: numbers go on, other times are counted from there."""
    try:
        last, before = float(times[-1]), float(times[-2])
    except ValueError:
        return [f"+{number}" for number in range(1, steps + 1)]
    return [f"{last + (last - before) * number:g}" for number in range(1, steps + 1)]


def _spread(seen: Tensor, columns: Sequence[str]) -> Tensor:
    """Standard deviations of the columns; 1 for an input that never changes. Raises UsageError for such a target."""
    spread = seen.std(0)
    flat = spread <= 1e-12 * seen.abs().amax(0).clamp(min=1.0)
    if flat[-1]:
        raise UsageError(
            say(
                f"'{columns[-1]}' is constant in the training part: there is nothing to forecast",
                f"“{columns[-1]}”在训练部分是常数：没有可预测的内容",
            )
        )
    return spread.masked_fill(flat, 1.0)
