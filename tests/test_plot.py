"""Drawings of a run: events, curves, filters, and the picture for a README."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from actlab import plot
from actlab.errors import ActlabError
from test_report_runs import KINDS, fast, loss_at, run_record


def write_events(directory: Path, *lines: str) -> Path:
    (directory / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return directory


def step(number: int, loss: object) -> str:
    return json.dumps({"event": "step", "step": number, "examples": 10 * number, "loss": loss})


def test_last_occurrence_of_a_step_wins_and_steps_are_in_order(tmp_path: Path):
    steps = plot.read_steps(write_events(tmp_path, step(1, 3.0), step(3, 2.0), step(2, 2.5), step(3, 1.0)))
    np.testing.assert_array_equal(steps.examples, [10, 20, 30])
    np.testing.assert_array_equal(steps.values["loss"], [3.0, 2.5, 1.0])


def test_malformed_lines_are_skipped(tmp_path: Path):
    bad = [
        "",
        "{",
        "[" * 5000,
        "null",
        "[1]",
        '{"event": "step"}',
        '{"event": "step", "step": "x", "examples": 1}',
        "\x00",
    ]
    bad += ['{"event": "epoch", "step": 1, "examples": 1}', '{"event": "step", "step": NaN, "examples": 1}']
    bad += [
        '{"event": "step", "step": true, "examples": 1}',
        f'{{"event": "step", "step": 1{"0" * 400}, "examples": 1}}',
    ]
    steps = plot.read_steps(
        write_events(tmp_path, *bad, step(5, "high"), step(6, math.nan), step(7, 0.5), step(8, 1)[:-9])
    )
    np.testing.assert_array_equal(steps.examples, [50, 60, 70])
    np.testing.assert_array_equal(steps.values["loss"], [math.nan, math.nan, 0.5])
    assert not steps.finite("loss")


def test_no_events_is_an_empty_curve(tmp_path: Path):
    assert len(plot.read_steps(tmp_path).examples) == 0


def test_one_epoch_has_a_fine_training_curve(tmp_path: Path):
    training, validation = plot.lines(run_record(), plot.read_steps(fast(tmp_path)), "loss")
    assert training.fine
    assert len(training.examples) == 60
    assert validation.part == "validation"
    np.testing.assert_array_equal(validation.examples, [30_720])


def test_trend_of_a_noisy_curve_lies_nearer_to_the_truth():
    examples = np.arange(1.0, 401.0) * 100
    truth = np.array([loss_at(x) for x in examples])
    noisy = truth + np.random.default_rng(0).normal(0, 0.1, len(truth))
    noisy[50:60] = np.nan
    line = plot.Line("training", examples, noisy, fine=True)
    assert np.isnan(line.trend).sum() == 10
    assert np.nanmean(np.abs(line.trend - truth)) < 0.4 * np.nanmean(np.abs(noisy - truth))


def test_each_filter_has_gray_at_zero_and_its_own_scale():
    filters = np.zeros((96, 3, 11, 11))
    filters[0, 0, 0, 0] = 1e-6
    filters[1, 2, 10, 10] = -50
    image = plot.grid(filters)
    cell = 11 * 3 + 2
    assert image.shape == (6 * cell - 2, 16 * cell - 2, 4)
    assert image[0, 0].tolist() == [255, 128, 128, 255]
    assert image[5, 5].tolist() == [128, 128, 128, 255]
    assert image[cell - 3, 2 * cell - 3].tolist() == [128, 128, 0, 255]
    assert image[0, cell - 1, 3] == 0


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11, 32, 64, 97, 256])
def test_grid_has_room_for_every_count(count: int):
    image = plot.grid(np.random.default_rng(0).normal(size=(count, 1, 5, 5)))
    opaque = int((image[..., 3] == 255).sum())
    assert opaque == count * (5 * 7) ** 2


def test_drawing_leaves_no_setting_behind(tmp_path: Path):
    import sys

    import matplotlib

    before = dict(matplotlib.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    plot.run_picture(fast(tmp_path), tmp_path / "run.png", "zh")
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("kind", KINDS)
def test_picture_of_every_kind_of_run(tmp_path: Path, kind: str, lang: plot.Language):
    path = plot.run_picture(KINDS[kind](tmp_path), tmp_path / "run.png", lang)
    with Image.open(path) as image:
        assert image.size == (1600, 900)
        assert len(image.convert("RGB").getcolors(1600 * 900) or ()) > 20


def test_picture_in_a_missing_directory_is_an_error(tmp_path: Path):
    with pytest.raises(ActlabError, match=r"no/run\.png"):
        plot.run_picture(fast(tmp_path), tmp_path / "no" / "run.png", "en")
