"""Stopped at any moment and taken up again, a training ends with the very same bytes."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from actlab.errors import ActlabError, UsageError
from actlab.records import Run
from actlab.train import Interrupted, Origin, Parts, Settings, TensorPart, fit, keeping

SETTINGS = Settings(
    epochs=3, batch_size=16, learning_rate=0.3, momentum=0.9, schedule="cosine", clip_norm=0.5, ema=0.7, patience=2, report_test=True,
    checkpoint_seconds=1e-9, evaluate_batch_size=8, keep_memory=False,
)  # fmt: skip
PLAN = Origin(plan={"name": "resume", "rate": 0.3})


class Cut(BaseException):
    """Stands for the end of the process: no handler of ours may stop it."""


class Watched(TensorPart):
    """Counts its batches over all parts and acts at one of them."""

    def __init__(self, count, seed, act):
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(count, 6, generator=generator)
        super().__init__(inputs, (inputs[:, 0] > 0).long())
        self.act = act

    def __getitem__(self, indices):
        self.act()
        return super().__getitem__(indices)


def train(directory, *, act=lambda: None, resume=False, settings=SETTINGS, plan=PLAN):
    torch.manual_seed(7)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.PReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    data = Parts(
        Watched(50, 0, act), Watched(20, 1, act), Watched(20, 2, act),
        prepare=lambda inputs, training: inputs + 0.1 * torch.randn_like(inputs) if training else inputs,
    )  # fmt: skip
    return fit(model, data, settings=settings, run_dir=directory, resume=resume, origin=plan)


def at(number, act):
    """Something to do at the batch of that number, counted from 0 over training and evaluation."""
    seen = iter(range(10**6))
    return lambda: act() if next(seen) == number else None


def cut():
    raise Cut


def result(directory: Path):
    test = Run.read(directory).test
    assert test is not None
    return (directory / "metrics.csv").read_bytes(), (directory / "model.safetensors").read_bytes(), test.model_dump()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted run: its result, its number of batches and of files written."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    batches: list[int] = []
    renamed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Path, "replace", lambda path, target, keep=Path.replace: (renamed.append(target.name), keep(path, target))
        )
        train(directory, act=lambda: batches.append(0))
    return result(directory), len(batches), renamed


BATCHES = (
    3 * (4 + 3 + 3) + 3
)  # 4 training steps, 3 batches of validation and 3 of testing an epoch, and the test at the end


def test_the_moments_below_are_all_there_are(whole):
    assert whole[1] == BATCHES
    assert {"config.toml", "last.pt", "best.pt", "metrics.csv", "run.json", "model.safetensors"} == set(whole[2])


@pytest.mark.parametrize("moment", range(BATCHES))
def test_cut_off_at_any_batch(tmp_path, monkeypatch, whole, moment):
    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(keeping, "record_failure", lambda *_: None)  # a killed process writes nothing any more
        train(tmp_path / "run", act=at(moment, cut))
    assert train(tmp_path / "run", resume=True).status == "finished"
    assert result(tmp_path / "run") == whole[0]


@pytest.mark.parametrize("after", [False, True], ids=["before it takes its name", "after it"])
def test_cut_off_at_any_file(tmp_path, monkeypatch, whole, after):
    """At every rename in turn, in one and the same run: each time it gets one file further, or starts again where it was."""
    number = 0
    while number < len(whole[2]):
        directory, seen, rename = tmp_path / f"{number}", iter(range(10**6)), Path.replace

        def replace(path, target, number=number, seen=seen, rename=rename):
            here = next(seen) == number
            if here and not after:
                raise Cut
            done = rename(path, target)
            if here:
                raise Cut
            return done

        with monkeypatch.context() as patch, pytest.raises(Cut):
            patch.setattr(keeping, "record_failure", lambda *_: None)
            patch.setattr(Path, "replace", replace)
            train(directory)
        train(directory, resume=True)
        assert result(directory) == whole[0], f"cut at file {number}, {whole[2][number]}"
        number += 4  # files come in groups of four or five, so steps of four meet every kind


def test_cut_off_again_and_again(tmp_path, monkeypatch, whole):
    """Every session gets two batches further than the one before and is then cut off."""
    sessions = 0
    with monkeypatch.context() as patch:
        patch.setattr(keeping, "record_failure", lambda *_: None)
        while sessions < 60:
            try:
                run = train(tmp_path / "run", act=at(4 + sessions // 4, cut), resume=True)
                break
            except Cut:
                sessions += 1
    assert sessions > 3
    assert run.status == "finished" and run.resumed > 2
    assert result(tmp_path / "run") == whole[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize(
    "moment", [0, 3, 4, 6, 8, 13, BATCHES - 3, BATCHES - 1],
    ids=["first step", "last step of an epoch", "validation", "end of validation", "test of an epoch", "later step", "final test",
         "end of the final test"],
)  # fmt: skip
def test_signal_leaves_a_resumable_run(tmp_path, whole, number, moment):
    directory = tmp_path / "run"
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=rf"stopped by {number.name} after step \d+ of 12; .*--resume"):
        train(directory, act=at(moment, lambda: os.kill(os.getpid(), number)))
    assert signal.getsignal(number) == before
    run = Run.read(directory)
    assert run.status == "interrupted" and number.name in run.message
    assert train(directory, resume=True).status == "finished"
    assert Run.read(directory).resumed == 1
    assert result(directory) == whole[0]


@pytest.fixture
def heeds_ctrl_c():
    """Processes started in the background of a script ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_stops_at_once(tmp_path, heeds_ctrl_c):
    def twice():
        for _ in range(2):  # to this thread: of two to the process another thread may take both as one
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", act=at(5, twice))
    assert Run.read(tmp_path / "run").status == "interrupted"


def test_the_handlers_are_given_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train(None)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    first = train(tmp_path / "run")
    files = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert train(tmp_path / "run", resume=True, act=cut) == first
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == files


def test_a_run_is_not_overwritten(tmp_path):
    train(tmp_path / "run")
    with pytest.raises(UsageError, match=r"already holds a run.*--resume"):
        train(tmp_path / "run")


def test_resuming_with_another_plan_is_refused(tmp_path):
    with pytest.raises(Cut):
        train(tmp_path / "run", act=at(6, cut))
    with pytest.raises(UsageError, match=r"started with rate = 0\.3, not 0\.4"):
        train(tmp_path / "run", resume=True, plan=Origin(plan={"name": "resume", "rate": 0.4}))


@pytest.mark.parametrize("damage", ["empty", "half", "foreign"])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path, damage):
    with pytest.raises(Cut):
        train(tmp_path / "run", act=at(6, cut))
    file = tmp_path / "run" / "checkpoints" / "last.pt"
    content = file.read_bytes()
    file.write_bytes({"empty": b"", "half": content[: len(content) // 2], "foreign": b"not a checkpoint" * 99}[damage])
    metrics = (tmp_path / "run" / "metrics.csv").read_bytes()
    with pytest.raises(ActlabError, match=r"the checkpoint '.*last\.pt' cannot be read .*remove it") as caught:
        train(tmp_path / "run", resume=True)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == metrics  # what was known of the run stays


def test_a_missing_best_epoch_is_one_sentence(tmp_path):
    train(tmp_path / "run")
    (tmp_path / "run" / "run.json").unlink()
    (tmp_path / "run" / "checkpoints" / "best.pt").unlink()
    with pytest.raises(ActlabError, match="weights of the best epoch are missing"):
        train(tmp_path / "run", resume=True)


def test_checkpoints_hold_no_code(tmp_path):
    """They load with weights_only=True, and say how far the training was."""
    with pytest.raises(Cut):
        train(tmp_path / "run", act=at(6, cut))
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)
    assert json.loads(state["progress"])["step"] <= 4
    assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())


def test_nothing_is_left_beside_the_files(tmp_path):
    train(tmp_path / "run")
    names = sorted(str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert names == [
        "checkpoints/best.pt",
        "checkpoints/last.pt",
        "config.toml",
        "events.jsonl",
        "metrics.csv",
        "model.safetensors",
        "run.json",
    ]


def test_the_best_epoch_survives_a_cut(tmp_path, whole):
    """`best.pt` may be newer than `last.pt`: an epoch counted again must find the same best."""
    with pytest.raises(Cut), pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "record_failure", lambda *_: None)
        save, seen = keeping.save, iter(range(100))
        patch.setattr(keeping, "save", lambda s: cut() if s.progress.rows and next(seen) == 0 else save(s))
        train(tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints" / "best.pt").exists()
    train(tmp_path / "run", resume=True)
    assert result(tmp_path / "run") == whole[0]


def test_a_resumed_run_keeps_the_date_of_its_start(tmp_path):
    """Not the moment at which the record was last written."""
    with pytest.raises(Cut):
        train(tmp_path / "run", act=at(6, cut))
    file = tmp_path / "run" / "checkpoints" / "last.pt"
    state = torch.load(file, weights_only=True)
    progress = json.loads(state["progress"]) | {"created": "2001-02-03T04:05:06+00:00"}
    torch.save(state | {"progress": json.dumps(progress)}, file)
    train(tmp_path / "run", resume=True)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["created"] == "2001-02-03T04:05:06+00:00"
