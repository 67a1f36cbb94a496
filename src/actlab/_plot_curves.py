"""Curves of a run against examples seen, drawn on axes that the caller owns."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ._plot_events import Steps
from ._plot_svg import PALETTE, svg
from .records import Run

MOST_POINTS = 600  # of one line: more cannot be told apart, and the page stays small
FIELDS = {"training": "train", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Line:
    """One quantity on one part of the data, against examples seen."""

    part: str  # "training", "validation" or "test"
    examples: np.ndarray
    values: np.ndarray
    fine: bool = False  # written every few seconds, rather than once an epoch

    @property
    def smoothed(self) -> bool:
        """Whether `trend` is something else than the values."""
        return self.fine and int(np.isfinite(self.values).sum()) >= 20

    @property
    def trend(self) -> np.ndarray:
        """The values; their running mean where they are many and noisy."""
        return _smooth(self.values) if self.smoothed else self.values


def lines(run: Run, steps: Steps, metric: str) -> list[Line]:
    """Every line of "loss" or "accuracy" that has a finite value."""
    found = []
    for part, prefix in FIELDS.items():
        rows = [(row.examples, getattr(row, f"{prefix}_{metric}")) for row in run.epochs]
        points = np.array([(x, y) for x, y in rows if y is not None and math.isfinite(y)], dtype=float).reshape(-1, 2)
        if part == "training" and steps.finite(metric):
            found.append(Line(part, *_thin(steps.examples, steps.values[metric]), fine=True))
        elif len(points):
            found.append(Line(part, points[:, 0], points[:, 1]))
    return found


def chart(draw: Callable[..., None], *arguments: object, name: str, rows: int = 1) -> str:
    """A drawing on a figure of its own, as SVG for a page. It carries numbers only: the page writes the words."""
    figure = Figure(figsize=(4.4, 2.75), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)  # type: ignore[union-attr]
    if rows == 1:
        draw(figure.add_subplot(), *arguments)
    else:
        draw(figure.subplots(rows, 1, sharex=True, height_ratios=[2] + [1] * (rows - 1)), *arguments)
    return svg(figure, name)


def draw_metric(axes: Axes, run: Run, shown: list[Line], metric: str) -> None:
    """Loss or accuracy of each part; the training curve raw and smoothed."""
    for line in shown:
        _draw_line(axes, line, PALETTE[line.part])
    if metric == "loss" and logarithmic_loss(shown):
        _logarithmic(axes)
    _finish(axes, run, max(line.examples[-1] for line in shown))
    if metric == "accuracy":
        axes.set_ylim(top=min(1.0, axes.get_ylim()[1]))


def logarithmic_loss(shown: list[Line]) -> bool:
    """Whether the loss spans so much that its later part would lie flat on a linear axis."""
    return _span(np.concatenate([line.values for line in shown])) > 6


def draw_learning_rate(axes: Axes, run: Run, steps: Steps) -> None:
    """The learning rate of the steps; of the epochs where no steps were written."""
    if steps.finite("learning_rate"):
        x, y = _thin(steps.examples, steps.values["learning_rate"])
    else:
        x, y = (np.array([getattr(row, name) for row in run.epochs]) for name in ("examples", "learning_rate"))
    axes.plot(x, y, color=PALETTE["training"], linewidth=1.6, marker="o" if len(x) < 3 else None, markersize=4)
    axes.set_ylim(bottom=0)
    _finish(axes, run, x[-1])


def draw_gradient(panels: Axes | np.ndarray, run: Run, steps: Steps) -> None:
    """Gradient norm before clipping; below it, where there is a second panel, the share of clipped steps by epoch."""
    upper, *lower = np.atleast_1d(np.asarray(panels, dtype=object))
    rows = [(row.examples, row.gradient_norm) for row in run.epochs if row.gradient_norm is not None]
    x, y = np.array(rows, dtype=float).reshape(-1, 2).T
    fine = steps.finite("gradient_norm")
    if fine:
        x, y = _thin(steps.examples, steps.values["gradient_norm"])
    _draw_line(upper, Line("training", x, y, fine), PALETTE["training"])
    if _span(y) > 30:
        _logarithmic(upper)
    _finish(upper, run, x[-1])
    for axes in lower:
        ends = [0, *(row.examples for row in run.epochs)]
        shares = [row.clipped_share or 0.0 for row in run.epochs]
        axes.stairs(shares, ends, fill=True, color=PALETTE["validation"], alpha=0.75)
        _finish(axes, run, x[-1], numbered=False)
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.5, 1])


def _draw_line(axes: Axes, line: Line, colour: str) -> None:
    x, y = line.examples, line.trend
    if line.smoothed:
        axes.plot(x, line.values, color=colour, linewidth=0.7, alpha=0.35)
    marker = {"training": "o", "validation": "o", "test": "s"}[line.part]
    few = not line.fine and len(x) <= 60
    style = "--" if line.part == "test" else "-"
    axes.plot(x, y, style, color=colour, linewidth=1.6, marker=marker if few else None, markersize=3.5)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Running mean over a twentieth of the curve, of the finite values only; NaN stays NaN.

    The window shrinks towards the start, where a loss falls steeply, and is cut off at the end.
    """
    count, known = len(values), np.isfinite(values)
    here = np.arange(count)
    left = np.minimum(max(1, count // 40), here)
    right = np.minimum(left, count - 1 - here)
    total = np.append(0, np.cumsum(np.where(known, values, 0)))
    number = np.append(0, np.cumsum(known))
    total, number = (sums[here + right + 1] - sums[here - left] for sums in (total, number))
    return np.where(known, total / np.maximum(number, 1), np.nan)


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MOST_POINTS points: means of equally many neighbours. NaN only where all of them are."""
    group = math.ceil(len(x) / MOST_POINTS)
    if group <= 1:
        return x, y
    starts = np.arange(0, len(x), group)
    known = np.isfinite(y)
    count = np.add.reduceat(known.astype(float), starts)
    total = np.add.reduceat(np.where(known, y, 0), starts)
    last = np.append(starts[1:], len(x)) - 1
    return x[last], np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _span(values: np.ndarray) -> float:
    """Largest over smallest value; 1 where a logarithm has no place."""
    values = values[np.isfinite(values)]
    return float(values.max() / values.min()) if len(values) and values.min() > 0 else 1.0


def _logarithmic(axes: Axes) -> None:
    low, high = axes.dataLim.intervaly
    decades = math.log10(high / low)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 3 else (1,), numticks=12))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _finish(axes: Axes, run: Run, last: float, *, numbered: bool = True) -> None:
    """Frame, number formats, and the ends of the epochs as lines with their numbers on top."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALETTE["muted"])
    axes.tick_params(colors=PALETTE["muted"], labelcolor=PALETTE["ink"], labelsize=8.5, length=3)
    axes.grid(axis="y", color=PALETTE["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlim(0, max(float(last), 1.0) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    every = math.ceil(len(run.epochs) / 8) or 1
    for row in run.epochs[every - 1 :: every]:
        axes.axvline(row.examples, color=PALETTE["grid"], linewidth=0.7, zorder=0)
        if numbered:
            place = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom", "size": 8}
            axes.text(row.examples, 1.01, str(row.epoch), color=PALETTE["muted"], **place)


def short(number: float) -> str:
    """A count as a tick label: 1500000 is 1.5M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.4g}{unit}"
    return f"{number:.4g}"
