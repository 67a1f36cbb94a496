"""The protocol: learning rates are tuned, all candidates screened, the best confirmed on fresh paired seeds. Only the last stage gives a verdict.

The confirmation trains each candidate at its two best rates, and its validation data settle which one counts: two tuning seeds do not
tell neighbouring rates apart, and a candidate with a worse rate by bad luck is really worse. Measured on networks whose accuracies vary much
from seed to seed, eight names of one activation tuned apart: a false claim in 1.0 to 4.6 % against 1.9 to 11.1 % by the best rate of the
tuning alone, and more power in four of the five networks (4,000 comparisons of each, drawn from 2,048 trainings a rate; LOG.md).

Every step asks `train` for a list of jobs and reads their values; what trains them, and where, is not known here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from .. import __version__
from .._language import say
from ..errors import UsageError
from ..intervals import attainable, best_set, judge, wilson
from ..records import Comparison, Contrast, Declaration, Stage, Trial, Tuned

RATES = tuple(10.0 ** (exponent / 2) for exponent in range(-7, 0))  # seven over three decades
_LEAST_STEPS = 10  # rates differ by what they come to, and fewer steps come to nothing
_EXTENSIONS, _MORE = 2, 2  # how often a grid is extended, and by how many rates, at the grid's own ratio


@dataclass(frozen=True)
class Job:
    """A training to be done."""

    candidate: str
    rate: float
    seed: int
    stage: Stage


Train = Callable[[Sequence[Job]], Sequence[Trial]]
Tried = dict[float, tuple[int, float]]  # by rate: how many trainings of the tuning diverged, mean of the metric


def check(declared: Declaration) -> Declaration:
    """The declaration with its grid filled in; raises UsageError for one that no result could satisfy."""
    names = declared.candidates
    if len(set(names)) < len(names) or len(names) < 2:
        raise UsageError(say(f"expected two candidates or more, each once; got {', '.join(names)}", f"至少需要两个候选，且不可重复；得到 {'、'.join(names)}"))  # fmt: skip
    if declared.baseline not in names:
        raise UsageError(
            say(f"the baseline '{declared.baseline}' is not among the candidates {', '.join(names)}", f"基线“{declared.baseline}”不在候选 {'、'.join(names)} 之中")
        )  # fmt: skip
    seeds = (*declared.tuning_seeds, *declared.screening_seeds, *declared.confirmation_seeds)
    if len(set(seeds)) < len(seeds) or not declared.tuning_seeds or not declared.screening_seeds:
        raise UsageError(
            say("expected seeds for tuning, screening and confirmation, none of them twice", "调参、初筛与确认都需要种子，且互不相同")
        )  # fmt: skip
    rates = tuple(sorted(declared.rates)) or RATES
    if len(set(rates)) < 3 or rates[0] <= 0:
        raise UsageError(say(f"expected three different learning rates above 0 or more; got {len(set(rates))}", f"至少需要三个大于 0 且不同的学习率；得到 {len(set(rates))} 个"))  # fmt: skip
    if declared.steps < _LEAST_STEPS:
        raise UsageError(
            say(f"a budget of {declared.steps} steps is too small to tune a learning rate; take {_LEAST_STEPS} or more", f"{declared.steps} 步的预算太小，无法调学习率；请至少用 {_LEAST_STEPS} 步")
        )  # fmt: skip
    finalists = min(declared.finalists, len(names) - 1)
    pairs = len(declared.confirmation_seeds)
    if pairs < 2 or not attainable(pairs, finalists, declared.alpha):
        least = next(n for n in range(2, 100) if attainable(n, finalists, declared.alpha))
        raise UsageError(
            say(
                f"{pairs} confirmation seeds cannot decide between {finalists} finalists and the baseline at alpha {declared.alpha:g}, whatever they show; take {least} or more",
                f"{pairs} 个确认种子无论结果如何，都无法在 alpha {declared.alpha:g} 下判定 {finalists} 个入围者与基线；请至少用 {least} 个",
            )
        )
    return declared.model_copy(update={"rates": rates, "finalists": finalists})


def trainings(declared: Declaration) -> tuple[int, int]:
    """How many trainings the declaration asks for, at least and at most (every grid extended twice)."""
    declared = check(declared)
    each, seeds = len(declared.candidates), len(declared.tuning_seeds)
    others = each * len(declared.screening_seeds) + 2 * (1 + declared.finalists) * len(declared.confirmation_seeds)
    least = each * seeds * len(declared.rates) + others
    return least, least + each * seeds * _EXTENSIONS * _MORE  # on both sides at once it is more, which hardly happens


def compare(declared: Declaration, train: Train, *, part: Literal["test", "validation"] = "test", guessing: float | None = None) -> Comparison:  # fmt: skip
    """Carry out a declaration; `train` does the jobs it is given and returns a trial for each, in their order.

    `guessing` is what the metric is without looking at the inputs. The same declaration with the same trials gives the same record; the
    order of the candidates changes nothing but their order.
    Raises UsageError, before any training, for a declaration that cannot be decided.
    """
    declared = check(declared)
    trials: list[Trial] = []

    def run(jobs: Iterable[Job]) -> list[Trial]:
        done = list(train(list(jobs)))
        trials.extend(done)
        return done

    tuned = _tune(declared, run)
    jobs = [Job(one.candidate, one.rate, seed, "screening") for one in tuned for seed in declared.screening_seeds]
    screened = _values(run(jobs))
    ranked = sorted(screened.items(), key=lambda one: (_worse(declared, mean(one[1])), one[0]))
    chosen = [name for name, _ in ranked if name != declared.baseline][: declared.finalists]
    tuned = _confirm(declared, [declared.baseline, *chosen], tuned, run, trials)
    values = _values(one for one in trials if one.stage == "confirmation")
    lost = _lost(trials)
    barred = _barred(values, tuned, lost)
    contrasts = tuple(_contrasts(declared, values, barred, lost))
    return Comparison(
        declaration=declared, part=part, trials=tuple(trials), tuned=tuple(tuned), screened=tuple((name, mean(found)) for name, found in ranked),
        contrasts=contrasts, best=_best(declared, values, barred, contrasts),
        guessing=guessing, versions={"actlab": __version__},
    )  # fmt: skip


def _values(trials: Iterable[Trial]) -> dict[str, list[float]]:
    """By candidate, in the order of the seeds."""
    found: dict[str, list[float]] = {}
    for one in trials:
        found.setdefault(one.candidate, []).append(one.value)
    return found


def _confirm(
    declared: Declaration, who: Sequence[str], tuned: Sequence[Tuned], run: Callable[[Iterable[Job]], list[Trial]], trials: list[Trial],
) -> list[Tuned]:  # fmt: skip
    """Train both rates of each; settle which one counts, and put the trainings at the other one under another stage."""
    by_name = {one.candidate: one for one in tuned}
    seeds = declared.confirmation_seeds
    jobs = [Job(name, rate, seed, "confirmation") for name in who for rate in _two(by_name[name]) for seed in seeds]
    begun = len(trials)
    done = run(jobs)
    for name in who:
        by_name[name] = _settled(declared, by_name[name], [one for one in done if one.candidate == name])
    kept = {name: one.rate for name, one in by_name.items()}
    trials[begun:] = [one if one.rate == kept[one.candidate] else one.model_copy(update={"stage": "second rate"}) for one in done]  # fmt: skip
    return [by_name[one.candidate] for one in tuned]


def _two(tuned: Tuned) -> tuple[float, float]:
    assert tuned.second is not None, "records of the first version alone have none"
    return tuned.rate, tuned.second


def _settled(declared: Declaration, tuned: Tuned, done: Sequence[Trial]) -> Tuned:
    """The rate that diverges less, then the one better on the validation data of tuning and confirmation together, then the tuned one."""

    def score(rate: float) -> tuple[int, float]:
        here = [one for one in done if one.rate == rate]
        seen = [one.value if one.validation is None else one.validation for one in here]
        value = dict(tuned.tried)[rate] * len(declared.tuning_seeds) + sum(seen)
        return sum(one.diverged for one in here), _worse(declared, value)

    rate, second = sorted(_two(tuned), key=score)
    ends = (tuned.tried[0][0], tuned.tried[-1][0])
    return tuned.model_copy(update={"rate": rate, "second": second, "at_edge": rate in ends})


def _worse(declared: Declaration, value: float) -> float:
    """A number that is larger the worse a value is."""
    return -value if declared.higher_is_better else value


def _tune(declared: Declaration, run: Callable[[Iterable[Job]], list[Trial]]) -> list[Tuned]:
    """The two best rates of each candidate on the tuning seeds; one of them at the end of the grid extends it there."""
    tried: dict[str, Tried] = {name: {} for name in declared.candidates}
    grid = {name: list(declared.rates) for name in declared.candidates}
    for extension in range(_EXTENSIONS + 1):
        jobs = [
            Job(name, rate, seed, "tuning") for name in grid for rate in grid[name] for seed in declared.tuning_seeds
        ]
        if not jobs:
            break
        found: dict[tuple[str, float], list[Trial]] = {}
        for one in run(jobs):
            found.setdefault((one.candidate, one.rate), []).append(one)
        for (name, rate), trained in found.items():
            tried[name][rate] = (sum(one.diverged for one in trained), mean(one.value for one in trained))
        grid = {name: _beyond(declared, tried[name]) for name in grid} if extension < _EXTENSIONS else {}
    return [_tuned(declared, name, tried[name]) for name in declared.candidates]


def _tuned(declared: Declaration, name: str, tried: Tried) -> Tuned:
    rate, second = _best_two(declared, tried)
    means = tuple((rate, value) for rate, (_, value) in sorted(tried.items()))
    return Tuned(candidate=name, rate=rate, second=second, tried=means, at_edge=rate in (min(tried), max(tried)))  # fmt: skip


def _best_rate(declared: Declaration, tried: Tried) -> float:
    """One at which fewer trainings diverged goes before; chance may be better than an honest value. Of equals the smaller, which is the safer."""
    return min(sorted(tried), key=lambda rate: (tried[rate][0], _worse(declared, tried[rate][1])))


def _best_two(declared: Declaration, tried: Tried) -> tuple[float, float]:
    """The best rate, and the best of the others."""
    best = _best_rate(declared, tried)
    return best, _best_rate(declared, {rate: value for rate, value in tried.items() if rate != best})


def _beyond(declared: Declaration, tried: Tried) -> list[float]:
    """The next rates on every side where one of the two best lies at the end; none where both lie inside."""
    low, high = min(tried), max(tried)
    best = _best_two(declared, tried)
    ratio = (declared.rates[-1] / declared.rates[0]) ** (1 / (len(declared.rates) - 1))
    below = [low / ratio ** (step + 1) for step in range(_MORE)] if low in best else []
    return below + ([high * ratio ** (step + 1) for step in range(_MORE)] if high in best else [])


def _contrasts(declared: Declaration, values: dict[str, list[float]], barred: set[str], lost: dict[str, int]) -> Iterable[Contrast]:  # fmt: skip
    base = values[declared.baseline]
    differences = {name: [a - b for a, b in zip(found, base, strict=True)] for name, found in values.items() if name != declared.baseline}  # fmt: skip
    judged = judge(differences, declared.margin, declared.alpha, higher_is_better=declared.higher_is_better)
    for name, one in judged.items():
        shown = one.claimed
        diverged = lost.get(name, 0)
        low, high = wilson(diverged, len(base))
        unsure = (one.verdict == "better" and name in barred) or (
            one.verdict == "worse" and declared.baseline in barred
        )
        unsure = unsure or diverged == lost.get(declared.baseline, 0) == len(base)  # equal in nothing but that
        yield Contrast(
            candidate=name, mean=mean(values[name]), difference=shown.mean, low=shown.low, high=shown.high, confidence=one.confidence, p=shown.p, p_adjusted=one.p_adjusted,
            p_equal=one.p_tost, p_sign_flip=one.p_sign_flip, verdict="undecided" if unsure else one.verdict, more_seeds=one.more_seeds,
            diverged=diverged, diverged_low=low, diverged_high=high,
        )  # fmt: skip


def _lost(trials: Iterable[Trial]) -> dict[str, int]:
    """How many trainings of the confirmation diverged, by candidate."""
    lost: dict[str, int] = {}
    for one in trials:
        if one.stage == "confirmation":
            lost[one.candidate] = lost.get(one.candidate, 0) + one.diverged
    return lost


def _barred(values: dict[str, list[float]], tuned: Iterable[Tuned], lost: dict[str, int]) -> set[str]:
    """Who cannot win: a rate at the edge of its grid is not known to be the best, and a guess that most trainings end as is no merit."""
    edges = {one.candidate for one in tuned if one.at_edge}
    return edges | {name for name, found in values.items() if 2 * lost.get(name, 0) > len(found)}


def _best(declared: Declaration, values: dict[str, list[float]], barred: set[str], contrasts: Sequence[Contrast]) -> tuple[str, ...]:  # fmt: skip
    """The set of best: who is not significantly worse than any other, and who is practically equal to one of these.

    Whoever cannot win is neither in it nor puts anybody out of it.
    """
    sure = {name: found for name, found in values.items() if name not in barred}
    if len(sure) < 2:
        return tuple(sure)
    found = list(best_set(sure, declared.alpha, higher_is_better=declared.higher_is_better))
    equal = [one.candidate for one in contrasts if one.verdict == "practically equal" and one.candidate in sure]
    if declared.baseline in found:
        found += [name for name in equal if name not in found]
    elif declared.baseline in sure and set(equal) & set(found):
        found += [declared.baseline]
    return tuple(found)
