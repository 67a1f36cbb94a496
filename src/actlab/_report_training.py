"""The parts of the report that every run has: header, curves, speed, epochs, settings, machine and data."""

import json
import math
from datetime import UTC, datetime
from typing import Any

from ._report_scores import wilson
from ._report_text import TEXTS, Both, html, loss_unit, result_sentence, score_name, seconds, text, things
from .plot import Line, Steps, chart, draw_gradient, draw_learning_rate, draw_metric, lines, logarithmic_loss
from .records import Run


def section(title: Both, *content: str) -> str:
    """One card of the page."""
    return f"<section>\n<h2>{html(title)}</h2>\n" + "\n".join(part for part in content if part) + "\n</section>"


def note(value: Both) -> str:
    """A paragraph of small print."""
    return f'<p class="note">{html(value)}</p>'


def header(run: Run) -> str:
    """What was run, how it went, and how to run it again."""
    status = f'<span class="badge {run.status}">{html(text(f"status.{run.status}"))}</span>'
    recipe = " · ".join(part for part in (run.recipe, run.preset) if part)
    title = recipe if run.name.startswith(run.recipe) or not run.name else f"{recipe} — {run.name}"
    parts = [f"<h1>{html(title)} {status}</h1>", f'<p class="result">{html(result_sentence(run))}</p>']
    if run.message:
        parts.append(f'<p class="message">{html(run.message)}</p>')
    if run.test and run.test.accuracy is not None and run.test.count:
        low, high = wilson(run.test.accuracy, run.test.count)
        parts.append(note(text("interval", low=low, high=high, count=f"{run.test.count:,}", things=things(run))))
    wide = {"fact.model": ' class="wide"', "fact.replay": ' class="wide"'}
    facts = ""
    for key, value in _header_facts(run):
        facts += f"<div{wide.get(key, '')}><dt>{html(text(key))}</dt><dd>{value}</dd></div>"
    return "<section>\n" + "\n".join(parts) + f'\n<dl class="facts">{facts}</dl>\n</section>'


def _header_facts(run: Run) -> list[tuple[str, str]]:
    cost = run.model.multiply_adds
    size = {"name": run.model.name, "parameters": f"{run.model.parameters:,}"}
    model = text("model", **size) if cost is None else text("model.cost", **size, cost=f"{cost:,}")
    settings = {**flat(run.model.arguments), **flat(run.settings)}
    facts = [("fact.model", html(model))]
    for key in ("activation", "seed"):
        found = [value for name, value in settings.items() if name.rsplit(".", 1)[-1] == key]
        facts += [(f"fact.{key}", html(found[-1]))] if found else []
    facts += [("fact.date", html(_date(run.created))), ("fact.epochs", str(len(run.epochs)))]
    facts += [("fact.best", str(run.best_epoch))] if run.best_epoch is not None else []
    facts += [("fact.resumed", str(run.resumed))] if run.resumed else []
    return [*facts, ("fact.replay", "<code>actlab train --config config.toml</code>")]


def _date(created: str) -> str:
    try:
        return datetime.fromisoformat(created).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return created


def curves(run: Run, steps: Steps) -> str:
    """Loss, accuracy, learning rate and gradient norm, as far as they were recorded."""
    charts = []
    smoothed, unit = False, loss_unit(run)
    for metric in ("loss", "accuracy"):
        if shown := lines(run, steps, metric):
            picture = chart(draw_metric, run, shown, metric, name=metric)
            title = (
                text("curve.logarithmic", unit=unit)
                if metric == "loss" and logarithmic_loss(shown)
                else text(f"curve.{metric}", unit=unit)
            )
            charts.append(_figure(metric, title, picture, _legend(shown)))
            smoothed = smoothed or shown[0].smoothed
    if run.epochs or steps.finite("learning_rate"):
        charts.append(_figure("rate", text("curve.rate"), chart(draw_learning_rate, run, steps, name="rate")))
    if steps.finite("gradient_norm") or any(_finite(row.gradient_norm) for row in run.epochs):
        clipped = any(row.clipped_share is not None for row in run.epochs)
        picture = chart(draw_gradient, run, steps, name="gradient", rows=1 + clipped)
        charts.append(_figure("gradient", text("curve.clipped" if clipped else "curve.gradient"), picture))
    if not charts:
        return section(text("curves.title"), note(text("curves.empty")))
    explained = note(text("curves.smooth" if smoothed else "curves.axis", axis=text("curves.axis")))
    return section(text("curves.title"), explained, f'<div class="charts">{"".join(charts)}</div>')


def _figure(name: str, title: Both, picture: str, legend: str = "") -> str:
    legend = f'<ul class="legend">{legend}</ul>' if legend else ""
    return f'<figure><figcaption id="{name}-title">{html(title)}</figcaption>{legend}{picture}</figure>\n'


def _legend(shown: list[Line]) -> str:
    items = []
    for line in shown:
        finite = [value for value in line.trend if math.isfinite(value)]
        name = html(text(f"part.{line.part}"))
        items.append(f'<li style="--c:var(--{line.part})"><i></i>{name} <b>{finite[-1]:.4g}</b></li>')
    return "".join(items)


def speed(run: Run) -> str:
    """Both definitions of examples per second, and what the time went into."""
    clock = run.clock
    numbers = []
    for kind, spent in (("compute", clock.compute), ("total", clock.total)):
        if spent > 0 and run.examples:
            what = text(f"speed.{kind}.what", examples=f"{run.examples:,}", seconds=seconds(spent))
            rate = f'<span class="big">{run.examples / spent:,.1f}</span> {html(text(f"speed.{kind}"))}'
            numbers.append(f"<div><p>{rate}</p>{note(what)}</div>")
    if not numbers:
        return ""
    kinds = {
        "compute": ("training", clock.compute),
        "waiting": ("validation", max(0.0, clock.training - clock.compute)),
        "evaluation": ("test", clock.evaluation),
        "other": ("other", max(0.0, clock.total - clock.training - clock.evaluation)),
    }
    whole = sum(spent for _, spent in kinds.values())
    bar, legend = "", ""
    for kind, (colour, spent) in kinds.items():
        if spent > 0:
            bar += f'<span style="--c:var(--{colour});flex:{spent / whole:.5f} 0 0"></span>'
            name = html(text(f"kind.{kind}"))
            legend += (
                f'<li style="--c:var(--{colour})"><i></i>{name} <b>{seconds(spent)}</b> ({spent / whole:.1%})</li>'
            )
    where = f"<h3>{html(text('speed.where', seconds=seconds(whole)))}</h3>"
    stack = f'{where}<div class="stack">{bar}</div><ul class="legend">{legend}</ul>'
    return section(text("speed.title"), f'<div class="two">{"".join(numbers)}</div>', stack)


def epochs(run: Run) -> str:
    """Every row of metrics.csv; columns without any number are left out."""
    if not run.epochs:
        return ""
    rows = [row.flat() for row in run.epochs]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [name for name in names if any(row.get(name) is not None for row in rows)]
    head = "".join(f'<th scope="col">{html(_heading(name))}</th>' for name in columns)
    body = ""
    for row in rows:
        best = row["epoch"] == run.best_epoch
        cells = [f"{row['epoch']}{' ★' if best else ''}", *(_cell(name, row.get(name)) for name in columns[1:])]
        body += f"<tr class='{'best' if best else ''}'>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return section(
        text("epochs.title"),
        note(text("epochs.units" if run.best_epoch is None else "epochs.best", unit=loss_unit(run))),
        table,
    )


def _heading(name: str) -> Both:
    """The name of a column; scores of a task's own keep theirs."""
    key = {"examples": "column.examples"}.get(name, name)
    if key in TEXTS:
        return text(key)
    score = score_name(name.removeprefix("validation_"))
    return Both(f"Validation {score.en}", f"验证{score.zh}")


def scores(run: Run) -> str:
    """What the task measured on the test part."""
    if run.test is None or not run.test.scores:
        return ""
    rows = [(html(score_name(name)), f"{value:.4g}") for name, value in run.test.scores.items()]
    how = note(text("scores.how")) if "rmse" in run.test.scores else ""
    return section(text("scores.title"), how, _pairs("", rows))


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if name == "clipped_share":
        return f"{value:.1%}"
    return f"{value:.3g}" if name == "learning_rate" else f"{value:.4f}"


def facts(run: Run) -> str:
    """Settings, machine and data, with the terms under which the data may be shown."""
    machine = run.machine
    hardware = {
        **{name: getattr(machine, name) for name in ("processor", "cores", "threads")},
        "memory": f"{machine.memory_bytes / 2**30:.1f} GiB",
        **{name: getattr(machine, name) for name in ("device", "processes", "system")},
    }
    machine_rows = [(html(text(key)), html(value)) for key, value in hardware.items()]
    machine_rows += [(name, html(getattr(machine, name.lower()))) for name in ("Python", "torch", "Actlab")]
    data = run.data
    data_rows = [(html(text("name")), html(data.name))]
    sizes = {"train": "part.training", "validation": "part.validation", "test": "part.test"}
    for part, count in data.sizes.items():
        data_rows.append((html(text(sizes[part]) if part in sizes else part), html(text("count", count=f"{count:,}"))))
    shape = " × ".join(map(str, data.example_shape))
    data_rows += [(html(text("class_count")), str(len(data.classes)))] if data.classes else []
    for key, value in (("example_shape", shape), ("licence", data.licence), ("attribution", data.attribution)):
        data_rows += [(html(text(key)), html(value))] if value else []
    settings = [(f"<code>{html(name)}</code>", html(value)) for name, value in flat(run.settings).items()]
    settings += [(f"<code>model.{html(name)}</code>", html(value)) for name, value in flat(run.model.arguments).items()]
    two = f'<div class="two"><div>{_pairs("machine.title", machine_rows)}</div><div>{_pairs("data.title", data_rows)}</div></div>'
    return section(text("settings.title"), _pairs("", settings)) + f"\n<section>{two}</section>"


def _pairs(title: str, rows: list[tuple[str, str]]) -> str:
    heading = f"<h2>{html(text(title))}</h2>" if title else ""
    body = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>\n' for name, value in rows)
    return f'{heading}<table class="facts-table"><tbody>{body}</tbody></table>'


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level of dotted names; values as JSON, texts as they are."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = (
                value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            )
    return found


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
