"""What several test files share: the command line inside this process and outside of it, and small runs to look at."""

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

# One thread for each process: these networks are so small that threads only wait for each other. Read when torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from actlab import _language
from actlab.__main__ import run as run_command_line

# The shortest training that has everything: sample images, a few steps, a report.
SHORT = ["train", "lenet", "--data", "sample", "--limit", "60", "--batch-size", "16", "--steps", "3", "--quiet"]


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell, where tests still send it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def english(monkeypatch):
    """Texts are compared in English, whatever the locale of the machine; no run takes itself for one of several processes."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    _language.choose("en")
    yield
    _language.choose(None)


class Outcome:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"

    def complaint(self, code: int) -> str:
        """The one sentence on standard error, after checking that there is nothing else."""
        assert self.code == code, self
        assert self.err.startswith("actlab: "), self
        assert self.err.count("\n") == 1, self
        assert "Traceback" not in self.err
        return self.err.removeprefix("actlab: ").strip()


@pytest.fixture
def cli(capsys):
    """`cli("train", "lenet", ...)` in this process: an `Outcome`."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run_command_line([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


class Launched:
    """`actlab` as a process tree of its own; `kill` and `stop` reach every process of it."""

    def __init__(self, arguments: list[str], folder: Path, file_bytes: int | None):
        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "actlab", *arguments],
            cwd=folder, env=environment, text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=limited if file_bytes is not None else None,
        )  # fmt: skip

    def wait(self, seconds: float = 120) -> Outcome:
        """Until it has ended by itself."""
        out, err = self.process.communicate(timeout=seconds)
        return Outcome(self.process.returncode, out, err)

    def signal(self, number: signal.Signals, *, whole_tree: bool = True) -> None:
        """Send a signal to the whole tree, or to its first process alone."""
        os.killpg(self.process.pid, number) if whole_tree else self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to every process of the tree."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.communicate(timeout=60)

    def tree_is_gone(self, seconds: float) -> bool:
        """Whether every process of the tree ends within that time."""
        return until(lambda: not _alive(self.process.pid), seconds)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return any(_state(entry) not in ("Z", "X") for entry in Path("/proc").glob("[0-9]*") if _group(entry) == group)


def _state(entry: Path) -> str:
    with suppress(OSError, IndexError):
        return (entry / "stat").read_text().rpartition(")")[2].split()[0]
    return "X"


def _group(entry: Path) -> int:
    with suppress(OSError, IndexError):
        return int((entry / "stat").read_text().rpartition(")")[2].split()[2])
    return -1


def until(condition, seconds: float = 60) -> bool:
    """Look again and again until `condition()` holds; False when the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def launch(tmp_path):
    """`launch("train", "lenet", ...)` as a process of its own in `tmp_path`; whatever is left of it is killed at the end.

    file_bytes: no file of it may grow beyond, as on a full disk.
    """
    launched: list[Launched] = []

    def start(*arguments: object, file_bytes: int | None = None) -> Launched:
        launched.append(Launched([str(argument) for argument in arguments], tmp_path, file_bytes))
        return launched[-1]

    yield start
    for one in launched:
        one.kill()


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The directory of a finished short run of LeNet; nobody may change it."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    _language.choose("en")
    assert run_command_line([*SHORT, "--out", str(directory)]) == 0
    return directory


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    """A folder with a network and data whose trainings are watched, and the record of one process in `alone`."""
    from actlab.recipes.comparing import run_comparison
    from watched import Watch, declaration

    found = Watch(tmp_path_factory.mktemp("watched"))
    _language.choose("en")
    run_comparison(declaration(found.file), found.folder / "alone")
    return found
