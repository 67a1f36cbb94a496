"""The intervals of several comparisons under each other, by candidate. Names of candidates and comparisons are their only words."""

from collections.abc import Sequence
from statistics import median_low
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.transforms import blended_transform_factory

from ._plot_comparison import LETTER, columns, cut, draw_interval, name_rows, picture, size_of, within
from ._plot_svg import PALETTE
from .records import Contrast

_MOST_ROWS = 26  # of one picture, names of candidates included


class Row(NamedTuple):
    """A finalist of one comparison."""

    name: str  # of the comparison
    contrast: Contrast
    margin: float


Group = tuple[str, Sequence[Row]]  # a candidate, and its rows


class Limits(NamedTuple):
    """The horizontal axis, the same for all pictures of a metric."""

    low: float
    high: float
    reach: float | None  # what lies beyond is an arrow with its number


def limits(groups: Sequence[Group]) -> Limits:
    """All intervals and margins; where a few are many times as long as most, only most of them."""
    rows = [row for _, rows in groups for row in rows]
    sizes = [size_of(row.contrast, row.margin) for row in rows]
    reach = within(sizes, median_low(sizes))
    if reach is not None:
        return Limits(-reach, reach, reach)
    ends = [end for row in rows for end in (row.contrast.low, row.contrast.high, -1.5 * row.margin, 1.5 * row.margin)]
    pad = 0.05 * (max(ends) - min(ends))
    return Limits(min(ends) - pad, max(ends) + pad, None)


def pictures(groups: Sequence[Group], name: str) -> list[str]:
    """`draw_groups` in as many pictures as keep each of them readable; a candidate stays in one, if it fits at all."""
    shared, parts = limits(groups), _parts(groups)
    left = 20 + LETTER * _widest(groups)
    return [
        picture(draw_groups, part, shared, name=f"{name}{place}", size=(4.8, 0.62 + 0.235 * _height(part)), left=left)
        for place, part in enumerate(parts)
    ]


def _height(groups: Sequence[Group]) -> int:
    return sum(1 + len(rows) for _, rows in groups)


def _widest(groups: Sequence[Group]) -> int:
    """Columns that the names of the rows need, and enough for those of the candidates."""
    return max(18, *(columns(row.name) for _, rows in groups for row in rows))


def _parts(groups: Sequence[Group]) -> list[list[Group]]:
    parts: list[list[Group]] = [[]]
    for group in groups:
        if parts[-1] and _height(parts[-1]) + 1 + len(group[1]) > _MOST_ROWS:
            parts.append([])
        parts[-1].append(group)
    return parts


def draw_groups(axes: Axes, groups: Sequence[Group], shared: Limits) -> None:
    """For each candidate a line with its name, then its difference in each comparison; the margin of each row is a band."""
    places: list[float] = []
    heads = blended_transform_factory(axes.figure.transFigure, axes.transData)
    place, wide = 0, _widest(groups)
    for candidate, rows in groups:
        axes.text(0.01, place, cut(candidate, wide), transform=heads, va="center", weight="bold", size=9, color=PALETTE["ink"], parse_math=False)  # fmt: skip
        for row in rows:
            place += 1
            places.append(place)
            axes.add_patch(Rectangle((-row.margin, place - 0.5), 2 * row.margin, 1, color=PALETTE["grid"], lw=0))
            draw_interval(axes, row.contrast, place, shared.reach)
            _beyond(axes, row.contrast, place, shared.reach)
        place += 1
    axes.axvline(0, color=PALETTE["muted"], lw=1, zorder=1.5)
    axes.set_xlim(shared.low, shared.high)
    axes.set_ylim(place - 0.4, -0.6)
    name_rows(axes, places, [row.name for _, rows in groups for row in rows])


def _beyond(axes: Axes, one: Contrast, place: float, reach: float | None) -> None:
    """The number above the arrow of a difference that lies outside."""
    if reach is None or abs(one.difference) <= reach:
        return
    right = one.difference > 0
    axes.text(0.9 * reach * (1 if right else -1), place - 0.08, f"{one.difference:+.3g}", ha="right" if right else "left", va="bottom", size=8.5, color=PALETTE["ink"])  # fmt: skip
