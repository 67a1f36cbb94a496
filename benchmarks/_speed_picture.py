"""How many times faster fused activations are than the better of eager and torch.compile: one picture of all cells."""

from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from actlab._plot_svg import PALETTE

COLOURS = ("#56b4e9", "#0072b2", "#009e73", "#e69f00", "#d55e00")  # Okabe & Ito 2008

Cells = dict[tuple[str, str, str], dict[str, dict[str, Any]]]


def gain(ways: dict[str, dict[str, Any]], what: str) -> float:
    """Times the better of eager and compile takes as long as ours."""
    return min(ways[one][f"{what}_ns"] for one in ("eager", "compile")) / ways["fused"][f"{what}_ns"]


def draw(cells: Cells, path: Path) -> None:
    """A panel for each type and pass, a line for each activation, a dot for each size."""
    cells = {key: ways for key, ways in cells.items() if {"eager", "compile", "fused"} <= set(ways)}
    types = sorted({key[1] for key in cells}, reverse=True)
    sizes = sorted({key[2] for key in cells}, key=lambda size: int(size[2:]))
    panels = [(kind, what) for kind in types for what in ("forward", "backward")]
    names = sorted({key[0] for key in cells}, key=lambda name: fmean(np.log(gain(ways, "forward")) for key, ways in cells.items() if key[0] == name))  # fmt: skip
    figure = Figure(figsize=(2.6 * len(panels) + 2, 0.21 * len(names) + 1.6), layout="constrained")
    for axes, (kind, what) in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
        for size, colour in zip(sizes, COLOURS, strict=False):
            found = {key[0]: gain(ways, what) for key, ways in cells.items() if key[1:] == (kind, size)}
            axes.plot(list(found.values()), [names.index(name) for name in found], "o", color=colour, markersize=4, label=f"$2^{{{size[2:]}}}$")  # fmt: skip
        axes.axvline(1, color=PALETTE["muted"], linewidth=1)
        axes.set(xscale="log", title=f"{kind} {what}", ylim=(-0.7, len(names) - 0.3))
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(color=PALETTE["grid"], linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_yticks(range(len(names)), names, fontsize=8)
    figure.supxlabel("times as fast as the better of eager and torch.compile (right of the line: faster)", fontsize=10)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="elements", loc="outside right upper", frameon=False)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "actlab"}):
        figure.savefig(path, metadata={"Date": None})
