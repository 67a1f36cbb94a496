"""Measured properties in words, for the terminal and the documentation."""

from math import isinf
from typing import TYPE_CHECKING

from ._language import say

if TYPE_CHECKING:
    from .activations import Activation
    from .properties import Properties


def number(value: float) -> str:
    """Short, with signs for infinity."""
    return ("-∞" if value < 0 else "∞") if isinf(value) else f"{value:.4g}"


def range_text(measured: "Properties") -> str:
    """From the least to the largest value."""
    return f"{number(measured.lower)} … {number(measured.upper)}"


def trend(measured: "Properties") -> str:
    """Rising, falling or neither."""
    if measured.increasing:
        return say("rises", "递增")
    return say("falls", "递减") if measured.decreasing else say("bends", "非单调")


def form(measured: "Properties") -> str:
    """The worst break."""
    if measured.jumps:
        return say("jump", "间断")
    return say("kink", "折点") if measured.kinks else say("smooth", "光滑")


def form_text(measured: "Properties") -> str:
    """The worst break, and where all of them are."""
    kinds = (
        (measured.jumps, say("jumps at", "间断于")),
        (measured.kinks, say("kinks at", "折点在")),
        (measured.bends, say("f'' jumps at", "二阶导数间断于")),
    )
    places = [f"{words} {', '.join(map(number, found))}" for found, words in kinds if found]
    return "; ".join(places if measured.jumps or measured.kinks else [form(measured), *places])


def facts(entry: "Activation", values: dict[str, float]) -> list[tuple[str, str]]:
    """What was measured of an entry with these parameters: what it is about, and the figures."""
    measured = entry.properties(**values)
    never = say("never", "不饱和")
    ends = [never if end is None else number(end) for end in (measured.saturates_left, measured.saturates_right)]
    lowest = (
        ""
        if measured.minimum_at is None
        else say(f", least at x = {measured.minimum_at:.6g}", f"，在 x = {measured.minimum_at:.6g} 处最小")
    )
    return [
        (say("range", "值域"), range_text(measured) + lowest),
        (say("trend", "走势"), trend(measured) + (say(", convex", "，凸") if measured.convex else "")),
        (say("form", "光滑性"), form_text(measured)),
        (say("steepest", "最大斜率"), say(f"|f'| up to {number(measured.lipschitz)} (Lipschitz constant)", f"|f'| 最大为 {number(measured.lipschitz)}（Lipschitz 常数）")),
        (say("saturates", "饱和"), say(f"below {ends[0]}, above {ends[1]} (|f'| under 0.1 % of its maximum)", f"左侧 {ends[0]}，右侧 {ends[1]}（|f'| 低于最大值的 0.1%）")),
        (say("at zero", "零点处"), f"f(0) = {number(measured.at_zero)}, f'(0) = {number(measured.slope_at_zero)}"),
        (say("for Z ~ N(0,1)", "Z ~ N(0,1) 时"), f"E[f(Z)] = {round(measured.mean, 4) + 0.0:.4f}, E[f(Z)²] = {measured.second_moment:.4f}, E[f'(Z)²] = {measured.slope_second_moment:.4f}"),
        (say("gain", "增益"), say(f"{number(measured.gain)} keeps activations, {number(measured.backward_gain)} gradients, at their size", f"{number(measured.gain)} 保持前向幅度，{number(measured.backward_gain)} 保持梯度幅度")),
    ]  # fmt: skip
