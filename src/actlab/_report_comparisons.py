"""One page about several comparisons: what holds in all of them first, then verdicts, intervals, ranks, costs and what each is about."""

from collections.abc import Callable, Sequence
from html import escape

from ._plot_comparison import VERDICT_COLOURS, cut
from ._plot_comparisons import Row, pictures
from ._report_comparison import facts, figure, full, meanings
from ._report_text import Both, html
from ._report_training import note, section
from .comparison import joined as logic
from .comparison import wording
from .comparison.joined import Entry, Joined

# A table may be wider than its card: it scrolls by itself, and the names of the candidates stay.
_STYLE = """<style>
.joined th[scope="row"] { position: sticky; left: 0; background: var(--card); text-align: left; min-width: clamp(6.5em, 13vw, 10em); max-width: 11em; padding-right: 12px; }
.joined th, .joined td { vertical-align: top; }
.joined thead th { text-align: left; min-width: 9em; max-width: 11em; overflow-wrap: anywhere; }
.joined thead th:first-child { position: sticky; left: 0; background: var(--card); min-width: 6.5em; z-index: 1; }
.joined thead small, .joined td small { display: block; font-weight: 400; font-size: 12.5px; color: var(--muted); }
.joined td { text-align: left; }
.joined.narrow thead th { min-width: 6.5em; }
.joined.counts thead th { min-width: 0; text-align: right; overflow-wrap: normal; }
.joined.counts thead th:first-child { text-align: left; }
.joined.counts td { text-align: right; }
.below { margin-top: 14px; }
.joined b { font-weight: 600; }
.subject + .subject { margin-top: 20px; padding-top: 16px; border-top: 1px solid var(--grid); }
a { color: var(--training); }
</style>"""


def comparisons_sections(joined: Joined) -> list[str]:
    """The cards of the page."""
    parts = (_header, _verdicts, _intervals, _ranks, _times, _memory, _subjects)
    return [_STYLE, *(made for part in parts if (made := part(joined))), meanings()]


def _header(joined: Joined) -> str:
    found = joined.found
    title = Both(f"{len(found)} comparison{'s' * (len(found) > 1)}", f"{len(found)} 次比较")
    order = Both("Order: most often in the set of best, then most often better, then least often worse, then by name.", "排序：属于最佳集合次数多者在前，其次更好次数多、更差次数少者，再按名称。")  # fmt: skip
    words = [order, Both("The counts add up verdicts, each of one comparison against its own baseline. They are no test over comparisons, and a candidate that was screened out was not shown worse.", "次数只是各次比较相对各自基线的结论之计数，不是跨比较的检验；初筛淘汰不等于已证明更差。")]  # fmt: skip
    if len(found) > 1:
        words += [full(logic.false_claims(joined)), *map(full, logic.shared_data(joined))]
    head = f'<h1>{html(title)}</h1>\n<p class="result">{html(full(logic.headline(joined)))}</p>'
    below = f'<div class="below">{"".join(map(note, words))}</div>'
    return f"<section>\n{head}\n{_tallies(joined)}\n{below}\n</section>"


def _tallies(joined: Joined) -> str:
    head = (Both("candidate", "候选"), Both("took part in", "参加次数"), Both("in the set of best", "属于最佳集合"), *(Both(*word) for word in logic.STANDINGS.values()))  # fmt: skip
    body = []
    for one in joined.tallies:
        best = f"<b>{one.best}</b>" if one.best else "0"
        counts = (str(one.counts[name] or "–") for name in logic.STANDINGS)
        body.append((one.candidate, [_cell(text) for text in (str(one.comparisons), best, *counts)]))
    return _table([html(one) for one in head], body, "counts")


def _table(head: Sequence[str], body: Sequence[tuple[str, Sequence[str]]], kind: str = "") -> str:
    """A row for each candidate, whose name stays while the row scrolls, and its `<td>` elements; heads are HTML already."""
    titles = "".join(f'<th scope="col">{one}</th>' for one in head)
    lines = "".join(f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>\n' for name, cells in body)
    return f'<div class="scroll"><table class="joined {kind}"><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'


def _cell(content: str, style: str = "") -> str:
    return f'<td style="{style}">{content}</td>' if style else f"<td>{content}</td>"


def _by_comparison(joined: Joined, numbers: Sequence[int], below: Callable[[int], str], cell: Callable[[Entry], str], names: Sequence[str], kind: str = "") -> str:  # fmt: skip
    """A column for each of these comparisons."""
    head = [html(Both("candidate", "候选")), *(f"{_title(joined, number)}<small>{below(number)}</small>" for number in numbers)]  # fmt: skip
    body = []
    for name in names:
        entries = [joined.by_place.get((name, number)) for number in numbers]
        body.append((name, [_cell("" if one is None else cell(one)) for one in entries]))
    return _table(head, body, kind)


def _title(joined: Joined, number: int) -> str:
    """The number and name of a comparison, which lead to its own page, in the language that is read."""
    words, page = escape(f"{number} {joined.labels[number - 1]}"), joined.given[number - 1].page
    if not page:
        return words
    return "".join(f'<a class="{lang}" lang="{lang}" href="{escape(page)}#{lang}">{words}</a>' for lang in ("en", "zh"))


def _names(joined: Joined) -> list[str]:
    return [one.candidate for one in joined.tallies]


def _verdicts(joined: Joined) -> str:
    words = Both(
        "Each cell is the verdict of one comparison on the candidate, its difference to that comparison's baseline and the interval. ★: in the set of best. Empty: not among the candidates. The interval is that of the step of Holm that decided: it leaves out zero where a difference is claimed, and lies within the margin where “practically equal” is.",
        "每格为该次比较对候选的结论、与该次基线之差及其区间。★：属于最佳集合；空白：未参加。区间取 Holm 判定的那一步：判定有差异时不含零，判为“实际相同”时落在界限之内。",
    )

    def below(number: int) -> str:
        found = joined.found[number - 1]
        name = wording.metric(found)
        base, margin = found.declaration.baseline, found.declaration.margin
        sign = (
            Both("more is better", "越大越好")
            if found.declaration.higher_is_better
            else Both("less is better", "越小越好")
        )
        return html(Both(f"{name.en}, {sign.en}; against {base}, margin ±{margin:g}", f"{name.zh}，{sign.zh}；对 {base}，界限 ±{margin:g}"))  # fmt: skip

    numbers = range(1, len(joined.given) + 1)
    return section(Both("Verdicts", "结论"), note(words), _by_comparison(joined, numbers, below, lambda one: _verdict(joined, one), _names(joined)))  # fmt: skip


def _verdict(joined: Joined, one: Entry) -> str:
    found = joined.found[one.comparison - 1]
    word, digits = logic.STANDINGS[one.standing], wording.places(found)
    colour, tag = VERDICT_COLOURS.get(one.standing, "muted"), "b" if one.standing in VERDICT_COLOURS else "span"
    lines = [f'<{tag} style="color:var(--{colour})">{html(Both(*word))}{" ★" if one.best else ""}</{tag}>']
    if one.difference is not None and one.low is not None and one.high is not None:
        low, high = wording.signed(one.low, digits), wording.signed(one.high, digits)
        lines += [f"<div>{wording.signed(one.difference, digits)}</div>", f"<small>{html(Both(f'{low} to {high}', f'{low} 至 {high}'))}</small>"]  # fmt: skip
    elif one.standing == "baseline" and one.mean is not None:
        lines.append(f"<div>{wording.plain(one.mean, digits)}</div>")
    elif one.rank is not None:
        lines.append(f"<small>{html(Both(f'rank {one.rank} of {one.of}', f'第 {one.rank} 名，共 {one.of}'))}</small>")
    if one.diverged:
        total = len(found.declaration.confirmation_seeds)
        lines.append(f"<small>{html(Both(f'{one.diverged} of {total} diverged', f'{total} 次中 {one.diverged} 次发散'))}</small>")  # fmt: skip
    if one.at_edge:
        lines.append(f"<small>{html(Both('rate at the edge: cannot win', '学习率在边缘：不能获胜'))}</small>")
    return "".join(lines)


def _intervals(joined: Joined) -> str:
    figures, used = [], dict.fromkeys(one.verdict for found in joined.found for one in found.contrasts)
    for place, numbers in enumerate(logic.units(joined)):
        groups = _groups(joined, numbers)
        drawn = pictures(groups, f"intervals{place}-") if groups else []
        for part, one in enumerate(drawn):
            title = _picture_title(joined, numbers, (part + 1, len(drawn)))
            figures.append(figure(f"intervals{place}-{part}", title, one))
    if not figures:
        return ""
    words = Both(
        "Difference of each finalist to the baseline of its comparison, with its interval, by candidate; one metric a picture. Gray band: the margin of that comparison. An arrow with a number: outside the picture.",
        "各入围者与所在比较之基线的差及区间，按候选排列；每图一种指标。灰带：该次比较的界限；带数字的箭头：在图外。",
    )
    legend = "".join(f'<li style="--c:var(--{VERDICT_COLOURS[word]})"><i></i>{html(Both(*wording.VERDICTS[word]))}</li>' for word in VERDICT_COLOURS if word in used)  # fmt: skip
    wide = ' style="max-width: 40rem"' if len(figures) == 1 else ""
    return section(Both("Intervals", "区间"), note(words), f'<ul class="legend">{legend}</ul>', f'<div class="charts"{wide}>{"".join(figures)}</div>')  # fmt: skip


def _groups(joined: Joined, numbers: Sequence[int]) -> list[tuple[str, list[Row]]]:
    """Each candidate with the comparisons that confirmed it; where baselines differ, they stand in the names of the rows."""
    several = len(_baselines(joined, numbers)) > 1
    groups: dict[str, list[Row]] = {name: [] for name in _names(joined)}
    for one in joined.entries:
        found = joined.found[one.comparison - 1]
        contrast = logic.contrast(found, one.named)
        if one.comparison in numbers and contrast is not None:
            label = cut(f"{one.comparison} {one.label}", 18 if several else 26)
            name = f"{label} − {cut(one.baseline, 8)}" if several else label
            groups[one.candidate].append(Row(name, contrast, found.declaration.margin))
    return [(name, rows) for name, rows in groups.items() if rows]


def _baselines(joined: Joined, numbers: Sequence[int]) -> list[str]:
    return list(dict.fromkeys(joined.found[number - 1].declaration.baseline for number in numbers))


def _picture_title(joined: Joined, numbers: Sequence[int], part: tuple[int, int]) -> Both:
    first, bases = joined.found[numbers[0] - 1], _baselines(joined, numbers)
    name = wording.metric(first)
    base = Both(bases[0], bases[0]) if len(bases) == 1 else Both("its baseline", "其基线")
    up = (
        Both("positive is better", "正数更好")
        if first.declaration.higher_is_better
        else Both("negative is better", "负数更好")
    )
    of = Both("", "") if part[1] == 1 else Both(f", {part[0]} of {part[1]}", f"，第 {part[0]} 图，共 {part[1]}")
    listed = wording.listed(map(str, numbers))
    alike = [one for one in logic.units(joined) if wording.metric(joined.found[one[0] - 1]) == name]
    only = Both(f" ({'comparisons' if len(numbers) > 1 else 'comparison'} {listed.en})", f"（比较 {listed.zh}）") if len(alike) > 1 else Both("", "")  # fmt: skip
    return Both(f"{name.en[0].upper()}{name.en[1:]}{only.en}: candidate minus {base.en}; {up.en}{of.en}", f"{name.zh}{only.zh}：候选减{'' if len(bases) > 1 else ' '}{base.zh}；{up.zh}{of.zh}")  # fmt: skip


def _ranks(joined: Joined) -> str:
    means = {one.candidate: one.mean_rank for one in joined.tallies}
    names = sorted(means, key=lambda name: (means[name] is None, means[name] or 0.0, _share(joined, name), name))
    numbers = range(1, len(joined.given) + 1)
    common = sum(one is not None for one in means.values())
    averaged = common > 0 and len(numbers) > 1
    words = Both("Exploratory: the order in each screening, which only chose who is confirmed and is no verdict. Bold: confirmed.", "探索性：各次初筛的名次只决定谁进入确认，不是结论。粗体：进入确认。")  # fmt: skip
    more = Both(f" Mean: of the ranks among the {common} candidates that took part in all comparisons.", f"均值：参加了全部比较的 {common} 个候选之间的平均名次。")  # fmt: skip
    words = Both(words.en + more.en, words.zh + more.zh) if averaged else words
    sizes = [len(one.screened) for one in joined.found]
    head = [f"{_title(joined, number)}<small>{html(Both(f'of {size}', f'共 {size}'))}</small>" for number, size in zip(numbers, sizes, strict=True)]  # fmt: skip
    body = [(name, [_rank(joined.by_place.get((name, number))) for number in numbers]) for name in names]
    if averaged:
        head = [html(Both("mean", "均值")), *head]
        body = [
            (name, [_cell("–" if (mean := means[name]) is None else f"{mean:.1f}"), *cells]) for name, cells in body
        ]
    head = [html(Both("candidate", "候选")), *head]
    return section(Both("Ranks in the screening", "初筛名次"), note(words), _table(head, body, "narrow"))


def _share(joined: Joined, name: str) -> float:
    """Mean of its ranks, each as a share of those screened: an order for those without a mean rank."""
    shares = [one.rank / one.of for one in joined.entries if one.candidate == name and one.rank is not None]
    return sum(shares) / len(shares) if shares else 1.0


def _rank(one: Entry | None) -> str:
    if one is None or one.rank is None:
        return _cell("")
    deep = 0.4 * (one.of - one.rank) / max(1, one.of - 1)
    text = str(one.rank) if one.standing == "screened out" else f"<b>{one.rank}</b>"
    return _cell(text, f"background: rgb(var(--hit) / {deep:.2f})")


def _times(joined: Joined) -> str:
    words = Both("Relative to the baseline of each comparison, whose own time stands above. It depends on the machine and is no part of the verdicts.", "相对各次比较的基线，其用时列在上方。取决于机器，不属于结论。")  # fmt: skip
    return _costs(joined, Both("Time per step", "每步时间"), words, lambda one: one.seconds_per_step, _milliseconds)


def _memory(joined: Joined) -> str:
    words = Both("Kept between the forward and the backward pass of one batch, relative to the baseline of each comparison, whose own amount stands above.", "一批数据在前向与反向之间保留的内存，相对各次比较的基线，其用量列在上方。")  # fmt: skip
    return _costs(joined, Both("Memory", "内存"), words, lambda one: one.bytes_kept, _megabytes)


def _milliseconds(value: float) -> str:
    return f"{1000 * value:.3g} ms"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.3g} MB"


def _costs(joined: Joined, title: Both, words: Both, of: Callable[[Entry], float | None], written: Callable[[float], str]) -> str:  # fmt: skip
    """Nothing where no comparison knows its baseline's cost."""
    base = {
        one.comparison: (one.candidate, of(one)) for one in joined.entries if one.standing == "baseline" and of(one)
    }
    numbers = sorted(base)
    names = [name for name in _names(joined) if any(of(one) is not None for number in numbers if (one := joined.by_place.get((name, number))))]  # fmt: skip
    if not numbers:
        return ""

    def below(number: int) -> str:
        name, value = base[number]
        return f"{escape(name)} {written(value or 0.0)}"

    def cell(one: Entry) -> str:
        value, unit = of(one), base[one.comparison][1]
        return "–" if value is None or not unit else f"{value / unit:.2f}"

    return section(title, note(words), _by_comparison(joined, numbers, below, cell, names, "narrow"))


def _subjects(joined: Joined) -> str:
    """For what each verdict holds, with the way to its page."""
    parts = []
    for number, found in enumerate(joined.found, 1):
        said = f"<p>{html(full(wording.headline(found)))}</p>{note(full(wording.scope(found)))}{facts(found)}"
        parts.append(f'<div class="subject"><h3>{_title(joined, number)}</h3>\n{said}</div>')
    return section(Both("The comparisons", "各次比较"), *parts)
