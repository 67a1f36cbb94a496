"""Sentences, speech, series and text from end to end: data, tasks, commands, and every kind of bad input."""

import csv
import json
import math
import os
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from seqeval.metrics import f1_score

import small
from actlab.data import graphs, pronunciation, series, speech, text, translation
from actlab.data._slot_files import decode
from actlab.decoding import best_path, sample
from actlab.errors import ActlabError, UnknownName, UsageError
from actlab.models import NARX
from actlab.records import Run
from actlab.tasks._linear import LinearARX
from actlab.tasks.characters import Characters
from actlab.tasks.digits import SpokenWords
from actlab.tasks.forecasting import Forecasting, closed_loop
from actlab.tasks.slots import Slots, spans
from actlab.tasks.transduction import PairLoss
from actlab.train import seeds

REAL = Path(os.environ.get("ACTLAB_DATA", "nowhere"))
needs = {
    name: pytest.mark.skipif(not (REAL / folder).exists(), reason=f"needs {name}: set ACTLAB_DATA")
    for name, folder in (
        ("snips", "snips"),
        ("fsdd", "fsdd"),
        ("glucose", "series"),
        ("cmudict", "cmudict"),
        ("tatoeba", "tatoeba"),
    )
}


def train(cli, folder, recipe, *options, expected=0):
    outcome = cli("train", recipe, *small.data_for(recipe, folder), *options, "--out", folder / "run")
    assert outcome.code == expected, outcome
    return folder / "run"


@pytest.fixture(scope="module")
def slot_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slots")
    return _trained(
        folder,
        "slot-filling",
        "--epochs",
        "15",
        "--batch-size",
        "4",
        "--learning-rate",
        "0.01",
        "--set",
        "model.hidden=24",
        "--set",
        "ema=null",
        "--set",
        "model.dropout=0.1",
    )


@pytest.fixture(scope="module")
def speech_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    return _trained(
        folder,
        "spoken-digits",
        "--epochs",
        "12",
        "--batch-size",
        "8",
        "--learning-rate",
        "0.01",
        "--set",
        "model.hidden=16",
        "--set",
        "model.dropout=0.0",
    )


@pytest.fixture(scope="module")
def series_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    return _trained(folder, "forecasting", "--recipe", "glucose-narx", "--epochs", "150", "--batch-size", "32")


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    return _trained(folder, "character-lm", "--epochs", "3", "--set", "model.hidden=48", "--set", "model.layers=1")


def _trained(folder, recipe, *options):
    from actlab.__main__ import run

    arguments = ["train", recipe, *small.data_for(recipe, folder), *options, "--out", str(folder / "run"), "--quiet"]
    assert run(arguments) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def word_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    return _trained(
        folder,
        "pronunciation",
        "--epochs",
        "25",
        "--batch-size",
        "16",
        "--precision",
        "fp32",
        "--learning-rate",
        "0.01",
    )


@pytest.fixture(scope="module")
def parallel_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    return _trained(
        folder,
        "pronunciation",
        "--recipe",
        "parallel",
        "--epochs",
        "25",
        "--batch-size",
        "16",
        "--precision",
        "fp32",
        "--learning-rate",
        "0.01",
    )


# What was learnt, and what the commands say


def test_slots_are_learnt(slot_run):
    scores = Run.read(slot_run).test.scores
    assert scores["slot_f1"] > 0.9 and scores["intent_accuracy"] == 1.0


def test_predict_names_slots(cli, slot_run):
    answer = json.loads(cli("predict", slot_run, "Play jazz by nina rolle", "will it rain in Lima?", "--json").out)
    assert answer[0]["intent"] == "PlayMusic" and answer[1]["intent"] == "GetWeather"
    assert {"slot": "artist", "text": "nina rolle"} in answer[0]["spans"]
    assert answer[1]["words"] == ["will", "it", "rain", "in", "Lima", "?"]
    line = cli("predict", slot_run, "Play jazz by nina rolle").out.splitlines()
    assert line[0] == "Play [jazz genre] by [nina rolle artist]" and line[1].strip().startswith("intent PlayMusic")


def test_unknown_words_are_read(cli, slot_run):
    answer = json.loads(cli("predict", slot_run, "Play qqqq by 好 zzzz", "--json").out)[0]
    assert len(answer["slots"]) == len(answer["words"]) == 5


def test_long_and_empty_sentences(cli, slot_run):
    assert len(json.loads(cli("predict", slot_run, "jazz " * 1999, "--json").out)[0]["slots"]) == 1999
    assert "2,000 words; got 10,000" in cli("predict", slot_run, "jazz " * 10_000).complaint(2)
    for empty in ("", "   ", "\t"):
        assert "expected a sentence" in cli("predict", slot_run, empty).complaint(2)


def test_evaluate_is_the_test_of_the_run(cli, slot_run, speech_run, series_run, text_run):
    for run in (slot_run, speech_run, series_run, text_run):
        found = json.loads(cli("evaluate", run, "--json").out)
        test = Run.read(run).test
        assert found["loss"] == pytest.approx(test.loss, rel=1e-4) and found["count"] == test.count
        for name, value in test.scores.items():
            assert found["scores"][name] == pytest.approx(value, rel=1e-4)


def test_speech_is_heard(cli, speech_run, tmp_path):
    assert Run.read(speech_run).test.accuracy > 0.9
    for options in ({}, {"rate": 16_000}, {"channels": 2}, {"width": 1}, {"width": 4}):
        file = small.tone(tmp_path / "two.wav", *small.SWEEPS[1], seconds=0.2, **options)
        (answer,) = json.loads(cli("predict", speech_run, file, "--json").out)
        assert max(answer["classes"], key=answer["classes"].get) == "1", options
    assert "recording" in cli("predict", speech_run, file).out


def test_forecast_prints_draws_and_tells_the_truth(cli, series_run, tmp_path):
    found = json.loads(cli("forecast", series_run, "--steps", "9", "--json", "--plot", tmp_path / "f.svg").out)
    assert len(found["forecast"]) == len(found["truth"]) == 9 and (tmp_path / "f.svg").read_text().startswith("<?xml")
    error = [abs(a - b) for a, b in zip(found["forecast"], found["truth"], strict=True)]
    stays = [abs(found["past"][-1] - b) for b in found["truth"]]
    assert max(error) < max(stays)
    lines = cli("forecast", series_run, "--steps", "3", "--plot", tmp_path / "f.png").out.splitlines()
    assert len(lines) == 4 and "true" in lines[0]


def test_forecast_beyond_the_end(cli, tmp_path):
    outcome = cli("train", "forecasting", "--recipe", "sunspots-nar", "--epochs", "1", "--out", tmp_path / "run", "-q")
    assert outcome.code == 0, outcome
    found = json.loads(cli("forecast", tmp_path / "run", "--steps", "3", "--json").out)
    assert found["times"] == ["2009", "2010", "2011"] and found["truth"] == [] and min(found["forecast"]) >= -1


def test_trace_draws_gates(cli, slot_run, speech_run, tmp_path):
    for name in ("t.svg", "t.png"):
        outcome = cli("trace", slot_run, "Play jazz by otto", "--plot", tmp_path / name, "--json")
        assert set(json.loads(outcome.out)["mean"]) == {"input", "forget", "output", "candidate", "cell", "state"}
        assert (tmp_path / name).stat().st_size > 5000
    drawn = cli("trace", slot_run, "Play jazz by otto", "--plot", tmp_path / "t.svg", "--gradient", tmp_path / "g.png")
    assert (
        drawn.out.splitlines() == [str(tmp_path / "t.svg"), str(tmp_path / "g.png")] and (tmp_path / "g.png").exists()
    )
    file = small.tone(tmp_path / "one.wav", *small.SWEEPS[0])
    assert cli("trace", speech_run, file, "--backwards", "--plot", tmp_path / "s.svg").code == 0


def test_sample_writes_on(cli, text_run):
    first = cli("sample", text_run, "--prompt", "the ", "--length", "60").out
    assert first.startswith("the ") and len(first.rstrip("\n")) in (63, 64)
    assert first == cli("sample", text_run, "--prompt", "the ", "--length", "60").out
    assert (
        first
        != cli("sample", text_run, "--prompt", "the ", "--length", "60", "--seed", "1", "--temperature", "1.5").out
    )
    assert Run.read(text_run).test.scores["bits_per_character"] < 3


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_report_shows_scores(cli, slot_run, series_run, lang):
    for run, words in (
        (slot_run, ("slot F1 (spans)", "槽位 F1（按片段）", "nats per sentence")),
        (series_run, ("3 steps ahead", "线性 ARX", "squared standard deviations")),
    ):
        assert cli("report", run, "--lang", lang).code == 0
        page = (run / "report.html").read_text()
        assert all(word in page for word in words)


def test_metrics_have_a_column_for_every_score(slot_run):
    with (slot_run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["validation_slot_f1"]) > 0.5 and "scores" not in rows[0]


@pytest.mark.parametrize("recipe", ["slot-filling", "forecasting"])
def test_resume_gives_the_same_bytes(cli, tmp_path, recipe):
    options = ["--epochs", "4", "--batch-size", "8", "-q"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    data = small.data_for(recipe, tmp_path)
    assert cli("train", recipe, *data, *options, "--out", whole).code == 0
    from actlab.train import keeping

    saves = []
    original = keeping.save

    def stop_after(session):
        original(session)
        saves.append(session)
        if len(saves) == 3:
            session.signals.received = __import__("signal").SIGTERM

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "save", stop_after)
        assert cli("train", recipe, *data, *options, "--out", cut).code == 1
    assert cli("train", recipe, *data, *options, "--out", cut, "--resume").code == 0
    for name in ("metrics.csv", "model.safetensors"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()


def test_clipping_by_value_and_its_share(cli, tmp_path):
    run = train(
        cli,
        tmp_path,
        "slot-filling",
        "--epochs",
        "2",
        "-q",
        "--set",
        "clip_norm=null",
        "--set",
        "clip_value=1e-6",
        "--batch-size",
        "16",
    )
    row = Run.read(run).epochs[-1]
    assert row.clipped_share == 1.0 and row.gradient_norm > 1e-6


def test_words_are_pronounced(cli, word_run, parallel_run, tmp_path):
    assert Run.read(word_run).test.scores["wer"] < 0.2
    assert Run.read(parallel_run).test.scores["per"] < 0.3
    for mode in ("greedy", "beam"):
        outcome = cli("pronounce", word_run, "cabe", "dace", "--decode", mode)
        assert outcome.out.splitlines() == ["cabe  K AA B EH", "dace  D AA S EH"]
    for mode in ("parallel", "refine"):
        found = json.loads(cli("pronounce", parallel_run, "abe", "--decode", mode, "--json").out)
        assert found[0]["word"] == "abe" and 1 <= len(found[0]["phonemes"]) <= 12
    for run in (word_run, parallel_run):
        assert cli("pronounce", run, "cabe", "--attention", tmp_path / "a.png").code == 0
        assert (tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((" ",), "seen in training"),
        (("好",), "seen in training"),
        (("a" * 200,), "at most 128 letters or pieces; got 200"),
        (("ab", "--decode", "refine"), "decodes by greedy or beam"),
        (("ab", "--decode", "beam", "--width", "500"), "vocabulary"),
    ],
)
def test_words_that_cannot_be_pronounced(cli, word_run, arguments, words):
    assert words in cli("pronounce", word_run, *arguments).complaint(2)


def test_weights_of_another_vocabulary(cli, word_run, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(word_run, copy)
    tokens = json.loads((copy / "tokens.json").read_text())
    (copy / "tokens.json").write_text(json.dumps({**tokens, "target": [*tokens["target"], "ZZ"]}))
    assert "cannot be used" in cli("pronounce", copy, "ab").complaint(1)


def test_sentences_are_translated(cli, tmp_path):
    options = ["--epochs", "30", "--batch-size", "8", "--learning-rate", "0.01", "--precision", "fp32", "-q"]
    assert (
        cli("train", "translation", *small.data_for("translation", tmp_path), *options, "--out", tmp_path / "run").code
        == 0
    )
    run = Run.read(tmp_path / "run")
    assert run.test.scores["chrf"] > 40 and run.test.scores["bleu"] >= 0
    found = json.loads(
        cli("translate", tmp_path / "run", "red cat runs", "--json", "--attention", tmp_path / "a.svg").out
    )
    assert (
        found[0]["sentence"] == "red cat runs" and len(found[0]["translation"]) >= 1 and (tmp_path / "a.svg").exists()
    )
    assert cli("translate", tmp_path / "run", "red 好 cat", "Éxyz big").code == 0, "unknown characters are read as such"
    assert "actlab translate" in cli("pronounce", tmp_path / "run", "red").complaint(2)
    assert "letters" in cli("translate", tmp_path / "run", "").complaint(2)


@pytest.mark.parametrize("reverse", [False, True])
def test_no_translation_leaks(tmp_path, reverse):
    data = translation.load(small.translations(tmp_path / "p.tsv"), reverse=reverse)
    parts = [{one for one, _ in part} for part in (data.train, data.validation, data.test)]
    assert not parts[0] & (parts[1] | parts[2]) and not parts[1] & parts[2] and len(parts[2]) == 12
    held = {other for one in parts[1] | parts[2] for other in data.references[one]}
    assert not held & {other for _, other in data.train}


def test_damaged_pairs(tmp_path):
    file = tmp_path / "p.tsv"
    file.write_text("one\tone\nno tab here\n")
    with pytest.raises(ActlabError, match="line 2: expected a sentence, a tab"):
        translation.load(file)
    with pytest.raises(UnknownName, match="did you mean 'tatoeba'"):
        translation.load("tatoba")


@needs["tatoeba"]
def test_tatoeba_parts():
    data = translation.load("tatoeba")
    assert (len(data.validation), len(data.test)) == (500, 1000) and len(data.train) > 18_000


def test_no_word_is_in_two_parts(tmp_path):
    data = pronunciation.load(small.dictionary(tmp_path / "d"))
    parts = [{source for source, _ in part} for part in (data.train, data.validation, data.test)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert sum(map(len, parts)) == 400 and set(data.references) == parts[0] | parts[1] | parts[2]
    assert all(not one[-1].isdecimal() for _, spoken in data.train for one in spoken)
    stressed = pronunciation.load(tmp_path / "d", stress=True)
    assert any(one == "AA1" for _, spoken in stressed.train for one in spoken)


@needs["cmudict"]
def test_cmudict_has_the_published_sizes():
    data = pronunciation.load("cmudict")
    assert (len({s for s, _ in data.train}), len(data.validation), len(data.test)) == (106_837, 2_670, 12_753)
    assert len({one for _, spoken in data.train for one in spoken}) == 39


def test_batches_of_like_size():
    sizes = torch.randint(1, 30, (1003,), generator=torch.Generator().manual_seed(0))
    found = seeds.order(0, 3, 1003, sizes, 10)
    assert sorted(found.tolist()) == list(range(1003)) and torch.equal(found, seeds.order(0, 3, 1003, sizes, 10))
    spread = torch.stack([sizes[batch].max() - sizes[batch].min() for batch in found[:1000].split(10)]).float().mean()
    assert spread < 3 and not torch.equal(found, seeds.order(0, 4, 1003, sizes, 10))
    means = sizes[found[:1000]].view(-1, 10).float().mean(1)
    assert means.diff().gt(0).float().mean() < 0.8, "short batches are not all first"


def test_karate_club_from_its_two_leaders(cli, tmp_path):
    assert cli("train", "graph", "--out", tmp_path / "run", "-q").code == 0
    run = Run.read(tmp_path / "run")
    assert run.data.sizes == {"train": 2, "validation": 0, "test": 32} and run.test.accuracy > 0.8
    found = json.loads(cli("predict", tmp_path / "run", "0", "33", "--json").out)
    assert [max(one["classes"], key=one["classes"].get) for one in found] == ["Mr. Hi", "Officer"]
    assert json.loads(cli("evaluate", tmp_path / "run", "--json").out)["accuracy"] == pytest.approx(run.test.accuracy)
    assert "0 to 33" in cli("predict", tmp_path / "run", "34").complaint(2)


def test_a_graph_of_ones_own(tmp_path):
    lines, edges = [], []
    for node in range(60):
        kind = node % 2
        lines.append(f"n{node} {kind} {1 - kind} {'even' if kind == 0 else 'odd'}")
        edges.append(f"n{node} n{(node + 2) % 60}")
    (tmp_path / "g.content").write_text("\n".join(lines))
    (tmp_path / "g.cites").write_text("\n".join([*edges, "n0 unknown"]))
    data = graphs.load(tmp_path)
    assert data.classes == ("even", "odd") and data.features.shape == (60, 2) and int(data.edges.sum()) == 120
    assert torch.equal(data.edges, data.edges.T) and not set(data.parts["train"].tolist()) & set(
        data.parts["test"].tolist()
    )
    (tmp_path / "g.content").write_text("n0 1 a\nn1 1 2 b\n")
    with pytest.raises(ActlabError, match="differ in length"):
        graphs.load(tmp_path)


# Bad input


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("predict", "series", "x"), "actlab forecast RUN"),
        (("forecast", "slots"), "actlab predict RUN"),
        (("trace", "series", "x"), "actlab forecast RUN"),
        (("sample", "slots"), "actlab predict RUN"),
        (("predict", "text", "x"), "actlab sample RUN"),
        (("predict", "speech", "nothing.wav"), "no 'nothing.wav'"),
        (("forecast", "series", "--steps", "500"), "without a gap at the end"),
        (("forecast", "series", "--data", "sunspots"), "column"),
        (("forecast", "series", "--plot", "x.gif"), ".png or .svg"),
        (("sample", "text", "--prompt", ""), "at least one character"),
        (("sample", "text", "--temperature", "-1"), "temperature"),
        (("predict", "nowhere", "x"), "run.json"),
    ],
)  # fmt: skip
def test_wrong_runs_and_inputs(cli, slot_run, series_run, speech_run, text_run, command, words):
    runs = {"slots": slot_run, "series": series_run, "speech": speech_run, "text": text_run}
    outcome = cli(*(runs.get(one, one) for one in command))
    complaint = outcome.complaint(outcome.code)
    assert outcome.code in (1, 2) and words in complaint, complaint


def test_commands_on_an_image_run(cli, trained):
    for command in ("forecast", "sample"):
        assert "actlab predict RUN IMAGE" in cli(command, trained).complaint(2)


def test_damaged_recordings(tmp_path):
    good = small.tone(tmp_path / "good.wav", 300.0).read_bytes()
    cases = {
        "empty": b"", "text": b"not a wave at all, only words", "cut in the head": good[:30], "cut in the data": good[:-500],
        "no samples": None,
    }  # fmt: skip
    for name, content in cases.items():
        file = tmp_path / "bad.wav"
        if content is None:
            with wave.open(str(file), "wb") as opened:
                opened.setnchannels(1)
                opened.setsampwidth(2)
                opened.setframerate(8000)
        else:
            file.write_bytes(content)
        with pytest.raises(ActlabError, match=r"bad\.wav") as caught:
            speech.read_wave(file)
        assert "\n" not in str(caught.value), name
    (tmp_path / "rate.wav").write_bytes(good[:24] + b"\0\0\0\0" + good[28:])
    with pytest.raises(ActlabError, match=r"rate\.wav"):
        speech.read_wave(tmp_path / "rate.wav")
    with pytest.raises(ActlabError, match=r"lasts 11\.0 s"):
        speech.read_wave(small.tone(tmp_path / "long.wav", 300.0, seconds=11))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no rows"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3\n4,5\n", "line 3: expected 2 values; got 1"),
        ("a\nx\ny\nz\n", "no column of numbers"),
        ("time,a\n1,nil\n2,nil\n3,\n", "no column of numbers"),
    ],
)
def test_damaged_series(tmp_path, content, words):
    file = tmp_path / "bad.csv"
    file.write_text(content)
    with pytest.raises(ActlabError, match=words):
        series.load(file)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "INTENT/train_INTENT_full.json"),
        (lambda folder: (folder / "train.txt").write_text("play:O jazz <=> Music\n"), "line 1: expected a BIO label"),
        (lambda folder: (folder / "train.txt").write_text("play:O <=> Music\n"), "no test sentences"),
        (lambda folder: _json(folder, "{broken"), "cannot be read"),
        (lambda folder: _json(folder, '{"A": [{"words": 1}]}'), "cannot be read"),
    ],
)
def test_damaged_sentences(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(ActlabError, match=words) as caught:
        text.load_slots(tmp_path)
    assert "\n" not in str(caught.value)


def _json(folder, content):
    (folder / "A").mkdir()
    (folder / "A" / "train_A_full.json").write_text(content)


def test_wrong_names():
    with pytest.raises(UnknownName, match="did you mean 'snips'"):
        text.load_slots("snip")
    with pytest.raises(UnknownName, match="did you mean 'sunspots'"):
        series.load("sunspot")
    with pytest.raises(UnknownName, match="did you mean 'fsdd'"):
        speech.load("fsd")
    with pytest.raises(UsageError, match=r"no 'a/b\.csv'"):
        series.load("a/b.csv")


def test_text_too_short_or_foreign(cli, tmp_path):
    file = tmp_path / "short.txt"
    file.write_text("too short")
    assert "1,000 characters" in cli("train", "character-lm", "--data", file).complaint(2)
    file.write_bytes(b"\xff\xfe" * 2000)
    assert "not UTF-8" in cli("train", "character-lm", "--data", file).complaint(2)
    assert "--data FILE.txt" in cli("train", "character-lm").complaint(2)


def test_run_without_its_vocabulary(cli, slot_run, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(slot_run, copy)
    (copy / "vocabulary.json").unlink()
    assert "vocabulary.json" in cli("predict", copy, "Play jazz").complaint(1)


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"words": 3}'])
def test_damaged_vocabulary(cli, slot_run, speech_run, series_run, text_run, word_run, tmp_path, content):
    import shutil

    files = {slot_run: "vocabulary.json", speech_run: "words.json", series_run: "series.json", word_run: "tokens.json"}
    commands = {slot_run: "predict", speech_run: "predict", series_run: "forecast", word_run: "pronounce"}
    for number, (run, name) in enumerate(files.items()):
        copy = tmp_path / str(number)
        shutil.copytree(run, copy)
        (copy / name).write_text(content)
        rest = [] if commands[run] == "forecast" else ["ab"]
        assert name in cli(commands[run], copy, *rest).complaint(1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", 'data.inputs=["x","y"]'], "differ from each other and from the target"),
        (["--set", 'data.inputs=["x","x"]'], "differ from each other"),
        (["--set", "data.horizons=[0]"], "greater than or equal to 1"),
        (["--set", "data.memory=200"], "smaller data.memory"),
        (["--set", "data.test_from=2030"], "test_from"),
        (["--set", "data.target=z"], "column"),
    ],
)
def test_series_that_cannot_be_forecast(cli, tmp_path, options, words):
    outcome = cli(
        "train", "forecasting", "--recipe", "glucose-narx", *small.data_for("forecasting", tmp_path), *options
    )
    assert words in outcome.complaint(2)


def test_constant_target_is_refused_and_constant_input_is_not(cli, tmp_path):
    file = tmp_path / "flat.csv"
    file.write_text("a,b\n" + "".join(f"{math.sin(t):.4f},1\n" for t in range(100)))
    common = [
        "train",
        "forecasting",
        "--data",
        file,
        "--epochs",
        "1",
        "--set",
        "data.transform=identity",
        "--set",
        "data.test_from=0.8",
    ]
    assert "'b' is constant" in cli(*common, "--set", "data.target=b", "--out", tmp_path / "r").complaint(2)
    assert cli(*common, "--set", "data.target=a", "--set", 'data.inputs=["b"]', "--out", tmp_path / "s", "-q").code == 0
    assert Run.read(tmp_path / "s").test.loss < 10


def test_other_delays_than_the_memory(cli, tmp_path):
    assert (
        cli(
            "train", "forecasting", "--set", "model.output_delays=3", "--epochs", "1", "--out", tmp_path / "r", "-q"
        ).code
        == 0
    )


# Data


@pytest.mark.parametrize(
    ("rows", "pieces", "columns"),
    [
        (["year,month,value", *(f"{2000 + t // 12},{t % 12 + 1},{t % 7}" for t in range(60))], ((0, 60),), ("value",)),
        (["sentiment,sales", *(f"{t % 5},{t % 7}" for t in range(50))], ((0, 50),), ("sales",)),
        (["monthly_sales", *(f"{t % 7}" for t in range(50))], ((0, 50),), ("monthly_sales",)),
        (["year,value", *(f"{2100 - t},{t}" for t in range(50))], ((0, 50),), ("value",)),
    ],
)
def test_clocks_of_series(tmp_path, rows, pieces, columns):
    file = tmp_path / "s.csv"
    file.write_text("\n".join(rows) + "\n")
    data = series.load(file)
    assert data.pieces == pieces and data.columns == columns
    if rows[0] == "year,value":
        assert data.times[0] == "2051" and data.values[0].item() == 49, "the newest came first"


def test_time_zones_do_not_cut_series(tmp_path, monkeypatch):
    import time

    file = tmp_path / "s.csv"
    file.write_text("time,v\n" + "".join(f"2024-03-{1 + t // 24:02d} {t % 24:02d}:00:00,{t % 5}\n" for t in range(744)))
    for zone in ("UTC", "Europe/Berlin"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert series.load(file).pieces == ((0, 744),)
    monkeypatch.undo()
    time.tzset()


def test_forecast_after_missing_rows_is_dated_by_the_last_whole_one(cli, tmp_path):
    file = tmp_path / "s.csv"
    file.write_text("year,v\n" + "".join(f"{1900 + t},{math.sin(t):.4f}\n" for t in range(100)) + "2000,nil\n2001,\n")
    common = ["--data", file, "--epochs", "1", "--set", "data.transform=identity", "--set", "data.test_from=0.8"]
    assert cli("train", "forecasting", *common, "--out", tmp_path / "r", "-q").code == 0
    assert json.loads(cli("forecast", tmp_path / "r", "--steps", "2", "--json").out)["times"] == ["2000", "2001"]


def test_letters_that_training_lacks(cli, tmp_path):
    file = small.dictionary(tmp_path / "words.dict")
    file.write_text(file.read_text() + "".join(f"{letter * 2} AA1\n" for letter in "qwxyzvtsr"))
    options = small.data_for("pronunciation", tmp_path)[2:]
    outcome = cli(
        "train",
        "pronunciation",
        "--data",
        file,
        *options,
        "--precision",
        "fp32",
        "--steps",
        "2",
        "--out",
        tmp_path / "r",
        "-q",
    )
    assert outcome.code == 0, outcome
    assert cli("evaluate", tmp_path / "r", "--part", "train").code == 0


def test_loss_of_pairs_is_the_same_in_pieces():
    loss, scores = PairLoss(0.1), torch.randn(8, 5, 9, generator=torch.Generator().manual_seed(0))
    wanted = torch.randint(0, 9, (8, 5), generator=torch.Generator().manual_seed(1))
    wanted[::2, 3:] = -100
    pieces = [loss(scores[row : row + 1], wanted[row : row + 1]) for row in range(8)]
    torch.testing.assert_close(loss(scores, wanted), torch.stack(pieces).mean())


def test_few_of_a_class_are_still_learnt_from(tmp_path):
    lines = [f"n{node} {node % 3} {'rare' if node < 6 else 'common'}" for node in range(90)]
    (tmp_path / "g.content").write_text("\n".join(lines))
    (tmp_path / "g.cites").write_text("n0 n1\n")
    data = graphs.load(tmp_path)
    assert data.labels[data.parts["train"]].bincount().tolist() == [20, 3]


def test_snips_form_and_its_odd_bytes(tmp_path):
    data = text.load_slots(small.snips(tmp_path), validation=6)
    assert (len(data.train), len(data.validation), len(data.test)) == (54, 6, 16)
    assert sorted(one.intent for one in data.validation) == ["GetWeather"] * 3 + ["PlayMusic"] * 3
    cities = {
        word for one in data.train for word, slot in zip(one.words, one.slots, strict=True) if slot.endswith("city")
    }
    assert "São" in cities and not any("Ã" in city for city in cities)
    assert decode("é".encode() + b"\xe9") == "éé"


ATIS = {
    "rows": "flights:O from:O boston:B-from.city to:O new:B-to.city york:I-to.city <=> flight\nfare:O <=> airfare\n",
    "columns": "# intent: flight\nflights O\nfrom O\nboston B-from.city\nto O\nnew B-to.city\nyork I-to.city\n\n# intent: airfare\nfare O\n",
    "tab": "BOS flights from boston to new york EOS\tO O O B-from.city O B-to.city I-to.city flight\nBOS fare EOS\tO O airfare\n",
}


@pytest.mark.parametrize("form", [*ATIS, "three files"])
def test_atis_forms(tmp_path, form):
    for part in ("train", "valid", "test"):
        if form == "three files":
            (tmp_path / part).mkdir()
            (tmp_path / part / "seq.in").write_text("flights from boston to new york\nfare\n")
            (tmp_path / part / "seq.out").write_text("O O B-from.city O B-to.city I-to.city\nO\n")
            (tmp_path / part / "label").write_text("flight\nairfare\n")
        else:
            (tmp_path / f"atis.{part}.txt").write_text(ATIS[form])
    data = text.load_slots(tmp_path)
    for sentences in (data.train, data.validation, data.test):
        first, second = sentences
        assert first.words == ("flights", "from", "boston", "to", "new", "york") and first.intent == "flight"
        assert first.slots == ("O", "O", "B-from.city", "O", "B-to.city", "I-to.city")
        assert second.words == ("fare",) and second.intent == "airfare"


@needs["snips"]
def test_snips_is_the_official_split():
    data = text.load_slots("snips")
    assert (len(data.train), len(data.validation), len(data.test)) == (13_084, 700, 700)
    assert len({slot for one in data.train for slot in one.slots}) == 72
    assert {sum(one.intent == intent for one in data.validation) for intent in {one.intent for one in data.train}} == {
        100
    }


@needs["fsdd"]
def test_fsdd_splits():
    data = speech.load("fsdd")
    assert (len(data.train), len(data.validation), len(data.test)) == (2400, 300, 300)
    other = speech.load("fsdd", split="theo", limit=50)
    assert len(other.test) == 50 and other.test.labels.bincount().tolist() == [5] * 10


@needs["glucose"]
def test_glucose_pieces():
    data = series.load("glucose")
    assert data.columns == ("isig", "glucose") and len(data.pieces) == 185 and data.step == "5 minutes"
    assert all(data.values[a:b].isfinite().all() for a, b in data.pieces)


def test_a_speaker_is_never_in_two_parts(tmp_path):
    data = speech.load(small.digits(tmp_path), split="bo", validation=3)
    assert len(data.test) == 36 and len(data.train) + len(data.validation) == 36


def test_log_mel_by_its_definition():
    sound = torch.randn(600, generator=torch.Generator().manual_seed(0))
    found = speech.features(sound, 12).numpy()
    window = np.hanning(201)[:200]  # periodic
    mel = lambda f: 2595 * np.log10(1 + f / 700)  # noqa: E731
    edges = 700 * (10 ** (np.linspace(0, mel(4000), 14) / 2595) - 1)
    grid = np.arange(129) * 8000 / 256
    rows = []
    for start in range(0, 401, 80):
        power = np.abs(np.fft.rfft(sound.numpy()[start : start + 200] * window, 256)) ** 2
        row = []
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
            row.append(
                np.log(
                    max(
                        1e-6,
                        sum(
                            p * max(0, min((f - low) / (middle - low), (high - f) / (high - middle)))
                            for p, f in zip(power, grid, strict=True)
                        ),
                    )
                )
            )
        rows.append(row)
    expected = np.array(rows)
    np.testing.assert_allclose(found, expected - expected.mean(0), atol=1e-3)


def test_series_of_ones_own_is_cut_at_gaps_and_missing_values(tmp_path):
    data = series.load(small.series(tmp_path / "s.csv"), inputs=("x",))
    assert data.columns == ("x", "y") and data.step == "5 minutes"
    assert data.pieces == ((0, 60), (61, 100), (100, 240))


# Tasks


def test_no_window_reaches_over_a_gap_and_test_comes_last(tmp_path):
    task = Forecasting.open(str(small.series(tmp_path / "s.csv")), target="y", inputs=("x",), memory=6, transform="identity", horizons=(3,), test_from="0.8", validation=0.2, limit=None)  # fmt: skip
    parts = task.parts()
    pieces = series.load(tmp_path / "s.csv", inputs=("x",)).pieces
    for part in (parts.train, parts.validation, parts.test):
        for row in part.rows.tolist():
            assert any(a <= row - 6 and row < b for a, b in pieces)
    assert parts.train.rows.max() < parts.validation.rows.min() <= parts.validation.rows.max() < parts.test.rows.min()
    for row in task._whole(parts.train, 3).tolist():
        assert any(a <= row - 6 and row + 2 < b for a, b in pieces)
    inputs, targets = parts.test[torch.arange(4)]
    assert not inputs[:, -1, -1].any() and targets.any(), "the value to forecast is hidden"


def test_closed_loop_is_the_networks_own(tmp_path):
    task = Forecasting.open(str(small.series(tmp_path / "s.csv")), target="y", inputs=("x",), memory=4, transform="identity", horizons=(), test_from="0.8", validation=0.0, limit=None)  # fmt: skip
    part = task.parts().test
    torch.manual_seed(0)
    network = NARX(1, 5, input_delays=4, output_delays=4)
    starts = part.rows[:5]
    with torch.no_grad():
        found = closed_loop(network, part, starts, 6)
        past = torch.stack([part.values[row - 4 : row] for row in starts.tolist()])
        ahead = torch.stack([part.values[row : row + 6, :1] for row in starts.tolist()])
        torch.testing.assert_close(found, network.closed_loop(past, ahead, 6))


def test_linear_arx_is_least_squares():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(400, generator=generator, dtype=torch.float64), [0.3, -0.2]
    for t in range(2, 400):
        y.append(0.5 + 0.6 * y[-1] - 0.3 * y[-2] + 0.8 * x[t].item() - 0.1 * x[t - 1].item())
    values = torch.stack([x, torch.tensor(y)], 1)
    windows = torch.stack([values[t - 2 : t + 1] for t in range(2, 400)])
    model = LinearARX(windows)
    weights = model.weights[:, 0].tolist()
    assert weights == pytest.approx([0.5, 0, -0.1, 0.8, -0.3, 0.6], abs=1e-6)
    torch.testing.assert_close(model(windows), windows[:, -1, -1].float(), rtol=1e-5, atol=1e-5)


def test_narx_starts_as_the_linear_arx(tmp_path):
    task = Forecasting.open(str(small.series(tmp_path / "s.csv")), target="y", inputs=("x",), memory=5, transform="identity", horizons=(), test_from="0.8", validation=0.0, limit=None)  # fmt: skip
    part = task.parts().test
    for residual in (True, False):
        network = NARX(1, 4, input_delays=5, output_delays=5, residual=residual)
        task.begin(network)
        windows = part.windows(part.rows)
        torch.testing.assert_close(network(windows), task._linear(windows), rtol=1e-4, atol=1e-4)


def test_sqrt_transform_comes_back():
    task = Forecasting(("y",), 3, [1.5], [2.0], transform="sqrt", horizons=(), name="s", step="year")
    y = torch.tensor([[0.0], [3.0], [150.0]], dtype=torch.float64)
    torch.testing.assert_close(task.unscaled(task.scaled(y)[:, 0]), y[:, 0], rtol=1e-5, atol=1e-5)


def test_slot_f1_is_seqevals(slot_run):
    task = Slots.reopen(slot_run)
    data = text.load_slots(slot_run.parent / "data", validation=0)
    task.take(Slots.open(str(slot_run.parent / "data"), validation=2, limit=None, seed=0))
    part = task.parts().test
    truth = [list(one.slots) for one in data.test]
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(len(part), 12, len(task.slots), generator=generator)

    def forward(inputs):
        rows = slice(forward.at, forward.at + len(inputs))
        forward.at += len(inputs)
        return torch.zeros(len(inputs), 2), scores[rows, : inputs.shape[1]]

    forward.at = 0
    found = task._measure(forward, part)
    predicted = [task.decode(scores[row : row + 1], [len(labels)])[0] for row, labels in enumerate(truth)]
    assert found["slot_f1"] == f1_score(truth, predicted) < 0.5


def test_best_path_against_all_paths():
    """Every path of four steps through five labels, tried one by one."""
    import itertools

    names = ["O", "B-a", "I-a", "B-b", "I-b"]
    scores = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0))
    task = Slots(
        *(text.Vocabulary(("<padding>", "<unknown>")),) * 2, text.Vocabulary(tuple(names)), text.Vocabulary(("x",))
    )
    starts = torch.tensor([name[0] != "I" for name in names])

    def allowed(path):
        chosen = ["O", *(names[one] for one in path)]
        return all(b[0] != "I" or (a != "O" and a[2:] == b[2:]) for a, b in pairwise(chosen))

    for row in range(6):
        paths = [path for path in itertools.product(range(5), repeat=4) if allowed(path)]
        best = max(paths, key=lambda path: sum(scores[row, t, label].item() for t, label in enumerate(path)))
        assert tuple(best_path(scores[row : row + 1], task._follows, starts, [4])[0]) == best


def test_spans_join_their_words():
    labels = ["B-a", "I-a", "O", "B-b", "B-b"]
    assert spans(["v", "w", "x", "y", "z"], labels) == [
        {"slot": "a", "text": "v w"},
        {"slot": "b", "text": "y"},
        {"slot": "b", "text": "z"},
    ]


def test_sampling():
    scores = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))

    def step(number, state):
        return scores[None], (state or 0) + 1

    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor(sample(step, [0], 8000, generator=generator)[1:]).bincount(minlength=4) / 8000
    torch.testing.assert_close(drawn, scores.exp(), atol=0.02, rtol=0)
    assert set(sample(step, [0], 50, temperature=0)) == {0}
    assert set(sample(step, [0], 300, top_k=2, generator=generator)) == {0, 1}
    assert set(sample(step, [0], 300, top_p=0.75, generator=generator)) == {0, 1}
    with pytest.raises(UsageError, match="prompt"):
        sample(step, [], 3)


def test_characters_windows_and_unknown(tmp_path):
    task = Characters.open(str(small.text(tmp_path / "t.txt")), length=20)
    part = task.parts().train
    inputs, targets = part[torch.tensor([0, 3])]
    assert torch.equal(inputs[:, 1:], targets[:, :-1]) and task.decode(inputs[0].tolist()).startswith("the cat sat on")
    assert task.encode("é")[0] == 1 and task.decode([1]) == "\N{REPLACEMENT CHARACTER}"


def test_masks_hide_and_keep_lengths(tmp_path):
    task = SpokenWords.open(
        str(small.digits(tmp_path)), split="official", validation=6, limit=None, mels=40, mask=0.3, seed=0
    )
    (sound, lengths), _ = task.parts().train[torch.arange(8)]
    torch.manual_seed(0)
    hidden, after = task._prepare((sound, lengths), True)
    assert torch.equal(after, lengths) and hidden.shape == sound.shape and not torch.equal(hidden, sound)
    assert torch.equal(task._prepare((sound, lengths), False)[0], sound)


def test_bits_per_character():
    task = Characters(text.Vocabulary(("<padding>", "<unknown>", "a", "b")), text="ab" * 600, length=10)
    part = task.parts().test
    found = task._measure(lambda inputs: torch.zeros(len(inputs), 4, inputs.shape[1]), part)
    assert found["bits_per_character"] == pytest.approx(math.log2(4))
