"""Units of work on a Ray cluster: which one, how they are given out, what becomes of those whose node or process dies."""

import os
import socket
from collections.abc import Generator, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from .._language import say
from ..errors import ActlabError, UsageError
from ._elsewhere import RETRIES, Call, answer

_AHEAD = 4  # units given out for each CPU
_SECONDS = 5.0  # to wait for the head to answer
# The head speaks HTTP/2, unlike Ray's dashboard, whose address is easily taken for it: such a server begins with a frame of this kind.
_SETTINGS = b"\x04"
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + _SETTINGS + bytes(5)
_STORE_BYTES = 100_000_000  # of a cluster started here; results are small


class Cluster:
    """A Ray cluster; connected when it is first asked for results. A connection that was there before is used, and left as it is."""

    def __init__(self, workers: int, address: str | None):
        self.workers, self.address = workers, address
        self._ours = False

    def results(self, calls: Sequence[Call]) -> Generator[Any]:
        """An answer for every call, as it comes."""
        ray = self._connected()
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(answer)
        ahead = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 0)))
        waiting, running = iter(calls), []
        try:
            while True:
                running += [task.remote(*call) for call in islice(waiting, ahead - len(running))]
                if not running:
                    return
                (done, *_), running = ray.wait(running)
                yield ray.get(done)
        except ray.exceptions.RayError as error:
            raise _lost(error) from None
        finally:
            for one in running:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(one, force=True)

    def _connected(self) -> Any:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before the import, which may read it
        try:
            ray: Any = import_module("ray")
        except ImportError:
            raise ActlabError(
                say("the backend ray needs Ray, which is not installed; run: pip install 'actlab[cluster]'", "ray 后端需要 Ray；请运行：pip install 'actlab[cluster]'")
            ) from None  # fmt: skip
        if not ray.is_initialized():
            _connect(ray, self.workers, _address(self.address))
            self._ours = True
        return ray

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        if self._ours:
            import_module("ray").shutdown()
            self._ours = False


def _connect(ray: Any, workers: int, address: str | None) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        quiet |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        ray.init(address or "local", **quiet)
    except Exception as error:  # Ray raises many kinds, some of many lines
        ray.shutdown()
        where, why = address or say("of this machine", "（本机）"), _reason(error.__cause__ or error, address)
        raise ActlabError(
            say(f"cannot work with the Ray cluster {where}: {why}", f"无法使用 Ray 集群 {where}：{why}")
        ) from None


def _reason(error: BaseException, address: str | None) -> str:
    if "InvalidAuthToken" in str(error):
        return say(
            "it asks for a token; set RAY_AUTH_MODE and RAY_AUTH_TOKEN as where it was started",
            "需要令牌；请按集群启动时那样设置 RAY_AUTH_MODE 与 RAY_AUTH_TOKEN",
        )
    if "No node info" in str(error):
        return say(
            f"this machine is none of its nodes; make it one with: ray start --address={address} --num-cpus=0",
            f"本机不是它的节点；请运行 ray start --address={address} --num-cpus=0 加入",
        )
    return _line(error)


def _address(asked: str | None) -> str | None:
    """HOST:PORT of a cluster whose head answers; None for one of our own."""
    asked = asked or os.environ.get("RAY_ADDRESS") or "auto"
    if asked == "local":
        return None
    if asked == "auto":
        noted = _noted()
        return noted if noted is not None and _answers(noted) else None
    if not _answers(asked):
        raise ActlabError(
            say(f"no Ray cluster answers at {asked}; start one with: ray start --head, which prints its address", f"{asked} 处没有 Ray 集群应答；请用 ray start --head 启动，它会显示地址")
        )  # fmt: skip
    return asked


def _noted() -> str | None:
    """Where `ray start` on this machine has last put a cluster, as the documentation of `ray.init` says."""
    for folder in filter(None, (os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR"), "/tmp")):
        with suppress(OSError):
            return Path(folder, "ray", "ray_current_cluster").read_text(encoding="utf-8").strip()
    return None


def _answers(address: str) -> bool:
    """Asked first, for Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in host:
        raise UsageError(
            say(f"expected the address of a Ray cluster as HOST:PORT; got '{address}'", f"Ray 集群的地址应为 HOST:PORT；得到“{address}”")
        )  # fmt: skip
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS) as line:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return True
            line.sendall(_HELLO)
            return line.recv(9)[3:4] == _SETTINGS
    except (OSError, UnicodeError):  # an overlong name is no name of a host either
        return False


def _lost(error: Exception) -> ActlabError:
    """For a unit that no process of the cluster could finish."""
    cause = getattr(error, "cause", None)  # where a node cannot even begin, such as for want of a package
    why = type(error).__name__ if cause is None else _line(cause)
    return ActlabError(
        say(
            f"the Ray cluster could not finish a training ({why}); finished trials are kept, and the same command goes on from there",
            f"Ray 集群无法完成某次训练（{why}）；已完成的试验都已保存，用同一命令即可继续",
        )
    )


def _line(error: BaseException) -> str:
    """What it says in one line; of a traceback the last."""
    text = str(error).strip()
    return text.splitlines()[-1] if "Traceback" in text else " ".join(text.split())
