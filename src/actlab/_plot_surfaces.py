"""Drawings of loss surfaces and of back-propagation: contours around the weights, two losses side by side, a network with its numbers."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ._plot_svg import PALETTE
from ._report_text import Both
from .inspection.backpropagation import LOSSES

_LABELLED_EDGES = 12  # between two layers: more numbers than that cover each other


def draw_surface(figure: Figure, found: Any, name: str, write: Any) -> None:
    """Contours of a `Surface` with colour, the point of the weights with its loss, and crosses where the loss is not finite."""
    axes = figure.subplots()
    offsets, losses = found.offsets.numpy(), found.losses.numpy()
    logarithmic = _contours(figure, axes, offsets, losses, write)
    bad_rows, bad_columns = np.nonzero(~np.isfinite(losses))
    if len(bad_rows):
        label = write(Both(f"not finite: {len(bad_rows)} points", f"非有限：{len(bad_rows)} 个点"))
        style = {"marker": "x", "color": PALETTE["validation"], "linestyle": "none", "markersize": 4, "label": label}
        axes.plot(offsets[bad_columns], offsets[bad_rows], **style)
        axes.legend(loc="upper left", fontsize=9, framealpha=0.9)
    axes.plot(0, 0, "o", color="white", markeredgecolor=PALETTE["ink"], markersize=9, zorder=5)
    box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": PALETTE["grid"], "alpha": 0.9}
    axes.annotate(
        write(Both(f"the weights: {found.centre:.4g}", f"当前权重：{found.centre:.4g}")), (0, 0), (9, 9),
        textcoords="offset points", size=10, color=PALETTE["ink"], bbox=box, zorder=6,
    )  # fmt: skip
    axes.set_xlim(offsets[0], offsets[-1])
    axes.set_ylim(offsets[0], offsets[-1])
    axes.set_aspect("equal")
    axes.set_xlabel(write(Both("first direction (1 = the norm of each filter)", "方向一（1 = 各滤波器自身的范数）")), color=PALETTE["muted"])  # fmt: skip
    axes.set_ylabel(write(Both("second direction", "方向二")), color=PALETTE["muted"])
    title = Both(f"Loss around the weights: {name}", f"权重附近的损失：{name}")
    scale = Both(", logarithmic levels", "，对数等高线") if logarithmic else Both("", "")
    below = Both(
        f"{found.examples:,} examples, seed {found.seed}{scale.en}", f"{found.examples:,} 个样本，种子 {found.seed}{scale.zh}"
    )  # fmt: skip
    _titles(axes, write(title), write(below))


def _titles(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, loc="left", size=13, color=PALETTE["ink"], pad=24, parse_math=False)
    place: Any = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(below, (0, 1), (0, 7), size=9.5, color=PALETTE["muted"], parse_math=False, **place)


def _contours(figure: Figure, axes: Axes, places: np.ndarray, losses: np.ndarray, write: Any, *, linear: bool = False) -> bool:  # fmt: skip
    """Colour, lines and a bar; whether they are logarithmic: where all is positive and spans a decade, unless `linear`. Nothing where nothing is finite."""
    axes.set_facecolor(PALETTE["grid"])
    known = losses[np.isfinite(losses)]
    if not known.size:
        return False
    low, high = float(known.min()), float(known.max())
    logarithmic = not linear and low > 0 and high / low >= 10
    count = 11
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):  # flat: one colour
        count = 3
        low, high = low - max(1e-9, 1e-3 * abs(low)), high + max(1e-9, 1e-3 * abs(high))
    spaced = np.geomspace if logarithmic else np.linspace
    fine, coarse = spaced(low, high, 101), spaced(low, high, count)
    fine[0], fine[-1] = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
    norm = LogNorm(low, high) if logarithmic else Normalize(low, high)
    shown = np.ma.masked_invalid(losses)

    def shown_as(value: float) -> str:
        return f"{value if logarithmic or abs(value) > 1e-4 * (high - low) else 0.0:.3g}"

    filled = axes.contourf(places, places, shown, levels=fine, cmap="viridis", norm=norm)
    filled.set_edgecolor("face")  # no hairlines between the bands
    drawn = axes.contour(
        places, places, shown, levels=coarse[1:-1], colors="white", linewidths=0.7, alpha=0.8, linestyles="solid"
    )
    axes.clabel(drawn, fmt=shown_as, fontsize=8, inline_spacing=3)
    bar = figure.colorbar(
        filled, cax=axes.inset_axes((1.03, 0, 0.045, 1)), ticks=coarse, format=lambda value, _: shown_as(value)
    )
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=8)
    bar.set_label(write(Both("loss", "损失")), size=9, color=PALETTE["muted"])
    return logarithmic


def draw_two_weights(figure: Figure, found: list[Any], write: Any) -> None:
    """The losses of the network with two weights side by side, hatched where they are flat and crosshatched on plateaus."""
    panels = np.atleast_1d(figure.subplots(1, len(found), sharey=True))
    for axes, one in zip(panels, found, strict=True):
        weights = one.weights.numpy()
        _contours(figure, axes, weights, one.losses.numpy(), write, linear=True)
        plateau = one.is_plateau.numpy()
        _hatch(axes, weights, one.is_flat.numpy() & ~plateau, "//", "white")
        _hatch(axes, weights, plateau, "xx", PALETTE["validation"])
        axes.set_aspect("equal")
        axes.set_xlabel("w1", color=PALETTE["muted"])
        below = Both(
            f"flat {one.flat:.1%}, of that plateaus {one.plateau:.1%}, not convex {one.bent:.0%} of the area",
            f"平坦 {one.flat:.1%}，其中高原 {one.plateau:.1%}，非凸 {one.bent:.0%}（占面积）",
        )
        _titles(axes, write(Both(*LOSSES[one.loss])), write(below))
    panels[0].set_ylabel("w2", color=PALETTE["muted"])
    names = (
        Both("flat: gradient below 1/100 of the largest", "平坦：梯度不足最大值的 1/100"),
        Both("plateau: flat, with the output wrong by more than 3/4", "高原：平坦，且输出误差大于 3/4"),
    )
    keys = [Patch(facecolor="#5b7f95", edgecolor="white", hatch="////"), Patch(facecolor="#e8e23a", edgecolor=PALETTE["validation"], hatch="xxxx")]  # fmt: skip
    figure.legend(
        keys, [write(name) for name in names], loc="outside lower center", ncols=len(found), frameon=False, fontsize=9.5
    )
    one = found[0]
    figure.suptitle(
        f"y = sigmoid(w2 · {one.activation}(w1 · x)),  x = {one.x:g},  " + write(Both(f"target {one.target:g}", f"目标 {one.target:g}")),
        size=13, color=PALETTE["ink"], parse_math=False,
    )  # fmt: skip


def _hatch(axes: Axes, places: np.ndarray, where: np.ndarray, pattern: str, colour: str) -> None:
    if where.any():
        drawn = axes.contourf(places, places, where.astype(float), levels=[0.5, 1.5], colors="none", hatches=[pattern])
        drawn.set_edgecolor(colour)
        drawn.set_linewidth(0)


def draw_backpropagation(figure: Figure, found: Any, write: Any) -> None:
    """The network: outputs in the nodes, error terms below them, and on each line the gradient of its weight."""
    axes = figure.subplots()
    tallest = max(found.sizes)
    places = [[(2.0 * x, (n - 1) / 2 - y) for y in range(n)] for x, n in enumerate(found.sizes)]
    largest = max(float(one.weight_gradient.abs().max()) for one in found.layers) or 1.0
    for number, layer in enumerate(found.layers):
        _edges(axes, places[number], places[number + 1], layer.weight_gradient.numpy(), largest)
    for number, column in enumerate(places):
        layer = found.layers[number - 1] if number else None
        values = (found.inputs if layer is None else layer.a).tolist()
        errors = [None] * len(values) if layer is None else layer.delta.tolist()
        for (x, y), value, error in zip(column, values, errors, strict=True):
            axes.plot(x, y, "o", markersize=38, color="white", markeredgecolor=PALETTE["ink"], zorder=3)
            axes.text(x, y, f"{value:.3g}", ha="center", va="center", size=9, color=PALETTE["ink"], zorder=4)
            if error is not None:
                axes.annotate(f"δ = {error:.3g}", (x, y), (0, -23), textcoords="offset points", ha="center", va="top", size=9, color=PALETTE["test"], bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}, zorder=2.5)  # fmt: skip
        name = Both("inputs", "输入") if layer is None else Both(f"layer {number}\n{layer.activation}", f"第 {number} 层\n{layer.activation}")  # fmt: skip
        axes.annotate(write(name), (2.0 * number, (tallest - 1) / 2), (0, 26), textcoords="offset points", ha="center", va="bottom", size=10, color=PALETTE["muted"])  # fmt: skip
    targets = ", ".join(f"{one:g}" for one in found.targets.tolist())
    en, zh = LOSSES[found.loss]
    cost = Both(f"{en} C = {found.cost:.4g}, targets {targets}", f"{zh} C = {found.cost:.4g}，目标 {targets}")  # fmt: skip
    axes.set_title(write(cost), loc="left", size=12, color=PALETTE["ink"], pad=12, parse_math=False)
    axes.set_xlim(-0.6, 2.0 * (len(places) - 1) + 0.6)
    axes.set_ylim(-(tallest - 1) / 2 - 0.6, (tallest - 1) / 2 + 0.5)
    axes.set_axis_off()
    _key(figure, write)


def _key(figure: Figure, write: Any) -> None:
    colours = (PALETTE["training"], PALETTE["validation"], PALETTE["test"], PALETTE["ink"])
    names = (Both("dC/dW above 0", "dC/dW 大于 0"), Both("dC/dW below 0", "dC/dW 小于 0"), Both("error term δ = dC/dz", "误差项 δ = dC/dz"), Both("output a = f(z)", "输出 a = f(z)"))  # fmt: skip
    keys = [Line2D([], [], color=one, linewidth=2) for one in colours[:2]]
    keys += [Line2D([], [], color=colours[2], marker="$δ$", linestyle="none", markersize=7)]
    keys += [Line2D([], [], color="white", marker="o", markeredgecolor=colours[3], linestyle="none", markersize=10)]
    figure.legend(keys, [write(one) for one in names], loc="outside lower center", ncols=4, frameon=False, fontsize=9)


def _edges(axes: Axes, before: list[Any], after: list[Any], gradients: np.ndarray, largest: float) -> None:
    """Lines coloured by sign and as thick as the gradient is large; numbers where there is room, each as far from the others as can be."""
    placed: list[np.ndarray] = []
    for row, end in enumerate(after):
        for column, start in enumerate(before):
            value = float(gradients[row, column])
            colour = PALETTE["training"] if value > 0 else PALETTE["validation"] if value < 0 else PALETTE["grid"]
            width = 0.6 + 3.4 * abs(value) / largest
            axes.plot(*zip(start, end, strict=True), color=colour, linewidth=width, alpha=0.65, zorder=1)
            if gradients.size <= _LABELLED_EDGES:
                placed.append(_free(np.array(start), np.array(end), placed))
                box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.9}
                axes.text(float(placed[-1][0]), float(placed[-1][1]), f"{value:.3g}", size=7.5, ha="center", va="center", color=colour, bbox=box, zorder=2)  # fmt: skip


def _free(start: np.ndarray, end: np.ndarray, placed: list[np.ndarray]) -> np.ndarray:
    spots = [start + share * (end - start) for share in np.linspace(0.24, 0.76, 14)]
    if not placed:
        return (start + end) / 2
    stretch = np.array([0.6, 2.0])  # numbers are wider than high
    return max(spots, key=lambda spot: min(float(np.hypot(*(stretch * (spot - one)))) for one in placed))
