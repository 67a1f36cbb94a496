"""A unit of work in another process: what goes there, and how results and errors come back."""

import os
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .._language import Language, choose
from ..errors import ActlabError

Call = tuple[Callable[..., Iterable[Any]], tuple[Any, ...], Language]
RETRIES = 3  # of a unit whose process dies


def answer(function: Callable[..., Iterable[Any]], given: tuple[Any, ...], spoken: Language) -> Any:
    """Runs there: the list of what `function(*given)` yields, or Failed.

    A process that is told to end while it trains does so at once; its unit is then given to another one.
    """
    choose(spoken)
    try:
        return list(function(*given))
    except Exception as error:
        from ..train import Interrupted  # here, for it imports torch, and a process must begin at once

        if isinstance(error, Interrupted):
            os._exit(1)
        return Failed.of(error)


@dataclass(frozen=True)
class Failed:
    """An error as text, for not every error can be pickled."""

    kind: type[Exception]
    text: str
    trace: str | None = None

    @staticmethod
    def of(error: Exception) -> "Failed":
        """One of ours keeps its kind and its sentence, with the traceback of its cause; any other its whole traceback."""
        ours = isinstance(error, ActlabError)
        shown = error.__cause__ if ours else error
        trace = None if shown is None else "".join(traceback.format_exception(shown))
        return Failed(type(error), str(error), trace) if ours else Failed(RuntimeError, _named(error), trace)

    def error(self) -> Exception:
        """As it was raised; the constructors of our errors take other things than their text."""
        found = self.kind.__new__(self.kind, self.text)
        found.__cause__ = None if self.trace is None else _Elsewhere(f"in another process\n{self.trace}")
        return found


class _Elsewhere(Exception):
    """Carries a traceback of another process."""


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
