"""Comparisons on a Ray cluster of two nodes, both on this machine: the record of one process, whatever dies; what cannot be reached."""

import http.server
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from contextlib import closing, suppress
from pathlib import Path

import pytest

from actlab.comparison.backends import Place, Workers
from actlab.errors import ActlabError, UsageError
from actlab.recipes.comparing import run_comparison
from actlab.train import Interrupted
from conftest import until
from watched import declaration, from_elsewhere

# The nodes listen to the network, where without a token anybody could run what he likes. Read when Ray is first imported.
os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)


# A node whose port is closed is taken for dead after some 3 seconds, not half a minute.
SOON_DEAD = json.dumps(
    {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 3}
)


class RayCluster:
    """Nodes that are process groups of their own, so that nothing else is touched when they are ended."""

    def __init__(self, folder: Path):
        self.folder, self.address = folder, f"127.0.0.1:{free_port()}"
        self.sessions: list[int] = []

    def start(self, name: str) -> None:
        """A node of one CPU, the first one the head; its processes find their node's name in NODE."""
        port = self.address.rpartition(":")[2]
        head = ["--head", f"--port={port}", f"--temp-dir={self.folder}", "--include-dashboard=false", f"--system-config={SOON_DEAD}"]  # fmt: skip
        where = [f"--address={self.address}"] if self.sessions else head
        given = ["--num-cpus=1", "--object-store-memory=100000000", "--min-worker-port=0", "--max-worker-port=0"]
        process = subprocess.Popen(
            [Path(sys.executable).with_name("ray"), "start", *where, *given], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env={**os.environ, "NODE": name, "RAY_USAGE_STATS_ENABLED": "0"},
        )  # fmt: skip
        self.sessions.append(process.pid)
        out, _ = process.communicate(timeout=90)
        assert process.returncode == 0, out

    def processes(self, name: str = "") -> list[int]:
        """Those whose command begins so."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) in self.sessions and state != "Z" and (entry / "cmdline").read_text().startswith(name):
                    found.append(int(entry.name))
        return found

    def end(self) -> None:
        """Every process of every node."""
        while self.processes():
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'actlab[cluster]'")
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # paths of sockets must be short
    found = RayCluster(folder)
    try:
        found.start("first")
        found.start("second")
        yield found
    finally:
        found.end()
        shutil.rmtree(folder, ignore_errors=True)


def on(cluster, watch, out, **more):
    run_comparison(declaration(watch.file), watch.folder / out, backend="ray", address=cluster.address, **more)


def test_two_nodes_give_the_record_of_one_process_though_a_worker_is_killed(cluster, watch):
    watch.reset(wanted="first second", kill="process")
    on(cluster, watch, "two")
    assert set(watch.begun()) == {"first", "second"} and watch.killed("process")
    assert watch.record("two") == watch.record("alone")
    assert len(watch.begun()) == len(watch.trials("two")) + 1, "the killed one alone is trained again"
    import ray

    assert not ray.is_initialized()


def test_interrupted_it_leaves_no_worker_and_run_again_it_repeats_no_trial_though_a_node_dies(cluster, watch):
    def interrupt(trial, left):  # as Ctrl-C does, while there is work left for three nodes at once
        if len(watch.trials("out")) == 2:
            signal.raise_signal(signal.SIGINT)

    watch.reset()
    with pytest.raises(Interrupted, match="finished trainings are kept in"):
        on(cluster, watch, "out", show=interrupt)
    assert until(lambda: not cluster.processes("ray::answer"), 10)
    before = watch.trials("out")
    cluster.start("doomed")
    watch.reset(wanted="doomed", kill="doomed")
    on(cluster, watch, "out")
    after = watch.trials("out")
    assert len(before) == 2 and before.items() <= after.items()
    assert watch.killed("doomed") and "doomed" in watch.begun()
    assert watch.record("out") == watch.record("alone")


def test_errors_come_from_a_cluster_as_they_are(cluster, watch):
    with closing(Workers(Place(backend="ray", address=cluster.address))) as workers:
        for function, given, kind, said, cause in from_elsewhere(watch.file):
            with pytest.raises(kind) as caught:
                list(workers.results(function, [(given,)]))
            assert type(caught.value) is kind and str(caught.value) == said
            assert (caught.value.__cause__ is None) == (cause is None) and (cause or "") in str(caught.value.__cause__)
        for function, given, why in (
            (signal.raise_signal, signal.SIGKILL, "WorkerCrashedError"),
            (unknown_there(), "x", "ModuleNotFoundError: No module named 'unknown_there'"),
        ):
            with pytest.raises(ActlabError) as caught:
                list(workers.results(function, [(given,)]))
            assert str(caught.value) == (
                f"the Ray cluster could not finish a training ({why}); finished trials are kept, and the same command goes on from there"
            )


def unknown_there():
    """A function of a module that no node has."""
    module = types.ModuleType("unknown_there")
    exec("def function(x): return [x]", module.__dict__)
    sys.modules[module.__name__] = module
    return module.function


class Page(http.server.BaseHTTPRequestHandler):
    """As Ray's dashboard is."""

    def log_message(self, *_):
        pass


@pytest.fixture
def dashboard():
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def complaint(address):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'actlab[cluster]'")
    began = time.monotonic()
    with closing(Workers(Place(backend="ray", address=address))) as workers, pytest.raises(ActlabError) as caught:
        next(workers.results(str, [("a",)]))
    assert time.monotonic() - began < 30
    return caught.value


def test_a_cluster_that_does_not_answer(dashboard, monkeypatch):
    sentence = "no Ray cluster answers at {}; start one with: ray start --head, which prints its address"
    closed = f"127.0.0.1:{free_port()}"
    for address in (closed, dashboard):
        assert str(complaint(address)) == sentence.format(address)
    monkeypatch.setenv("RAY_ADDRESS", closed)
    assert str(complaint(None)) == sentence.format(closed)


@pytest.mark.parametrize("address", ["head", "ray://head:10001", "head:0", "head:ray"])
def test_what_is_no_address_of_a_cluster(address):
    error = complaint(address)
    assert type(error) is UsageError
    assert str(error) == f"expected the address of a Ray cluster as HOST:PORT; got '{address}'"


def test_without_ray_the_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ActlabError) as caught:
        next(Workers(Place(backend="ray")).results(str, [("a",)]))
    assert str(caught.value) == "the backend ray needs Ray, which is not installed; run: pip install 'actlab[cluster]'"
