"""The parts of the report that need a test result or the weights: classes, confusion, filters, mistakes."""

import base64
import math
from html import escape
from pathlib import Path

import numpy as np

from ._report_scores import ClassScore, Confusion, by_class, most_confused, shades, weakest
from ._report_text import Both, class_name, html, text
from ._report_training import note, section
from .plot import first_layer, grid, matrix_pixels, png
from .records import Run

MOST_NAMED = 20  # with more classes the matrix is a picture without names and counts


def classes(run: Run) -> list[str]:
    """The table of scores by class and the confusion matrix; nothing for a task without classes."""
    confusion = run.test.confusion if run.test else ()
    if not confusion or any(len(row) != len(confusion) for row in confusion):
        return []
    return [_scores(run, by_class(confusion)), _matrix(run, confusion)]


def _scores(run: Run, scores: list[ClassScore]) -> str:
    weak = weakest(scores)
    head = "".join(f'<th scope="col">{html(name)}</th>' for name in _score_names())
    body = ""
    for index, score in enumerate(scores):
        tag = f'<span class="tag">▼ {html(text("classes.weak"))}</span>' if index == weak else ""
        name = f'<th scope="row">{html(class_name(run, index))}{tag}</th>'
        cells = "".join(f"<td>{_three(value)}</td>" for value in (score.precision, score.recall))
        filled = 0 if math.isnan(score.f1) else score.f1
        cells += f'<td class="bars" style="--v:{filled:.1%}">{_three(score.f1)}</td><td>{score.support:,}</td>'
        body += f"<tr class='{'weak' if index == weak else ''}'>{name}{cells}</tr>\n"
    sentence = ""
    if weak is not None:
        words = text("classes.weakest", name=class_name(run, weak), f1=scores[weak].f1)
        sentence = f"<p>{html(words)}</p>"
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return section(text("classes.title"), sentence, table)


def _score_names() -> list[Both | str]:
    return [text("class"), text("precision"), text("recall"), "F1", text("support")]


def _three(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _matrix(run: Run, confusion: Confusion) -> str:
    pair = most_confused(confusion)
    if pair is None:
        sentence = text("confusion.perfect")
    else:
        truth, predicted = pair
        count, total = confusion[truth][predicted], sum(confusion[truth])
        names = {"truth": class_name(run, truth), "predicted": class_name(run, predicted)}
        numbers = {"count": f"{count:,}", "total": f"{total:,}", "back": f"{confusion[predicted][truth]:,}"}
        sentence = text("confusion.pair", **names, **numbers, share=count / total)
    picture = _matrix_table(run, confusion) if len(confusion) <= MOST_NAMED else _matrix_picture(confusion)
    return section(text("confusion.title"), f"<p>{html(sentence)}</p>", picture, note(text("confusion.how")))


def _matrix_table(run: Run, confusion: Confusion) -> str:
    size, strength = len(confusion), shades(confusion)
    names = [html(class_name(run, index)) for index in range(size)]
    axes = (
        f'<tr><th class="corner"></th><th class="axis" colspan="{size}">{html(text("confusion.predicted"))}</th></tr>'
    )
    columns = "".join(
        f'<th scope="col"><div class="{_direction(class_name(run, index))}">{names[index]}</div></th>'
        for index in range(size)
    )
    corner = f'<th class="axis">{html(text("confusion.true"))}</th>'
    body = ""
    for row in range(size):
        cells = "".join(_cell(confusion[row][column], strength[row, column], row == column) for column in range(size))
        body += f'<tr><th scope="row">{names[row]}</th>{cells}</tr>\n'
    return f'<table class="matrix"><thead>{axes}<tr>{corner}{columns}</tr></thead><tbody>{body}</tbody></table>'


def _direction(name: Both) -> str:
    """Chinese column heads are short and stay level, all others stand on end."""
    return "level" if len(name.zh) <= 4 and any(letter > "\u2e80" for letter in name.zh) else "upright"


def _cell(count: int, strength: float, hit: bool) -> str:
    kind = ("hit" if hit else "miss") + (" strong" if strength > 0.6 else "")
    return f'<td class="{kind}" style="--s:{strength:.3f}">{count or "·"}</td>'


def _matrix_picture(confusion: Confusion) -> str:
    pixels = matrix_pixels(confusion)
    scale = max(1, 600 // len(confusion))
    return _image(png(pixels.repeat(scale, 0).repeat(scale, 1)), text("confusion.title"), "filters")


def first_layer_pictures(run_directory: Path, run: Run) -> str:
    """The first layer's weights as in the AlexNet paper; nothing where no layer sees pictures."""
    title = text("filters.title")
    try:
        layer = first_layer(run_directory, run)
    except (OSError, ValueError) as error:
        return section(title, note(text("filters.damaged", reason=error)))
    if layer is None:
        return ""
    kind = "filters" if layer.convolution else "units"
    count, channels, height, width = layer.pictures.shape
    size = f"{channels} × {height} × {width}"
    which = text("filters.all" if count == layer.total else "filters.some", shown=count, total=layer.total)
    how = text(f"{kind}.how", which=which, name=layer.name, size=size)
    broken = "" if np.isfinite(layer.pictures).all() else f"<p>{html(text('filters.broken'))}</p>"
    title = text(f"{kind}.title")
    few = "filters few" if count <= 12 else "filters"
    return section(title, broken, note(how), _image(png(grid(layer.pictures)), title, few))


def mistakes(run: Run) -> str:
    """The test examples that were wrong with the most confidence, where their pictures were kept."""
    shown = []
    for mistake in run.test.mistakes if run.test else ():
        if (picture := _decoded(mistake.image_png)) is None:
            continue
        truth, predicted = class_name(run, mistake.truth), class_name(run, mistake.predicted)
        words = f'<br><span class="wrong">→ {html(predicted)}</span> {mistake.probability:.3f}'
        alternative = text("mistake", truth=truth, predicted=predicted)
        shown.append(f"<figure>{_image(picture, alternative)}<figcaption>{html(truth)}{words}</figcaption></figure>")
    if not shown:
        return ""
    pictures = "\n".join(shown)
    return section(text("mistakes.title"), note(text("mistakes.how")), f'<div class="mistakes">{pictures}</div>')


def _decoded(picture: str) -> bytes | None:
    try:
        data = base64.b64decode(picture, validate=True)
    except ValueError:
        return None
    return data if data.startswith(b"\x89PNG") else None


def _image(picture: bytes, alternative: Both, kind: str = "") -> str:
    data = base64.b64encode(picture).decode()
    en, zh = escape(alternative.en), escape(alternative.zh)
    name = f'class="{kind}" ' if kind else ""
    return f'<img {name}src="data:image/png;base64,{data}" alt="{en} / {zh}" data-en="{en}" data-zh="{zh}">'
