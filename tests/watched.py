"""A network and data of a user's own, whose trainings in other processes are noted and killed on demand. Tests copy this file to their folder."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import torch
from torch import nn

from actlab import _own
from actlab.errors import OwnCodeError, UnknownName, UsageError
from actlab.recipes import plan
from actlab.recipes.declaring import Size, declare

FOLDER = Path(__file__).parent
KILLS_AT = 5  # the step


def declaration(file: Path):
    """Of a comparison of 20 trainings, none in a batch."""
    target = f"{file}:net"
    changes = {"data": {"source": f"{file}:data"}, "settings": {"batch_size": 50}}
    size = Size(tuning=1, screening=1, confirmation=6, rates=3, finalists=1)
    names = ("relu", "identity")
    return declare(target, plan(target).with_changes(**changes), names, size, steps=12, margin=0.02)


class Watched(nn.Module):
    """Looks at its values, so that no two of its trainings can be one batch."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
        self.steps = 0

    def forward(self, x):
        if self.training and bool(x.isfinite().all()):
            self.steps += 1
            note(self.steps)
        return self.layers(x)


def net():
    return Watched()


def data():
    return tuple(spiral(count, seed) for seed, count in enumerate((200, 100, 100)))


def spiral(count: int, seed: int):
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    t = 3 * torch.rand(count, generator=draw) + 0.3
    a = 1.6 * t + 3.14159 * y
    return torch.stack([t * a.cos(), t * a.sin()], 1) / 2 + 0.05 * torch.randn(count, 2, generator=draw), y


def note(step: int) -> None:
    """A line for each training that begins in a process other than the first one; then what the test has asked for."""
    if os.getpid() == int((FOLDER / "first").read_text()):
        return
    node = os.environ.get("NODE", "here")
    if step == 1:
        with (FOLDER / "begun").open("a") as file:
            file.write(f"{node}\n")
        for wanted in (FOLDER / "wanted").read_text().split():
            wait_for(wanted)
    if step == KILLS_AT and taken("kill process"):
        os.kill(os.getpid(), signal.SIGKILL)
    if step == KILLS_AT and taken(f"kill {node}"):
        os.kill(os.getppid(), signal.SIGKILL)


def wait_for(node: str, seconds: float = 60) -> None:
    """Until a training has begun on that node, so that a fast one does not do all the work."""
    deadline = time.monotonic() + seconds
    while node not in (FOLDER / "begun").read_text().split() and time.monotonic() < deadline:
        time.sleep(0.02)


def taken(what: str) -> bool:
    """Whether the test has asked for it, and no other process has done it."""
    try:
        (FOLDER / what).rename(FOLDER / f"{what} done")
    except FileNotFoundError:
        return False
    return True


class Watch:
    """The test's end: a folder with this file in it."""

    def __init__(self, folder: Path):
        self.folder, self.file = folder, folder / "watched_copy.py"
        self.file.write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
        self.reset()

    def reset(self, *, wanted: str = "", kill: str = "") -> None:
        """Forget what has begun; wait for these nodes at each training, and kill that once."""
        (self.folder / "first").write_text(str(os.getpid()))
        (self.folder / "begun").write_text("")
        (self.folder / "wanted").write_text(wanted)
        if kill:
            (self.folder / f"kill {kill}").touch()

    def killed(self, what: str) -> bool:
        """Whether it has been."""
        return (self.folder / f"kill {what} done").exists()

    def begun(self) -> list[str]:
        """Where each training in another process has begun."""
        return (self.folder / "begun").read_text().split()

    def trials(self, out: str) -> dict[str, int]:
        """The finished trials of a comparison, and when each was written."""
        return {file.name: file.stat().st_mtime_ns for file in (self.folder / out / "trials").glob("*.json")}

    def record(self, out: str) -> bytes:
        """The record of a comparison."""
        return (self.folder / out / "comparison.json").read_bytes()


def fails():
    return 1 / 0


def from_elsewhere(file: Path):
    """Work that fails in another process: function, what it is given, the error and its sentence, words of its cause."""
    return (
        (_own.load, f"{file}:nett", UnknownName, f"no name in {file} 'nett'; did you mean 'net'?", None),
        (_own.load, "net", UsageError, "expected file.py:callable or package.module:callable; got 'net'", None),
        (partial(_own.call, offered={}), f"{file}:fails", OwnCodeError, f"{file}:fails failed: ZeroDivisionError: division by zero", "return 1 / 0"),
        (int, "x", RuntimeError, "ValueError: invalid literal for int() with base 10: 'x'", "Traceback"),
    )  # fmt: skip
