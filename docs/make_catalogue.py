"""Write docs/catalogue from the entries: an index and, for each of them, a page in English, one in Chinese and a picture.

Without --out, also the rows of `actlab list` that the package keeps.

python docs/make_catalogue.py [--out docs/catalogue]
"""

import argparse
from pathlib import Path
from typing import Any

from actlab import _language, activations
from actlab._language import say
from actlab._property_words import facts, form, number, range_text, trend
from actlab.cli import _listing
from actlab.plot import activation_picture

HERE = Path(__file__).parent


def page(entry: Any, lang: _language.Language) -> str:
    """One entry in Markdown."""
    _language.choose(lang)
    other = say(f"[中文](zh/{entry.name}.md)", f"[English](../{entry.name}.md)")
    parts = [f"# {entry.name}", f"{entry.summary} {other}", *formulas(entry)]
    if isinstance(entry, activations.Activation):
        folder = "" if lang == "en" else "../"
        parts += [f"![f, f' and f'']({folder}pictures/{entry.name}.svg)", table(facts(entry, {}))]
        if entry.parameters:
            parts.append(parameters(entry))
    if entry.teaching:
        parts += [
            f"**{say('Good for', '适用')}.** {entry.teaching.good}",
            f"**{say('Pitfalls', '注意')}.** {entry.teaching.bad}",
        ]
        parts.append(
            f"**{say('Compare', '比较')}.** " + ", ".join(f"[{one}]({one}.md)" for one in entry.teaching.related)
        )
    if also := names_of(entry):
        parts.append(f"**{say('Also called', '别名')}.** {also}")
    if entry.elsewhere:
        parts.append(table([(library, f"`{call}`") for library, call in entry.elsewhere.items()]))
    parts.append(f"{say('Source', '出处')}: {entry.source}")
    return "\n\n".join(parts) + "\n"


def formulas(entry: Any) -> list[str]:
    """The definition and its derivatives as displayed mathematics."""
    if isinstance(entry, activations.VectorActivation):
        return [f"$$f(x) = {entry.formula}$$"]
    if entry.surrogate:
        return [f"$$f(x) = {entry.latex()}$$"]
    return [f"$$f(x) = {entry.latex()}$$", f"$$f'(x) = {entry.latex(1)}$$", f"$$f''(x) = {entry.latex(2)}$$"]


def parameters(entry: activations.Activation) -> str:
    """Names, defaults, domains, and whether they learn."""
    head = (say("parameter", "参数"), say("default", "默认值"), say("domain", "范围"), say("learns", "可学习"))
    rows = [
        (f"`{one.name}`", f"{one.default:.6g}", f"({number(one.domain.low)}, {number(one.domain.high)})", say("yes", "是") if one.domain.learnable else say("no", "否"))
        for one in entry.parameters
    ]  # fmt: skip
    return table(rows, head)


def table(rows: list[tuple[str, ...]], head: tuple[str, ...] | None = None) -> str:
    """Rows in Markdown; a bar inside a cell is escaped."""
    head = head or ("",) * len(rows[0])
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def names_of(entry: Any) -> str:
    """Aliases, with what they stand for."""
    presets = [
        f"`{name}` ({', '.join(f'{k} = {v:.4g}' for k, v in values.items())})" for name, values in entry.presets.items()
    ]
    return ", ".join([*(f"`{name}`" for name in entry.also), *presets])


def index(lang: _language.Language) -> str:
    """All entries in one table."""
    _language.choose(lang)
    rows = []
    for name in activations.names():
        entry = activations.get(name)
        measured = entry.properties() if isinstance(entry, activations.Activation) else None
        known = (range_text(measured), trend(measured), form(measured)) if measured else ("", "", say("vector", "向量"))
        rows.append((f"[{name}]({name}.md)", *known, entry.summary))
    title = say("# The catalogue of activation functions", "# 激活函数目录")
    text = say(
        "Made from the entries by `make docs`; every number is measured. [中文](zh/README.md)",
        "由 `make docs` 根据条目生成，所有数字均为实测。[English](../README.md)",
    )
    head = (
        say("name", "名称"),
        say("range", "值域"),
        say("trend", "走势"),
        say("form", "光滑性"),
        say("what it is", "简介"),
    )
    return f"{title}\n\n{text}\n\n{table(rows, head)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "catalogue")
    out = parser.parse_args().out
    for folder in (out / "zh", out / "pictures"):
        folder.mkdir(parents=True, exist_ok=True)
    for lang, place in (("en", out), ("zh", out / "zh")):
        (place / "README.md").write_text(index(lang), encoding="utf-8")
        for name in activations.names():
            (place / f"{name}.md").write_text(page(activations.get(name), lang), encoding="utf-8")
    for name in activations.names(vectors=False):
        activation_picture(activations.get(name), out / "pictures" / f"{name}.svg")
    if out == HERE / "catalogue":
        _listing.LISTING.write_text(_listing.listing(), encoding="utf-8")
    print(f"{len(activations.names())} entries -> {out}")


if __name__ == "__main__":
    main()
