"""Time series: sunspots, glucose with its sensor current, or a CSV file of one's own, in gap-free pieces.

series = load("sunspots")
series.values  # (time, columns), float64; the target is the last column
series.pieces  # (first, last + 1) of every stretch without a gap
"""

import csv
import gzip
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from actlab._language import say
from actlab.errors import ActlabError, UnknownName, UsageError

from ._sources import GLUCOSE, SUNSPOTS, read

NAMES = (SUNSPOTS.name, GLUCOSE.name)
_MISSING = ("", "nil", "na", "nan", "null", "none", "?")
_SLACK = 0.2  # of a step: clocks of sensors drift


@dataclass(frozen=True)
class Series:
    """Rows in order of time, cut into pieces at every gap and missing value."""

    name: str
    columns: tuple[str, ...]  # inputs first, the target last
    values: Tensor  # time columns, float64
    times: tuple[str, ...]  # of every row, as the file has them
    pieces: tuple[tuple[int, int], ...]  # first row and the one after the last
    step: str  # what one step is
    licence: str = ""
    attribution: str = ""


def load(source: str | Path = "sunspots", *, target: str | None = None, inputs: Sequence[str] = ()) -> Series:
    """A series by name, or from a CSV file with a heading.

    Of a file, `target` is the column to forecast (the last one that holds numbers by default) and `inputs` are those it depends on.
    Rows with a missing value (empty, nil, NaN) and steps in time that are not like the others end a piece; a row that comes less than
    half a step after the one before is left out.
    """
    named = {SUNSPOTS.name: SUNSPOTS, GLUCOSE.name: GLUCOSE}.get(str(source))
    if named is not None:
        path = named.path(named.locate())
        target = target or {"sunspots": "SUNACTIVITY", "glucose": "glucose"}[named.name]
        inputs = tuple(inputs) or {"sunspots": (), "glucose": ("isig",)}[named.name]
    else:
        path = _file(source)
    head, rows = read(path, _table)
    clock = _clock_column(head, rows)
    if clock is not None and (_moment(rows[-1][clock]) or 0) < (_moment(rows[0][clock]) or 0):
        rows = rows[::-1]  # the newest came first
    target = target or _last_number(head, rows, clock, path)
    for name in (*inputs, target):
        if name not in head:
            raise UnknownName(say(f"column of {path.name}", f" {path.name} 的列"), name, head)
    if target in inputs or len(set(inputs)) < len(inputs):
        raise UsageError(
            say(
                f"expected inputs that differ from each other and from the target '{target}'; got {', '.join(inputs)}",
                f"输入应互不相同且不含目标“{target}”；得到 {'、'.join(inputs)}",
            )
        )
    places = [head.index(name) for name in (*inputs, target)]
    values = torch.tensor([[_number(row[place]) for place in places] for row in rows], dtype=torch.float64)
    times = tuple(row[clock] if clock is not None else str(number) for number, row in enumerate(rows))
    moments = [_moment(one) for one in times]
    gap, step = _step(moments)
    kept = _spaced(moments, gap)
    values, times, moments = values[kept], tuple(times[row] for row in kept), [moments[row] for row in kept]
    return Series(
        name=named.name if named else path.name.removesuffix(".gz").removesuffix(".csv"),
        columns=(*inputs, target),
        values=values,
        times=times,
        pieces=_pieces(values, moments, gap, path),
        step=step,
        licence=named.licence if named else "",
        attribution=named.attribution if named else "",
    )


def _file(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if path.is_file():
        return path
    if path.name == str(source) and not path.suffix:
        raise UnknownName(say("series or file", "序列或文件"), str(source), NAMES)
    raise UsageError(say(f"expected a CSV file; there is no '{source}'", f"没有 CSV 文件“{source}”"))


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 3:
        raise ActlabError(say(f"'{path}' has no rows below its heading", f"“{path}”的标题下没有数据"))
    head, body = [one.strip() for one in rows[0]], rows[1:]
    for number, row in enumerate(body, 2):
        if len(row) != len(head):
            raise ActlabError(
                say(
                    f"'{path}', line {number}: expected {len(head)} values; got {len(row)}",
                    f"“{path}”第 {number} 行应有 {len(head)} 个值；得到 {len(row)} 个",
                )
            )
    return head, body


def _number(text: str) -> float:
    text = text.strip()
    if text.lower() in _MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _moment(text: str) -> float | None:
    """Seconds, years or row numbers: whatever orders the rows."""
    try:
        return float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _clock_column(head: list[str], rows: list[list[str]]) -> int | None:
    """The column that says when: one named after a time, whose values go one way from row to row."""
    for place, name in enumerate(head):
        words = set(re.split(r"[^a-z]+", name.lower()))
        if not words & {"time", "datetime", "date", "timestamp", "year", "month", "week", "day", "hour", "minute"}:
            continue
        moments = [_moment(row[place]) for row in rows]
        steps = [b - a for a, b in itertools.pairwise(moments) if a is not None and b is not None]
        for direction in (1, -1):
            if steps and sum(direction * step > 0 for step in steps) > 0.99 * len(steps):
                return place
    return None


def _last_number(head: list[str], rows: list[list[str]], clock: int | None, path: Path) -> str:
    for place in range(len(head) - 1, -1, -1):
        if place != clock and any(not math.isnan(_number(row[place])) for row in rows):
            return head[place]
    raise ActlabError(say(f"'{path}' has no column of numbers to forecast", f"“{path}”中没有可预测的数值列"))


def _step(moments: list[float | None]) -> tuple[float | None, str]:
    """The usual step between two rows (their median), and its name."""
    steps = sorted(b - a for a, b in itertools.pairwise(moments) if a is not None and b is not None)
    if not steps:
        return None, say("step", "步")
    usual = steps[len(steps) // 2]
    if moments[0] is not None and moments[0] > 1e6:  # seconds
        minutes = usual / 60
        return usual, say(f"{minutes:g} minutes", f"{minutes:g} 分钟") if minutes < 1440 else say(
            f"{minutes / 1440:g} days", f"{minutes / 1440:g} 天"
        )
    return usual, say("year", "年") if usual == 1 and moments[0] is not None and 1000 < moments[0] < 3000 else say(
        "step", "步"
    )


def _spaced(moments: list[float | None], gap: float | None) -> list[int]:
    """Rows at least half a step after the one before: sensors write some readings twice."""
    kept: list[int] = []
    for row, now in enumerate(moments):
        before = moments[kept[-1]] if kept else None
        if gap is None or before is None or now is None or abs(now - before) >= abs(gap) / 2:
            kept.append(row)
    return kept


def _pieces(values: Tensor, moments: list[float | None], gap: float | None, path: Path) -> tuple[tuple[int, int], ...]:
    whole = values.isfinite().all(1).tolist()
    found: list[tuple[int, int]] = []
    begin: int | None = None
    for row in range(len(values) + 1):
        broken = row == len(values) or not whole[row]
        if not broken and begin is not None and gap is not None:
            before, now = moments[row - 1], moments[row]
            broken = before is None or now is None or abs(now - before - gap) > _SLACK * abs(gap)
            if broken:
                found.append((begin, row))
                begin = row
                continue
        if broken and begin is not None:
            found.append((begin, row))
            begin = None
        elif not broken and begin is None:
            begin = row
    if not found:
        raise ActlabError(say(f"'{path}' has no row without a missing value", f"“{path}”中每一行都有缺失值"))
    return tuple(found)
