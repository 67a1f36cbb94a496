"""The page of a comparison: what it says is what the record holds, and no record stops it."""

import csv
import io
import re
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from actlab import _language, report
from actlab import _plot_comparison as plots
from actlab._report_comparison import comparison_sections, rows
from actlab.comparison import wording
from actlab.comparison.protocol import Job, compare
from actlab.intervals import wilson
from actlab.records import Comparison, Costs, Declaration, Trial
from test_report import Words
from test_report_browser import CHROMIUM, CLIPPED, PICTURES, sync_playwright
from test_report_runs import HOSTILE

EIGHT = ("relu", "gelu", "silu", "elu", "tanh", "sigmoid", "identity", "a_rather_long_name_of_my_own.py:activation")


@pytest.fixture(autouse=True)
def english():
    _language.choose("en")
    yield
    _language.choose(None)


def made(
    effects: dict[str, float], *, noise: float = 0.004, own: float = 0.002, part: Any = "test", diverges: Callable[[Job], bool] = lambda job: False,
    edge: Sequence[str] = (), points: int = 6, level: float = 0.9, **declared: Any,
) -> Comparison:  # fmt: skip
    """What the protocol concludes where each candidate's values are the seed's, plus its effect, plus its own noise."""
    names = tuple(effects)
    sign = -1 if declared.get("metric") == "loss" else 1

    def train(jobs: Sequence[Job]) -> list[Trial]:
        trials = []
        for job in jobs:
            value = level + sign * effects[job.candidate] + noise * Random(job.seed).gauss(0, 1) + own * Random(f"{job.candidate}{job.seed}").gauss(0, 1)  # fmt: skip
            if job.stage == "tuning":
                away = job.rate / 10 if job.candidate in edge else -abs(job.rate - 0.01)
                value += sign * away
            lost = diverges(job)
            curve = tuple((10 * k, 2.0**-k + 0.1 * Random(job.seed + k).random()) for k in range(1, points + 1))
            trials.append(Trial(candidate=job.candidate, rate=job.rate, seed=job.seed, stage=job.stage, value=0.1 if lost else value, diverged=lost, curve=() if lost else curve))  # fmt: skip
        return trials

    return compare(Declaration(**{"target": "lenet", "candidates": names, "baseline": names[0]} | declared), train, part=part)  # fmt: skip


def some_diverge(job: Job) -> bool:
    return job.candidate == "gelu" and job.seed in (3002, 3005)


KINDS: dict[str, Callable[[], Comparison]] = {
    "planted": lambda: made({"relu": 0, "gelu": 0.02, "silu": 0.0, "tanh": -0.3}),
    "undecided": lambda: made({"relu": 0, "gelu": 0.002, "tanh": 0.001}, own=0.02),
    "empty": lambda: made({"relu": 0, "gelu": 0.02, "tanh": -0.02}, edge=("relu", "gelu", "tanh")),
    "edge": lambda: made({"relu": 0, "gelu": 0.02, "tanh": -0.02}, edge=("gelu",)),
    "diverged": lambda: made({"relu": 0, "gelu": 0.02}, diverges=lambda job: True),
    "some diverged": lambda: made({"relu": 0, "gelu": 0.02}, diverges=some_diverge, plan={"settings": {"optimizer": "sgd", "momentum": 0.9, "ema": None}}),
    "baseline best": lambda: made({"relu": 0.05, "gelu": 0, "tanh": 0}),
    "equal": lambda: made({"relu": 0, "gelu": 0.0, "tanh": 0.0}, own=0.0005),
    "same": lambda: made({"relu": 0, "gelu": 0.0}, own=0.0, points=0),
    "validation": lambda: made({"relu": 0, "gelu": 0.02, "silu": 0.019}, part="validation"),
    "validation winner": lambda: made({"relu": 0, "gelu": 0.02}, part="validation"),
    "loss": lambda: made({"relu": 0, "gelu": 0.3, "tanh": -40.0}, metric="loss", level=1.5, noise=0.01, margin=0.02),
    "eight": lambda: made({name: -0.01 * place for place, name in enumerate(EIGHT)}, finalists=7, points=1, part="validation"),
    "hostile": lambda: made({name: 0.01 * place for place, name in enumerate((*HOSTILE, "a\x01b\nc"))}, target=HOSTILE[0], plan={"data": {"source": HOSTILE[1]}, "settings": {"optimizer": HOSTILE[2]}}),
}  # fmt: skip


@cache
def made_kind(kind: str) -> Comparison:
    return KINDS[kind]()


@cache
def page_of(kind: str) -> str:
    """The page, written without a warning."""
    found = made_kind(kind)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        path = report.write_comparison(
            found, Path(folder) / "comparison.html", Costs(seconds_per_step={found.declaration.baseline: 0.0012})
        )
        return path.read_text(encoding="utf-8")


# Of the others only sentences differ.
DRAWN = ("empty", "diverged", "some diverged", "same", "loss", "eight", "hostile")


@pytest.mark.parametrize("kind", DRAWN)
def test_every_kind_gives_a_well_formed_page_without_a_warning(kind: str):
    found, page = made_kind(kind), Words(page_of(kind), "en")
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        if label := attributes.get("aria-labelledby"):
            assert label in ids
        if tag in ("img", "script", "iframe", "link"):
            assert (attributes.get("src") or attributes.get("href") or "data:").startswith("data:")
        assert not [name for name in attributes if name.startswith("on")]
        assert not (attributes.get("href") or "#").startswith("http")
    chinese = Words(page_of(kind), "zh")
    for title, translated in (("What is claimed", "结论所依据的区间"), ("Declaration", "声明"), ("Screening", "初筛")):
        assert title in str(page)
        assert translated in str(chinese)
        assert title not in str(chinese)
    for text in _sentences(found):
        assert _plain(text.en) in str(page)
        assert _plain(text.zh) in str(chinese)


def _sentences(found: Comparison) -> list[wording.Pair]:
    said = [wording.sentence(found, one) for one in found.contrasts]
    return [wording.headline(found), wording.scope(found), *said, *wording.edges(found), *wording.divergences(found)]


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "hostile"])
def test_every_number_of_a_sentence_is_the_record_s(kind: str):
    found = made_kind(kind)
    digits = wording.places(found)
    declared = found.declaration
    for one in found.contrasts:
        base = [trial.value for trial in found.trials if trial.candidate == declared.baseline and trial.stage == "confirmation"]  # fmt: skip
        means = [one.mean, sum(base) / len(base)]
        means = means[::-1] if one.verdict == "worse" else means
        ends = [wording.signed(one.low, digits), wording.signed(one.high, digits)]
        wanted = [f"{mean:.{digits}f}" for mean in means]
        for text in wording.sentence(found, one):
            text = text.replace(one.candidate, "").replace(declared.baseline, "")
            numbers = re.findall(r"[-+±]?\d+(?:,\d{3})*(?:\.\d+)?", text)
            expected = [f"±{declared.margin:g}"] * (one.verdict == "practically equal")
            gone = wording.all_diverged(found, [one.candidate, declared.baseline])
            expected += [f"{one.more_seeds:,}"] * (
                one.verdict == "undecided" and one.p_adjusted > declared.alpha and not gone
            )
            expected += wanted
            expected += [wording.signed(one.difference, digits)]
            expected += [f"{100 * one.confidence:.4g}", *ends, "10"]
            ps = {"better": [one.p_adjusted], "worse": [one.p_adjusted], "practically equal": [one.p_equal]}
            expected += ["0.001" if p < 0.001 else f"{p:.2g}" for p in ps.get(one.verdict, [one.p_adjusted, one.p_equal])]  # fmt: skip
            assert numbers == expected
        for written, number in zip(ends, (one.low, one.high), strict=True):
            assert float(written) == pytest.approx(number, abs=0.5000001 * 10**-digits)


def test_the_scope_names_every_network_that_was_compared():
    found = made({"lenet": 0, "my.py:net": 0.01}, factor="model", plan={"data": {"source": "sample"}})
    assert wording.scope(found).en.startswith("This holds for lenet and my.py:net on sample, ")
    assert wording.scope(made_kind("same")).zh.startswith("适用范围：lenet，")


def test_digits_follow_the_narrowest_interval_and_zero_has_no_sign():
    found = made_kind("planted")
    one = found.contrasts[0]

    def with_ends(low: float, high: float) -> int:
        changed = one.model_copy(update={"low": low, "high": high, "difference": (low + high) / 2})
        return wording.places(found.model_copy(update={"contrasts": (changed,)}))

    assert with_ends(0.01, 0.09) == 3
    assert with_ends(0.0101, 0.0125) == 4
    assert with_ends(0.0, 0.0) == 3
    assert with_ends(0.0000131, 0.09) == 5  # else its low end would read as 0
    assert wording.signed(-1e-9, 3) == "0.000"
    assert wording.signed(-0.0042, 3) == "-0.004"
    assert wording.plain(-1e-9, 3) == "0.000"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("planted", "Set of best: gelu alone"),
        ("undecided", "Nothing could be decided: BEST may each be the best; about"),
        (
            "empty",
            "Set of best: empty, because whoever could belong to it cannot win: its learning rate lies at the edge",
        ),
        (
            "edge",
            "Set of best: BEST; cannot win, because a learning rate lies at the edge of its grid or most trainings diverged: gelu",
        ),
        ("diverged", "Nothing could be decided: every training of the confirmation diverged"),
        ("baseline best", "Set of best: relu alone"),
        ("equal", "Set of best: all that were confirmed; gelu and tanh practically equal to relu, within ±0.005"),
        ("validation", "Validation winners (set of best): BEST"),
        ("validation winner", "Validation winner: gelu"),
        ("loss", "Set of best: gelu alone"),
    ],
)
def test_headline(kind: str, said: str):
    found = made_kind(kind)
    said = said.replace("BEST", wording.listed(found.best).en)
    assert wording.headline(found).en.startswith(said)
    if kind in ("undecided", "validation"):
        assert len(found.best) == {"undecided": 3, "validation": 2}[kind]


def test_verdict_words():
    found = made_kind("planted")
    said = {one.candidate: wording.sentence(found, one) for one in found.contrasts}
    assert said["gelu"].en.startswith("gelu better than relu: test accuracy 0.")
    assert said["gelu"].zh.startswith("gelu 优于 relu：测试准确率 0.")
    assert said["tanh"].en.startswith("relu better than tanh: ")
    found = made_kind("edge")
    first = wording.sentence(found, found.contrasts[0])
    assert first.en.startswith("gelu against relu undecided, because the learning rate of gelu lies at the edge of its grid: ")  # fmt: skip
    assert [one.en for one in wording.edges(found)] == ["gelu: its best learning rate 31.6 lies at the edge of its grid (0.000316 to 31.6), which was extended twice; it cannot win"]  # fmt: skip
    assert "scored on validation data" in wording.scope(made_kind("validation")).en
    lost = made_kind("diverged")
    assert "every training of both diverged" in wording.sentence(lost, lost.contrasts[0]).en


def test_divergences_have_their_wilson_interval():
    found = made_kind("some diverged")
    low, high = wilson(2, 10)
    assert [one.en for one in wording.divergences(found)] == [f"gelu: 2 of 10 trainings of the confirmation diverged, a rate of 0.200 (95 % Wilson interval {low:.3f} to {high:.3f}); they count at chance level"]  # fmt: skip
    assert (low, high) == (found.contrasts[0].diverged_low, found.contrasts[0].diverged_high)
    assert wording.divergences(made_kind("planted"))[0].en.startswith(
        "No training of the confirmation diverged: 0 of 10"
    )


def test_hostile_names_stay_text():
    words = Words(page_of("hostile"), "en")
    assert [attributes for tag, attributes in words.tags if tag == "script"] == [{}]
    assert not [attributes for _, attributes in words.tags if any(name.startswith("on") for name in attributes)]
    for name in HOSTILE:
        assert _plain(name) in str(words)


def test_rows_are_the_trials():
    found = made_kind("some diverged")
    listed = rows(found)
    assert len(listed) == len(found.trials)
    assert list(listed[0]) == ["candidate", "stage", "rate", "seed", "value", "diverged"]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, listed[0])
    writer.writeheader()
    writer.writerows(listed)
    again = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [float(row["value"]) for row in again] == [one.value for one in found.trials]
    assert sum(row["diverged"] == "True" for row in again) == 2 * 2, "at both rates"


def test_costs_are_shown_where_known_and_change_nothing_else():
    found = made_kind("same")
    known = Costs(seconds_per_step={"relu": 0.002, "gelu": 0.003}, bytes_kept={"relu": 1_500_000, "gelu": 3_000_000})
    with_, without = (comparison_sections(found, costs) for costs in (known, Costs()))
    assert "2 ms" in "".join(with_) and "1.5 MB" in "".join(with_)
    assert "1.50" in "".join(with_)
    assert "Not measured" in "".join(without)
    assert sum(a != b for a, b in zip(without, with_, strict=True)) == 1


def test_the_whole_declaration_is_there():
    found, words = made_kind("some diverged"), str(Words(page_of("some diverged"), "en"))
    for value in (*found.declaration.confirmation_seeds, "momentum = 0.9", "lenet", 'candidates = [ "relu", "gelu", ]'):
        assert str(value) in words
    assert "Exploratory" in words


def test_record_read_from_its_file_gives_the_same_page(tmp_path: Path):
    found = made_kind("same")
    again = Comparison.model_validate_json(found.model_dump_json())
    path = report.write_comparison(again, tmp_path / "comparison.html", Costs(seconds_per_step={"relu": 0.0012}))
    assert path.read_text(encoding="utf-8") == page_of("same")


def test_pictures_show_what_is_claimed():
    from matplotlib.figure import Figure

    found = made_kind("planted")
    axes = Figure().add_subplot()
    plots.draw_intervals(axes, found)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gelu", "silu", "tanh"]
    drawn = [np.asarray(line.get_xdata()).tolist() for line in axes.lines]
    for one in found.contrasts:
        assert [one.low, one.high] in drawn
        assert [one.difference] in drawn
    assert axes.patches[0].get_extents().transformed(axes.transData.inverted()).intervalx == pytest.approx([-0.005, 0.005])  # fmt: skip
    reach = plots.near(found)
    assert reach is not None
    assert reach < 0.1
    assert plots.near(made_kind("undecided")) is None
    for name, band in plots.bands(found).items():
        losses = [dict(one.curve)[10] for one in found.trials if one.candidate == name and one.stage == "confirmation"]
        assert band[0] == (10, pytest.approx(sum(losses) / 10), min(losses), max(losses))


def test_names_are_cut_by_their_width():
    assert plots.cut("a" * 18) == "a" * 18
    assert plots.cut("a" * 19) == "a" * 17 + "…"
    assert plots.cut("激" * 10) == "激" * 8 + "…"
    assert plots.cut("a\x01b\nc") == "a b c"


@pytest.mark.browser
@pytest.mark.skipif(sync_playwright is None or not Path(CHROMIUM).exists(), reason="no browser")
def test_page_is_whole_in_a_browser(tmp_path: Path):
    assert sync_playwright is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for kind, width in (("eight", 1280), ("hostile", 390), ("loss", 390)):
            page = browser.new_context(offline=True, viewport={"width": width, "height": 800}).new_page()
            complaints: list[str] = []
            page.on("console", lambda message, to=complaints: to.append(message.text))
            page.on("pageerror", lambda error, to=complaints: to.append(str(error)))
            file = tmp_path / f"{kind}.html"
            file.write_text(page_of(kind), encoding="utf-8")
            page.goto(file.as_uri())
            for button, shown in (("English", "What is claimed"), ("中文", "结论所依据的区间")):
                page.get_by_role("button", name=button).click()
                assert shown in page.inner_text("main")
                assert [name for visible, name in page.evaluate(PICTURES) if not visible] == []
                assert page.evaluate(CLIPPED) == []
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert complaints == []
        browser.close()
