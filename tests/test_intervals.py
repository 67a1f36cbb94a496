"""Intervals and verdicts: the same numbers as scipy and statsmodels, brute force, and error rates that hold in simulation."""

import math
import random
import sys
from itertools import combinations, product
from typing import get_args

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_paired

from actlab import _language, intervals
from actlab.errors import ActlabError, UsageError
from actlab.intervals import (
    Verdict,
    attainable,
    best_set,
    detectable,
    holm,
    judge,
    more_seeds,
    paired,
    sign_flip,
    tost,
    wilson,
)
from actlab.records import Attempt

# Extra hours of sleep, ten patients: Student 1908, table I.
SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
# Height of crossed less selfed plants, eighths of an inch: Darwin 1876, in Fisher 1935, section 17.
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
WORKED = {
    "sleep": SLEEP,
    "darwin": [float(one) for one in DARWIN],
    "two": [0.3, 0.5],
    "shifted": [x - 1.5 for x in SLEEP],
}


def normal(draw, count, mean=0.0):
    return [draw.gauss(mean, 1) for _ in range(count)]


def share_within(failures, trials, rate):
    """Whether so many failures are no evidence, at 1 in 1000, of a rate above."""
    return stats.binomtest(failures, trials, rate, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("name", WORKED)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_paired_is_scipys(name, confidence):
    numbers = WORKED[name]
    found, known = paired(numbers, confidence), stats.ttest_1samp(numbers, 0)
    ends = known.confidence_interval(confidence)
    assert (found.low, found.high, found.p) == pytest.approx((ends.low, ends.high, known.pvalue), rel=1e-11)
    before = [10.0 + place for place in range(len(numbers))]
    assert found.p == pytest.approx(
        stats.ttest_rel([a + b for a, b in zip(before, numbers, strict=True)], before).pvalue
    )
    assert found.count == len(numbers) and found.deviation == pytest.approx(stats.tstd(numbers))


def test_published_p_values():
    assert paired(SLEEP).p == pytest.approx(0.00283, abs=5e-6)  # Student's data, as R's t.test gives it
    assert paired(DARWIN).p == pytest.approx(0.0497, abs=5e-5)
    assert sign_flip(DARWIN) == 1726 / 2**15  # Fisher 1935, section 21: 863 of 32768 on each side


def test_no_deviation_is_exact():
    same, none = paired([0.1] * 3), paired([0.0] * 3)
    assert (same.mean, same.low, same.high, same.p, same.deviation) == (0.1, 0.1, 0.1, 0, 0)
    assert (none.mean, none.low, none.high, none.p, none.deviation) == (0, 0, 0, 1, 0)
    assert (tost([0.1] * 3, 0.2), tost([0.1] * 3, 0.1), tost([0.1] * 3, 0.05)) == (0, 1, 1)
    assert (sign_flip([0.1] * 3), sign_flip([0.0] * 3)) == (0.25, 1)
    assert more_seeds([0.1] * 3, 1) == more_seeds([0.0] * 3, 1) == 0
    words = judge({"same": [0.1] * 3, "none": [0.0] * 3, "edge": [-0.2] * 3}, 0.2)
    assert [one.verdict for one in words.values()] == ["practically equal", "practically equal", "better"]


@pytest.mark.parametrize("ps", [[0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.9], [0.02], [], [0, 1, 0.03, 0.03, 1e-9]])
def test_holm_is_statsmodels(ps):
    known = multipletests(ps, method="holm")[1].tolist() if ps else []
    assert holm(ps) == pytest.approx(known, rel=1e-12) and max(holm(ps), default=0) <= 1
    assert sorted(holm(ps[::-1])) == sorted(holm(ps))


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (5, 5), (1, 10), (3, 7), (81, 263), (10**6, 3 * 10**6)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_is_statsmodels(successes, trials, confidence):
    known = proportion_confint(successes, trials, 1 - confidence, "wilson")
    assert wilson(successes, trials, confidence) == pytest.approx(known, abs=1e-12)
    assert (wilson(0, 5)[0], wilson(5, 5)[1]) == (0, 1)


@pytest.mark.parametrize("name", WORKED)
@pytest.mark.parametrize("margin", [0.1, 1.0, 3.0, 100.0])
def test_tost_is_statsmodels(name, margin):
    numbers = WORKED[name]
    known = ttost_paired(np.array(numbers), np.zeros(len(numbers)), -margin, margin)[0]
    assert tost(numbers, margin) == pytest.approx(known, rel=1e-9)
    inside = paired(numbers, 0.9)
    assert (tost(numbers, margin) <= 0.05) == (-margin < inside.low and inside.high < margin)


@pytest.mark.parametrize("count", range(2, 13))
def test_sign_flip_is_brute_force(count):
    draw = random.Random(count)
    for numbers in (normal(draw, count, 0.5), [draw.choice([-1, 0, 1, 2]) / 10 for _ in range(count)]):
        seen = abs(sum(numbers)) - 1e-9
        flips = [
            abs(sum(s * x for s, x in zip(signs, numbers, strict=True))) for signs in product((1, -1), repeat=count)
        ]
        assert sign_flip(numbers) == sum(one >= seen for one in flips) / 2**count


def test_sign_flip_counts_ties_and_large_counts():
    assert sign_flip([0.3 - 0.2, 0.1, 0.1, -0.1]) == sign_flip([1, 1, 1, -1]) == 10 / 16
    numbers = normal(random.Random(0), 20, 0.4)
    sums = [0.0]
    for one in numbers:
        sums = [before + signed for before in sums for signed in (one, -one)]
    assert sign_flip(numbers) == sum(abs(one) >= abs(sum(numbers)) - 1e-9 for one in sums) / 2**20
    known = stats.permutation_test((DARWIN[:12],), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=2**12, vectorized=True)  # fmt: skip
    assert sign_flip(DARWIN[:12]) == known.pvalue
    assert sign_flip([1.0] * 30) == 2 / 2**30 and sign_flip([1e-300, 1e-300]) == 0.5


def power_by_integral(effect, pairs, alpha):
    """The normal given the sample's deviation, over the chi distribution of that: no noncentral t."""
    below, shift = pairs - 1, effect * math.sqrt(pairs)
    limit = stats.t.isf(alpha / 2, below) / math.sqrt(below)
    ends = stats.chi.ppf([1e-14, 1 - 1e-14], below)
    inner = lambda s: stats.chi.pdf(s, below) * (stats.norm.sf(limit * s - shift) + stats.norm.cdf(-limit * s - shift))  # noqa: E731
    return integrate.quad(inner, *ends, epsabs=1e-12, limit=200)[0]


@pytest.mark.parametrize("pairs", [2, 5, 10, 40])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 7])
def test_detectable_has_its_power(pairs, alpha):
    """With 2 to 5 pairs scipy gives nan for the tail on the wrong side; the integral does not."""
    for power in (0.5, 0.8, 0.99):
        found = detectable(2.0, pairs, power, alpha)
        assert power_by_integral(found / 2, pairs, alpha) == pytest.approx(power, abs=1e-8)
    assert detectable(0, pairs) == 0


def test_power_is_statsmodels():
    known = TTestPower().solve_power(nobs=10, alpha=0.05, power=0.8)
    assert detectable(1.0, 10) == pytest.approx(known, rel=1e-6)
    for effect in (0.02, 0.1, 0.4, 0.7, 1.0):
        numbers = [-1.0, 1.0, -1.0, 1.0]
        wanted = effect * stats.tstd(numbers)
        known = TTestPower().solve_power(effect_size=effect, alpha=0.05, power=0.8)
        assert more_seeds(numbers, wanted) == math.ceil(known) - 4


def test_the_forecast_is_the_first_count_with_the_power():
    more = more_seeds(DARWIN[:5], 20, 0.9, 0.01)
    deviation = paired(DARWIN[:5]).deviation
    assert detectable(deviation, 5 + more, 0.9, 0.01) <= 20 < detectable(deviation, 4 + more, 0.9, 0.01)
    assert more_seeds(SLEEP, 1) == 0  # a mean of 0 is ruled out
    assert more_seeds([-1.0, 1.0, -1.0, 1.0], 5) == 0  # a difference of 5 is ruled out
    assert more_seeds([-1.0, 1.0], 1e-9) == more_seeds([-1.0, 1.0], 1e-300) == 1_000_000 - 2
    assert (
        more_seeds([-1.0, 1.0], 0.1, power=0.06)
        == math.ceil(TTestPower().solve_power(0.1 / 2**0.5, alpha=0.05, power=0.06)) - 2
    )
    z = stats.norm.isf(0.025) + stats.norm.isf(0.2)
    assert more_seeds([-1.0, 1.0], 0.01) == pytest.approx(2 * (z / 0.01) ** 2, rel=1e-4)  # where t is nearly normal


def test_attainable_is_what_the_best_data_reach():
    for pairs, comparisons in product(range(2, 14), (1, 3, 7, 28)):
        best = sign_flip([1.0] * pairs)
        assert attainable(pairs, comparisons) == (holm([best] + [1.0] * (comparisons - 1))[0] <= 0.05)
    assert not attainable(5, 1) and attainable(6, 1) and not attainable(8, 7) and attainable(9, 7)
    assert attainable(5000, 10**6) and attainable(5, 1, 2 / 2**5)


def test_verdicts():
    draw = random.Random(1)
    noise = [normal(draw, 10) for _ in range(6)]
    found = judge(
        {
            "low": [x - 5 for x in noise[0]], "high": [x + 5 for x in noise[1]], "rounding": [1e-12 + 1e-14 * x for x in noise[2]],
            "same": [0.1 * x for x in noise[3]], "unknown": [4 * x for x in noise[4]],
        },
        0.5,
    )  # fmt: skip
    assert [one.verdict for one in found.values()] == [
        "better",
        "worse",
        "practically equal",
        "practically equal",
        "undecided",
    ]
    assert found["rounding"].p_adjusted < 0.05  # different for certain, and too little to matter
    assert [name for name, one in found.items() if one.more_seeds] == ["unknown"]
    assert found["low"].paired == paired([x - 5 for x in noise[0]]) and found["low"].p_sign_flip == 5 * 2 / 2**10
    other = judge({"low": [x - 5 for x in noise[0]], "high": [x + 5 for x in noise[1]]}, 0.5, higher_is_better=True)
    assert [one.verdict for one in other.values()] == ["worse", "better"]


def test_adjusted_p_values_are_holms_over_the_candidates():
    draw = random.Random(2)
    some = {name: normal(draw, 10, 0.3 * place) for place, name in enumerate("abcde")}
    found = judge(some, 0.7)
    for kind, raw in {
        "p_adjusted": [stats.ttest_1samp(one, 0).pvalue for one in some.values()],
        "p_tost": [tost(one, 0.7) for one in some.values()],
        "p_sign_flip": [sign_flip(one) for one in some.values()],
    }.items():
        assert [getattr(one, kind) for one in found.values()] == pytest.approx(
            multipletests(raw, method="holm")[1].tolist()
        )
    long = judge({"long": normal(draw, 31, 1), "short": normal(draw, 10, 3)}, 0.1)
    assert long["long"].p_sign_flip is None and long["short"].p_sign_flip == 2 * 2 / 2**10


def test_intervals_show_exactly_what_is_claimed():
    draw, seen = random.Random(11), set()
    for _ in range(200):
        places = [draw.choice([0, 0, 0.3, 1, 2]) for _ in "abcd"]
        some = {name: normal(draw, 8, place) for name, place in zip("abcd", places, strict=True)}
        for one in judge(some, 0.9).values():
            low, high = one.claimed.low, one.claimed.high
            if one.verdict == "practically equal":
                assert max(-low, high) < 0.9
            else:
                assert (low <= 0 <= high) == (one.verdict == "undecided")
            seen.add((one.verdict, round(one.confidence, 3)))
    assert len(seen) >= 8  # every word, at several steps


def test_alone_the_interval_has_the_usual_confidence():
    (one,) = judge({"a": [1.0, 1.2, 0.9, 1.1]}, 0.1).values()
    assert one.confidence == 0.95 and one.claimed == one.paired
    twins = judge({"a": [1.0, 1.2, 0.9, 1.1], "b": [1.0, 1.2, 0.9, 1.1]}, 0.1)  # names decide nothing
    assert [one.confidence for one in twins.values()] == [0.975, 0.975]


def test_undecided_by_holm_alone_asks_for_more():
    """p of 0.02 is enough for one candidate, and not beside six others."""
    alone = [1.0, 0.2, 1.5, 0.1, 0.9]
    assert judge({"a": alone}, 0.01)["a"].verdict == "worse"
    others = {str(number): [(-1.0) ** place * number for place in range(1, 7)] for number in range(1, 7)}
    found = judge({"a": alone, **others}, 0.01)["a"]
    assert found.verdict == "undecided" and found.paired.p < 0.05 < found.p_adjusted
    need = TTestPower().solve_power(effect_size=found.paired.mean / found.paired.deviation, alpha=0.05 / 7, power=0.8)
    assert found.more_seeds == math.ceil(need) - 5


def test_order_changes_nothing():
    draw = random.Random(3)
    some = {name: normal(draw, 10, 0.25 * place) for place, name in enumerate("abcdefg")}
    some["twin"] = some["c"]
    found, best = judge(some, 0.5), best_set(some)
    for _ in range(10):
        names = draw.sample(list(some), len(some))
        mixed = {name: some[name] for name in names}
        assert judge(mixed, 0.5) == found and list(judge(mixed, 0.5)) == names and best_set(mixed) == best


def test_best_set():
    draw = random.Random(4)
    seeds = normal(draw, 10)
    some = {"good": [x + 0.1 * y for x, y in zip(seeds, normal(draw, 10), strict=True)], "bad": [x + 5 for x in seeds]}
    some["twin"] = some["good"]
    assert best_set(some) == ("good", "twin") and best_set(some, higher_is_better=True) == ("bad",)
    assert best_set({"one": [1.0, 2.0]}) == ("one",)
    lost = multipletests(
        [stats.ttest_rel(some[a], some[b]).pvalue if {a, b} != {"good", "twin"} else 1.0 for a, b in combinations(some, 2)], method="holm"
    )[0]  # fmt: skip
    assert sum(lost) == 2


@pytest.fixture
def no_forecast(monkeypatch):
    """It takes most of the time and changes no word."""
    monkeypatch.setattr(intervals, "_forecast", lambda *_: 1)


def test_the_interval_covers_at_five_pairs():
    draw = random.Random(5)
    missed = 0
    for _ in range(5000):
        found = paired(normal(draw, 5, 0.7))
        missed += not found.low <= 0.7 <= found.high
    assert stats.binomtest(missed, 5000, 0.05).pvalue > 1e-3, missed / 5000


def test_equal_candidates_are_seldom_told_apart(no_forecast):
    """Seven candidates like the baseline, ten pairs: the baseline's noise is shared by all differences."""
    draw = random.Random(6)
    false = 0
    for _ in range(2000):
        base = normal(draw, 10)
        some = {name: [x - y for x, y in zip(normal(draw, 10), base, strict=True)] for name in "abcdefg"}
        false += any(one.verdict in ("better", "worse") for one in judge(some, 1e-6).values())
    assert share_within(false, 2000, 0.05), false / 2000


def test_candidates_at_the_margin_are_seldom_called_equal(no_forecast):
    draw = random.Random(7)
    false = 0
    for _ in range(1000):
        base = normal(draw, 10)
        some = {name: [x - y for x, y in zip(normal(draw, 10, 3), base, strict=True)] for name in "abcdefg"}
        false += any(one.verdict == "practically equal" for one in judge(some, 3).values())
    assert share_within(false, 1000, 0.05), false / 1000


@pytest.mark.parametrize("seeds", [5, 10])
def test_the_set_of_best_keeps_all_that_are_best(seeds):
    """Eight alike: the rule that compares with the best mean alone leaves some out in 11 % of such experiments."""
    draw = random.Random(8)
    lost = sum(len(best_set({name: normal(draw, seeds) for name in "abcdefgh"})) < 8 for _ in range(300))
    assert share_within(lost, 300, 0.05), lost / 300


def test_the_four_words_are_those_of_the_record():
    assert get_args(Verdict) == get_args(Attempt.model_fields["verdict"].annotation)


BAD = {
    "no pairs": (lambda: paired([]), "expected at least 2 pairs; got 0"),
    "one pair": (lambda: sign_flip([1.0]), "expected at least 2 pairs; got 1"),
    "nan": (lambda: paired([1.0, math.nan]), "expected finite numbers; got nan"),
    "inf": (lambda: tost([1.0, -math.inf], 1), "expected finite numbers; got -inf"),
    "too large": (lambda: paired([1.0, 1e200]), "expected finite numbers; got 1e+200"),
    "confidence": (lambda: paired([1.0, 2.0], 1), "confidence must lie in (0, 1); got 1"),
    "p": (lambda: holm([0.5, 1.5]), "p values must lie in [0, 1]; got 1.5"),
    "p nan": (lambda: holm([math.nan]), "p values must lie in [0, 1]; got nan"),
    "no trial": (lambda: wilson(0, 0), "expected at least 1 trial, and successes among them; got 0 of 0"),
    "successes": (lambda: wilson(6, 5), "expected at least 1 trial, and successes among them; got 6 of 5"),
    "share confidence": (lambda: wilson(1, 5, 0), "confidence must lie in (0, 1); got 0"),
    "margin": (lambda: tost([1.0, 2.0], 0), "margin must lie in (0, inf); got 0"),
    "flips": (lambda: sign_flip([1.0] * 31), "all flips of signs can be counted for at most 30 pairs; got 31"),
    "wanted": (lambda: more_seeds([1.0, 2.0], -1), "wanted must lie in (0, inf); got -1"),
    "power": (lambda: more_seeds([1.0, 2.0], 1, 0.01), "power must lie in (0.05, 1); got 0.01"),
    "alpha": (lambda: more_seeds([1.0, 2.0], 1, alpha=math.nan), "alpha must lie in (0, 1); got nan"),
    "comparisons": (lambda: attainable(5, 0), "expected at least 1 pair and 1 comparison; got 5 and 0"),
    "attainable alpha": (lambda: attainable(5, 1, 0), "alpha must lie in (0, 1); got 0"),
    "deviation": (lambda: detectable(-1, 5), "expected at least 2 pairs and a deviation in [0, 1e+150]; got 5 and -1"),
    "detectable power": (lambda: detectable(1, 5, 1), "power must lie in (0.05, 1); got 1"),
    "no candidate": (lambda: judge({}, 1), "expected at least 1 candidate; got none"),
    "judged margin": (lambda: judge({"a": [1, 2]}, math.inf), "margin must lie in (0, inf); got inf"),
    "whose": (lambda: judge({"a": [1, 2], "gelu": [1, math.nan]}, 1), "gelu: expected finite numbers; got nan"),
    "nobody": (lambda: best_set({}), "expected at least 1 candidate; got none"),
    "whose score": (lambda: best_set({"gelu": [1]}), "gelu: expected at least 2 pairs; got 1"),
    "seeds": (
        lambda: best_set({"b": [1, 2, 3], "a": [1, 2], "c": [1, 2]}),
        "expected a score of every candidate for every seed; got 2 of 'a' and 3 of 'b'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(name):
    call, words = BAD[name]
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == words
    _language.choose("zh")
    with pytest.raises(UsageError, match=r"[\u4e00-\u9fff]"):
        call()


def test_without_scipy_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(ActlabError) as caught:
        intervals.paired([1.0, 2.0])
    assert str(caught.value) == "intervals need scipy, which is not installed; run: pip install 'actlab[sequences]'"
