"""Parts of sentences about a training: a loss that stayed, steps that were small, units that died or came back."""

from typing import Any, NamedTuple


class Pair(NamedTuple):
    """One text in both languages."""

    en: str
    zh: str


CURES = {  # by the name of the remedy: what to do, and how it reads after the fact
    "matched start": (
        Pair("start the weights by He's rule, with biases 0", "按 He 规则初始化权重，偏置为 0"),
        Pair("after a start by He's rule", "改用 He 初始化后"),
    ),
    "normalised inputs": (
        Pair("bring the inputs to mean 0 and deviation 1", "把输入归一化为均值 0、标准差 1"),
        Pair("with normalised inputs", "输入归一化后"),
    ),
}


def since(d: dict[str, Any]) -> Pair:
    """What earlier checkpoints say of dead units."""
    if "always" not in d:
        return Pair("", "")
    later = d["dead"] - d["always"]
    return Pair(
        f" ({d['always']:,} at every checkpoint, {later:,} worked at an earlier one; {d['revived']:,} others were dead and came back)",
        f"（{d['always']:,} 个在每个检查点都死亡，{later:,} 个此前曾工作；另有 {d['revived']:,} 个曾死亡后恢复）",
    )


def stayed(d: dict[str, Any]) -> Pair:
    """For how long a loss did not move."""
    named = Pair(", that of guessing,", "（猜测的损失）") if d["guessing"] else Pair("", "")
    return Pair(
        f"the loss stayed at {d['level']:.3g}{named.en} for {d['value']:,.0f} steps",
        f"损失在 {d['level']:.3g}{named.zh}停留了 {d['value']:,.0f} 步",
    )


def small_steps(d: dict[str, Any]) -> Pair:
    """How small the first step was."""
    return Pair(
        f"; its first step changed the weights by {d['update']:.1e} of their size (median of the layers), where {d['usual']:.0e} is usual",
        f"；最初一步只使权重改变其大小的 {d['update']:.1e}（各层中位数），通常为 {d['usual']:.0e}",
    )


def shrunk(d: dict[str, Any]) -> Pair:
    """That the signal was small from the start."""
    if not d["signal"] or d["signal"] > 0.5:
        return Pair("", "")
    return Pair(
        f": what the last layer put out, and with it the gradient, was {d['signal']:.2g} times as large as after a start by He's rule",
        f"：最后一层的输出（因而梯度）只有 He 初始化时的 {d['signal']:.2g} 倍",
    )


def cured(d: dict[str, Any]) -> Pair:
    """What the same step would be after each change that helps."""
    found = [(CURES[name][1], f"{value:.1e}") for name, value in d["cures"].items()]
    return Pair(
        ". The same step " + ", ".join(f"{name.en}: {value}" for name, value in found),
        "。同样的一步，" + "，".join(f"{name.zh}：{value}" for name, value in found),
    )
