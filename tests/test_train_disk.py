"""A disk that is full or read-only: one sentence, nothing damaged, and the same result once there is room."""

import json
import os
import resource
import subprocess
from contextlib import contextmanager

import pytest
import torch

from actlab.records import Run

COMMAND = ("train", "lenet", "--data", "sample", "--limit", "60", "--batch-size", "16", "--epochs", "3", "--quiet")


@contextmanager
def no_file_above(size: int):
    """Every write beyond `size` bytes of a file fails with EFBIG. Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def mounted(folder, size: str):
    """A disk in memory of that size at `folder`; skips where mounting is not allowed."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small disk here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def result(directory):
    test = Run.read(directory).test
    return (
        (directory / "metrics.csv").read_bytes(),
        (directory / "model.safetensors").read_bytes(),
        test.loss,
        test.accuracy,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    from actlab.__main__ import run

    directory = tmp_path_factory.mktemp("whole") / "run"
    assert run([*COMMAND, "--out", str(directory)]) == 0
    return result(directory)


def check_what_is_left(directory):
    """A checkpoint, where there is one, can be loaded; every line of the events is whole but perhaps the last."""
    if (directory / "checkpoints" / "last.pt").exists():
        state = torch.load(directory / "checkpoints" / "last.pt", weights_only=True)
        assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())
    assert not list(directory.rglob("*.tmp"))


# The first checkpoint of LeNet is 252 kB and later ones, with momentum, 499 kB; its weights alone are 248 kB.
@pytest.mark.parametrize("size", [100, 100_000, 252_000, 400_000], ids=lambda size: f"{size} bytes")
def test_no_room(cli, tmp_path, whole, size):
    directory = tmp_path / "run"
    with no_file_above(size):
        complaint = cli(*COMMAND, "--out", directory).complaint(1)
    assert complaint.startswith(f"could not write '{directory}") and "free some space" in complaint
    check_what_is_left(directory)
    assert cli(*COMMAND, "--out", directory, "--resume").code == 0
    assert result(directory) == whole


def test_no_room_for_the_weights_at_the_end(cli, tmp_path, whole):
    """The training is done and only its result does not fit."""
    directory = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        from actlab.train import files

        weights = files.RunDirectory.weights

        def cramped(self, state):
            with no_file_above(1000):
                weights(self, state)

        patch.setattr(files.RunDirectory, "weights", cramped)
        assert "model.safetensors" in cli(*COMMAND, "--out", directory).complaint(1)
    assert not (directory / "model.safetensors").exists()
    assert cli(*COMMAND, "--out", directory, "--resume").code == 0
    assert result(directory) == whole


@pytest.mark.parametrize("size", ["128k", "300k", "520k"])
def test_full_disk(cli, tmp_path, whole, size):
    with mounted(tmp_path / "disk", size) as disk:
        assert "could not write" in cli(*COMMAND, "--out", disk / "run").complaint(1)
        check_what_is_left(disk / "run")
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        assert cli(*COMMAND, "--out", disk / "run", "--resume").code == 0
        assert result(disk / "run") == whole
        events = [json.loads(line) for line in (disk / "run" / "events.jsonl").read_text().splitlines()]
        assert events[-1]["event"] == "finished"


@pytest.mark.parametrize(
    "place", ["/proc/actlab/run", "{file}/run", "{name}"], ids=["in /proc", "under a file", "name too long"]
)
def test_a_place_where_nothing_can_be_written(cli, tmp_path, place):
    (tmp_path / "file").write_text("")
    directory = place.format(file=tmp_path / "file", name=tmp_path / ("n" * 300))
    complaint = cli(*COMMAND, "--out", directory).complaint(1)
    assert complaint.startswith("could not write") and "--out" in complaint


@contextmanager
def read_only(folder):
    """`folder` without write permission, for root too."""
    if os.geteuid():
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


@contextmanager
def own_disk(folder):
    if os.geteuid():
        folder.mkdir()
        yield folder
    else:
        with mounted(folder, "20m"):
            yield folder


def test_read_only_disk(cli, tmp_path):
    with own_disk(tmp_path / "disk") as disk, read_only(disk):
        assert (
            "Read-only" in (complaint := cli(*COMMAND, "--out", disk / "run").complaint(1)) or "Permission" in complaint
        )
        assert not (disk / "run").exists()


def test_a_disk_that_becomes_read_only(cli, tmp_path, whole):
    with own_disk(tmp_path / "disk") as disk:
        with no_file_above(400_000):
            cli(*COMMAND, "--out", disk / "run").complaint(1)
        if os.geteuid() == 0:  # chmod of the folder does not protect the files in it
            with read_only(disk):
                assert "could not write" in cli(*COMMAND, "--out", disk / "run", "--resume").complaint(1)
        assert cli(*COMMAND, "--out", disk / "run", "--resume").code == 0
        assert result(disk / "run") == whole
