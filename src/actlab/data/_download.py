"""Fashion-MNIST from its public source, through pooch."""

import logging
import sys
from pathlib import Path
from typing import Any

from actlab._language import say

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


def download(folder: Path) -> str:
    """Put the four files into `folder`, checksums checked; returns what went wrong, nothing if all is there."""
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel(logging.ERROR)
    for name, known in KNOWN.items():
        bar: Any = Bar(name) if sys.stderr.isatty() else False
        fetch: Any = pooch.HTTPDownloader(progressbar=bar, timeout=SECONDS_TO_ANSWER)
        try:
            pooch.retrieve(URL + name, known_hash=f"sha256:{known.upstream}", fname=name, path=folder, downloader=fetch)
        except (RequestException, ValueError) as error:  # ValueError: the checksum
            kind = type(error).__name__ if isinstance(error, RequestException) else say("wrong checksum", "校验和不符")
            return say(f"the download from {URL} failed ({kind})", f"从 {URL} 下载失败（{kind}）")
        finally:
            if bar:
                bar.close()
    return ""
