"""Ctrl-C and SIGTERM during work that goes on where it was when it is asked for again."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from .._language import say
from ..train import Interrupted


@contextmanager
def stoppable(folder: Path) -> Iterator[None]:
    """Raises Interrupted, with a sentence on what is kept in `folder`, for Ctrl-C and for SIGTERM, which both end the work at once."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _interrupt) if main else None
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as error:
        kept = sum(1 for _ in (folder / "trials").glob("*.json"))
        trainings = "1 finished training is" if kept == 1 else f"{kept:,} finished trainings are"
        raise Interrupted(
            say(
                f"stopped; {trainings} kept in '{folder}', and the same command goes on from there",
                f"已停止；“{folder}”中保留了 {kept:,} 次已完成的训练，用同一命令即可继续",
            )
        ) from error
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
