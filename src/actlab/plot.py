"""Drawings: of a run its curves as SVG for a page, its filters, and everything as one PNG for a README; of an activation its curves.

All is drawn on `Figure` objects of their own; nothing here touches pyplot or leaves a setting behind.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._files import write_whole
from ._language import Language, say
from ._plot_curves import Line, chart, draw_gradient, draw_learning_rate, draw_metric, lines, logarithmic_loss
from ._plot_events import Steps, read_steps
from ._plot_filters import FirstLayer, first_layer, grid, png
from ._plot_function import draw_function
from ._plot_inspection import Drawing
from ._plot_memory import draw_attention, draw_forecast, draw_gradient_by_lag, draw_memory
from ._plot_surfaces import draw_backpropagation, draw_surface, draw_two_weights
from ._plot_svg import PALETTE
from ._report_scores import Confusion, shades
from ._report_text import Both, class_name, loss_unit, result_sentence, text
from .errors import UsageError
from .records import Run

if TYPE_CHECKING:
    from .activations import Activation

__all__ = [
    "FirstLayer",
    "Line",
    "Steps",
    "activation_picture",
    "attention_picture",
    "backpropagation_picture",
    "chart",
    "draw_gradient",
    "draw_learning_rate",
    "draw_metric",
    "first_layer",
    "forecast_picture",
    "gradient_picture",
    "grid",
    "inspection_picture",
    "lines",
    "logarithmic_loss",
    "matrix_pixels",
    "memory_picture",
    "png",
    "read_steps",
    "run_picture",
    "surface_picture",
    "two_weights_picture",
]

CHINESE_FONTS = (
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # the collection file is listed under its first face
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "SimHei",
    "Arial Unicode MS",
)


class _Writer:
    """Writes texts in one language with the fonts there are; a character that none of them has becomes a box."""

    def __init__(self, lang: Language):
        listed = {font.name: font.fname for font in font_manager.fontManager.ttflist}
        chinese = next((name for name in CHINESE_FONTS if name in listed), None)
        self.lang: Language = lang if chinese else "en"
        self.families = ["DejaVu Sans", *([chinese] if chinese else [])]
        self._known = {10}
        for family in self.families:
            self._known |= set(font_manager.get_font(listed[family]).get_charmap())

    def __call__(self, value: Both | str) -> str:
        plain = value if isinstance(value, str) else value.zh if self.lang == "zh" else value.en
        return "".join(letter if ord(letter) in self._known else "\N{WHITE SQUARE}" for letter in plain)


def run_picture(run_directory: Path, path: Path, lang: Language = "en") -> Path:
    """Write curves, filters and confusion matrix of a run as one PNG of 1600 x 900 pixels.

    Chinese needs a font with Chinese characters on this machine; without one the picture is in English.
    """
    run_directory, path = Path(run_directory), Path(path)
    run = Run.read(run_directory)
    write = _Writer(lang)
    with matplotlib.rc_context({"font.family": write.families, "axes.unicode_minus": False}):
        figure = Figure(figsize=(16, 9), dpi=100, facecolor="white", layout="constrained")
        figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)  # type: ignore[union-attr]
        _heading(figure, run, write)
        _fill(figure, run_directory, run, write)
        write_whole(path, lambda temporary: figure.savefig(temporary, format="png", metadata={"Software": None}))
    return path


def activation_picture(
    entry: "Activation", path: Path, lang: Language = "en", *, span: float = 5.0, **values: float
) -> Path:
    """Write f, f' and f'' of an activation from -span to span, as PNG of 1200 x 800 pixels or as SVG, by the file's ending."""

    def draw(figure: Figure, write: _Writer) -> None:
        axes = figure.subplots()
        draw_function(axes, entry, write.lang, values, span)
        axes.axhline(0, color=PALETTE["muted"], linewidth=0.8, zorder=0)
        axes.axvline(0, color=PALETTE["muted"], linewidth=0.8, zorder=0)
        axes.grid(color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("x", color=PALETTE["muted"])
        listed = ", ".join(f"{name} = {value:.4g}" for name, value in entry.values(values).items())
        _title(axes, entry.name + (f"  ({listed})" if listed else ""))
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], frameon=False, fontsize=11, labelcolor=PALETTE["ink"])

    return _save(Path(path), lang, entry.name, (9, 6), draw)


def memory_picture(gates: dict[str, Any], words: list[str], path: Path, lang: Language = "en") -> Path:
    """Write gates, cell and output (time, units) of a recurrent layer over the words of a sentence, as PNG or SVG."""
    maps = len(set(gates) - {"cell"}) + ("cell" in gates)
    size = (max(7.0, min(24.0, 1.5 + 0.75 * len(words))), 1.2 + 1.5 * maps)
    arrays = {name: np.asarray(value) for name, value in gates.items()}
    return _save(Path(path), lang, "memory", size, lambda figure, write: draw_memory(figure, arrays, words, write))


def gradient_picture(norms: Any, path: Path, lang: Language = "en") -> Path:
    """Write how much of the gradient is left so many steps back, as PNG or SVG; `norms` is what `gradient_by_lag` gives."""
    array = np.asarray(norms)
    return _save(Path(path), lang, "lag", (7, 4), lambda figure, write: draw_gradient_by_lag(figure, array, write))


def attention_picture(weights: Any, rows: list[str], columns: list[str], path: Path, lang: Language = "en") -> Path:
    """Write attention weights (row, column) as a heat map, as PNG or SVG."""
    array, size = np.asarray(weights), (2 + 0.45 * len(columns), 1.2 + 0.4 * len(rows))
    return _save(
        Path(path), lang, "attention", size, lambda figure, write: draw_attention(figure, array, rows, columns, write)
    )


def forecast_picture(found: dict[str, Any], path: Path, lang: Language = "en") -> Path:
    """Write a forecast beside what is known, as PNG or SVG; `found` is what `Forecasting.forecast` gives."""
    return _save(Path(path), lang, "forecast", (9, 4), lambda figure, write: draw_forecast(figure, found, write))


def _save(
    path: Path, lang: Language, salt: str, size: tuple[float, float], draw: Callable[[Figure, _Writer], None]
) -> Path:
    """A picture of that many inches, as PNG or SVG by the file's ending."""
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise UsageError(
            say(f"expected a file ending in .png or .svg; got '{path}'", f"文件应以 .png 或 .svg 结尾；得到“{path}”")
        )
    write = _Writer(lang)
    settings: Any = {
        "font.family": write.families,
        "axes.unicode_minus": False,
        "svg.fonttype": "path",
        "svg.hashsalt": salt,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=size, dpi=1200 / 9, facecolor="white", layout="constrained")
        draw(figure, write)
        metadata = {"Software": None} if kind == "png" else {"Date": None}
        write_whole(path, lambda temporary: figure.savefig(temporary, format=kind, metadata=metadata))
    return path


def _heading(figure: Figure, run: Run, write: _Writer) -> None:
    """The run and its result, in letters small enough for the longest machine name."""
    shown = [line if len(line) < 240 else f"{line[:239]}…" for line in (write(run.name), write(result_sentence(run)))]
    widest = max(sum(1.0 if ord(letter) < 0x2E80 else 1.75 for letter in line) for line in shown)
    style = {"color": PALETTE["ink"], "parse_math": False, "linespacing": 1.5}
    figure.suptitle("\n".join(shown), size=min(17.0, 17 * 104 / widest), **style)


def _fill(figure: Figure, run_directory: Path, run: Run, write: _Writer) -> None:
    """Up to three columns, only of what the run has."""
    steps = read_steps(run_directory)
    curves = {metric: lines(run, steps, metric) for metric in ("loss", "accuracy")}
    curves = {metric: shown for metric, shown in curves.items() if shown}
    layer = _layer_or_none(run_directory, run)
    confusion = run.test.confusion if run.test else ()
    widths = [1.15] * bool(curves) + [0.85] * bool(layer) + [1.35] * bool(confusion)
    if not widths:
        return
    columns = iter(np.atleast_1d(np.asarray(figure.subfigures(1, len(widths), width_ratios=widths), dtype=object)))
    if curves:
        panels = np.atleast_1d(next(columns).subplots(len(curves), 1))
        for axes, (metric, shown) in zip(panels, curves.items(), strict=True):
            _curve(axes, run, metric, shown, write)
    if layer:
        _filters(next(columns).subplots(), layer, write)
    if confusion:
        _confusion(next(columns).subplots(), run, confusion, write)


def _layer_or_none(run_directory: Path, run: Run) -> FirstLayer | None:
    try:
        return first_layer(run_directory, run)
    except (OSError, ValueError):
        return None


def _curve(axes: Axes, run: Run, metric: str, shown: list[Line], write: _Writer) -> None:
    draw_metric(axes, run, shown, metric)
    logarithmic = metric == "loss" and logarithmic_loss(shown)
    axes.tick_params(labelsize=11)
    _title(axes, write(text("curve.logarithmic" if logarithmic else f"curve.{metric}", unit=loss_unit(run))), pad=24)
    axes.set_xlabel(write(text("axis.examples")), size=11, color=PALETTE["muted"])
    handles = [axes.plot([], [], color=PALETTE[line.part], linewidth=3)[0] for line in shown]
    names = [write(text(f"part.{line.part}")) for line in shown]
    axes.legend(handles, names, frameon=False, fontsize=11, labelcolor=PALETTE["ink"])


def _filters(axes: Axes, layer: FirstLayer, write: _Writer) -> None:
    pictures = layer.pictures
    axes.imshow(grid(pictures if len(pictures) <= 128 else pictures[:128], shape=0.75), interpolation="nearest")
    axes.set_axis_off()
    _title(axes, write(text("filters.title" if layer.convolution else "units.title")))


def matrix_pixels(confusion: Confusion) -> np.ndarray:
    """The confusion matrix as an image, one pixel for each cell, with the colours of the table."""
    hit, miss = (np.array(tuple(bytes.fromhex(PALETTE[name][1:]))) for name in ("training", "validation"))
    strength = shades(confusion)[..., None]
    colour = np.where(np.eye(len(confusion), dtype=bool)[..., None], hit, miss)
    return np.round(255 - strength * (255 - colour)).astype(np.uint8)


def _confusion(axes: Axes, run: Run, confusion: Confusion, write: _Writer) -> None:
    axes.imshow(matrix_pixels(confusion), interpolation="nearest")
    size, strength = len(confusion), shades(confusion)
    _title(axes, write(text("confusion.title")))
    if size > 20:
        axes.tick_params(labelsize=9)
        return
    names = [write(class_name(run, index)) for index in range(size)]
    names = [name if len(name) <= 14 else name[:13] + "…" for name in names]
    axes.set_xticks(range(size), names, rotation=45, ha="right", rotation_mode="anchor", size=11, parse_math=False)
    axes.set_yticks(range(size), names, size=11, parse_math=False)
    axes.set_xlabel(write(text("confusion.predicted")), size=12)
    axes.set_ylabel(write(text("confusion.true")), size=12)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for row, column in np.argwhere(np.array(confusion) > 0):
        strong = strength[row, column] > 0.6
        place = {"ha": "center", "va": "center", "size": min(11, 90 / math.sqrt(size) / 2.5)}
        axes.text(column, row, str(confusion[row][column]), color="white" if strong else PALETTE["ink"], **place)


def _title(axes: Axes, title: str, *, pad: float = 10) -> None:
    axes.set_title(title, size=13, color=PALETTE["ink"], loc="left", pad=pad, parse_math=False)


def surface_picture(found: Any, name: str, path: Path, lang: Language = "en") -> Path:
    """Write the loss around the weights of the network called `name`, what `loss_surface` gives, as PNG or SVG."""
    return _save(Path(path), lang, "surface", (7.2, 6), lambda figure, write: draw_surface(figure, found, name, write))


def two_weights_picture(found: list[Any], path: Path, lang: Language = "en") -> Path:
    """Write what `two_weights` gives, for one loss or several side by side, as PNG or SVG."""
    size = (0.8 + 5.8 * len(found), 6.5)
    return _save(Path(path), lang, "two-weights", size, lambda figure, write: draw_two_weights(figure, found, write))


def backpropagation_picture(found: Any, path: Path, lang: Language = "en") -> Path:
    """Write the network of `backpropagate` with values, error terms and gradients, as PNG or SVG."""
    size = (max(6.6, 0.8 + 2.6 * len(found.sizes)), 2.0 + 1.15 * max(found.sizes))
    return _save(
        Path(path), lang, "backpropagation", size, lambda figure, write: draw_backpropagation(figure, found, write)
    )


def inspection_picture(drawing: Drawing, path: Path, lang: Language = "en") -> Path:
    """Write a drawing of `_plot_inspection`: filters, feature maps, a receptive field or attention, as PNG or SVG."""
    return _save(Path(path), lang, drawing.name, drawing.size, drawing.draw)
