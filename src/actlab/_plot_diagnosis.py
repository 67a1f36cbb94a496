"""Pictures of a diagnosis: what an activation is given, drawn on its curve; gradients against depth; updates."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ._plot_svg import PALETTE
from .records import Checkpoint, Layer, Site


def draw_signature(axes: Axes, site: Site) -> None:
    """The distribution of the inputs behind f and f': how much of the mass lies on the flat part."""
    edges, counts = np.array(site.edges), np.array(site.counts, dtype=float)
    reach = _reach(edges, counts)
    shown = (edges[1:] > -reach) & (edges[:-1] < reach)
    density = counts / np.maximum(np.diff(edges), 1e-12) / max(1.0, counts.sum())
    behind = axes.twinx()
    behind.fill_between(
        np.repeat(edges, 2)[1:-1], np.repeat(np.where(shown, density, 0), 2), color=PALETTE["muted"], alpha=0.35, lw=0
    )
    behind.set_yticks([])
    behind.set_ylim(bottom=0)
    curve = np.array(site.curve, dtype=float).reshape(-1, 3)
    z = curve[:, 0]
    if len(z) and reach > z[-1]:  # beyond the grid a curve goes on as it ends
        for side, end in ((-1, 0), (1, -1)):
            far = curve[end] + np.array([side * reach - z[end], curve[end, 2] * (side * reach - z[end]), 0.0])
            curve = np.vstack([far, curve]) if side < 0 else np.vstack([curve, far])
    axes.plot(curve[:, 0], curve[:, 1], color=PALETTE["training"], lw=1.6)
    axes.plot(curve[:, 0], curve[:, 2], color=PALETTE["validation"], lw=1.6)
    axes.set_xlim(-reach, reach)
    inside = curve[np.abs(curve[:, 0]) <= reach]
    low, high = (float(inside[:, 1:].min()), float(inside[:, 1:].max())) if len(inside) else (-1.0, 1.0)
    axes.set_ylim(low - 0.08 * (high - low) - 1e-3, min(high, 4 + 0.4 * reach) + 0.08 * (high - low) + 1e-3)
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    _plain(axes)
    behind.set_frame_on(False)


def _reach(edges: np.ndarray, counts: np.ndarray) -> float:
    """As far to both sides as nearly all of the inputs go."""
    if not counts.sum():
        return 5.0
    share = np.cumsum(counts) / counts.sum()
    low, high = edges[np.searchsorted(share, 0.002)], edges[min(np.searchsorted(share, 0.998) + 1, len(edges) - 1)]
    return float(np.clip(1.1 * max(abs(low), abs(high)), 2.0, 500.0))


def draw_depth(axes: Axes, layers: list[Layer], what: str) -> None:
    """`gradient` or `rms` of every layer, in the order in which they are called, logarithmic."""
    values = np.array([getattr(one, what) for one in layers], dtype=float)
    good = np.isfinite(values) & (values > 0)
    colour = PALETTE["training"] if what == "rms" else PALETTE["validation"]
    axes.plot(np.arange(1, len(values) + 1)[good], values[good], marker="o", ms=3.5, lw=1.4, color=colour)
    axes.set_yscale("log")
    if good.any() and values[good].max() < 10 * values[good].min():
        middle = np.sqrt(values[good].max() * values[good].min())
        axes.set_ylim(middle / 10, middle * 10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _plain(axes)


def draw_dead(axes: Axes, checkpoints: Sequence[Checkpoint], names: Sequence[str]) -> None:
    """Share of dead units of each activation at every checkpoint."""
    steps = [one.step for one in checkpoints]
    colours = colormaps["viridis"](np.linspace(0, 0.9, max(2, len(names))))
    for name, colour in zip(names, colours, strict=False):
        shares = [100 * len(one.silent.get(name, ())) / max(1, one.units.get(name, 1)) for one in checkpoints]
        axes.plot(steps, shares, marker="o", ms=3.5, lw=1.4, color=colour, label=name)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, labelcolor=PALETTE["ink"], ncols=2)
    _plain(axes)


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALETTE["muted"])
    axes.tick_params(colors=PALETTE["muted"], labelsize=8, length=3)
    axes.grid(color=PALETTE["grid"], lw=0.6)
    axes.set_axisbelow(True)
