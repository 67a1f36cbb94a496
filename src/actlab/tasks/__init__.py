"""Tasks beside images: from data to what `fit` trains on, and from a trained network to answers a person can read.

Each file is one task: what a network must offer for it, the loss, the scores, and the files that let a finished run be used without
its data.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..train.evaluation import Loss
from ..train.parts import Parts

Made = TypeVar("Made")


class Task(Protocol):
    """Made from data by `open`, or from the files of a run by `reopen`, which leaves it without data."""

    @property
    def loss(self) -> Loss | None:
        """None: cross-entropy."""
        ...

    def offered(self, model: str) -> dict[str, Any]:
        """Sizes that the network of that name is built with, where its signature takes them."""
        ...

    def parts(self) -> Parts:
        """Training, validation and test part."""
        ...

    def take(self, other: Any) -> None:
        """Use the data of another task of the same kind with the vocabularies and scales of this one."""
        ...

    def files(self) -> dict[str, str]:
        """Texts for the run directory."""
        ...


def made_of(directory: Path, name: str, make: Callable[[Any], Made]) -> Made:
    """`make` of the JSON content of a file that `files` wrote; raises ActlabError if it is not there, or not what was written."""
    import json

    from .._language import say
    from ..errors import ActlabError, first_line

    text = _text_of(directory, name)
    try:
        return make(json.loads(text))
    except ActlabError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ActlabError(
            say(
                f"'{directory / name}' is damaged ({type(error).__name__}: {first_line(error)}); train the run anew",
                f"“{directory / name}”已损坏（{type(error).__name__}：{first_line(error)}）；请重新训练",
            )
        ) from error


def _text_of(directory: Path, name: str) -> str:
    from .._language import say
    from ..errors import ActlabError

    try:
        return (directory / name).read_text(encoding="utf-8")
    except OSError as error:
        raise ActlabError(
            say(
                f"expected '{name}' in the run directory '{directory}' ({error.strerror}); train it anew",
                f"运行目录“{directory}”中缺少“{name}”（{error.strerror}）；请重新训练",
            )
        ) from None
