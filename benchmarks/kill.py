"""Kill a training at random moments, resume it, and compare every byte with the run that was left alone.

    python benchmarks/kill.py [--moments 20] [--seed 0] [--devices 1 2]

Real processes through the command line, on the sample data. Each moment, counted from the first step, is one run that is killed once with
SIGKILL and resumed; then one run is killed again and again; then only the first process is killed, and the others must end by themselves. Writes
benchmarks/results/kill.csv and ends with exit code 1 if any byte differs.
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "kill.csv"
COMMAND = (
    "train", "lenet", "--data", "sample", "--limit", "1000", "--batch-size", "16", "--epochs", "6", "--quiet",
    "--set", "patience=6", "--set", "ema=0.99", "--set", "data.flip=0.5", "--set", "checkpoint_seconds=0.05", "--set", "report_test=true",
)  # fmt: skip
PATIENCE_SECONDS = 60  # for processes whose first one was killed


@dataclass
class Row:
    """One experiment."""

    devices: int
    killed: str  # "all processes" or "the first process"
    kills: int
    at_seconds: str  # after the first step of each session
    at_step: str  # the last one written down before each kill
    resumed: int  # sessions that went on from a checkpoint
    left_behind: int  # processes still alive a while after the kill
    model_identical: bool
    metrics_identical: bool
    test_identical: bool

    @property
    def good(self) -> bool:
        return self.model_identical and self.metrics_identical and self.test_identical and not self.left_behind


def start(folder: Path, devices: int) -> subprocess.Popen[bytes]:
    """The training in a process group of its own; all sessions of a run are started by the same command."""
    return subprocess.Popen(
        [sys.executable, "-m", "actlab", *COMMAND, "--devices", str(devices), "--out", "run", "--resume"],
        cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(folder: Path, devices: int) -> float:
    """Let it run to its end; seconds."""
    began = time.perf_counter()
    if code := start(folder, devices).wait():
        sys.exit(f"the training in {folder} ended with exit code {code}")
    return time.perf_counter() - began


def group_members(group: int) -> list[int]:
    """Living processes of a group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, members = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(members) == group and state not in "ZX":
                found.append(int(entry.name))
    return found


def kill(process: subprocess.Popen[bytes], everyone: bool) -> int:
    """SIGKILL; how many processes stay behind, which are then killed as well."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if everyone else process.kill()
    process.wait()
    deadline = time.monotonic() + (5 if everyone else PATIENCE_SECONDS)
    while (left := group_members(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return len(left)


def events(folder: Path) -> list[dict]:
    """The whole lines of `events.jsonl`; the last one may be cut off."""
    path = folder / "run" / "events.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1] if line] if path.exists() else []


def seconds_of_training(folder: Path) -> float:
    """From the first step to the end, without imports and report."""
    times = {event["event"]: event["time"] for event in reversed(events(folder))}  # the first of each kind
    return times["finished"] - times["start"]


def wait_for_training(process: subprocess.Popen[bytes], folder: Path, sessions: int) -> bool:
    """Until that many sessions have begun to train; False if the process ends before."""
    while process.poll() is None:
        if sum(event["event"] in ("start", "resume") for event in events(folder)) >= sessions:
            return True
        time.sleep(0.005)
    return False


def results(folder: Path) -> tuple[bytes, bytes, dict]:
    run = folder / "run"
    test = json.loads((run / "run.json").read_text())["test"]
    return (run / "model.safetensors").read_bytes(), (run / "metrics.csv").read_bytes(), test


def experiment(devices: int, moments: list[float], everyone: bool, expected: tuple[bytes, bytes, dict]) -> Row:
    """Kill a fresh run at those seconds, one session each, then let it finish and compare."""
    with tempfile.TemporaryDirectory(prefix="actlab-kill-") as name:
        folder, left, steps, seconds = Path(name), 0, [], []
        for moment in moments:
            begun = sum(event["event"] in ("start", "resume") for event in events(folder))
            process = start(folder, devices)
            if not wait_for_training(process, folder, begun + 1):
                break  # there was nothing left to do
            began = time.perf_counter()
            with suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            if process.poll() is not None:
                break  # it was faster than the moment
            seconds.append(time.perf_counter() - began)
            left += kill(process, everyone)
            steps.append(events(folder)[-1]["step"])
        finish(folder, devices)
        found = results(folder)
        return Row(
            devices=devices,
            killed="all processes" if everyone else "the first process",
            kills=len(steps),
            at_seconds=" ".join(f"{second:.2f}" for second in seconds),
            at_step=" ".join(map(str, steps)),
            resumed=json.loads((folder / "run" / "run.json").read_text())["resumed"],
            left_behind=left,
            model_identical=found[0] == expected[0],
            metrics_identical=found[1] == expected[1],
            test_identical=found[2] == expected[2],
        )


def series(devices: int, moments: int, numbers: random.Random) -> list[Row]:
    """All experiments with that many processes."""
    with tempfile.TemporaryDirectory(prefix="actlab-kill-") as name:
        total = finish(Path(name), devices)
        expected, seconds = results(Path(name)), seconds_of_training(Path(name))
    print(f"{devices} process(es), uninterrupted: {total:.1f} s, of these {seconds:.1f} s of training", flush=True)
    plans = [([numbers.uniform(0, seconds)], True) for _ in range(moments)]
    plans.append(([numbers.uniform(0, seconds / 3) for _ in range(5)], True))
    if devices > 1:
        plans += [([numbers.uniform(0, seconds * 0.8)], False) for _ in range(max(1, moments // 10))]
    rows = []
    for plan, everyone in plans:
        rows.append(experiment(devices, plan, everyone, expected))
        row = rows[-1]
        print(
            f"  {row.killed:17}  {row.kills} kill(s) after {row.at_seconds} s at step {row.at_step}, resumed {row.resumed} times: "
            f"{'identical' if row.good else 'DIFFERENT'}",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moments", type=int, default=20, help="random moments for each number of processes")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2], help="numbers of processes")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    rows = [row for devices in given.devices for row in series(devices, given.moments, random.Random(given.seed))]
    given.results.parent.mkdir(parents=True, exist_ok=True)
    with given.results.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    bad = [row for row in rows if not row.good]
    print(
        f"{sum(row.kills for row in rows)} kills in {len(rows)} runs, {len(rows) - len(bad)} identical; {given.results}"
    )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
