"""Tasks beside images: from data to what `fit` trains on, and from a trained network to answers a person can read.

Each file is one task: what a network must offer for it, the loss, the scores, and the files that let a finished run be used without
its data.
"""

from pathlib import Path
from typing import Any, Protocol

from ..train.evaluation import Loss
from ..train.parts import Parts


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


def text_of(directory: Path, name: str) -> str:
    """A file that `files` wrote; raises ActlabError if it is not there."""
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
