"""The picture of an activation: the function and its first two derivatives, with gaps where they jump."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.axes import Axes

from ._language import Language

if TYPE_CHECKING:
    from .activations import Activation

_COLOURS = ("#1f5fa8", "#c2571a", "#3f7d3a")
_STYLES = ("-", "-", (0, (5, 2)))
_WIDTHS = (2.4, 1.8, 1.4)
_NAMES = {"en": ("f(x)", "f′(x)", "f″(x)"), "zh": ("函数 f(x)", "一阶导数 f′(x)", "二阶导数 f″(x)")}
_HIGHEST = 6.0


def draw_function(axes: Axes, entry: "Activation", lang: Language, values: dict[str, float], span: float) -> None:
    """f, f' and f'' from -span to span. Lines break at jumps; where a value jumps, dots say which side it belongs to."""
    found = entry.properties(**values)
    breaks = sorted({place for place in (*found.jumps, *found.kinks, *found.bends) if abs(place) < span})
    shown: list[Any] = []
    for order in (2, 1, 0):
        for number, (low, high) in enumerate(zip([-span, *breaks], [*breaks, span], strict=True)):
            x = np.linspace(low, high, 801)[1:-1]
            y = _evaluated(entry, x, order, values)
            y = np.where(np.abs(y) <= 2 * _HIGHEST, y, np.nan)  # nothing is drawn far outside
            label = _NAMES[lang][order] if number == 0 else None
            axes.plot(x, y, color=_COLOURS[order], linestyle=_STYLES[order], linewidth=_WIDTHS[order], label=label)
            shown.append(y)
        _ends(axes, entry, order, breaks, values)
    everything = np.concatenate(shown)
    low, high = max(-_HIGHEST, np.nanmin(everything)), min(_HIGHEST, np.nanmax(everything))
    room = 0.06 * max(high - low, 1e-3)
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(-span, span)


def _evaluated(entry: "Activation", x: np.ndarray, order: int, values: dict[str, float]) -> np.ndarray:
    tensor = torch.from_numpy(np.ascontiguousarray(x))
    with torch.no_grad():
        return entry.evaluate(tensor, order, **values).numpy()


def _ends(axes: Axes, entry: "Activation", order: int, breaks: list[float], values: dict[str, float]) -> None:
    """A full dot at the value taken where the line jumps, hollow ones at the ends it does not take."""
    for place in breaks:
        left, at, right = _evaluated(entry, np.array([place - 1e-9, place, place + 1e-9]), order, values)
        if abs(right - left) < 1e-6:
            continue
        style = {"color": _COLOURS[order], "marker": "o", "markersize": 5, "linestyle": "none", "zorder": 3}
        for end in (left, right):
            if abs(end - at) > 1e-6:
                axes.plot([place], [end], markerfacecolor="white", **style)
        axes.plot([place], [at], **style)
