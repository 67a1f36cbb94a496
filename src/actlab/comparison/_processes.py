"""Units of work in processes of this machine. Each process is an executor of its own, so that its death costs its own unit alone."""

import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from .._language import say
from ..errors import ActlabError
from ._elsewhere import RETRIES, Call, Failed, answer

_Waiting = deque[tuple[Call, int]]  # and how often its process has died


class Processes:
    """So many processes, each begun when there is work for it; they last until `close`."""

    def __init__(self, workers: int):
        self.workers = workers
        self._idle: list[_Process] = []
        self._running: dict[Future[Any], tuple[_Process, Call, int]] = {}

    def results(self, calls: Sequence[Call]) -> Generator[Any]:
        """An answer for every call, as it comes. Stopped early, it ends the processes that are at work."""
        waiting: _Waiting = deque((call, 0) for call in calls)
        answers: list[Any] = []
        try:
            while waiting or self._running or answers:
                while waiting and len(self._running) < self.workers:
                    self._give(*waiting.popleft())
                yield from answers
                answers = self._answers(waiting)
        finally:
            for process, *_ in self._running.values():
                process.end()
            self._running.clear()

    def _give(self, call: Call, deaths: int) -> None:
        while True:
            process = self._idle.pop() if self._idle else _Process()
            try:
                self._running[process.begin(call)] = process, call, deaths
                return
            except BrokenProcessPool:  # killed while it was idle
                process.end()

    def _answers(self, waiting: _Waiting) -> list[Any]:
        """Of all that are done by now, failures last; a call whose process has died waits again."""
        found: list[Any] = []
        for future in wait(self._running, return_when=FIRST_COMPLETED).done:
            process, call, deaths = self._running.pop(future)
            try:
                found.append(future.result())
                self._idle.append(process)
            except BrokenProcessPool:
                process.end()
                waiting.append((call, deaths + 1)) if deaths < RETRIES else found.append(_keeps_dying(self.workers))
        return sorted(found, key=lambda one: isinstance(one, Failed))

    def close(self) -> None:
        """End the processes."""
        while self._idle:
            self._idle.pop().end()


class _Process:
    """One that answers calls. It holds one end of a pipe and ends, whatever it does, when the other is closed: by us, or by our death."""

    def __init__(self) -> None:
        spawn = get_context("spawn")
        self._theirs, self._ours = spawn.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(1, spawn, initializer=_obey, initargs=(self._theirs,))

    def begin(self, call: Call) -> Future[Any]:
        """Raises BrokenProcessPool for a process that has died."""
        with _without_interrupts():
            return self._executor.submit(answer, *call)

    def end(self) -> None:
        """At once."""
        self._ours.close()
        self._executor.shutdown(cancel_futures=True)
        self._theirs.close()


def _obey(theirs: Any) -> None:
    """Runs in each process, before anything large is imported."""

    def wait_for_the_end() -> None:
        try:
            theirs.recv_bytes()
        except EOFError:
            os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=wait_for_the_end, daemon=True).start()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A process begun in this context never hears Ctrl-C, which reaches all processes of a terminal: the first one ends the others."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _keeps_dying(workers: int) -> Failed:
    fewer = ("", "") if workers == 1 else (f", best with fewer than {workers} workers", f"，最好少于 {workers} 个进程")
    return Failed(
        ActlabError,
        say(
            f"the process of a training was killed {RETRIES + 1} times, perhaps for want of memory; finished trials are kept, and the same command goes on from there{fewer[0]}",
            f"某次训练的进程被杀死 {RETRIES + 1} 次，可能是内存不足；已完成的试验都已保存，用同一命令即可继续{fewer[1]}",
        ),
    )
