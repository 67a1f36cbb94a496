"""Several comparisons side by side: what each says about every candidate, how often, and what may be claimed of them together.

No test goes over comparisons. Every verdict is that of one comparison, against its own baseline. Sentences have no full stop at their end.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from statistics import mean
from typing import Any, Literal

from .. import activations
from ..errors import UnknownName
from ..records import Comparison, Contrast, Costs, Record
from . import wording
from .wording import Pair

Standing = Literal["better", "practically equal", "undecided", "worse", "screened out", "baseline"]
STANDINGS: dict[Standing, Pair] = {
    "better": wording.VERDICTS["better"],
    "practically equal": wording.VERDICTS["practically equal"],
    "undecided": wording.VERDICTS["undecided"],
    "worse": wording.VERDICTS["worse"],
    "screened out": Pair("screened out", "初筛淘汰"),
    "baseline": Pair("baseline", "基线"),
}
_MOST_NAMES = 6  # in a headline; more are counted


@dataclass(frozen=True)
class Given:
    """A comparison and where it stands."""

    found: Comparison
    costs: Costs = field(default_factory=Costs)
    folder: str = ""  # as a person knows it
    page: str = ""  # address of its own page; "" where there is none


class Entry(Record):
    """What one comparison says about one candidate: a line of `comparisons.csv`."""

    comparison: int  # its number on the page, from 1
    label: str  # of the comparison
    candidate: str  # its name on the page
    named: str  # its name in the comparison
    standing: Standing
    baseline: str
    metric: str
    part: str
    best: bool  # in the set of best
    at_edge: bool  # its learning rate lies at the edge of its grid: it cannot win
    rank: int | None = None  # in the screening, from 1: exploratory
    of: int = 0  # candidates screened
    mean: float | None = None  # of the metric in the confirmation
    difference: float | None = None  # candidate minus baseline
    low: float | None = None
    high: float | None = None
    confidence: float | None = None  # of the interval
    p_adjusted: float | None = None
    p_equal: float | None = None
    diverged: int | None = None  # trainings of the confirmation
    seconds_per_step: float | None = None
    bytes_kept: int | None = None


class Tally(Record):
    """How often a candidate stood how."""

    candidate: str
    comparisons: int  # in which it took part
    best: int  # times in the set of best
    counts: dict[Standing, int]
    mean_rank: float | None = None  # in the screening, among those that took part in all comparisons


@dataclass(frozen=True)
class Joined:
    """Comparisons in the order in which they were given."""

    given: tuple[Given, ...]

    @cached_property
    def found(self) -> tuple[Comparison, ...]:
        """The records alone."""
        return tuple(one.found for one in self.given)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Network and data of each; with the folder too, where that is not enough to tell them apart."""
        names = [_label(one) for one in self.found]
        return tuple(
            f"{name} · {PurePath(one.folder).name}" if names.count(name) > 1 and one.folder else name
            for name, one in zip(names, self.given, strict=True)
        )

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """A line for each comparison and candidate."""
        names = _same_names(self.found)
        return tuple(
            _entry(number, label, one, name, names[name])
            for number, (label, one) in enumerate(zip(self.labels, self.given, strict=True), 1)
            for name in one.found.declaration.candidates
        )

    @cached_property
    def by_place(self) -> dict[tuple[str, int], Entry]:
        """The entry of a candidate in a comparison, by its number."""
        return {(one.candidate, one.comparison): one for one in self.entries}

    @cached_property
    def tallies(self) -> tuple[Tally, ...]:
        """The candidates: most often in the set of best, then most often better, then least often worse, then by name."""
        found: dict[str, list[Entry]] = {}
        for one in self.entries:
            found.setdefault(one.candidate, []).append(one)
        ranks = _mean_ranks(found, len(self.given))
        tallies = [_tally(name, entries, ranks.get(name)) for name, entries in found.items()]
        return tuple(sorted(tallies, key=lambda one: (-one.best, -one.counts["better"], one.counts["worse"], one.candidate)))  # fmt: skip

    @cached_property
    def throughout(self) -> tuple[str, ...]:
        """The candidates that took part in every comparison."""
        return tuple(one.candidate for one in self.tallies if one.comparisons == len(self.given))


def contrast(found: Comparison, candidate: str) -> Contrast | None:
    """Of a finalist."""
    return next((one for one in found.contrasts if one.candidate == candidate), None)


def _label(found: Comparison) -> str:
    source = str(found.declaration.plan.get("data", {}).get("source", ""))
    names = [PurePath(name).name for name in (found.declaration.target, source) if name]
    return " · ".join(names)


def _same_names(found: Iterable[Comparison]) -> dict[str, str]:
    """The name of each candidate on the page: names of one function, such as hard_swish and hardswish, are one candidate, unless a comparison has both."""
    groups: dict[Any, dict[str, None]] = {}
    apart: set[Any] = set()
    for one in found:
        meant = [_function(name, one) for name in one.declaration.candidates]
        apart |= {function for function in meant if meant.count(function) > 1}
        for function, name in zip(meant, one.declaration.candidates, strict=True):
            groups.setdefault(function, {})[name] = None
    return {
        name: name if function in apart else " = ".join(sorted(names))
        for function, names in groups.items()
        for name in names
    }


def _function(name: str, found: Comparison) -> Any:
    """What tells a candidate from others: what computes it and with which constants, where it is an activation of the catalogue."""
    if found.declaration.factor != "activation":
        return name
    try:
        entry = activations.get(name)
    except UnknownName:
        return name
    if not isinstance(entry, activations.Activation):
        return name
    return (entry.body, entry.learnt, *entry.values().items())  # swish learns the b that silu has fixed


def _entry(number: int, label: str, given: Given, candidate: str, name: str) -> Entry:
    found = given.found
    declared, one = found.declaration, contrast(found, candidate)
    ranked = [screened for screened, _ in found.screened]
    numbers: dict[str, Any] = {}
    if one is not None:
        numbers = {key: getattr(one, key) for key in ("mean", "difference", "low", "high", "confidence", "p_adjusted", "p_equal", "diverged")}  # fmt: skip
    elif candidate == declared.baseline and found.contrasts:
        lost, _ = wording.diverged(found, candidate, "confirmation")
        numbers = {"mean": wording.baseline_mean(found), "diverged": lost}
    return Entry(
        comparison=number, label=label, candidate=name, named=candidate, baseline=declared.baseline, metric=declared.metric, part=found.part,
        standing="baseline" if candidate == declared.baseline else "screened out" if one is None else one.verdict,
        best=candidate in found.best, at_edge=candidate in wording.edge_names(found),
        rank=ranked.index(candidate) + 1 if candidate in ranked else None, of=len(ranked),
        seconds_per_step=_finite(given.costs.seconds_per_step.get(candidate)), bytes_kept=given.costs.bytes_kept.get(candidate), **numbers,
    )  # fmt: skip


def _finite(value: float | None) -> float | None:
    """None too where the measurement diverged."""
    return value if value is not None and math.isfinite(value) else None


def _mean_ranks(found: dict[str, list[Entry]], count: int) -> dict[str, float]:
    """Of those that were screened in every comparison, each ranked among these alone, so that the ranks have one range."""
    common = {name: entries for name, entries in found.items() if sum(one.rank is not None for one in entries) == count}
    places: dict[str, list[int]] = {name: [] for name in common}
    for number in range(count):
        order = sorted(common, key=lambda name, number=number: common[name][number].rank or 0)
        for rank, name in enumerate(order, 1):
            places[name].append(rank)
    return {name: mean(ranks) for name, ranks in places.items()}


def _tally(name: str, entries: Sequence[Entry], mean_rank: float | None) -> Tally:
    counts: dict[Standing, int] = {standing: sum(one.standing == standing for one in entries) for standing in STANDINGS}
    return Tally(candidate=name, comparisons=len(entries), best=sum(one.best for one in entries), counts=counts, mean_rank=mean_rank)  # fmt: skip


def decided(found: Comparison) -> bool:
    """Whether it shows anything: a verdict other than undecided, and trainings that came to an end."""
    return any(one.verdict != "undecided" for one in found.contrasts) and not wording.all_diverged(found, wording.confirmed(found))  # fmt: skip


def headline(joined: Joined) -> Pair:
    """Who is in the set of best of all comparisons, and who better in all; never more than the verdicts say one by one."""
    count = len(joined.given)
    if count == 1:
        return wording.headline(joined.found[0])
    open_ = sum(not decided(one) for one in joined.found)
    if open_ == count:
        return Pair(f"Nothing could be decided in any of the {count} comparisons", f"{count} 次比较均未能判定")
    parts = [_set_of_best(joined), *_better_throughout(joined)]
    if open_:
        parts.append(Pair(f"{open_} of the {count} could decide nothing", f"{count} 次比较中有 {open_} 次未能判定"))
    return Pair("; ".join(one.en for one in parts), "；".join(one.zh for one in parts))


def _set_of_best(joined: Joined) -> Pair:
    count = len(joined.given)
    every = Pair("both comparisons" if count == 2 else f"all {count} comparisons", f"全部 {count} 次比较")
    if always := [one.candidate for one in joined.tallies if one.best == count]:
        names = _some(always)
        return Pair(f"In the set of best of {every.en}: {names.en}", f"在{every.zh}中都属于最佳集合：{names.zh}")
    most = max(one.best for one in joined.tallies)
    none = Pair(f"No candidate is in the set of best of {every.en}", f"没有候选在{every.zh}中都属于最佳集合")
    if not most:
        return Pair(f"The set of best of {every.en} is empty", f"{every.zh}的最佳集合均为空")
    if most == 1 and count > 2:
        return Pair(f"No candidate is in the set of best of more than one of the {count} comparisons", f"{count} 次比较中，没有候选两次以上属于最佳集合")  # fmt: skip
    if most == 1:
        return none
    first = [one for one in joined.tallies if one.best == most]
    if len(first) > _MOST_NAMES:
        return Pair(f"{none.en}; most often: {len(first)} candidates, {most} times each", f"{none.zh}；最多的是 {len(first)} 个候选，各 {most} 次")  # fmt: skip
    shown = wording.listed(f"{one.candidate} ({most} of {one.comparisons})" for one in first)
    chinese = wording.listed(f"{one.candidate}（{one.comparisons} 次中 {most} 次）" for one in first)
    return Pair(f"{none.en}; most often: {shown.en}", f"{none.zh}；最多的是：{chinese.zh}")


def _better_throughout(joined: Joined) -> list[Pair]:
    """Who was shown better than the baseline by every comparison, if anybody was."""
    count = len(joined.given)
    if not (names := [one.candidate for one in joined.tallies if one.counts["better"] == count]):
        return []
    shown, bases = _some(names), sorted({one.declaration.baseline for one in joined.found})
    base = Pair(bases[0], f" {bases[0]}") if len(bases) == 1 else Pair("its baseline", "各自的基线")
    every = Pair("both" if count == 2 else f"all {count}", f"全部 {count} 次")
    return [Pair(f"better than {base.en} in {every.en}: {shown.en}", f"{every.zh}都优于{base.zh}：{shown.zh}")]


def _some(names: Sequence[str]) -> Pair:
    """A list, or the number of its names."""
    return (
        wording.listed(names) if len(names) <= _MOST_NAMES else Pair(f"{len(names)} candidates", f"{len(names)} 个候选")
    )


def false_claims(joined: Joined) -> Pair:
    """What alpha promises for one comparison, and for all of them."""
    count, alphas = len(joined.given), sorted({one.declaration.alpha for one in joined.found})
    total = min(1.0, sum(one.declaration.alpha for one in joined.found))
    each = f"{alphas[0]:g}"
    en, zh = f"{total:.3g}", f"{total:.3g}"
    if len(alphas) == 1 and count * alphas[0] <= 1:
        en, zh = f"{en} ({count} times {each})", f"{zh}（{count} 乘 {each}）"
    own = Pair(each, each) if len(alphas) == 1 else Pair(f"{each} to {alphas[-1]:g}", f"{each} 至 {alphas[-1]:g}")
    return Pair(
        f"Each comparison keeps its own chance of a false “better” or “worse” at or below its alpha, {own.en}; the chance that at least one of the {count} holds such a claim may be up to {en}, and as much for a false “practically equal”, and for a set of best that leaves out one of the best",
        f"每次比较各自把误判“更好”或“更差”的概率控制在其 alpha（{own.zh}）以内；{count} 次比较中至少有一次误判的概率最高可达 {zh}；误判“实际相同”以及最佳集合漏掉真正最佳者的概率亦各如此",
    )


def shared_data(joined: Joined) -> list[Pair]:
    """A sentence for each data set that several comparisons share: they are not independent of each other."""
    groups: dict[str, list[int]] = {}
    for number, one in enumerate(joined.found, 1):
        source = str(one.declaration.plan.get("data", {}).get("source", ""))
        groups.setdefault(source, []).append(number)
    return [
        Pair(
            f"Comparisons {wording.listed(map(str, numbers)).en} are on the same data, {PurePath(source).name}, and are not independent of each other",
            f"比较 {wording.listed(map(str, numbers)).zh} 用同一数据 {PurePath(source).name}，彼此不独立",
        )
        for source, numbers in groups.items()
        if source and len(numbers) > 1
    ]


def units(joined: Joined) -> list[list[int]]:
    """Numbers of comparisons whose differences may stand on one axis: of one metric on one part; losses, of one task too."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, one in enumerate(joined.found, 1):
        declared = one.declaration
        task = str(declared.plan.get("data", {}).get("task", "")) if declared.metric == "loss" else ""
        groups.setdefault((declared.metric, one.part, task), []).append(number)
    return list(groups.values())


def document(joined: Joined) -> dict[str, Any]:
    """`comparisons.json`: all that the page shows, but for the pictures."""
    notes = [false_claims(joined), *shared_data(joined)] if len(joined.given) > 1 else []
    return {
        "headline": headline(joined)._asdict(),
        "notes": [one._asdict() for one in notes],
        "comparisons": [_about(number, label, one) for number, (label, one) in enumerate(zip(joined.labels, joined.given, strict=True), 1)],
        "tallies": [one.model_dump(mode="json") for one in joined.tallies],
        "entries": [one.model_dump(mode="json") for one in joined.entries],
    }  # fmt: skip


def is_document(file: Path) -> bool:
    """Whether a file holds what `document` returns."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and {"comparisons", "tallies", "entries"} <= set(found)


def _about(number: int, label: str, given: Given) -> dict[str, Any]:
    declared = given.found.declaration
    return {
        "comparison": number, "label": label, "folder": given.folder, "target": declared.target, "factor": declared.factor,
        "baseline": declared.baseline, "metric": declared.metric, "part": given.found.part, "margin": declared.margin,
        "steps": declared.steps, "alpha": declared.alpha, "seeds": len(declared.confirmation_seeds),
        "best": list(given.found.best), "headline": wording.headline(given.found)._asdict(), "scope": wording.scope(given.found)._asdict(),
    }  # fmt: skip
