"""One page about a diagnosis: the findings first, then the pictures they rest on, in English and Chinese."""

from html import escape

from ._plot_diagnosis import draw_dead, draw_depth, draw_signature
from ._report_text import Both, html
from ._report_training import note, section
from .diagnosis import words
from .diagnosis.fixing import said
from .plot import chart
from .records import Diagnosis, Finding, Layer, Site

_MOST = 12  # pictures of activations


def diagnosis_sections(found: Diagnosis) -> list[str]:
    """The cards of the page."""
    return [part for part in (_header(found), _findings(found), _attempts(found), _sites(found), _dead(found), _depth(found), _attention(found), _layers(found)) if part]  # fmt: skip


def _header(found: Diagnosis) -> str:
    grave = [one for one in found.findings if one.severity != "note"]
    if grave:
        first = words.sentence(grave[0])
        result = Both(first.en[0].upper() + first.en[1:] + ".", first.zh + "。")
    else:
        result = Both("Nothing wrong was found.", "未发现问题。")
    badge = "failed" if grave else "finished"
    label = Both(
        f"{len(grave)} finding{'s' * (len(grave) > 1)}" if grave else "healthy",
        f"{len(grave)} 项发现" if grave else "健康",
    )
    facts = [
        (Both("Network", "网络"), Both(f"{found.model}, {found.parameters:,} parameters", f"{found.model}，{found.parameters:,} 个参数")),
        (Both("Looked at", "检查范围"), Both(f"{found.batches} batches, {found.samples:,} examples", f"{found.batches} 批，{found.samples:,} 个样本")),
        (Both("Mode", "模式"), Both("training", "训练") if found.training else Both("evaluation", "评估")),
    ]  # fmt: skip
    if found.losses:
        middle = sum(found.losses) / len(found.losses)
        facts.append((Both("Loss, mean of the batches", "损失（各批平均）"), Both(f"{middle:.4g}", f"{middle:.4g}")))
    listed = "".join(f"<div><dt>{html(name)}</dt><dd>{html(value)}</dd></div>" for name, value in facts)
    title = html(Both(f"Diagnosis of {found.model}", f"{found.model} 的诊断"))
    unseen = ""
    if found.unseen:
        names = ", ".join(found.unseen)
        unseen = note(Both(f"Could not be looked into: {names}.", f"未能检查：{names}。"))
    return f'<section>\n<h1>{title} <span class="badge {badge}">{html(label)}</span></h1>\n<p class="result">{html(result)}</p>\n<dl class="facts">{listed}</dl>\n{unseen}</section>'


def _findings(found: Diagnosis) -> str:
    if not found.findings:
        return ""
    return section(
        Both("Findings", "发现"), *map(_finding, sorted(found.findings, key=lambda one: one.severity == "note"))
    )


def _finding(one: Finding) -> str:
    rule, severity = words.RULES[one.rule], words.SEVERITIES[one.severity]
    colour = {"error": "failed", "warning": "failed", "note": "running"}[one.severity]
    lines = [
        f'<h3><span class="badge {colour}">{html(Both(*severity))}</span> {html(Both(*rule))} <code>{escape(one.layer)}</code></h3>',
        f"<p>{html(Both(*words.sentence(one)))}</p>",
    ]
    if one.explained_by:
        cause = words.RULES[one.explained_by]
        lines.append(note(Both(f"Explained by: {cause.en}.", f"原因：{cause.zh}。")))
    else:
        lines.append(f"<p>{html(Both('What helps: ' + words.remedy(one).en + '.', '办法：' + words.remedy(one).zh + '。'))}</p>")  # fmt: skip
    lines.append(note(Both(*words.evidence(one))))
    return "\n".join(lines)


def _attempts(found: Diagnosis) -> str:
    if not found.attempts:
        return ""
    parts = []
    for one in found.attempts:
        lines = escape("\n".join((*(f"# {line}" for line in one.changes), one.code)))
        parts.append(f"<p>{html(Both(*said(one)))}</p>\n<div class='scroll'><pre><code>{lines}</code></pre></div>")
    words_ = Both(
        "Each network was trained with and without the remedy from the same seeds; the loss is that on batches kept out of the training. In parentheses: the 95 % interval of the paired difference.",
        "每个网络以相同种子在有无补救的情况下各训练一次；损失在未参与训练的批次上计算。括号内为成对差的 95 % 置信区间。",
    )
    return section(Both("What was tried", "尝试与验证"), note(words_), *parts)


def _sites(found: Diagnosis) -> str:
    named = {one.layer for one in found.findings}
    chosen = sorted(found.sites, key=lambda one: (one.name not in named, one.order))[:_MOST]
    if not chosen:
        return ""
    pictures = [_site(one, number) for number, one in enumerate(sorted(chosen, key=lambda one: one.order))]
    words_ = Both(
        "Gray: how the inputs are distributed. Blue: f. Orange: its slope f'. Where the orange line lies at zero, nothing is learnt.",
        "灰色：输入的分布；蓝色：f；橙色：斜率 f'。橙线为零之处学不到东西。",
    )
    return section(
        Both("What the activations are given", "激活函数的输入"), note(words_), f'<div class="charts">{"".join(pictures)}</div>'
    )  # fmt: skip


def _site(one: Site, number: int) -> str:
    title = Both(f"{one.name}: {one.activation}", f"{one.name}：{one.activation}")
    facts = Both(
        f"mean {one.mean:.3g}, deviation {one.deviation:.3g}; flat {one.flat:.1%}, off {one.off:.1%}; dead {one.dead:,} of {one.units:,} units",
        f"均值 {one.mean:.3g}，标准差 {one.deviation:.3g}；平坦 {one.flat:.1%}，关闭 {one.off:.1%}；死亡 {one.dead:,} / {one.units:,} 个单元",
    )
    name = f"site{number}"
    return f'<figure><figcaption id="{name}-title">{html(title)}</figcaption>{chart(draw_signature, one, name=name)}{note(facts)}</figure>'


def _dead(found: Diagnosis) -> str:
    """Dead units over the checkpoints of a run, of the activations that have any."""
    shown = found.checkpoints
    names = [site.name for site in found.sites if any(one.silent.get(site.name) for one in shown)]
    if len(shown) < 2 or not names:
        return ""
    words_ = Both(
        "Per cent of the units that were silent on every example, against the steps of training: at the start and at each checkpoint that was looked at.",
        "对所有样本都无输出的单元所占百分比，随训练步数变化：起始时与每个检查过的检查点。",
    )
    title = Both("Dead units, per cent, over the training", "训练中死亡单元的百分比")
    figure = f'<figure style="max-width: 36rem"><figcaption id="dead-title">{html(title)}</figcaption>{chart(draw_dead, shown, names[:_MOST], name="dead")}</figure>'
    return section(
        Both("Dead, dormant, revived", "死亡、休眠与恢复"), note(words_), f'<div class="charts">{figure}</div>'
    )


def _depth(found: Diagnosis) -> str:
    layers = [one for one in found.layers if one.rms == one.rms]
    if len(layers) < 2:
        return ""
    figures = []
    for what, title in (
        ("rms", Both("Size of what each layer puts out (root mean square)", "各层输出的幅度（均方根）")),
        ("gradient", Both("Norm of the loss's gradient at each layer's output", "损失对各层输出的梯度范数")),
    ):
        figures.append(
            f'<figure><figcaption id="{what}-title">{html(title)}</figcaption>{chart(draw_depth, layers, what, name=what)}</figure>'
        )
    words_ = Both("From the first layer that is called to the last.", "从最先调用的层到最后一层。")
    return section(Both("Signal and gradient against depth", "信号与梯度随深度的变化"), note(words_), f'<div class="charts">{"".join(figures)}</div>')  # fmt: skip


def _attention(found: Diagnosis) -> str:
    if not found.attention:
        return ""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{', '.join(f'{one:.3f}' for one in heads)}</td></tr>"
        for name, heads in found.attention.items()
    )
    words_ = Both("Entropy of each head's weights over its largest: 1 looks at all keys alike, 0 at one.", "各头权重的熵与其最大值之比：1 表示一视同仁，0 表示只看一个。")  # fmt: skip
    return section(
        Both("Attention", "注意力"), note(words_), f'<table class="facts-table"><tbody>{rows}</tbody></table>'
    )


def _layers(found: Diagnosis) -> str:
    if not found.layers:
        return ""
    titles = (Both("layer", "层"), Both("kind", "类型"), Both("rms", "均方根"), Both("gradient", "梯度"), Both("effective rank", "有效秩"), Both("update", "更新"))  # fmt: skip
    head = "".join(f"<th>{html(one)}</th>" for one in titles)
    return section(
        Both("Layers", "各层"),
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(map(_layer, found.layers))}</tbody></table></div>',
    )


def _layer(one: Layer) -> str:
    update = "" if one.update is None else f"{one.update:.2g}"
    cells = (one.kind, f"{one.rms:.3g}", f"{one.gradient:.3g}", f"{one.rank:.1f} / {one.units}", update)
    return f"<tr><td>{escape(one.name)}</td>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
