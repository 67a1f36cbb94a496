"""Several comparisons on one page: it says what each record says, and claims nothing over them together."""

import csv
import json
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actlab import _plot_comparisons as plots
from actlab import report
from actlab._report_comparisons import comparisons_sections
from actlab.comparison import joined, wording
from actlab.comparison.joined import Given, Joined
from actlab.records import Comparison, Costs
from test_report import Words
from test_report_browser import CHROMIUM, CLIPPED, PICTURES, sync_playwright
from test_report_comparison import made, made_kind
from test_report_runs import HOSTILE

LONG = "a_rather_long_name_of_my_own_that_has_no_end.py:activation"


@cache
def subject(kind: str) -> Comparison:
    """Comparisons of several subjects, with one candidate too few, another baseline, another metric, or odd names."""
    lenet = {"plan": {"data": {"source": "fashion-mnist"}}}
    effects = {"relu": 0, "gelu": 0.02, "hard_swish": 0.01, "tanh": -0.02, "elu": -0.05}
    return {
        "lenet": lambda: made(effects, points=1, **lenet),
        "mlp": lambda: made({"relu": 0, "gelu": 0.02, "hardswish": 0.0, "tanh": -0.02}, target="mlp", points=1, finalists=2, **lenet),
        "loss": lambda: made({"gelu": 0, "relu": 0.3, "tanh": -40.0}, target="mlp", metric="loss", level=1.5, noise=0.01, margin=0.02),
        "series": lambda: made({"relu": 0, "gelu": 0.1}, target="forecasting", metric="loss", margin=0.02, plan={"data": {"source": "sunspots", "task": "series"}}),
        "odd": lambda: made({name: 0.01 * place for place, name in enumerate((*HOSTILE, LONG, "我的激活函数"))}, target=HOSTILE[0], plan={"data": {"source": HOSTILE[1]}}),
        "init": lambda: made({"he": 0, "xavier": 0.01}, factor="init", points=0),
    }[kind]()  # fmt: skip


def together(*found: Comparison, **costs: Any) -> Joined:
    return Joined(tuple(Given(one, Costs(**costs), f"f{number}") for number, one in enumerate(found)))


def saved(folder: Path, *kinds: str) -> list[Path]:
    """Folders as `actlab compare` leaves them, in so far as the page reads them."""
    for kind in kinds:
        (folder / kind).mkdir()
        (folder / kind / "comparison.json").write_text(subject(kind).model_dump_json(), encoding="utf-8")
    return [folder / kind for kind in kinds]


def test_entries_say_what_the_records_say():
    both = together(subject("lenet"), subject("mlp"))
    for number, found in enumerate(both.found, 1):
        for one in found.contrasts:
            entry = both.by_place[
                "hard_swish = hardswish" if one.candidate in ("hard_swish", "hardswish") else one.candidate, number
            ]
            assert (entry.standing, entry.difference, entry.low, entry.high) == (one.verdict, one.difference, one.low, one.high)  # fmt: skip
            assert entry.best == (one.candidate in found.best)
            assert found.screened[(entry.rank or 0) - 1][0] == one.candidate
    base = both.by_place["relu", 1]
    assert (base.standing, base.difference) == ("baseline", None)
    assert base.mean == pytest.approx(wording.baseline_mean(subject("lenet")))
    out = both.by_place["elu", 1]
    assert (out.standing, out.rank, out.of, out.difference) == ("screened out", 5, 5, None)
    assert ("elu", 2) not in both.by_place


def test_tallies_count_the_verdicts_and_order_the_candidates():
    both = together(subject("lenet"), subject("mlp"))
    found = {one.candidate: one for one in both.tallies}
    assert [one.candidate for one in both.tallies] == ["gelu", "hard_swish = hardswish", "elu", "relu", "tanh"]
    assert (found["gelu"].comparisons, found["gelu"].best, found["gelu"].counts["better"]) == (2, 2, 2)
    assert (found["elu"].comparisons, found["elu"].counts["screened out"]) == (1, 1)
    assert found["relu"].counts["baseline"] == 2
    assert all(sum(one.counts.values()) == one.comparisons for one in both.tallies)


def test_mean_ranks_are_among_those_that_took_part_in_all():
    first, second = subject("lenet"), made({"relu": 0, "elu": 0.01, "mish": 0.05, "gelu": 0.03}, points=0)
    found = {one.candidate: one.mean_rank for one in together(first, second).tallies}
    assert found == {"gelu": 1.0, "relu": 2.5, "elu": 2.5, "mish": None, "hard_swish": None, "tanh": None}


def test_names_of_one_function_are_one_candidate():
    names = [one.candidate for one in together(subject("lenet"), subject("mlp")).tallies]
    assert "hard_swish = hardswish" in names
    apart = made({"hard_swish": 0, "hardswish": 0.001}, points=0)  # one comparison of the two keeps them apart
    assert {one.candidate for one in together(apart, subject("lenet")).tallies} >= {"hard_swish", "hardswish"}
    learnt = made({"silu": 0, "relu": 0}, points=0), made({"swish": 0, "relu": 0}, points=0)
    assert [one.candidate for one in together(*learnt).tallies] == ["relu", "silu", "swish"]  # swish learns its b
    steps = made({"binary_step": 0, "heaviside": 0}, points=0), made({"straight_through_step": 0, "relu": 0}, points=0)
    assert "straight_through_step" in {
        one.candidate for one in together(*steps).tallies
    }  # the same value, another slope


@pytest.mark.parametrize(
    ("kinds", "en", "zh"),
    [
        (("planted",), "Set of best: gelu alone", "最佳集合：gelu"),
        (("planted", "loss"), "In the set of best of both comparisons: gelu; better than relu in both: gelu", "在全部 2 次比较中都属于最佳集合：gelu；全部 2 次都优于 relu：gelu"),
        (("planted", "baseline best"), "No candidate is in the set of best of both comparisons", "没有候选在全部 2 次比较中都属于最佳集合"),
        (("planted", "loss", "baseline best"), "No candidate is in the set of best of all 3 comparisons; most often: gelu (2 of 3)", "没有候选在全部 3 次比较中都属于最佳集合；最多的是：gelu（3 次中 2 次）"),
        (("planted", "edge", "empty"), "No candidate is in the set of best of more than one of the 3 comparisons; 1 of the 3 could decide nothing", "3 次比较中，没有候选两次以上属于最佳集合；3 次比较中有 1 次未能判定"),
        (("empty", "empty"), "Nothing could be decided in any of the 2 comparisons", "2 次比较均未能判定"),
        (("undecided", "planted"), "In the set of best of both comparisons: gelu; 1 of the 2 could decide nothing", "在全部 2 次比较中都属于最佳集合：gelu；2 次比较中有 1 次未能判定"),
        (("undecided", "diverged"), "Nothing could be decided in any of the 2 comparisons", "2 次比较均未能判定"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_headline_claims_no_more_than_the_verdicts(kinds: tuple[str, ...], en: str, zh: str):
    assert joined.headline(together(*map(made_kind, kinds))) == (en, zh)


def test_headline_of_empty_sets_of_best():
    bare = [made_kind(kind).model_copy(update={"best": ()}) for kind in ("planted", "loss")]
    assert (
        joined.headline(together(*bare)).en
        == "The set of best of both comparisons is empty; better than relu in both: gelu"
    )


def test_alpha_is_said_for_one_and_for_all():
    said = joined.false_claims(together(*[subject("lenet")] * 3)).en
    assert "at or below its alpha, 0.05; the chance that at least one of the 3 holds such a claim may be up to 0.15 (3 times 0.05)" in said  # fmt: skip
    other = subject("lenet").model_copy(update={"declaration": subject("lenet").declaration.model_copy(update={"alpha": 0.2})})  # fmt: skip
    assert "alpha, 0.05 to 0.2; the chance that at least one of the 2 holds such a claim may be up to 0.25, and" in joined.false_claims(together(subject("lenet"), other)).en  # fmt: skip
    assert "最高可达 1；" in joined.false_claims(together(*[other] * 6)).zh
    shared = joined.shared_data(together(subject("lenet"), subject("loss"), subject("mlp")))
    assert [one.en for one in shared] == ["Comparisons 1 and 3 are on the same data, fashion-mnist, and are not independent of each other"]  # fmt: skip


def test_metrics_and_losses_of_different_tasks_never_share_an_axis():
    assert joined.units(together(subject("lenet"), subject("loss"), subject("mlp"), subject("series"))) == [[1, 3], [2], [4]]  # fmt: skip
    assert joined.units(together(subject("lenet"), made_kind("validation"))) == [[1], [2]]


def test_pictures_show_every_interval_its_margin_and_what_lies_outside():
    from matplotlib.figure import Figure

    found = made_kind("planted")
    rows = [plots.Row(f"{place} lenet", one, 0.001 * place) for place, one in enumerate(found.contrasts, 1)]
    groups = [("gelu", rows[:1]), ("others", rows[1:])]
    shared = plots.limits(groups)
    assert shared.reach is not None
    assert shared.reach < 0.1  # tanh is worse by 0.3
    axes = Figure().add_subplot()
    plots.draw_groups(axes, groups, shared)
    assert [label.get_text() for label in axes.get_yticklabels()] == [row.name for row in rows]
    drawn = [np.asarray(line.get_xdata()).tolist() for line in axes.lines]
    for row in rows:
        assert [row.contrast.low, row.contrast.high] in drawn
    widths = [patch.get_extents().transformed(axes.transData.inverted()).width for patch in axes.patches]
    assert widths == pytest.approx([0.002, 0.004, 0.006])
    assert [one.get_text() for one in axes.texts] == ["gelu", "others", "-0.3"]
    many = [(f"candidate {place}", rows) for place in range(20)]
    assert len(plots.pictures(many, "many")) == 4


def page_of(joined_: Joined) -> str:
    return "".join(comparisons_sections(joined_))


def test_page_shows_verdicts_scopes_and_links_in_both_languages():
    both = Joined(tuple(Given(subject(kind), Costs(), kind, page) for kind, page in (("lenet", "a%20b/comparison.html"), ("mlp", ""))))  # fmt: skip
    page = page_of(both)
    assert 'class="zh" lang="zh" href="a%20b/comparison.html#zh">1 lenet · fashion-mnist</a>' in page
    assert page.count("#en") == page.count("#zh") == 3  # verdicts, ranks, scopes
    for language, said in (("en", ("screened out", "rank 5 of 5", "better ★", "Exploratory")), ("zh", ("初筛淘汰", "第 5 名，共 5", "更好 ★", "探索性"))):  # fmt: skip
        words = str(Words(page, language))
        sentences = [joined.headline(both), joined.false_claims(both), *joined.shared_data(both), *map(wording.scope, both.found)]  # fmt: skip
        for text in (*said, *(getattr(one, language) for one in sentences)):
            assert text in words
    chinese = str(Words(page, "zh"))
    for title in ("Verdicts", "Intervals", "screened", "comparison"):
        assert title not in chinese


def test_costs_are_relative_to_each_baseline_and_optional():
    lenet = together(subject("lenet"), seconds_per_step={"relu": 0.002, "gelu": 0.003, "tanh": float("nan")}, bytes_kept={"gelu": 5})  # fmt: skip
    words = str(Words(page_of(lenet), "en"))
    assert "relu 2 ms" in words
    assert "1.50" in words
    assert "nan" not in words
    assert "Memory" not in words  # the baseline's is not known
    assert "Time per step" not in str(Words(page_of(together(subject("lenet"))), "en"))
    assert "Memory" in str(Words(page_of(together(subject("lenet"), bytes_kept={"relu": 2_500_000, "gelu": 5_000_000})), "en"))  # fmt: skip


def test_odd_names_stay_text(tmp_path: Path):
    folders = saved(tmp_path, "odd", "lenet", "loss")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = report.write_comparisons(folders, tmp_path / "page.html").read_text(encoding="utf-8")
    words = Words(page, "en")
    assert words.open == []
    ids = [attributes["id"] for _, attributes in words.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [attributes for tag, attributes in words.tags if tag == "script"] == [{}]
    for _, attributes in words.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("aria-labelledby") is None or attributes["aria-labelledby"] in ids
    for name in (*HOSTILE, LONG, "我的激活函数"):
        assert re.sub(r"\s+", " ", name) in str(words)


def test_command_writes_page_json_and_csv(cli, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, "lenet", "mlp")
    assert cli("report", "lenet").out == "lenet/comparison.html\n"
    (tmp_path / "mlp" / "costs.json").write_text('{"seconds_per_step": {"relu": 0.001, "gelu": 0.002}}')
    assert cli("report", "lenet", "mlp").out == "comparisons.html\n"
    page = (tmp_path / "comparisons.html").read_text(encoding="utf-8")
    assert 'href="lenet/comparison.html#en"' in page
    assert 'href="mlp' not in page  # it has no page
    held = json.loads((tmp_path / "comparisons.json").read_text(encoding="utf-8"))
    assert [one["folder"] for one in held["comparisons"]] == ["lenet", "mlp"]
    assert held["headline"]["zh"] == "在全部 2 次比较中都属于最佳集合：gelu；全部 2 次都优于 relu：gelu"
    with (tmp_path / "comparisons.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(held["entries"]) == 9
    for row, entry in zip(rows, held["entries"], strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in entry.items()}
    assert [row["seconds_per_step"] for row in rows if row["candidate"] == "gelu"] == ["", "0.002"]
    assert cli("report", "lenet", "mlp", "--out", "mlp/joined.html", "--lang", "zh").code == 0
    page = (tmp_path / "mlp" / "joined.html").read_text(encoding="utf-8")
    assert 'href="../lenet/comparison.html#zh"' in page
    assert '<html lang="zh"' in page


def test_one_comparison_gets_its_page_anew_with_its_costs(cli, tmp_path: Path):
    (folder,) = saved(tmp_path, "lenet")
    costs = Costs(seconds_per_step={"relu": 0.0012, "gelu": 0.0024})
    (folder / "costs.json").write_text(costs.model_dump_json())
    assert cli("report", folder).out == f"{folder}/comparison.html\n"
    written = (folder / "comparison.html").read_text(encoding="utf-8")
    again = report.write_comparison(subject("lenet"), tmp_path / "again.html", costs)
    assert written == again.read_text(encoding="utf-8")
    assert "1.2 ms" in written


def test_errors_word_for_word(cli, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, "lenet", "mlp", "init")
    for name in ("run", "empty", "unfinished", "copy", "cut", "old", "costly"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "unfinished" / "compare.toml").write_text("")
    whole = (tmp_path / "lenet" / "comparison.json").read_text(encoding="utf-8")
    (tmp_path / "copy" / "comparison.json").write_text(whole, encoding="utf-8")
    (tmp_path / "cut" / "comparison.json").write_text(whole[:1000], encoding="utf-8")
    (tmp_path / "old" / "comparison.json").write_text(json.dumps(json.loads(whole) | {"part": "train"}), encoding="utf-8")  # fmt: skip
    (tmp_path / "costly" / "comparison.json").write_text(whole, encoding="utf-8")
    (tmp_path / "costly" / "costs.json").write_text("[]")
    (tmp_path / "mine.csv").write_text("mine")
    for (code, *arguments), said in ERRORS.items():
        assert cli("report", *arguments).complaint(code) == said
        chinese = cli("--lang", "zh", "report", *arguments).complaint(code)
        assert re.search("[\u4e00-\u9fff]", chinese), chinese
        cli("--lang", "en", "runs", ".")
    assert "EOF" in cli("report", "cut").complaint(1)
    assert cli("report", "lenet", "cut").complaint(1).startswith("'cut/comparison.json' is damaged or of another version of Actlab (Invalid JSON: EOF")  # fmt: skip
    assert not list(tmp_path.glob("comparisons.*"))
    assert (tmp_path / "mine.csv").read_text() == "mine"


AGAIN = "run the same 'actlab compare' again with --out '{}', which repeats no finished training"
NEITHER = "make one with 'actlab train' or 'actlab compare'"
ERRORS = {
    (1, "empty"): f"expected a folder with run.json or comparison.json; 'empty' has neither: {NEITHER}",
    (1, "nowhere", "lenet"): f"expected a folder with run.json or comparison.json; 'nowhere' does not exist: {NEITHER}",
    (1, "mine.csv"): f"expected a folder with run.json or comparison.json; 'mine.csv' is a file: {NEITHER}",
    (1, "unfinished"): "'unfinished' holds a comparison that is not finished; " + AGAIN.format("unfinished"),
    (1, "old"): "'old/comparison.json' is damaged or of another version of Actlab (part: Input should be 'test' or 'validation'); " + AGAIN.format("old"),
    (1, "costly", "mlp"): "'costly/costs.json' is damaged or of another version of Actlab (Input should be an object); remove it to go on without",
    (2, "lenet", "mlp", "lenet"): "'lenet' is the same comparison as 'lenet'; give each once",
    (2, "lenet", "copy"): "'copy' is the same comparison as 'lenet'; give each once",
    (2, "lenet", "init"): "expected comparisons of one factor; 'lenet' varies activation, 'init' init: join them on two pages",
    (2, "lenet", "run"): "expected comparisons only, where several folders are given; 'run' is a run: 'actlab runs .' lists runs, 'actlab report run' reports one",
    (2, "lenet", "--picture", "a.png"): "--picture draws one run; 'lenet' is a comparison: its pictures are on its page",
    (2, "lenet", "--out", "a.html"): "--out names the page of several comparisons; 'lenet' alone has its page in its own folder",
    (2, "lenet", "mlp", "--out", "a.pdf"): "expected a name ending in .html; got 'a.pdf'",
    (2, "lenet", "mlp", "--out", "lenet/comparison.html"): "'lenet/comparison.json' is there already and is not of a page of several comparisons; choose another name with --out",
    (2, "lenet", "mlp", "--out", "mine.html"): "'mine.csv' is there already and is not of a page of several comparisons; choose another name with --out",
}  # fmt: skip


@pytest.mark.browser
@pytest.mark.skipif(sync_playwright is None or not Path(CHROMIUM).exists(), reason="no browser")
def test_page_is_whole_in_a_browser(tmp_path: Path):
    assert sync_playwright is not None
    path = report.write_comparisons(saved(tmp_path, "lenet", "mlp", "odd", "loss", "series"), tmp_path / "page.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (1280, 390):
            page = browser.new_context(offline=True, viewport={"width": width, "height": 800}).new_page()
            complaints: list[str] = []
            page.on("console", lambda message, to=complaints: to.append(message.text))
            page.on("pageerror", lambda error, to=complaints: to.append(str(error)))
            page.goto(path.as_uri())
            for button, shown in (("English", "Ranks in the screening"), ("中文", "初筛名次")):
                page.get_by_role("button", name=button).click()
                assert shown in page.inner_text("main")
                assert [name for visible, name in page.evaluate(PICTURES) if not visible] == []
                assert page.evaluate(CLIPPED) == []
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert complaints == []
        browser.close()
