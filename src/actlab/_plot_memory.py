"""Drawings of memory and forecasts: the gates of a recurrent layer over a sentence, a series and what was expected of it."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ._language import say
from ._plot_svg import PALETTE
from ._report_text import Both

NAMES = {
    "input": Both("input gate", "输入门"),
    "forget": Both("forget gate", "遗忘门"),
    "output": Both("output gate", "输出门"),
    "candidate": Both("candidate", "候选值"),
    "cell": Both("cell", "记忆单元"),
    "reset": Both("reset gate", "重置门"),
    "update": Both("update gate", "更新门"),
    "hidden": Both("hidden units", "隐藏单元"),
    "state": Both("state carried on", "传到下一步的状态"),
}
_GATES = ("input", "forget", "output", "reset", "update")
_MOST_UNITS = 48


def draw_memory(figure: Figure, gates: dict[str, np.ndarray], words: list[str], write: Any) -> None:
    """One heat map for each gate: units (rows) over the steps of the sentence. Gates from 0 to 1, the rest symmetric about 0.

    Of many units the ones whose cell changes most are shown, all maps in the same order.
    """
    guide = gates.get("cell", gates["state"])
    chosen = np.sort(np.argsort(-guide.std(0), kind="stable")[:_MOST_UNITS])
    shown = [
        name
        for name in ("input", "forget", "output", "reset", "update", "candidate", "cell", "hidden", "state")
        if name in gates
    ]
    axes = np.atleast_1d(figure.subplots(len(shown), 1, sharex=True))
    for row, name in zip(axes, shown, strict=True):
        picked = chosen if gates[name].shape[1] == guide.shape[1] else slice(None)
        values = gates[name][:, picked].T
        top = 1.0 if name in _GATES else float(np.abs(values).max()) or 1.0
        low = 0.0 if name in _GATES else -top
        image = row.imshow(
            values, aspect="auto", interpolation="nearest", vmin=low, vmax=top, cmap="viridis" if low == 0 else "RdBu_r"
        )
        row.set_title(write(NAMES[name]), loc="left", size=10, color=PALETTE["ink"])
        row.set_yticks([])
        row.set_ylabel(write(say("units", "单元")), size=8, color=PALETTE["muted"])
        figure.colorbar(image, ax=row, pad=0.01, fraction=0.03).ax.tick_params(labelsize=7)
    axes[-1].set_xticks(
        range(len(words)), [write(word) for word in words], rotation=0 if len(words) < 12 else 60, size=9
    )


def draw_attention(figure: Figure, weights: np.ndarray, rows: list[str], columns: list[str], write: Any) -> None:
    """Weights (row, column) as a heat map: how much each row looks at each column."""
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="viridis", vmin=0.0, vmax=float(max(weights.max(), 1e-9)), aspect="auto")
    axes.set_xticks(range(len(columns)), [write(one) for one in columns], size=10)
    axes.set_yticks(range(len(rows)), [write(one) for one in rows], size=10)
    axes.set_xlabel(write(say("looks at", "注视")), size=9, color=PALETTE["muted"])
    axes.set_ylabel(write(say("writes", "写出")), size=9, color=PALETTE["muted"])
    figure.colorbar(image, ax=axes, pad=0.02).ax.tick_params(labelsize=8)


def draw_gradient_by_lag(figure: Figure, norms: np.ndarray, write: Any) -> None:
    """What is left of the gradient so many steps back, on a logarithmic axis; 1 is the last step."""
    axes = figure.subplots()
    shown = np.maximum(norms / max(norms[0], 1e-300), 1e-30)
    axes.plot(shown, color=PALETTE["training"], linewidth=1.8)
    axes.set_yscale("log")
    axes.set_xlabel(write(say("steps back in time", "向后的步数")), size=9, color=PALETTE["muted"])
    axes.set_ylabel(
        write(say("norm of the gradient, lag 0 = 1", "梯度范数，0 步处为 1")), size=9, color=PALETTE["muted"]
    )
    axes.grid(color=PALETTE["grid"], linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def draw_forecast(figure: Figure, found: dict[str, Any], write: Any) -> None:
    """The last of the past, the forecast, and the truth where it is known."""
    axes = figure.subplots()
    past, ahead = found["past"], found["forecast"]
    place = range(len(past), len(past) + len(ahead))
    axes.plot(range(len(past)), past, color=PALETTE["ink"], linewidth=1.2, label=write(say("past", "过去")))
    if found["truth"]:
        axes.plot(place, found["truth"], color=PALETTE["test"], linewidth=1.2, label=write(say("truth", "真实值")))
    joined = [*past[-1:], *ahead]
    axes.plot(
        range(len(past) - 1, len(past) + len(ahead)),
        joined,
        color=PALETTE["validation"],
        linewidth=1.8,
        label=write(say("forecast", "预测")),
    )
    axes.axvline(len(past) - 0.5, color=PALETTE["grid"], linewidth=1)
    times = [*found["past_times"], *found["times"]]
    ticks = np.unique(np.linspace(0, len(times) - 1, 6).round().astype(int))
    axes.set_xticks(ticks, [times[one] for one in ticks], size=8)
    axes.set_ylabel(write(found["columns"][-1]), size=9, color=PALETTE["muted"])
    axes.set_xlabel(
        write(
            say(
                f"time, one step is a {found['step']}"
                if found["step"] in ("year", "step")
                else f"time, one step is {found['step']}",
                f"时间，每步为{found['step']}",
            )
        ),
        size=9,
        color=PALETTE["muted"],
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
