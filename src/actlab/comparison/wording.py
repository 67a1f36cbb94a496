"""A comparison in words, English and Chinese. The verdict words are those of the protocol and no others.

Every difference is "candidate minus baseline", in words, number and picture alike. Sentences have no full stop at their end.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import NamedTuple

from .. import activations
from ..intervals import wilson
from ..records import Comparison, Contrast, Stage

_LARGE = 1e7  # from here on numbers are written with a power of ten


class Pair(NamedTuple):
    """One text in both languages."""

    en: str
    zh: str


METRICS = {
    ("accuracy", "test"): Pair("test accuracy", "测试准确率"),
    ("accuracy", "validation"): Pair("validation accuracy", "验证准确率"),
    ("loss", "test"): Pair("test loss", "测试损失"),
    ("loss", "validation"): Pair("validation loss", "验证损失"),
}
VERDICTS = {  # of the candidate
    "better": Pair("better", "更好"),
    "worse": Pair("worse", "更差"),
    "practically equal": Pair("practically equal", "实际相同"),
    "undecided": Pair("undecided", "未定"),
}
STAGES: dict[Stage, Pair] = {
    "tuning": Pair("tuning", "调参"),
    "screening": Pair("screening", "初筛"),
    "confirmation": Pair("confirmation", "确认"),
    "second rate": Pair("confirmation, second rate", "确认，第二学习率"),
}


def metric(found: Comparison) -> Pair:
    """What the confirmation was scored by."""
    return METRICS[found.declaration.metric, found.part]


def places(found: Comparison) -> int:
    """Decimals of the metric in every sentence and table: three digits of the means at least, two of the narrowest half interval.

    More where an end of an interval that is not 0 would read as 0; never more than five for an accuracy.
    """
    largest = max((abs(one.mean) for one in found.contrasts), default=0.0)
    accuracy = found.declaration.metric == "accuracy"
    least = 3 if accuracy or not 0 < largest < math.inf else max(0, 2 - math.floor(math.log10(largest)))
    most = 5 if accuracy else least + 3
    halves = [half for one in found.contrasts if 0 < (half := (one.high - one.low) / 2) < math.inf]
    wanted = 1 - math.floor(math.log10(min(halves))) if halves else least
    chosen = min(most, max(least, wanted))
    ends = [end for one in found.contrasts for end in (one.difference, one.low, one.high) if end]
    while chosen < most and any(not round(end, chosen) for end in ends):
        chosen += 1
    return chosen


def plain(value: float, digits: int) -> str:
    """A mean; a large one with five digits."""
    if abs(value) >= _LARGE:
        return f"{value:.5g}"
    return f"{round(value, digits) + 0.0:.{digits}f}"


def signed(value: float, digits: int) -> str:
    """A difference; 0 has no sign."""
    if abs(value) >= _LARGE:
        return f"{value:+.5g}"
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"


def probability(p: float) -> Pair:
    """Of a test, two digits."""
    return Pair("below 0.001", "小于 0.001") if p < 0.001 else Pair(f"{p:.2g}", f"{p:.2g}")


def confidence(found: Comparison, one: Contrast) -> str:
    """Of its interval, in per cent."""
    first = 1 - found.declaration.alpha / len(found.contrasts)
    return f"{100 * (first if one.confidence is None else one.confidence):.4g} %"


def edge_names(found: Comparison) -> set[str]:
    """Who cannot win."""
    return {one.candidate for one in found.tuned if one.at_edge}


def mostly_lost(found: Comparison) -> set[str]:
    """Of those confirmed, more than half of whose trainings diverged: they cannot win either."""
    counts = {name: diverged(found, name, "confirmation") for name in confirmed(found)}
    return {name for name, (lost, total) in counts.items() if 2 * lost > total}


def confirmed(found: Comparison) -> list[str]:
    """The baseline and its finalists."""
    return [found.declaration.baseline, *(one.candidate for one in found.contrasts)]


def diverged(found: Comparison, candidate: str, stage: Stage) -> tuple[int, int]:
    """How many trainings of a stage diverged, and of how many."""
    mine = [one.diverged for one in found.trials if one.candidate == candidate and one.stage == stage]
    return sum(mine), len(mine)


def baseline_mean(found: Comparison) -> float:
    """Of the metric over the confirmation."""
    first = found.contrasts[0]
    return first.mean - first.difference


def sentence(found: Comparison, one: Contrast) -> Pair:
    """The verdict on one finalist, with the numbers it rests on."""
    base, digits, name = found.declaration.baseline, places(found), metric(found)
    values = (plain(one.mean, digits), plain(baseline_mean(found), digits))
    if one.verdict == "worse":
        values = values[::-1]
    shown = [signed(value, digits) for value in (one.difference, one.low, one.high)]
    seeds = len(found.declaration.confirmation_seeds)
    verdict, proof = _verdict(found, one), _proof(one)
    return Pair(
        f"{verdict.en}: {name.en} {values[0]} against {values[1]}, {one.candidate} minus {base} {shown[0]} ({confidence(found, one)} interval {shown[1]} to {shown[2]}), {seeds} paired seeds, {proof.en}",
        f"{verdict.zh}：{name.zh} {values[0]} 对 {values[1]}，{one.candidate} 减 {base} 为 {shown[0]}（{confidence(found, one)} 区间 {shown[1]} 至 {shown[2]}），{seeds} 对种子，{proof.zh}",
    )


def _verdict(found: Comparison, one: Contrast) -> Pair:
    declared, a = found.declaration, one.candidate
    b, margin = declared.baseline, f"±{declared.margin:g}"
    if one.verdict == "better":
        return Pair(f"{a} better than {b}", f"{a} 优于 {b}")
    if one.verdict == "worse":
        return Pair(f"{b} better than {a}", f"{b} 优于 {a}")
    if one.verdict == "practically equal":
        return Pair(f"{a} and {b} practically equal, within {margin}", f"{a} 与 {b} 实际相同，差在 {margin} 之内")
    if one.p_adjusted <= declared.alpha:  # a difference was shown, but whoever has the better values cannot win
        ahead = a if (one.difference > 0) == declared.higher_is_better else b
        if ahead not in edge_names(found):
            return Pair(
                f"{a} against {b} undecided, because most trainings of {ahead} diverged",
                f"{a} 与 {b} 未定，因为 {ahead} 的大部分训练发散",
            )
        return Pair(
            f"{a} against {b} undecided, because the learning rate of {ahead} lies at the edge of its grid",
            f"{a} 与 {b} 未定，因为 {ahead} 的学习率位于其网格边缘",
        )
    if all_diverged(found, [a, b]):
        return Pair(
            f"{a} against {b} undecided, because every training of both diverged",
            f"{a} 与 {b} 未定，因为两者的所有训练均发散",
        )
    more = f"{one.more_seeds:,}"
    return Pair(
        f"{a} against {b} undecided: about {more} more seeds",
        f"{a} 与 {b} 未定：约需再加 {more} 个种子",
    )


def _proof(one: Contrast) -> Pair:
    """The adjusted p values that decided, or did not."""
    different, equal = probability(one.p_adjusted), probability(one.p_equal)
    if one.verdict in ("better", "worse"):
        return Pair(f"Holm-adjusted p {different.en}", f"Holm 校正 p {different.zh}")
    if one.verdict == "practically equal":
        return Pair(f"Holm-adjusted p of equivalence {equal.en}", f"等价检验的 Holm 校正 p {equal.zh}")
    return Pair(
        f"Holm-adjusted p of a difference {different.en}, of equivalence {equal.en}",
        f"差异检验的 Holm 校正 p {different.zh}，等价检验的 {equal.zh}",
    )


def headline(found: Comparison) -> Pair:
    """What came of it all: the set of best, or that nothing could be decided."""
    base, names = found.declaration.baseline, confirmed(found)
    if all_diverged(found, names):
        return Pair(
            "Nothing could be decided: every training of the confirmation diverged",
            "未能判定：确认阶段的所有训练均发散",
        )
    if not found.best:
        return Pair(
            "Set of best: empty, because whoever could belong to it cannot win: its learning rate lies at the edge of its grid, or most of its trainings diverged",
            "最佳集合为空：可能入选者均不能获胜，因为其学习率位于网格边缘，或其大部分训练发散",
        )
    best = listed(found.best)
    words = [one.verdict for one in found.contrasts]
    if set(words) == {"undecided"} and set(found.best) >= set(names) - edge_names(found) - mostly_lost(found):
        return _undecided(found, best)
    set_of_best = Pair("Set of best", "最佳集合")
    if found.part == "validation":
        set_of_best = (
            Pair("Validation winner", "验证集优胜者")
            if len(found.best) == 1
            else Pair("Validation winners (set of best)", "验证集优胜者（最佳集合）")
        )
    if set(words) == {"practically equal"} and len(found.best) == len(names):
        others = listed(name for name in found.best if name != base)
        return Pair(
            f"{set_of_best.en}: all that were confirmed; {others.en} practically equal to {base}, within ±{found.declaration.margin:g}",
            f"{set_of_best.zh}：全部入围者；{others.zh} 与 {base} 实际相同，差在 ±{found.declaration.margin:g} 之内",
        )
    left = [name for name in names if name in edge_names(found) | mostly_lost(found)]
    alone = Pair(" alone", "") if len(found.best) == 1 and found.part == "test" else Pair("", "")
    if left:
        alone = Pair(
            f"; cannot win, because a learning rate lies at the edge of its grid or most trainings diverged: {listed(left).en}",
            f"；因学习率位于网格边缘或大部分训练发散而不能获胜：{listed(left).zh}",
        )
    return Pair(f"{set_of_best.en}: {best.en}{alone.en}", f"{set_of_best.zh}：{best.zh}{alone.zh}")


def _undecided(found: Comparison, best: Pair) -> Pair:
    who = Pair(f": {best.en} may each be the best", f"：{best.zh} 都可能最佳") if len(found.best) > 1 else Pair("", "")
    needed = sorted({one.more_seeds for one in found.contrasts if one.more_seeds})
    if not needed:
        return Pair(f"Nothing could be decided{who.en}", f"未能判定{who.zh}")
    en, zh = (dash.join(f"{one:,}" for one in dict.fromkeys((needed[0], needed[-1]))) for dash in (" to ", " 至 "))
    return Pair(f"Nothing could be decided{who.en}; about {en} more seeds", f"未能判定{who.zh}；约需再加 {zh} 个种子")


def networks(found: Comparison) -> Pair:
    """The network that was trained, or those that were."""
    declared = found.declaration
    names = declared.candidates if declared.factor == "model" else (declared.target,)
    return listed(PurePath(name).name for name in names)


def scope(found: Comparison) -> Pair:
    """For what the verdict holds."""
    declared = found.declaration
    settings, source = declared.plan.get("settings", {}), str(declared.plan.get("data", {}).get("source", ""))
    data, names = PurePath(source).name, networks(found)
    how = f" {settings['optimizer']}" if settings.get("optimizer") else ""
    rates = (f"{declared.rates[0]:.3g}", f"{declared.rates[-1]:.3g}") if declared.rates else ("", "")
    seeds, count = len(declared.confirmation_seeds), len(declared.rates)
    part = (
        Pair("scored on the test part, which nothing else saw", "在此前未用过的测试集上评分")
        if found.part == "test"
        else Pair("scored on validation data, for there is no test part: a validation winner, not more", "无测试集，在验证集上评分：只是“验证集优胜者”")
    )  # fmt: skip
    return Pair(
        f"This holds for {names.en}{f' on {data}' if data else ''}, {declared.steps:,} steps of{how or ' training'}, the learning rate of each candidate tuned on the same grid ({count} rates from {rates[0]} to {rates[1]}, extended where the best lay at its end, settled between the two best by validation data), {seeds} paired seeds, {part.en}; not for other networks, data or budgets",
        f"适用范围：{names.zh}{f'，数据 {data}' if data else ''}，{how.strip()} 训练 {declared.steps:,} 步，各候选在同一网格上调学习率（{rates[0]} 至 {rates[1]} 共 {count} 个，最优在端点时扩展，由验证数据在最好的两个之间定下），{seeds} 对种子，{part.zh}；不适用于其他网络、数据或训练步数",
    )


def edges(found: Comparison) -> list[Pair]:
    """A sentence for each candidate whose learning rate lies at the edge of its grid."""
    return [
        Pair(
            f"{one.candidate}: its best learning rate {one.rate:.3g} lies at the edge of its grid ({one.tried[0][0]:.3g} to {one.tried[-1][0]:.3g}), which was extended twice; it cannot win",
            f"{one.candidate}：最优学习率 {one.rate:.3g} 位于网格边缘（{one.tried[0][0]:.3g} 至 {one.tried[-1][0]:.3g}，已扩展两次），不能获胜",
        )
        for one in found.tuned
        if one.at_edge
    ]


def cautions(found: Comparison) -> list[Pair]:
    """What must be known beside the verdict: rates at an edge, what was left as it is, who learns more than weights, and that nobody has learnt anything."""
    said = edges(found)
    if found.left:
        fixed = listed(found.left)
        said.append(
            Pair(
                f"Left as they are, the same for all candidates, because their activations are fixed in their code: {fixed.en}; the candidates differ in the rest of the network",
                f"以下各处的激活函数写死在代码中，对所有候选保持不变：{fixed.zh}；候选只在网络其余部分不同",
            )
        )
    if found.kept_layers:
        layers = listed(found.kept_layers)
        said.append(
            Pair(
                f"Weights that no seed draws, such as trained or frozen ones, start as they come: {layers.en}; all others are drawn anew for every seed",
                f"不由种子抽取的权重（如已训练或冻结的）保持原样：{layers.zh}；其余权重由每个种子重新抽取",
            )
        )
    learners = listed(f"{name} ({', '.join(learnt)})" for name, learnt in _learnt(found).items())
    if learners.en:
        said.append(
            Pair(
                f"Some candidates learn parameters of their own in every layer: {learners.en}",
                f"部分候选在每一层另有自己学习的参数：{learners.zh}",
            )
        )
    if found.guessing is None or not found.contrasts:
        return said
    sign = 1 if found.declaration.higher_is_better else -1
    means = [baseline_mean(found), *(one.mean for one in found.contrasts)]
    if all(sign * (value - found.guessing) <= found.declaration.margin for value in means):
        chance = plain(found.guessing, places(found))
        said.append(
            Pair(
                f"None of those confirmed is better than guessing without looking at the inputs ({metric(found).en} {chance}): within {found.declaration.steps:,} steps nothing was learnt that could be compared",
                f"入围者均不优于不看输入的猜测（{metric(found).zh} {chance}）：{found.declaration.steps:,} 步之内没有学到可比较的东西",
            )
        )
    return said


def _learnt(found: Comparison) -> dict[str, tuple[str, ...]]:
    """The parameters that a candidate learns, of those that have any."""
    names = found.declaration.candidates if found.declaration.factor == "activation" else ()
    known = set(activations.names(aliases=True, vectors=False))
    entries = {name: activations.get(name) for name in names if name in known}
    return {name: one.learnt for name, one in entries.items() if isinstance(one, activations.Activation) and one.learnt}


def divergences(found: Comparison) -> list[Pair]:
    """A sentence for each of the confirmed that diverged; one for all where none did."""
    said, total = [], len(found.declaration.confirmation_seeds)
    for name in confirmed(found):
        count, total = diverged(found, name, "confirmation")
        if count:
            low, high = wilson(count, total)
            said.append(
                Pair(
                    f"{name}: {count} of {total} trainings of the confirmation diverged, a rate of {count / total:.3f} (95 % Wilson interval {low:.3f} to {high:.3f}); they count at chance level",
                    f"{name}：确认阶段 {total} 次训练中有 {count} 次发散，比率 {count / total:.3f}（95 % Wilson 区间 {low:.3f} 至 {high:.3f}）；按随机水平计入",
                )
            )
    if said or not total:
        return said
    high = wilson(0, total)[1]
    return [
        Pair(
            f"No training of the confirmation diverged: 0 of {total} of each candidate (95 % Wilson interval of the rate 0 to {high:.3f})",
            f"确认阶段无训练发散：每个候选 {total} 次中 0 次（比率的 95 % Wilson 区间 0 至 {high:.3f}）",
        )
    ]


def all_diverged(found: Comparison, names: Sequence[str]) -> bool:
    """Whether not one training of the confirmation of these came to an end."""
    counts = [diverged(found, name, "confirmation") for name in names]
    return all(count == total > 0 for count, total in counts)


def listed(names: Iterable[str]) -> Pair:
    """A list as a sentence has it."""
    some = list(names)
    en = " and ".join([", ".join(some[:-1]), some[-1]] if len(some) > 1 else some)
    return Pair(en, "、".join(some))


MEANINGS = (
    (Pair("A better than B", "A 优于 B"), Pair("The paired t test over the confirmation seeds, adjusted by Holm for all finalists, rules out no difference at alpha, and the difference is not shown to be practically nothing.", "确认种子上的配对 t 检验（对所有入围者作 Holm 校正）在 alpha 下排除了“无差异”，且未证明差异小到可忽略。")),
    (Pair("practically equal", "实际相同"), Pair("Two one-sided tests, adjusted by Holm, show that the difference lies within the margin, the smallest difference of interest. It goes before “better”.", "两个单侧检验（Holm 校正）表明差异在界限（最小关注差异）之内。先于“优于”判断。")),
    (Pair("undecided: about N more seeds", "未定：约需再加 N 个种子"), Pair("Neither was shown. N more pairs would show a difference as large as the one seen, or as the margin, with a power of 0.8; a rough forecast.", "两者均未证明。再加 N 对种子，有 0.8 的功效判定与所见（或与界限）同样大的差异；只是粗略预测。")),
    (Pair("set of best", "最佳集合"), Pair("Who among those confirmed is not shown worse than any other one (paired t over all pairs, Holm), or is practically equal to the baseline where one of the two belongs to it.", "入围者中未被证明差于任何他者（所有配对的 t 检验，Holm 校正）的，以及与基线实际相同、且两者之一属于该集合的。")),
    (Pair("cannot win", "不能获胜"), Pair("The best learning rate lies at the end of a grid that was extended twice, so that a better one may lie beyond.", "最优学习率位于已扩展两次的网格端点，更好的可能在其外。")),
    (Pair("validation winner", "验证集优胜者"), Pair("There is no test part: the confirmation was scored on validation data, on which learning rates were tuned too.", "没有测试集：确认阶段在验证集上评分，而学习率也在其上调过。")),
    (Pair("exploratory", "探索性"), Pair("The screening only chooses who is confirmed; its order is no verdict.", "初筛只决定谁进入确认；其名次不是结论。")),
    (Pair("paired seeds", "配对种子"), Pair("A seed fixes the split of the data, their order and the normal draw of the weights, the same for all candidates; fresh ones for each stage.", "种子决定数据划分、顺序与权重的正态抽样，对所有候选相同；各阶段用新种子。")),
    (Pair("learning rate settled", "定下的学习率"), Pair("The two best rates of the tuning both go through the confirmation, and its validation data settle which one counts; the test part has no say in it. The trainings at the other rate are listed as “second rate”.", "调参得到的两个最好学习率都参加确认，由确认种子的验证数据决定采用哪一个，测试集不参与选择；另一学习率的训练列为“第二学习率”。")),
    (Pair("diverged", "发散"), Pair("The training ended with numbers that are not finite or a loss out of hand. It counts at chance level and is never dropped.", "训练以非有限数或失控的损失告终。按随机水平计入，从不剔除。")),
)  # fmt: skip
