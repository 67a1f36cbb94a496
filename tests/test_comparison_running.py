"""Comparisons in several processes of this machine: killed ones, interrupted ones, errors that come from them."""

import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from actlab import _language, _own
from actlab.comparison.backends import Place, Workers, cores
from actlab.errors import ActlabError, UsageError
from actlab.recipes.comparing import run_comparison
from actlab.train import Interrupted
from conftest import until
from watched import declaration, from_elsewhere


def test_neither_ctrl_c_nor_a_killed_process_repeats_a_finished_trial(watch):
    def interrupt(trial, left):  # as Ctrl-C does
        if len(watch.trials("out")) == 4:
            signal.raise_signal(signal.SIGINT)

    watch.reset()
    with pytest.raises(Interrupted, match="finished trainings are kept in"):
        run_comparison(declaration(watch.file), watch.folder / "out", workers=2, show=interrupt)
    assert not multiprocessing.active_children()
    before = watch.trials("out")
    watch.reset(kill="process")
    run_comparison(declaration(watch.file), watch.folder / "out", workers=2)
    after = watch.trials("out")
    assert len(before) == 4 and before.items() <= after.items()
    assert watch.killed("process") and len(watch.begun()) == len(after) - 4 + 1
    assert watch.record("out") == watch.record("alone")


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, 2), (signal.SIGTERM, 2), (signal.SIGTERM, 1)])
def test_a_signal_ends_all_processes_with_one_sentence(launch, watch, tmp_path, number, workers):
    watch.reset()
    given = ["--data", f"{watch.file}:data", "--activations", "relu,identity", "--quick", "--budget", "200"]
    process = launch("compare", f"{watch.file}:net", *given, "--workers", str(workers), "--out", tmp_path / "out")
    begun = lambda: any((tmp_path / "out" / "trials").glob("*.json"))  # noqa: E731
    assert until(lambda: begun() or process.process.poll() is not None)
    process.signal(number)
    outcome = process.wait()
    assert begun() and outcome.code == 1, outcome
    assert outcome.err.count("\n") == 1 and "kept in '" in outcome.err and "the same command goes on" in outcome.err
    assert process.tree_is_gone(5)


def test_processes_end_with_the_first_one_however_that_ends():
    script = "import time; from actlab.comparison.backends import *; next(Workers(Place(2)).results(time.sleep, [(60,)] * 2))"
    first = subprocess.Popen([sys.executable, "-c", script], start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: len(spawned(first.pid)) == 2)
        first.kill()
        assert until(lambda: not spawned(first.pid), 10)
    finally:
        first.kill()
        first.wait()


def spawned(group: int) -> list[Path]:
    """Processes of a group that others of it have spawned."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            its = int((entry / "stat").read_text().rpartition(")")[2].split()[2])
            if its == group and "spawn_main" in (entry / "cmdline").read_text():
                found.append(entry)
        except OSError:  # it has ended
            continue
    return found


def test_errors_come_from_other_processes_as_they_are(watch):
    with closing(Workers(Place(2))) as workers:
        for function, given, kind, said, cause in from_elsewhere(watch.file):
            with pytest.raises(kind) as caught:
                list(workers.results(function, [(given,)] * 2))
            assert type(caught.value) is kind and str(caught.value) == said
            assert (caught.value.__cause__ is None) == (cause is None) and (cause or "") in str(caught.value.__cause__)
        _language.choose("zh")
        with pytest.raises(UsageError, match="需要"):
            list(workers.results(_own.load, [("net",)] * 2))


def test_processes_that_are_killed_again_and_again_end_in_one_sentence():
    with closing(Workers(Place(2))) as workers, pytest.raises(ActlabError) as caught:
        list(workers.results(signal.raise_signal, [(signal.SIGKILL,)] * 2))
    assert str(caught.value) == (
        "the process of a training was killed 4 times, perhaps for want of memory; finished trials are kept, and the same command goes on "
        "from there, best with fewer than 2 workers"
    )


def test_a_process_killed_while_idle_is_replaced():
    with closing(Workers(Place(2))) as workers:
        assert sorted(workers.results(str, [("a",), ("b",), ("c",)])) == ["a", "b", "c"]
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGKILL)
        assert sorted(workers.results(str, [("d",), ("e",)])) == ["d", "e"]
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workers": 0}, "workers must be at least 1; got 0"),
        ({"backend": "rey"}, "no backend 'rey'; did you mean 'ray'?"),
        ({"address": "head:6379"}, "only the backend ray takes an address; got head:6379 for local"),
    ],
)
def test_no_such_place(given, said):
    with pytest.raises(UsageError) as caught:
        Place(**given)
    assert str(caught.value) == said


def test_there_are_as_many_workers_as_cores_at_most():
    assert 1 <= cores() <= (os.cpu_count() or 1)
