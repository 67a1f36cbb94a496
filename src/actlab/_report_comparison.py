"""One page about a comparison: the verdict first, then the pictures it rests on, the whole declaration last, in English and Chinese."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import tomli_w

from ._plot_comparison import (
    VERDICT_COLOURS,
    bands,
    draw_learning,
    draw_pairs,
    draw_rates,
    intervals_picture,
    near,
    ordered,
    picture,
)
from ._report_text import Both, html
from ._report_training import note, section
from .comparison import wording
from .intervals import wilson
from .records import Comparison, Contrast, Costs
from .train.files import without_none

_GRID = "grid-template-columns: repeat(auto-fit, minmax(min(100%, 240px), 1fr))"


def comparison_sections(found: Comparison, costs: Costs) -> list[str]:
    """The cards of the page."""
    return [
        part
        for part in (
            _header(found), _intervals(found), _pairs(found), _rates(found), _learning(found), _screening(found), _failures(found),
            _costs(found, costs), _declaration(found), meanings(),
        )
        if part
    ]  # fmt: skip


def rows(found: Comparison) -> list[dict[str, Any]]:
    """`comparison.csv`: a row for each trial, in the order in which they were trained."""
    names = ("candidate", "stage", "rate", "seed", "value", "diverged")
    return [{name: getattr(one, name) for name in names} for one in found.trials]


def _header(found: Comparison) -> str:
    declared = found.declaration
    names = wording.networks(found) if declared.factor == "model" else Both(declared.target, declared.target)
    title = html(Both(f"Comparison on {names.en}", f"{names.zh} 上的比较"))
    head = wording.headline(found)
    sentences = "".join(_sentence(found, one) for one in ordered(found))
    remarks = "".join(f'<p class="message">{html(full(one))}</p>' for one in wording.cautions(found))
    lost = "".join(note(full(one)) for one in wording.divergences(found))
    return f'<section>\n<h1>{title}</h1>\n<p class="result">{html(full(head))}</p>\n{note(full(wording.scope(found)))}\n{sentences}\n{remarks}{lost}{facts(found)}\n</section>'


def facts(found: Comparison) -> str:
    """What was compared, at a glance."""
    declared = found.declaration
    shown = (
        (Both("Candidates", "候选"), Both(f"{len(declared.candidates)}, of which {len(found.contrasts) + 1} were confirmed", f"{len(declared.candidates)} 个，其中 {len(found.contrasts) + 1} 个进入确认")),
        (Both("Baseline", "基线"), Both(declared.baseline, declared.baseline)),
        (Both("Metric", "指标"), Both(*wording.metric(found))),
        (Both("Margin", "界限"), Both(f"±{declared.margin:g}", f"±{declared.margin:g}")),
        (Both("Trainings", "训练次数"), Both(f"{len(found.trials):,} of {declared.steps:,} steps", f"{len(found.trials):,} 次，每次 {declared.steps:,} 步")),
    )  # fmt: skip
    listed = "".join(f"<div><dt>{html(name)}</dt><dd>{html(value)}</dd></div>" for name, value in shown)
    return f'<dl class="facts">{listed}</dl>'


def full(pair: wording.Pair) -> Both:
    """With its full stop."""
    return Both(pair.en + ".", pair.zh + "。")


def _sentence(found: Comparison, one: Contrast) -> str:
    colour = VERDICT_COLOURS[one.verdict]
    word = wording.VERDICTS[one.verdict]
    label = Both(f"{one.candidate}: {word.en}", f"{one.candidate}：{word.zh}")
    badge = f'<span class="badge" style="color:var(--{colour})">{html(label)}</span>'
    return f"<p>{badge} {html(full(wording.sentence(found, one)))}</p>\n"


def figure(name: str, title: Both, drawn: str) -> str:
    """A picture with its title."""
    return f'<figure style="max-width: 36rem"><figcaption id="{name}-title">{html(title)}</figcaption>{drawn}</figure>'


def _many(figures: list[str]) -> str:
    """Up to four beside each other; few do not grow beyond their size."""
    return f'<div class="charts" style="{_GRID}; max-width: {24 * len(figures)}rem">{"".join(figures)}</div>'


def _intervals(found: Comparison) -> str:
    if not found.contrasts:
        return ""
    base, metric = found.declaration.baseline, wording.metric(found)
    up = found.declaration.higher_is_better
    words = Both(
        f"Each finalist's difference to {base} in {metric.en} over the same seeds; positive numbers are {'better' if up else 'worse'}. Lines: the interval by paired t at the step of Holm that decided. It leaves out zero where a difference is claimed, and lies inside the gray band, the margin, where “practically equal” is; each alone has the confidence beside it.",
        f"各入围者与 {base} 在相同种子上的{metric.zh}之差；正数更{'好' if up else '差'}。线段：配对 t 在 Holm 判定那一步的区间：判定有差异时不含零，判定“实际相同”时落在灰带（界限）之内；各区间单独具有其旁所示的置信度。",
    )
    used = dict.fromkeys(one.verdict for one in ordered(found))
    legend = "".join(f'<li style="--c:var(--{VERDICT_COLOURS[word]})"><i></i>{html(Both(*wording.VERDICTS[word]))}</li>' for word in used)  # fmt: skip
    figures = [figure("intervals", Both(f"Candidate minus {base}", f"候选减 {base}"), intervals_picture(found, "intervals"))]  # fmt: skip
    if reach := near(found):
        title = Both("The same near zero; arrows: further out", "零附近放大；箭头：在图外")
        figures.append(figure("near", title, intervals_picture(found, "near", reach)))
    wide = "" if len(figures) > 1 else ' style="max-width: 40rem"'
    head = (Both("candidate", "候选"), Both("mean", "均值"), Both("difference", "差"), Both("interval", "区间"), Both("p, Holm", "p（Holm）"), Both("p of equivalence, Holm", "等价 p（Holm）"), Both("p of sign flips", "符号翻转 p"), Both("verdict", "结论"))  # fmt: skip
    body = [[escape(base), wording.plain(wording.baseline_mean(found), wording.places(found)), *[""] * 5, html(Both("baseline", "基线"))]]  # fmt: skip
    body += [_contrast(found, one) for one in ordered(found)]
    return section(Both("What is claimed", "结论所依据的区间"), note(words), f'<ul class="legend">{legend}</ul>', f'<div class="charts"{wide}>{"".join(figures)}</div>', table(head, body))  # fmt: skip


def _contrast(found: Comparison, one: Contrast) -> list[str]:
    digits = wording.places(found)
    flip = None if one.p_sign_flip is None else wording.probability(one.p_sign_flip)
    return [
        escape(one.candidate), wording.plain(one.mean, digits), wording.signed(one.difference, digits),
        html(Both(*(f"{wording.signed(one.low, digits)}{to}{wording.signed(one.high, digits)} ({wording.confidence(found, one)})" for to in (" to ", " 至 ")))),
        html(Both(*wording.probability(one.p_adjusted))), html(Both(*wording.probability(one.p_equal))),
        "–" if flip is None else html(Both(*flip)), html(Both(*wording.VERDICTS[one.verdict])),
    ]  # fmt: skip


def table(head: Iterable[Both], body: Iterable[Iterable[str]]) -> str:
    """In a box of its own that scrolls; its cells are HTML already."""
    titles = "".join(f'<th scope="col">{html(one)}</th>' for one in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in body)
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'


def _values(found: Comparison, candidate: str) -> list[float]:
    """Of the confirmation, by seed."""
    mine = [one for one in found.trials if one.candidate == candidate and one.stage == "confirmation"]
    return [one.value for one in sorted(mine, key=lambda one: one.seed)]


def _pairs(found: Comparison) -> str:
    base, up = found.declaration.baseline, found.declaration.higher_is_better
    figures = []
    for place, one in enumerate(ordered(found)):
        before, after = _values(found, base), _values(found, one.candidate)
        if not before or len(before) != len(after):
            continue
        drawn = picture(draw_pairs, (base, one.candidate), before, after, up, name=f"pair{place}")
        figures.append(figure(f"pair{place}", Both(f"{base} → {one.candidate}", f"{base} → {one.candidate}"), drawn))
    words = Both("A line for each seed, from the baseline's value to the candidate's; short strokes: the means. Each picture has its own axis.", "每个种子一条线，从基线的值到候选的值；短横：均值。各图坐标不同。")  # fmt: skip
    colours = (("test", Both("candidate better", "候选更好")), ("validation", Both("candidate worse", "候选更差")), ("muted", Both("equal", "相等")))  # fmt: skip
    legend = "".join(f'<li style="--c:var(--{colour})"><i></i>{html(word)}</li>' for colour, word in colours)
    title = Both("Seed by seed", "逐个种子")
    return section(title, note(words), f'<ul class="legend">{legend}</ul>', _many(figures)) if figures else ""


def _rates(found: Comparison) -> str:
    name = wording.METRICS[found.declaration.metric, "validation"]
    words = Both(
        f"{name.en[0].upper()}{name.en[1:]} against the learning rate, mean of the {len(found.declaration.tuning_seeds)} tuning seeds. Ring: the rate that counts, settled by the validation data of the confirmation where there is a second, thin ring. Cross: a training diverged there, which counts at chance level. Gray: the other candidates.",
        f"{name.zh}与学习率，{len(found.declaration.tuning_seeds)} 个调参种子的均值。粗圈：采用的学习率（有细圈时，由确认阶段的验证数据在二者之间定下）；叉：有训练发散，按随机水平计；灰线：其他候选。",
    )
    figures = []
    for place, one in enumerate(found.tuned):
        edge = Both(" (edge of the grid)", "（网格边缘）") if one.at_edge else Both("", "")
        title = Both(f"{one.candidate}: {one.rate:.3g}{edge.en}", f"{one.candidate}：{one.rate:.3g}{edge.zh}")
        figures.append(figure(f"rate{place}", title, picture(draw_rates, found, one.candidate, name=f"rate{place}")))
    return section(Both("Learning rates", "学习率"), note(words), _many(figures)) if figures else ""


def _learning(found: Comparison) -> str:
    shown = bands(found)
    figures = [
        figure(f"learning{place}", Both(name, name), picture(draw_learning, shown, name, name=f"learning{place}"))
        for place, name in enumerate(name for name in wording.confirmed(found) if name in shown)
    ]
    words = Both("Training loss against steps in the confirmation: the mean over the seeds, with a band from the lowest to the highest; diverged trainings have no curve. Gray: the means of the others.", "确认阶段的训练损失与步数：各种子的均值，带为最低至最高；发散的训练无曲线。灰线：其他候选的均值。")  # fmt: skip
    return section(Both("Learning curves", "学习曲线"), note(words), _many(figures)) if figures else ""


def _screening(found: Comparison) -> str:
    rates = {one.candidate: one.rate for one in found.tuned}
    places, kept = wording.places(found), wording.confirmed(found)
    body = []
    for rank, (name, value) in enumerate(found.screened, 1):
        role = (
            Both("baseline", "基线")
            if name == found.declaration.baseline
            else Both("confirmed", "进入确认")
            if name in kept
            else Both("no", "否")
        )
        rate = f"{rates[name]:.3g}" if name in rates else "–"
        body.append([str(rank), escape(name), wording.plain(value, places), rate, html(role)])
    name = wording.METRICS[found.declaration.metric, "validation"]
    words = Both(
        f"Exploratory: this order only chose who is confirmed and is no verdict. Mean of {name.en} over {len(found.declaration.screening_seeds)} seeds.",
        f"探索性：名次只决定谁进入确认，不是结论。{len(found.declaration.screening_seeds)} 个种子的{name.zh}均值。",
    )
    head = (Both("rank", "名次"), Both("candidate", "候选"), Both("mean", "均值"), Both("learning rate", "学习率"), Both("confirmed", "进入确认"))  # fmt: skip
    return section(Both("Screening", "初筛"), note(words), table(head, body)) if body else ""


def _failures(found: Comparison) -> str:
    head = [Both("candidate", "候选"), *(Both(*name) for name in wording.STAGES.values()), Both("rate in the confirmation (95 % Wilson)", "确认阶段的比率（95 % Wilson）")]  # fmt: skip
    body = []
    for name in found.declaration.candidates:
        counts = [wording.diverged(found, name, stage) for stage in wording.STAGES]
        share, (lost, total) = "–", wording.diverged(found, name, "confirmation")
        if total:
            low, high = wilson(lost, total)
            share = html(Both(*(f"{lost / total:.3f} ({low:.3f}{to}{high:.3f})" for to in (" to ", " 至 "))))
        cells = [html(Both(f"{a} of {b}", f"{a} / {b}")) if b else "–" for a, b in counts]
        body.append([escape(name), *cells, share])
    words = Both("Trainings that diverged, by stage. They count at chance level and are never dropped.", "各阶段发散的训练次数。按随机水平计入，从不剔除。")  # fmt: skip
    return section(Both("Failures", "失败"), note(words), table(head, body))


def _costs(found: Comparison, costs: Costs) -> str:
    seconds, kept, base = costs.seconds_per_step, costs.bytes_kept, found.declaration.baseline
    known = [name for name in found.declaration.candidates if name in seconds or name in kept]
    title = Both("Time and memory", "时间与内存")
    if not known:
        return section(title, note(Both("Not measured.", "未测。")))
    body = [
        [escape(name), *_amount(seconds, name, base, 1e3, "ms"), *_amount(kept, name, base, 1e-6, "MB")]
        for name in known
    ]
    times = Both(f"times {base}", f"相对 {base}")
    head = (Both("candidate", "候选"), Both("one step", "一步"), times, Both("kept for a batch", "一批保留"), times)
    words = Both("One step: median of five rounds over all candidates in turn, of the whole training loop on one thread of the machine that wrote this page. Kept: what the forward pass of one batch keeps in memory for the backward pass, beside the weights. No part of the verdict.", "一步：在写此页的机器上以单线程轮流测各候选五轮的中位数，含整个训练循环。保留：一批数据的前向传播为反向传播保留在内存中的量，不含权重。不属于结论。")  # fmt: skip
    return section(title, note(words), table(head, body))


def _amount(values: Mapping[str, float], name: str, base: str, factor: float, unit: str) -> tuple[str, str]:
    """A value with its unit, and its ratio to the baseline's."""
    if name not in values:
        return "–", "–"
    ratio = f"{values[name] / values[base]:.2f}" if values.get(base) else "–"
    return f"{factor * values[name]:.3g} {unit}", ratio


_FIELDS = {
    "target": Both("Network or recipe", "网络或配方"), "factor": Both("What varies", "变化因素"), "candidates": Both("Candidates", "候选"),
    "baseline": Both("Baseline", "基线"), "metric": Both("Metric", "指标"), "margin": Both("Smallest difference of interest", "最小关注差异"),
    "steps": Both("Steps of every training", "每次训练的步数"), "rates": Both("Learning rates tried with all", "所有候选的学习率网格"),
    "tuning_seeds": Both("Seeds of tuning", "调参种子"), "screening_seeds": Both("Seeds of screening", "初筛种子"),
    "confirmation_seeds": Both("Seeds of the confirmation", "确认种子"), "finalists": Both("Confirmed beside the baseline", "基线外进入确认的个数"),
    "alpha": Both("Alpha, for all finalists together", "全部入围者合计的 alpha"),
}  # fmt: skip


def _declaration(found: Comparison) -> str:
    """All of it: what a person reads as a table, and the file."""
    whole = found.declaration.model_dump(mode="json")
    lines = "".join(f'<tr><th scope="row">{html(title)}</th><td>{escape(_value(whole[name]))}</td></tr>\n' for name, title in _FIELDS.items())  # fmt: skip
    words = Both("Decided before the first training.", "均在第一次训练之前确定。")
    file = escape(tomli_w.dumps(without_none(whole)))
    return section(
        Both("Declaration", "声明"), note(words), f'<table class="facts-table"><tbody>{lines}</tbody></table>',
        f"<details><summary><code>compare.toml</code></summary><div class='scroll'><pre><code>{file}</code></pre></div></details>",
    )  # fmt: skip


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def meanings() -> str:
    """The card that explains the words of every comparison."""
    lines = "".join(f'<tr><th scope="row">{html(Both(*word))}</th><td>{html(Both(*what))}</td></tr>\n' for word, what in wording.MEANINGS)  # fmt: skip
    return section(
        Both("What the words mean", "用词说明"), f'<table class="facts-table"><tbody>{lines}</tbody></table>'
    )
