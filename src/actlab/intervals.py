"""What paired runs show: intervals, tests, and the four words of a verdict.

Differences are one a pair of runs that share a seed; means and intervals are in their unit. ActlabError is raised without scipy.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import combinations, count
from math import inf, isnan, sqrt
from statistics import NormalDist, mean, stdev
from typing import Any, Literal, NoReturn

from ._language import say
from .errors import ActlabError, UsageError

Verdict = Literal["better", "worse", "practically equal", "undecided"]

_LARGEST = 1e150  # whose square does not overflow: larger ones are taken for infinite
_FLIPPED = 30  # pairs at most: two lists of 2^15 sums
_MOST = 1_000_000  # pairs that a forecast goes up to: as good as never


@dataclass(frozen=True)
class Paired:
    """Mean of paired differences with its interval; `p` is two-sided, against a mean of 0."""

    mean: float
    low: float
    high: float
    p: float
    count: int
    deviation: float  # of the differences: n - 1 below


def paired(differences: Sequence[float], confidence: float = 0.95) -> Paired:
    """Student's paired t.

    Where all differences are the same number, the interval has no width and `p` is 1 for a mean of 0, else 0.
    Raises UsageError for fewer than 2 differences or one that is not finite. Source: Student 1908, Biometrika 6:1.
    """
    _inside("confidence", confidence, 0, 1)
    return _paired(_numbers(differences), confidence)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p values in the order given: those at most alpha may be claimed together.

    A false claim among them all has a probability of at most alpha, however the tests depend on each other.
    Raises UsageError for one outside [0, 1]. Source: Holm 1979, Scandinavian Journal of Statistics 6:65, step down.
    """
    for p in ps:
        if not 0 <= p <= 1:
            _refuse(f"p values must lie in [0, 1]; got {p}", f"p 值必须在 [0, 1] 内；得到 {p}")
    adjusted, floor = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        floor = adjusted[place] = max(floor, min(1.0, (len(ps) - rank) * float(ps[place])))
    return adjusted


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Low and high end of the interval of a share, in [0, 1]; it has width at 0 and at all of `trials` too.

    Raises UsageError for no trials, or successes outside [0, trials]. Source: Wilson 1927, JASA 22:209.
    """
    _inside("confidence", confidence, 0, 1)
    if trials < 1 or not 0 <= successes <= trials:
        _refuse(f"expected at least 1 trial, and successes among them; got {successes} of {trials}", f"至少需要 1 次试验，且成功次数不超过它；得到 {trials} 次中 {successes} 次")  # fmt: skip
    z, share = NormalDist().inv_cdf((1 + confidence) / 2), successes / trials
    middle = (successes + z * z / 2) / (trials + z * z)
    half = z * sqrt(trials * share * (1 - share) + z * z / 4) / (trials + z * z)
    return 0.0 if successes == 0 else middle - half, 1.0 if successes == trials else middle + half


def tost(differences: Sequence[float], margin: float) -> float:
    """p of two one-sided t tests: small where the mean lies between -margin and margin.

    At most alpha exactly where the paired interval of confidence 1 - 2 alpha lies inside the margin, which is in the unit of the
    differences. Raises UsageError as `paired` does, and for a margin that is not positive.
    Source: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15:657.
    """
    _inside("margin", margin, 0, inf)
    return _tost(_paired(_numbers(differences), 0.95), margin)


def sign_flip(differences: Sequence[float]) -> float:
    """Exact two-sided p: the share of all 2^n flips of signs whose mean is at least as far from 0; for 2 to 30 pairs.

    Ties count, also those that only rounding breaks, to 1e-12 of the sum of sizes. Assumes no shape, only that a difference is as likely
    as its negative; never below 2 / 2^n. Raises UsageError as `paired` does, and for more pairs.
    Source: Fisher 1935, The Design of Experiments, section 21.
    """
    numbers = _numbers(differences)
    if len(numbers) > _FLIPPED:
        _refuse(f"all flips of signs can be counted for at most {_FLIPPED} pairs; got {len(numbers)}", f"最多只能穷举 {_FLIPPED} 对的符号翻转；得到 {len(numbers)} 对")  # fmt: skip
    far = abs(sum(numbers)) - 1e-12 * sum(map(abs, numbers))
    if far <= 0:
        return 1.0
    half = len(numbers) // 2
    others = sorted(_sums(numbers[half:]))
    above = sum(len(others) - bisect_left(others, far - one) for one in _sums(numbers[:half]))
    return 2 * above / 2 ** len(numbers)  # as many lie below -far


def more_seeds(differences: Sequence[float], wanted: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """About how many more pairs would decide a true difference of `wanted` by the paired t with that power; a million at most.

    0 if it is decided already: a mean of 0, or a difference of `wanted`, is ruled out at `alpha`. A forecast from the deviation seen,
    which five pairs give within a factor of 0.6 to 2.9 (95 %), so that the number of pairs may be off by the square of that.
    Raises UsageError as `paired` does, and for a `wanted`, `power` or `alpha` out of range. Source: the noncentral t, by scipy.
    """
    _inside("wanted", wanted, 0, inf)
    _inside("alpha", alpha, 0, 1)
    _inside("power", power, alpha, 1)
    found = _paired(_numbers(differences), 1 - alpha)
    decided = found.p <= alpha or _tost(found, wanted) <= alpha
    return 0 if decided else _forecast(found, wanted, power, alpha)


def attainable(pairs: int, comparisons: int, alpha: float = 0.05) -> bool:
    """Whether any data of so many pairs could pass the exact sign flip at the first step of Holm: 2 / 2^pairs <= alpha / comparisons.

    Raises UsageError for counts below 1. Five pairs never reach 0.05; seven comparisons need nine.
    """
    _inside("alpha", alpha, 0, 1)
    if pairs < 1 or comparisons < 1:
        _refuse(f"expected at least 1 pair and 1 comparison; got {pairs} and {comparisons}", f"至少需要 1 对和 1 个比较；得到 {pairs} 和 {comparisons}")  # fmt: skip
    return 2 * comparisons / alpha <= 2**pairs


def detectable(deviation: float, pairs: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest true difference that the paired t finds with that power, in the unit of the deviation of the differences.

    For several comparisons give alpha / comparisons: Holm's first step. Raises UsageError for fewer than 2 pairs, and for a deviation,
    `power` or `alpha` out of range. Source: the noncentral t, by scipy.
    """
    _inside("alpha", alpha, 0, 1)
    _inside("power", power, alpha, 1)
    if pairs < 2 or not 0 <= deviation <= _LARGEST:
        _refuse(f"expected at least 2 pairs and a deviation in [0, {_LARGEST}]; got {pairs} and {deviation}", f"至少需要 2 对，且标准差在 [0, {_LARGEST}] 内；得到 {pairs} 和 {deviation}")  # fmt: skip
    high = next(2.0**step for step in count() if _power(2.0**step, pairs, alpha) >= power)
    return deviation * float(_scipy("optimize").brentq(lambda effect: _power(effect, pairs, alpha) - power, 0, high))


@dataclass(frozen=True)
class Judged:
    """A candidate against the baseline. The three p values below are Holm's, over all candidates: each is to be read beside alpha."""

    paired: Paired  # of this candidate alone: its p is not adjusted and its interval has confidence 1 - alpha
    claimed: Paired  # the same with the interval that shows the verdict, of that `confidence`
    confidence: float
    p_adjusted: float
    p_tost: float
    p_sign_flip: float | None  # a cross-check that decides nothing; None beyond 30 pairs
    verdict: Verdict
    more_seeds: int  # 0 unless undecided


def judge(
    differences: Mapping[str, Sequence[float]], margin: float, alpha: float = 0.05, *, higher_is_better: bool = False
) -> dict[str, Judged]:
    """The verdict on every candidate, from its differences to one baseline: candidate minus baseline, of a metric where lower is better.

    "practically equal": `tost` shows that the difference lies inside `margin`, the smallest one of interest. It goes before "better" and
    "worse", which the paired t decides, so that a difference too small to matter, as of two roundings of one function, wins nothing. Else
    "undecided", with a forecast for the larger of the mean seen and the margin, at alpha over the number that the t has not decided.

    Holm goes over all candidates, for the t tests and again for the tests of equivalence, because "better" and "equal" are two kinds of
    claims that are read apart: of each kind, a false one among all candidates has a probability of at most alpha. The interval `claimed`
    is that of the step at which Holm looked at the candidate, alpha over the number of candidates then left: it leaves out 0 for "better" and
    "worse" and holds it for "undecided". For "practically equal" it is that of the tests of equivalence, and lies inside the margin.
    Raises UsageError as `paired` does, for no candidate, and for a margin that is not positive.
    """
    _inside("margin", margin, 0, inf)
    _inside("alpha", alpha, 0, 1)
    numbers = _named(differences)
    found = {name: _paired(numbers[name], 1 - alpha) for name in numbers}
    alone = {name: one.p for name, one in found.items()}, {name: _tost(one, margin) for name, one in found.items()}
    different, equal = (dict(zip(found, holm(list(ps.values())), strict=True)) for ps in alone)
    steps, equal_steps = (_steps(ps, found, alpha) for ps, found in zip(alone, (different, equal), strict=True))
    # One beyond 30 pairs takes its place in Holm as if it showed nothing.
    flips = dict(zip(found, holm([sign_flip(s) if len(s) <= _FLIPPED else 1.0 for s in numbers.values()]), strict=True))
    left = sum(p > alpha for p in different.values())
    judged: dict[str, Judged] = {}
    for name, one in found.items():
        flip = flips[name] if one.count <= _FLIPPED else None
        word, more = "undecided", 0
        if equal[name] <= alpha:
            word = "practically equal"
        elif different[name] <= alpha:
            word = "better" if (one.mean > 0) == higher_is_better else "worse"
        else:
            more = _forecast(one, max(abs(one.mean), margin), 0.8, alpha / left)
        confidence = 1 - (2 * equal_steps[name] if word == "practically equal" else steps[name])
        claimed = _paired(numbers[name], confidence)
        judged[name] = Judged(one, claimed, confidence, different[name], equal[name], flip, word, more)
    return judged


def best_set(
    scores: Mapping[str, Sequence[float]], alpha: float = 0.05, *, higher_is_better: bool = False
) -> tuple[str, ...]:
    """Who may be the best: all candidates that no other one beats significantly, the best mean first.

    `scores` hold one number a seed, the same seeds for all. With a probability of at least 1 - alpha, none of those that are truly best is
    left out; others may stay in for want of evidence. For this, Holm goes over all pairs of candidates. Holm over the comparisons with the
    best mean alone promises less, because the data chose the reference: with 8 equal candidates and 10 seeds, simulated 4000 times, it
    leaves some out in 11 %, this rule in 4.8 %. Hsu's comparisons with the best (1981, Annals of Statistics 9:1026) keep any one of the
    best in, not all of them together. Raises UsageError as `paired` does, for no candidate, and where the numbers of seeds differ.
    """
    _inside("alpha", alpha, 0, 1)
    numbers = _named(scores)
    counts = {len(numbers[name]): name for name in sorted(numbers, reverse=True)}
    if len(counts) > 1:
        (a, first), (b, second) = sorted(counts.items())[:2]
        _refuse(f"expected a score of every candidate for every seed; got {a} of '{first}' and {b} of '{second}'", f"每个候选每个种子都需要一个分数；“{first}”有 {a} 个，“{second}”有 {b} 个")  # fmt: skip
    found = {
        (a, b): _paired([x - y for x, y in zip(numbers[a], numbers[b], strict=True)], 1 - alpha)
        for a, b in combinations(sorted(numbers), 2)
    }
    claimed = dict(zip(found, holm([one.p for one in found.values()]), strict=True))
    beaten = {a if (found[a, b].mean < 0) == higher_is_better else b for a, b in found if claimed[a, b] <= alpha}
    middle = {name: mean(some) * (-1 if higher_is_better else 1) for name, some in numbers.items()}
    return tuple(sorted(set(numbers) - beaten, key=lambda name: (middle[name], name)))


def _steps(ps: Mapping[str, float], adjusted: Mapping[str, float], alpha: float) -> dict[str, float]:
    """What Holm compares each p with: alpha over those left, which are those not below it; whoever fails shares the step of the first that does."""
    left = sum(p > alpha for p in adjusted.values())
    return {
        name: alpha / (left if adjusted[name] > alpha else sum(other >= p for other in ps.values()))
        for name, p in ps.items()
    }


def _paired(numbers: list[float], confidence: float) -> Paired:
    pairs, middle, deviation = len(numbers), mean(numbers), stdev(numbers)  # exact: the same number twice deviates by 0
    special = _scipy("special")
    if not deviation:
        return Paired(middle, middle, middle, float(middle == 0), pairs, 0.0)
    half = -float(special.stdtrit(pairs - 1, (1 - confidence) / 2)) * deviation / sqrt(pairs)
    p = 2 * float(special.stdtr(pairs - 1, -abs(middle) / deviation * sqrt(pairs)))
    return Paired(middle, middle - half, middle + half, p, pairs, deviation)


def _tost(found: Paired, margin: float) -> float:
    inside = margin - abs(found.mean)
    if not found.deviation:
        return float(inside <= 0)
    return float(_scipy("special").stdtr(found.count - 1, -inside / found.deviation * sqrt(found.count)))


def _sums(numbers: list[float]) -> list[float]:
    sums = [0.0]
    for number in numbers:
        sums = [one + signed for one in sums for signed in (number, -number)]
    return sums


def _power(effect: float, pairs: int, alpha: float) -> float:
    """Of the two-sided paired t; `effect` is the true mean over the deviation, at least 0."""
    nct, shift = _scipy("stats").nct, effect * sqrt(pairs)
    limit = -float(_scipy("special").stdtrit(pairs - 1, alpha / 2))
    wrong = float(nct.cdf(-limit, pairs - 1, shift)) if shift < 6 else 0.0  # of the other sign: below 1e-9 from there
    return float(nct.sf(limit, pairs - 1, shift)) + (0.0 if isnan(wrong) else wrong)  # scipy 1.17: nan for nearly 0


def _forecast(found: Paired, wanted: float, power: float, alpha: float) -> int:
    """Pairs beyond those seen, at least 1; power grows with pairs. What does not deviate is decided, and never comes here."""
    effect, z = wanted / found.deviation, NormalDist().inv_cdf(1 - alpha / 2)
    # Begins near the answer: Guenther 1981, The American Statistician 35:243.
    near = min((z + NormalDist().inv_cdf(power)) / effect, sqrt(_MOST)) ** 2 + z * z / 2
    low = max(found.count, min(int(near), _MOST) - 1)
    low = found.count if low < _MOST - 1 and _power(effect, low, alpha) >= power else low
    high = low + 1
    while high < _MOST and _power(effect, high, alpha) < power:
        low, high = high, high + 2 * (high - low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(effect, middle, alpha) >= power else (middle, high)
    return max(1, min(high, _MOST) - found.count)


def _numbers(values: Sequence[float], whose: str = "") -> list[float]:
    numbers = [float(one) for one in values]
    if len(numbers) < 2:
        _refuse(f"{whose}expected at least 2 pairs; got {len(numbers)}", f"{whose}至少需要 2 对；得到 {len(numbers)}")
    for one in numbers:
        if not abs(one) <= _LARGEST:
            _refuse(f"{whose}expected finite numbers; got {one}", f"{whose}需要有限的数；得到 {one}")
    return numbers


def _named(lists: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    if not lists:
        _refuse("expected at least 1 candidate; got none", "至少需要 1 个候选；一个也没有")
    return {name: _numbers(lists[name], f"{name}: ") for name in lists}


def _inside(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        _refuse(f"{name} must lie in ({low}, {high}); got {value}", f"{name} 必须在 ({low}, {high}) 内；得到 {value}")


def _refuse(en: str, zh: str) -> NoReturn:
    raise UsageError(say(en, zh))


def _scipy(part: str) -> Any:
    try:
        return import_module(f"scipy.{part}")
    except ImportError:
        raise ActlabError(say("intervals need scipy, which is not installed; run: pip install 'actlab[sequences]'", "区间估计需要 scipy；请运行：pip install 'actlab[sequences]'")) from None  # fmt: skip
