"""Pictures of a comparison: intervals with the margin, pairs of values, learning rates, learning curves. Names of candidates are their only words."""

import math
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from statistics import mean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ._plot_curves import short
from ._plot_svg import PALETTE, svg
from .records import Comparison, Contrast

VERDICT_COLOURS = {"better": "test", "worse": "validation", "practically equal": "training", "undecided": "muted"}
LETTER = 5.6  # points that a letter takes at the size of the labels, generously

Band = list[tuple[int, float, float, float]]  # step; mean, lowest and highest training loss over the seeds


def picture(draw: Callable[..., None], *arguments: object, name: str, size: tuple[float, float] = (2.9, 2.1), left: float | None = None) -> str:  # fmt: skip
    """A drawing as SVG for a page; with `left`, the points that its labels need on that side."""
    figure = Figure(figsize=size, layout=None if left else "constrained")
    axes = figure.add_subplot()
    if left:
        axes.set_position((left / (72 * size[0]), 26 / (72 * size[1]), 1 - (left + 14) / (72 * size[0]), 1 - 32 / (72 * size[1])))  # fmt: skip
    draw(axes, *arguments)
    with warnings.catch_warnings():  # the page's fonts write the text; matplotlib only measures it, and has no Chinese
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        return svg(figure, name)


def ordered(found: Comparison) -> list[Contrast]:
    """The finalists, the best difference first."""
    sign = -1 if found.declaration.higher_is_better else 1
    return sorted(found.contrasts, key=lambda one: (sign * one.difference, one.candidate))


def near(found: Comparison) -> float | None:
    """How far from zero a second picture of the intervals reaches; None where the first one shows all of them well."""
    sizes = [size_of(one, found.declaration.margin) for one in found.contrasts]
    return within(sizes, min(sizes, default=0.0))


def size_of(one: Contrast, margin: float) -> float:
    """How far from zero its interval and the margin go."""
    return max(abs(one.low), abs(one.high), margin)


def within(sizes: Sequence[float], usual: float) -> float | None:
    """How far from zero a picture reaches that shows those of about the `usual` size well; None where that is all of them."""
    if not sizes or max(sizes) <= 8 * usual:
        return None
    return 1.3 * max(size for size in sizes if size <= 4 * usual)


def intervals_picture(found: Comparison, name: str, reach: float | None = None) -> str:
    """`draw_intervals` with as much room as its rows and names need."""
    names = [cut(one.candidate) for one in found.contrasts]
    left = 14 + LETTER * max(map(columns, names), default=1)
    return picture(draw_intervals, found, reach, name=name, size=(4.8, 0.75 + 0.3 * max(2, len(names))), left=left)


def draw_intervals(axes: Axes, found: Comparison, reach: float | None = None) -> None:
    """Difference of each finalist to the baseline with its interval, the margin as a band; what lies beyond `reach` is an arrow."""
    rows, margin = ordered(found), found.declaration.margin
    axes.axvspan(-margin, margin, color=PALETTE["grid"], lw=0)
    axes.axvline(0, color=PALETTE["muted"], lw=1)
    for place, one in enumerate(rows):
        draw_interval(axes, one, place, reach)
    ends = [-1.5 * margin, 1.5 * margin, *(end for one in rows for end in (one.low, one.high))]
    low, high = (min(ends), max(ends)) if reach is None else (-reach, reach)
    pad = 0 if reach is not None else 0.05 * (high - low)
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    name_rows(axes, range(len(rows)), [cut(one.candidate) for one in rows])


def draw_interval(axes: Axes, one: Contrast, place: float, reach: float | None = None) -> None:
    """A difference with its interval at the height `place`; an arrow at the side where it lies beyond `reach`."""
    colour = PALETTE[VERDICT_COLOURS[one.verdict]]
    axes.plot([one.low, one.high], [place, place], color=colour, lw=2)
    axes.plot([one.low, one.high], [place, place], "|", color=colour, ms=8, mew=1.6)
    axes.plot([one.difference], [place], "o", color=colour, ms=5.5)
    if reach is not None and abs(one.difference) > reach:
        side = math.copysign(1, one.difference)
        axes.plot([side * reach * 0.97], [place], ">" if side > 0 else "<", color=colour, ms=6)


def name_rows(axes: Axes, places: Sequence[float], names: Sequence[str]) -> None:
    """Finish a picture of differences: signed numbers below, a name for each row on the left."""
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.6g}" if abs(value) > 1e-12 else "0"))
    plain(axes, grid="x")
    axes.set_yticks(places, names, parse_math=False)
    axes.tick_params(axis="y", length=0, labelcolor=PALETTE["ink"], labelsize=9)


def draw_pairs(axes: Axes, names: tuple[str, str], before: Sequence[float], after: Sequence[float], higher: bool) -> None:  # fmt: skip
    """A line a seed from the baseline's value to the candidate's; thick strokes are the means."""
    for a, b in zip(before, after, strict=True):
        gained = (b > a) == higher
        colour = PALETTE["muted" if a == b else "test" if gained else "validation"]
        axes.plot([0, 1], [a, b], color=colour, lw=0.9, alpha=0.8, marker="o", ms=3.2)
    for side, values in ((-0.16, before), (1.16, after)):
        axes.plot([side - 0.08, side + 0.08], [mean(values)] * 2, color=PALETTE["ink"], lw=2.2)
    axes.set_xlim(-0.45, 1.45)
    axes.margins(y=0.08)
    plain(axes)
    _numbers(axes)
    axes.set_xticks([0, 1], [cut(name, 13) for name in names], parse_math=False)
    axes.tick_params(axis="x", length=0, labelcolor=PALETTE["ink"], labelsize=9)


def draw_rates(axes: Axes, found: Comparison, candidate: str) -> None:
    """The metric against the learning rate in tuning: this candidate's, with a ring at the rate chosen, before all others."""
    bad = {(one.candidate, one.rate) for one in found.trials if one.stage == "tuning" and one.diverged}
    values = [value for one in found.tuned for _, value in one.tried if math.isfinite(value)]
    for one in sorted(found.tuned, key=lambda one: one.candidate == candidate):
        rates, means = zip(*one.tried, strict=True)
        mine = one.candidate == candidate
        style = {"color": PALETTE["training" if mine else "muted"], "lw": 1.7 if mine else 0.7, "alpha": 1 if mine else 0.45}  # fmt: skip
        axes.plot(rates, means, marker="o" if mine else None, ms=3.5, **style)
        if mine:
            lost = [(rate, value) for rate, value in one.tried if (candidate, rate) in bad]
            axes.plot([rate for rate, _ in lost], [value for _, value in lost], "x", color=PALETTE["validation"], ms=7, mew=1.6)  # fmt: skip
            axes.plot([one.rate], [dict(one.tried)[one.rate]], "o", ms=10, mfc="none", mec=PALETTE["ink"], mew=1.6)
            if one.second and candidate in {*(each.candidate for each in found.contrasts), found.declaration.baseline}:
                axes.plot([one.second], [dict(one.tried)[one.second]], "o", ms=10, mfc="none", mec=PALETTE["muted"], mew=1)  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _vertical(axes, values, 30)
    plain(axes)


def bands(found: Comparison) -> dict[str, Band]:
    """Training loss of those confirmed, over the seeds whose training did not diverge; only of those with two points or more."""
    gathered: dict[str, dict[int, list[float]]] = {}
    for one in found.trials:
        if one.stage == "confirmation" and not one.diverged:
            for step, loss in one.curve:
                if math.isfinite(loss):
                    gathered.setdefault(one.candidate, {}).setdefault(step, []).append(loss)
    return {
        name: [(step, mean(losses), min(losses), max(losses)) for step, losses in sorted(by_step.items())]
        for name, by_step in gathered.items()
        if len(by_step) > 1
    }


def draw_learning(axes: Axes, shown: Mapping[str, Band], candidate: str) -> None:
    """The mean of this candidate with a band from the lowest to the highest seed, before the means of the others."""
    for name, band in shown.items():
        steps, middle, low, high = np.array(band, dtype=float).T
        if name == candidate:
            axes.fill_between(steps, low, high, color=PALETTE["training"], alpha=0.22, lw=0, zorder=3)
            axes.plot(steps, middle, color=PALETTE["training"], lw=1.7, zorder=4)
        else:
            axes.plot(steps, middle, color=PALETTE["muted"], lw=0.7, alpha=0.6)
    _vertical(axes, [value for band in shown.values() for row in band for value in row[1:]], 6)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.set_xlim(left=0)
    plain(axes)


def cut(name: str, most: int = 18) -> str:
    """As much of a name as fits beside a picture, in columns; its control characters gone, which no picture can hold."""
    name = "".join(letter if letter.isprintable() else " " for letter in name)
    if columns(name) <= most:
        return name
    while columns(name) > most - 1:
        name = name[:-1]
    return name + "…"


def columns(name: str) -> int:
    """How wide a name is: Chinese letters take two columns."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" or ord(letter) > 0xFFFF else 1 for letter in name)


def _vertical(axes: Axes, values: Sequence[float], span: float) -> None:
    """The same limits for all pictures of a kind; logarithmic where the values span more than so many times."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low > 0 and high > span * low:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.15, high * 1.15)
        axes.yaxis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5), numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
        return
    pad = 0.07 * (high - low) or 0.1 * abs(high) or 0.1
    axes.set_ylim(low - pad, high + pad)
    _numbers(axes)


def _numbers(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def plain(axes: Axes, *, grid: str = "y") -> None:
    """Two spines, quiet ticks, a light grid."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALETTE["muted"])
    axes.tick_params(colors=PALETTE["muted"], labelcolor=PALETTE["ink"], labelsize=8.5, length=3)
    axes.grid(axis="x" if grid == "x" else "y", color=PALETTE["grid"], lw=0.6)
    axes.set_axisbelow(True)
