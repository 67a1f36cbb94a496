"""Where trainings run: in this process, in several of this machine, or on a Ray cluster. A process that dies costs its own unit of work.

with closing(Workers(Place(backend="ray", address="10.0.0.1:6379"))) as workers:
    for result in workers.results(function, work): ...
"""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from .._language import language, say
from ..errors import UnknownName, UsageError
from ._elsewhere import Failed

Backend = Literal["local", "ray"]


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
    """CPUs that this process may use, by its affinity and by the limit of a container."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no such file outside Linux, "max" for no limit
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split())
        count = min(count, max(1, quota // period))
    return count


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
    from ._processes import Processes

    return Processes(place.workers)
