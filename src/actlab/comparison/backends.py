"""Where trainings run: in this process, in several of this machine, or on a Ray cluster. A process that dies costs its own unit of work.

with closing(Workers(Place(backend="ray", address="10.0.0.1:6379"))) as workers:
    for result in workers.results(function, work): ...
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, get_args

from .._language import language, say
from ..errors import ActlabError, UnknownName, UsageError
from ._elsewhere import Call, Failed, answer

Backend = Literal["local", "ray"]
_AHEAD = 2  # units given out for each process: one is at work, one waits
_LOOK_SECONDS = 1.0  # from one look to the next whether the first process lives
_DEATHS = 2  # pools that may die without a result between them


@dataclass(frozen=True)
class Place:
    """Where trainings run: `workers` processes of this machine, or a Ray cluster.

    Every node of a cluster needs this actlab and torch, the data, and a user's own file at the same path; a unit of work takes one CPU.
    Without an address it is the cluster of RAY_ADDRESS, else one that runs on this machine, else one of `workers` CPUs that is started
    here and ended with the work. This machine must be a node of the cluster (`ray start --address=HOST:PORT --num-cpus=0` makes it one).
    """

    workers: int = 1
    backend: Backend = "local"
    address: str | None = None  # HOST:PORT of the cluster's head

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(
                say(f"workers must be at least 1; got {self.workers}", f"进程数至少为 1；得到 {self.workers}")
            )
        if self.backend not in get_args(Backend):
            raise UnknownName(say("backend", "后端"), self.backend, get_args(Backend))
        if self.address is not None and self.backend != "ray":
            raise UsageError(
                say(f"only the backend ray takes an address; got {self.address} for {self.backend}", f"只有 ray 后端需要地址；后端 {self.backend} 却得到 {self.address}")
            )  # fmt: skip


HERE = Place()  # one process, this one


def cores() -> int:
    """How many processes this machine has cores for; 1 where joblib, which starts them, is missing."""
    try:
        from joblib import cpu_count
    except ImportError:
        return 1
    return cpu_count()


class Workers:
    """Those who work at a place. Processes and connections are made when they are first needed, and last until `close`."""

    def __init__(self, place: Place):
        self.place = place
        self._pool: Any = None

    def results(self, function: Callable[..., Iterable[Any]], work: Sequence[tuple[Any, ...]]) -> Generator[Any]:
        """What `function(*one)` yields for each of `work`, as it comes; from another process all of one unit together.

        Errors of ours come as they are, any other from another process as RuntimeError with its traceback, and ActlabError where processes
        or nodes keep dying.
        """
        if self.place.backend == "local" and (self.place.workers == 1 or len(work) < 2):
            for one in work:
                yield from function(*one)
        elif work:
            self._pool = self._pool or _pool(self.place)
            with closing(self._pool.results([(function, one, language()) for one in work])) as answers:
                for found in answers:
                    if isinstance(found, Failed):
                        raise found.error()
                    yield from found

    def close(self) -> None:
        """End the processes, leave the cluster."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def _pool(place: Place) -> Any:
    if place.backend == "ray":
        from ._cluster import Cluster

        return Cluster(place.workers, place.address)
    return _Processes(place.workers)


class _Processes:
    """Processes of this machine. When one dies, which ends its pool, all that has no result yet goes to a fresh one."""

    def __init__(self, workers: int):
        self.workers = workers
        self._executor: Any = None

    def results(self, calls: Sequence[Call]) -> Generator[Any]:
        """An answer for every call, as it comes."""
        left, deaths = dict(enumerate(calls)), 0
        while left:
            try:
                with closing(self._once(left)) as found:
                    for number, one in found:
                        del left[number]
                        deaths = 0
                        yield one
            except BrokenProcessPool:
                deaths += 1
                if deaths == _DEATHS:
                    raise _keeps_dying(self.workers) from None

    def _once(self, calls: dict[int, Call]) -> Generator[tuple[int, Any]]:
        """From one pool, until all is done or a process has died; stopped early, it leaves no process behind."""
        waiting, running = iter(list(calls.items())), {}
        try:
            while True:
                self._give(running, waiting)
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=_failed):
                    yield running.pop(future), future.result()
        except BaseException:
            self.close()
            raise

    def _give(self, running: dict[Future[Any], int], waiting: Iterator[tuple[int, Call]]) -> None:
        try:
            for number, call in islice(waiting, _AHEAD * self.workers - len(running)):
                running[self._started().submit(answer, *call)] = number
        except BrokenProcessPool:
            if not running:
                raise  # else what was finished before comes first

    def _started(self) -> Any:
        if self._executor is None:
            try:
                from joblib.externals.loky import ProcessPoolExecutor
            except ImportError:
                raise ActlabError(
                    say("several workers need joblib, which is not installed; run: pip install 'actlab[compare]'", "多进程需要 joblib；请运行：pip install 'actlab[compare]'")
                ) from None  # fmt: skip
            self._executor = ProcessPoolExecutor(self.workers, initializer=_begin, initargs=(os.getpid(),))
        return self._executor

    def close(self) -> None:
        """End the processes, whatever they do."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None


def _begin(first: int) -> None:
    """In each of the processes: it lives and dies with the first one, which alone minds Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(first,), daemon=True).start()


def _end_with(first: int) -> None:
    while os.getppid() == first:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def _failed(future: Future[Any]) -> bool:
    return future.exception() is not None


def _keeps_dying(workers: int) -> ActlabError:
    fewer = (f" with fewer than {workers} workers", f"，并把进程数减到 {workers} 以下")
    return ActlabError(
        say(
            f"worker processes were killed again and again, perhaps for want of memory; finished trials are kept, so the same command goes on from there, best{fewer[0]}",
            f"工作进程一再被杀死，可能是内存不足；已完成的试验都已保存，用同一命令即可继续{fewer[1]}",
        )
    )
