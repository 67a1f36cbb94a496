"""The report of a run: what it says, what it survives, how it is written."""

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from actlab import _language, report
from actlab._report_scores import by_class, most_confused, shades, weakest, wilson
from actlab._report_text import TEXTS, text
from actlab.errors import ActlabError
from test_report_runs import HOSTILE, KINDS, bare, epoch_rows, evaluation, failed, fast, hostile, long, run_record, save


@pytest.fixture(autouse=True)
def english():
    _language.choose("en")
    yield
    _language.choose(None)


class Words(HTMLParser):
    """The text of a page in one language, and every tag with its attributes."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, page: str, language: str):
        super().__init__()
        self.hidden = "zh" if language == "en" else "en"
        self.open: list[tuple[str, bool]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            seen = not (self.open and not self.open[-1][1])
            self.open.append((tag, seen and dict(attrs).get("class") != self.hidden and tag not in ("script", "style")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][1]:
            self.words.append(data)

    def __str__(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_gives_a_well_formed_page(tmp_path: Path, kind: str):
    path = report.write(KINDS[kind](tmp_path))
    assert path == tmp_path / "report.html"
    page = Words(path.read_text(encoding="utf-8"), "en")
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    known = {f"#{name}" for name in ids}
    for tag, attributes in page.tags:
        if tag == "use":
            assert (attributes.get("xlink:href") or attributes.get("href")) in known
        if clip := attributes.get("clip-path"):
            assert re.fullmatch(r"url\((#.+)\)", clip)[1] in known
        if tag in ("img", "script", "iframe"):
            assert (attributes.get("src") or "data:").startswith("data:")
    assert not [name for name in tmp_path.iterdir() if name.suffix == ".tmp"]


@pytest.mark.parametrize("kind", KINDS)
def test_same_run_gives_the_same_bytes(tmp_path: Path, kind: str):
    KINDS[kind](tmp_path)
    assert report.write(tmp_path).read_bytes() == report.write(tmp_path).read_bytes()


def test_says_the_result_in_both_languages(tmp_path: Path):
    page = report.write(fast(tmp_path)).read_text(encoding="utf-8")
    sentence = "Test accuracy 0.889 on 10,000 images after 30,720 training examples, 203 s of training on Intel Xeon"
    assert sentence in str(Words(page, "en"))
    assert "测试准确率 0.889（10,000 张图像），训练样本 30,720 个，训练用时 203 s" in str(Words(page, "zh"))
    assert "actlab train --config config.toml" in page
    assert "T恤" not in str(Words(page, "en"))
    assert "T-shirt" not in str(Words(page, "zh"))


def test_opens_in_the_language_in_force(tmp_path: Path):
    fast(tmp_path)
    assert '<html lang="en" data-language="en">' in report.write(tmp_path).read_text(encoding="utf-8")
    _language.choose("zh")
    assert '<html lang="zh" data-language="zh">' in report.write(tmp_path).read_text(encoding="utf-8")


def test_both_clocks_are_shown(tmp_path: Path):
    words = str(Words(report.page(fast(tmp_path)), "en"))
    assert f"{30_720 / 179.4:.1f} examples/s by the study notes' clock" in words
    assert f"{30_720 / 246.0:.1f} examples/s by the wall clock" in words
    assert "rest of the training loop (data, checkpoints) 23.7 s" in words


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_unfinished_run_says_so(tmp_path: Path, status: str):
    run = run_record(status=status, test=None, epochs=(), message="why it stopped")
    words = str(Words(report.page(save(tmp_path, run, [], {})), "en"))
    assert {"running": "Still running", "interrupted": "Interrupted", "failed": "Failed"}[status] in words
    assert "why it stopped" in words
    assert "Nothing was recorded yet" in words
    assert "Confusion" not in words


def test_run_that_never_started_gives_a_page(tmp_path: Path):
    nothing = {"compute": 0.0, "training": 0.0, "evaluation": 0.0, "total": 0.0}
    record = run_record(status="running", test=None, epochs=(), steps=0, examples=0).model_dump() | {"clock": nothing}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert "Speed" not in str(Words(report.page(tmp_path), "en"))


def test_task_without_classes_has_no_empty_sections(tmp_path: Path):
    words = str(Words(report.page(bare(tmp_path)), "en"))
    assert "Test loss 3.21 nats per example on 1,000 examples" in words
    for absent in ("Accuracy", "accuracy", "Confusion", "mistakes", "First-layer"):
        assert absent not in words


def test_hostile_names_stay_text(tmp_path: Path):
    page = report.page(hostile(tmp_path))
    words = Words(page, "en")
    scripts = [attributes for tag, attributes in words.tags if tag == "script"]
    assert scripts == [{}]
    assert not [attributes for _, attributes in words.tags if any(name.startswith("on") for name in attributes)]
    for name in HOSTILE:
        assert re.sub(r"\s+", " ", name) in str(words)


def test_only_the_page_s_own_script_may_run(tmp_path: Path):
    page = report.page(fast(tmp_path))
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    assert "localStorage" not in page


def test_epoch_table_marks_the_best_and_skips_empty_columns(tmp_path: Path):
    words = str(Words(report.page(long(tmp_path)), "en"))
    assert "8 ★" in words
    assert "45.0%" in words
    assert "Gradient norm (upper), share of clipped steps (lower)" in words
    assert "Clipped steps" not in str(Words(report.page(fast(tmp_path / "fast")), "en"))


def test_gradient_norm_of_the_epochs_alone_is_drawn(tmp_path: Path):
    run = run_record(epochs=epoch_rows(3, 1000, 10, clipped=True, tested=False))
    assert 'id="gradient-title"' in report.page(save(tmp_path, run, [], {}))


def test_events_of_the_loss_alone_are_drawn(tmp_path: Path):
    steps = [{"event": "step", "step": step, "examples": 10 * step, "loss": 1 / step} for step in range(1, 9)]
    page = report.page(save(tmp_path, run_record(epochs=()), steps, {}))
    assert 'id="loss-title"' in page
    assert 'id="rate-title"' not in page


def test_numbers_that_are_not_finite_do_not_stop_the_page(tmp_path: Path):
    row = run_record().epochs[0]
    bad = row.model_copy(update={"train_loss": math.nan, "validation_loss": math.inf, "gradient_norm": math.nan})
    test = evaluation(10).model_copy(update={"loss": math.nan, "accuracy": None})
    report.write(save(tmp_path, run_record(epochs=(bad,), test=test), [], {}))


def test_weights_that_are_not_finite_are_said_to_be(tmp_path: Path):
    assert "not finite numbers" in str(Words(report.page(failed(tmp_path)), "en"))


def test_damaged_weights_are_named_and_the_page_is_written(tmp_path: Path):
    fast(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 40)
    assert "model.safetensors could not be read:" in str(Words(report.page(tmp_path), "en"))


def test_broken_mistake_pictures_are_left_out(tmp_path: Path):
    good = evaluation(10)
    pictures = ("", "not base64!", base64.b64encode(b"<svg onload=alert(1)>").decode())
    broken = tuple(good.mistakes[0].model_copy(update={"image_png": text}) for text in pictures)
    run = run_record(test=good.model_copy(update={"mistakes": broken}))
    assert "Worst mistakes" not in report.page(save(tmp_path, run, [], {}))


def test_many_classes_become_a_picture(tmp_path: Path):
    run = run_record(test=evaluation(100), data=run_record().data.model_copy(update={"classes": ()}))
    page = report.page(save(tmp_path, run, [], {}))
    assert '<table class="matrix">' not in page
    assert "Confusion matrix" in page


def test_first_layer_is_found_by_channels_and_by_number(tmp_path: Path):
    fast(tmp_path)
    weights = {
        "body.2.weight": torch.ones(9, 3, 3, 3),
        "body.10.weight": torch.ones(7, 1, 3, 3),
        "body.9.weight": torch.ones(5, 1, 3, 3),
    }
    save_file(weights, tmp_path / "model.safetensors")
    assert "5 filters of body.9.weight, 1 × 3 × 3 weights each" in str(Words(report.page(tmp_path), "en"))


def test_a_directory_without_a_run_is_an_error(tmp_path: Path):
    with pytest.raises(ActlabError, match=r"^expected a run directory with run\.json"):
        report.write(tmp_path)


def test_full_disk_is_one_sentence_and_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = report.write(fast(tmp_path))
    before = path.read_bytes()

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ActlabError) as caught:
        report.write(tmp_path)
    assert str(caught.value).startswith(f"could not write '{path}' (No space left on device); free some space")
    assert path.read_bytes() == before
    assert sorted(name.name for name in tmp_path.iterdir()) == [
        "events.jsonl",
        "model.safetensors",
        "report.html",
        "run.json",
    ]


def test_a_directory_in_the_way_is_an_error_in_chinese(tmp_path: Path):
    fast(tmp_path)
    (tmp_path / "report.html").mkdir()
    _language.choose("zh")
    with pytest.raises(ActlabError, match=r"^无法写入“"):
        report.write(tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_every_text_has_the_same_fields_in_both_languages():
    for key, (en, zh) in TEXTS.items():
        assert en, key
        assert zh, key
        assert set(re.findall(r"{(\w+)", en)) == set(re.findall(r"{(\w+)", zh)), key
    assert text("model", name="{0}", parameters="x").en == "{0}, x parameters"


def test_scores_of_a_small_matrix():
    confusion = ((8, 2, 0), (1, 4, 0), (0, 0, 0))
    first, second, empty = by_class(confusion)
    assert (first.precision, first.recall, first.support) == (8 / 9, 0.8, 10)
    assert first.f1 == pytest.approx(2 * (8 / 9) * 0.8 / (8 / 9 + 0.8))
    assert second.precision == pytest.approx(4 / 6)
    assert math.isnan(empty.precision)
    assert math.isnan(empty.f1)
    assert weakest([first, second, empty]) == 1
    assert most_confused(confusion) == (0, 1)
    assert most_confused(((3, 0), (0, 2))) is None
    assert shades(confusion)[1, 0] == pytest.approx(math.sqrt(0.2))


def test_wilson_interval_agrees_with_newcombe():
    """Newcombe 1998, Two-sided confidence intervals for the single proportion, table I, method 3."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0 / 20, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(10 / 10, 10) == pytest.approx((10 / (10 + 1.96**2), 1.0), abs=1e-4)  # closed form without a miss
