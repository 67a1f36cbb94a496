"""A word for those who wait while something is compiled."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from .._language import say

_SECONDS = 2.0  # of silence


@contextmanager
def compiling(what: str) -> Iterator[None]:
    """Says on a terminal what is being compiled, if it takes longer than a moment; nothing where standard error is a file or a pipe."""
    text = say(
        f"compiling {what}: once on this machine, up to a minute",
        f"正在编译{what}：每台机器只需一次，至多约一分钟",
    )
    timer = Timer(_SECONDS, lambda: print(f"actlab: {text}", file=sys.stderr, flush=True))
    timer.daemon = True
    if sys.stderr is not None and sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
