"""Drawings of what a network has learnt: filters, feature maps, the receptive field of a unit, and who looks at whom."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle

from ._language import say
from ._plot_filters import MOST_FILTERS, grid
from ._plot_svg import PALETTE

if TYPE_CHECKING:
    from .inspection import Features, Filters, Heads, Receptive

_MOST_CHANNELS = 1024
_MOST_LABELS = 24
_BOX, _DISC = "#d55e00", "#56b4e9"


@dataclass(frozen=True)
class Drawing:
    """A figure of that many inches, and what draws it with what writes texts."""

    name: str
    size: tuple[float, float]
    draw: Callable[[Figure, Any], None]


def of_filters(found: "Filters") -> Drawing:
    """All filters in a grid, each scaled on its own; of other than one or three channels, each channel for itself."""
    weights = found.weights.numpy()
    count, channels, height, width = weights.shape
    coloured = channels in (1, 3)
    pictures = (weights if coloured else weights.reshape(-1, 1, height, width))[:MOST_FILTERS]

    def draw(figure: Figure, write: Any) -> None:
        axes = figure.subplots()
        axes.imshow(grid(pictures, shape=1.6), interpolation="nearest")
        axes.set_axis_off()
        each = say("each scaled on its own: zero is middle gray", "每个单独缩放：零为中灰")
        whole = count if coloured else count * channels
        part = say(f", the first {MOST_FILTERS} of {whole}", f"，{whole} 个中的前 {MOST_FILTERS} 个") if whole > MOST_FILTERS else ""  # fmt: skip
        kinds = "" if coloured else say(", channel by channel", "，逐通道")
        title = say(f"{found.layer} ({found.kind}): {count} filters of {channels} × {height} × {width}", f"{found.layer}（{found.kind}）：{count} 个 {channels} × {height} × {width} 的滤波器")  # fmt: skip
        _title(axes, write(f"{title}{kinds}{part}"), write(each))

    return Drawing("filters", (8.0, 5.8), draw)


def of_features(found: "Features", image: np.ndarray) -> Drawing:
    """The input beside the maps of all channels, on one scale; silent ones are crossed out. Units without maps are bars."""
    values = found.values.numpy()

    def draw(figure: Figure, write: Any) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1, 3.2])
        _picture(left, image)
        _title(left, write(say("input", "输入")), "", size=11)
        (_maps if values.ndim == 3 else _bars)(figure, right, found, write)

    return Drawing("features", (11.0, 6.4 if values.ndim == 3 else 3.6), draw)


def _maps(figure: Figure, axes: Axes, found: "Features", write: Any) -> None:
    values = np.nan_to_num(found.values.numpy()[:_MOST_CHANNELS].astype(np.float64))
    count, height, width = values.shape
    columns = max(1, math.ceil(math.sqrt(1.35 * count * height / width)))
    gap = max(1, round(0.08 * max(height, width)))
    rows, high, wide = math.ceil(count / columns), height + gap, width + gap
    canvas = np.full((rows * high - gap, min(columns, count) * wide - gap), np.nan)
    for number in range(count):
        top, left = number // columns * high, number % columns * wide
        canvas[top : top + height, left : left + width] = values[number]
    top = float(np.quantile(np.abs(values), 0.999)) or float(np.abs(values).max()) or 1.0
    signed = bool((values < 0).any())
    shown = axes.imshow(canvas, cmap="RdBu_r" if signed else "viridis", vmin=-top if signed else 0.0, vmax=top, interpolation="nearest")  # fmt: skip
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([row * high + (height - 1) / 2 for row in range(rows)], [str(row * columns) for row in range(rows)])
    axes.tick_params(length=0, labelsize=9 if rows <= 20 else 7, labelcolor=PALETTE["muted"])
    axes.set_ylabel(write(say("number of each row's first channel", "每行第一个通道的编号")), size=9, color=PALETTE["muted"])  # fmt: skip
    for number in (one for one in found.silent if one < count):
        y, x = number // columns * high, number % columns * wide
        for begin, end in (((0, 0), (width - 1, height - 1)), ((0, height - 1), (width - 1, 0))):
            axes.plot([x + begin[0], x + end[0]], [y + begin[1], y + end[1]], color="#ffffff" if not signed else PALETTE["muted"], linewidth=0.8)  # fmt: skip
    whole = len(found.values)
    part = say(f", the first {count}", f"，前 {count} 个") if whole > count else ""
    title = say(f"{found.layer} ({found.kind}): {whole} maps of {height} × {width}{part}", f"{found.layer}（{found.kind}）：{whole} 张 {height} × {width} 的特征图{part}")  # fmt: skip
    silent = len(found.silent)
    _title(axes, write(title), write(say(f"one scale for all; {silent} silent everywhere{', crossed out' if silent else ''}", f"共用一个色标；{silent} 个处处静默{'（打叉）' if silent else ''}")))  # fmt: skip
    figure.colorbar(shown, ax=axes, pad=0.02, fraction=0.03).ax.tick_params(labelsize=8)


def _bars(figure: Figure, axes: Axes, found: "Features", write: Any) -> None:
    values = found.values.numpy()
    axes.bar(range(len(values)), values, width=1.0 if len(values) > 60 else 0.8, color=PALETTE["training"])
    axes.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.margins(x=0.01)
    if len(values) <= 20:
        axes.set_xticks(range(len(values)))
    axes.set_xlabel(write(say("unit", "单元")), size=9, color=PALETTE["muted"])
    silent = len(found.silent)
    _title(
        axes,
        write(
            say(
                f"{found.layer} ({found.kind}): {len(values)} units",
                f"{found.layer}（{found.kind}）：{len(values)} 个单元",
            )
        ),
        write(say(f"{silent} silent", f"{silent} 个静默")),
    )


def of_receptive(found: "Receptive", image: np.ndarray) -> Drawing:
    """The whole input with the box of what can reach the unit, beside the gradient inside it, on the input in gray."""

    def draw(figure: Figure, write: Any) -> None:
        left, right = figure.subplots(1, 2)
        _picture(left, image)
        _marks(left, found, 2.0)
        place = "" if found.at is None else say(f", row {found.at[0]}, column {found.at[1]}", f"，第 {found.at[0]} 行第 {found.at[1]} 列")  # fmt: skip
        title = say(
            f"{found.layer} ({found.kind}), channel {found.channel}{place}",
            f"{found.layer}（{found.kind}），通道 {found.channel}{place}",
        )
        _title(left, write(title), write(say(f"response {found.value:.4g}", f"响应 {found.value:.4g}")), size=11)
        _gradient(figure, right, found, image, write)
        _legend(figure, found, write)

    # High enough for square panels with their titles; without a gradient there is no colour bar.
    return Drawing("receptive", (9.2 if found.middle_share is None else 10.0, 5.9), draw)


def _gradient(figure: Figure, axes: Axes, found: "Receptive", image: np.ndarray, write: Any) -> None:
    axes.imshow(image if image.ndim == 2 else image.mean(2), cmap="gray", vmin=0, vmax=1, alpha=0.35, interpolation="nearest")  # fmt: skip
    how = say("the unit is silent here: no gradient", "该单元在此静默：没有梯度")
    if found.middle_share is not None:
        share = found.gradient.numpy() / float(found.gradient.max())
        inside = np.ma.masked_where(~found.reach.numpy(), share)
        shown = axes.imshow(inside, cmap="inferno", vmin=0, vmax=1, interpolation="nearest")
        bar = figure.colorbar(shown, ax=axes, pad=0.02, fraction=0.045)
        bar.ax.tick_params(labelsize=8)
        bar.set_label(write(say("share of the largest", "与最大值之比")), size=9, color=PALETTE["muted"])
        how = say(
            f"{found.middle_share:.0%} in the middle quarter of the box",
            f"{found.middle_share:.0%} 位于方框中央四分之一内",
        )
    _marks(axes, found, 2.0)
    _close_up(axes, found)
    axes.set_xticks([])
    axes.set_yticks([])
    _title(axes, write(say("|gradient| of the unit, close up", "该单元的 |梯度|，放大")), write(how), size=11)


def _marks(axes: Axes, found: "Receptive", width: float) -> None:
    top, left, bottom, right = found.box
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=_BOX, linewidth=width))  # fmt: skip
    if found.centre is not None and found.radius:
        row, column = found.centre
        axes.add_patch(Circle((column, row), found.radius, fill=False, edgecolor=_DISC, linewidth=width, linestyle="--"))  # fmt: skip


def _close_up(axes: Axes, found: "Receptive") -> None:
    """Turn to a square around the box, with a margin."""
    top, left, bottom, right = found.box
    half = max(bottom - top, right - left) * 0.62 + 1
    row, column = (
        _inside(middle, half, size)
        for middle, size in zip(((top + bottom) / 2, (left + right) / 2), found.reach.shape, strict=True)
    )
    axes.set_xlim(column - half, column + half)
    axes.set_ylim(row + half, row - half)


def _inside(middle: float, half: float, size: int) -> float:
    """The middle of a stretch, moved so that it does not leave the image, where it fits."""
    return (min(max(middle, half), size - half) if 2 * half < size else size / 2) - 0.5


def _legend(figure: Figure, found: "Receptive", write: Any) -> None:
    top, left, bottom, right = found.box
    box = say(f"can reach the unit: {bottom - top} × {right - left} pixels", f"能到达该单元：{bottom - top} × {right - left} 像素")  # fmt: skip
    cut = say(", up to the edge", "，到达图像边缘") if found.cut else ""
    handles = [Line2D([], [], color=_BOX, linewidth=2)]
    texts = [write(box + cut)]
    if found.radius is not None:
        handles.append(Line2D([], [], color=_DISC, linewidth=2, linestyle="--"))
        texts.append(write(say(f"90 % of the gradient: radius {found.radius:.1f} pixels", f"90% 的梯度：半径 {found.radius:.1f} 像素")))  # fmt: skip
    figure.legend(handles, texts, loc="outside lower center", ncols=2, frameon=False, fontsize=10)


def of_heads(found: "Heads", rows: list[str], columns: list[str], marked: int | None = None) -> Drawing:
    """A heat map (query, key) for each head; `marked` is a row to point at."""
    weights = found.weights.numpy()
    across, down = _across(len(weights))
    wide, high = (min(5.4, max(2.8, 1.2 + 0.24 * n)) for n in (len(columns), len(rows)))

    def draw(figure: Figure, write: Any) -> None:
        panels = np.atleast_1d(figure.subplots(down, across, sharex=True, sharey=True)).ravel()
        shown = None
        for number, (axes, one) in enumerate(zip(panels, weights, strict=False)):
            shown = axes.imshow(one, cmap="viridis", vmin=0.0, vmax=float(max(weights.max(), 1e-9)), aspect="auto", interpolation="nearest")  # fmt: skip
            _head(axes, found, number, write)
            _ticks(axes.xaxis, columns, write, turned=max(map(len, columns), default=0) > 2)
            _ticks(axes.yaxis, rows, write)
            if marked is not None:
                axes.add_patch(Rectangle((-0.5, marked - 0.5), len(columns), 1, fill=False, edgecolor=_BOX, linewidth=1.5))  # fmt: skip
        for axes in panels[len(weights) :]:
            axes.set_axis_off()
        _weights(figure, shown, panels.tolist(), write)
        figure.suptitle(write(say(f"{found.layer}: each row looks at the columns", f"{found.layer}：每一行注视各列")), size=12, color=PALETTE["ink"])  # fmt: skip

    return Drawing("heads", (1.0 + wide * across, 0.9 + high * down), draw)


def of_patches(found: "Heads", image: np.ndarray, at: int | None = None) -> Drawing:
    """Of attention over the patches of an image, what each head looks at, laid over it: from patch `at`, or on average."""
    side = math.isqrt(found.weights.shape[2])
    looked = (found.weights.mean(1) if at is None else found.weights[:, at]).numpy()
    gray, size = (image if image.ndim == 2 else image.mean(2)), (image.shape[0] / side, image.shape[1] / side)
    across, down = _across(len(looked))

    def draw(figure: Figure, write: Any) -> None:
        panels = np.atleast_1d(figure.subplots(down, across + 1, squeeze=False))
        for axes in panels[:, 0]:
            axes.set_axis_off()
        _picture(panels[0, 0], image)
        _title(panels[0, 0], write(say("input", "输入")), "", size=11)
        whole, shown = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5), None
        for number, axes in enumerate(panels[:, 1:].ravel()):
            axes.set_axis_off()
            if number >= len(looked):
                continue
            axes.imshow(gray, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            shown = axes.imshow(looked[number].reshape(side, side), cmap="viridis", vmin=0.0, vmax=float(max(looked.max(), 1e-9)), alpha=0.7, extent=whole, interpolation="nearest")  # fmt: skip
            _head(axes, found, number, write)
        if at is not None:
            for axes in (panels[0, 0], *panels[:, 1:].ravel()[: len(looked)]):
                corner = (at % side * size[1] - 0.5, at // side * size[0] - 0.5)
                axes.add_patch(Rectangle(corner, size[1], size[0], fill=False, edgecolor=_BOX, linewidth=2))
        figure.colorbar(shown, ax=panels[:, 1:].ravel().tolist(), pad=0.02, fraction=0.04).ax.tick_params(labelsize=8)  # type: ignore[arg-type]
        who = say("all patches, on average, look at", "所有图块平均注视") if at is None else say(f"the patch at row {at // side}, column {at % side} looks at", f"第 {at // side} 行第 {at % side} 列的图块注视")  # fmt: skip
        figure.suptitle(write(f"{found.layer}{say(': ', '：')}{who}"), size=12, color=PALETTE["ink"])

    return Drawing("patches", (2.6 * (across + 1) + 0.8, 2.9 * down + 0.5), draw)


def _weights(figure: Figure, shown: Any, panels: Any, write: Any) -> None:
    bar = figure.colorbar(shown, ax=panels, pad=0.02, fraction=0.04)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(write(say("weight", "权重")), size=9, color=PALETTE["muted"])


def _across(heads: int) -> tuple[int, int]:
    across = min(heads, 2 if heads <= 4 else 4)
    return across, math.ceil(heads / across)


def _head(axes: Axes, found: "Heads", number: int, write: Any) -> None:
    even = found.evenness[number]
    how = "" if even is None else say(f", evenness {even:.2f}", f"，均匀度 {even:.2f}")
    axes.set_title(write(f"{say('head', '头')} {number}{how}"), loc="left", size=10, color=PALETTE["ink"])


def _ticks(axis: Any, names: list[str], write: Any, *, turned: bool = False) -> None:
    """The names, or so many of them that they can be read."""
    step = math.ceil(len(names) / _MOST_LABELS)
    shown = range(0, len(names), step)
    texts = [write(one if len(one) < 16 else f"{one[:15]}…") for one in names[::step]]
    axis.set_ticks(list(shown), texts, size=9 if len(texts) <= 16 else 8, rotation=90 if turned else 0, parse_math=False)  # fmt: skip


def _picture(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()


def _title(axes: Axes, title: str, below: str, *, size: float = 12) -> None:
    axes.set_title(title, loc="left", size=size, pad=23 if below else 7, color=PALETTE["ink"], parse_math=False)
    if below:
        axes.annotate(below, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", size=9.5, color=PALETTE["muted"], parse_math=False)  # fmt: skip
