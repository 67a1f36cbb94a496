"""Files from their public source, through pooch, into a cache that is never seen half full."""

import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actlab._language import say
from actlab.errors import ActlabError

from ._fashion import KNOWN, URL

SECONDS_TO_ANSWER = 10


class Bar:
    """pooch's idea of a progress bar (it knows tqdm), drawn by rich."""

    def __init__(self, name: str):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress

        self.total = 0
        self._progress = Progress(
            "{task.description}", BarColumn(), DownloadColumn(), console=Console(stderr=True), transient=True
        )
        self._task = self._progress.add_task(name)

    def update(self, count: int) -> None:
        self._progress.start()
        self._progress.update(self._task, total=self.total, advance=count)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.stop()


def retrieve(url: str, path: Path, known: str | None) -> str:
    """Put the file at `url` to `path`, its SHA-256 checked where it is `known`; returns what went wrong, nothing if it is there."""
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel(logging.ERROR)
    bar: Any = Bar(path.name) if sys.stderr.isatty() else False
    fetch: Any = pooch.HTTPDownloader(progressbar=bar, timeout=SECONDS_TO_ANSWER)
    try:
        pooch.retrieve(url, known and f"sha256:{known}", fname=path.name, path=path.parent, downloader=fetch)
    except (RequestException, ValueError) as error:  # ValueError: the checksum
        return type(error).__name__ if isinstance(error, RequestException) else say("wrong checksum", "校验和不符")
    finally:
        if bar:
            bar.close()
    return ""


def download(folder: Path) -> str:
    """Put the four files of Fashion-MNIST into `folder`, checksums checked; returns what went wrong, nothing if all is there."""
    for name, known in KNOWN.items():
        if failed := retrieve(URL + name, folder / name, known.upstream):
            return say(f"the download from {URL} failed ({failed})", f"从 {URL} 下载失败（{failed}）")
    return ""


def cache() -> Path:
    """Where data sets are kept for this user."""
    import pooch

    return Path(pooch.os_cache("actlab"))


@contextmanager
def filling(target: Path) -> Iterator[Path]:
    """An empty folder to fill, in a place of its own beside `target`; raises ActlabError where the cache cannot be written to."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as work:
            filled = Path(work) / "filled"
            filled.mkdir()
            yield filled
    except OSError as error:
        raise ActlabError(
            say(
                f"cannot write to the cache '{target.parent}' ({error.strerror}); set ACTLAB_DATA or XDG_CACHE_HOME to another folder",
                f"无法写入缓存“{target.parent}”（{error.strerror}）；请将 ACTLAB_DATA 或 XDG_CACHE_HOME 设为其他文件夹",
            )
        ) from None
