"""Writing a file whole or not at all: under a temporary name, then renamed, so that a killed process leaves whole files."""

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ._language import say
from .errors import ActlabError, first_line

_TORCH_CANNOT_WRITE = (
    "Writer",
    "write",
    "iostream",
    "inline_container",
    "Parent directory",
)  # torch.save's words for a full disk


def digest(files: Iterable[Path], *words: object) -> str:
    """A hash of these files' text and of some words: the same on every system, and another after any change."""
    found = hashlib.sha256(repr(words).encode())
    for file in sorted(files):
        found.update(file.name.encode() + file.read_bytes().replace(b"\r\n", b"\n"))
    return found.hexdigest()


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it; raises ActlabError, with nothing damaged, if that fails."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(word in str(error) for word in _TORCH_CANNOT_WRITE):
            raise
        with suppress(OSError):  # on a read-only disk nothing can be removed either
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: Exception) -> ActlabError:
    """The one sentence for a disk that is full, read-only or gone."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
    return ActlabError(
        say(
            f"could not write '{path}' ({reason}); free some space or choose another place (--out), files already there are whole",
            f"无法写入“{path}”（{reason}）；请腾出空间或换一个位置（--out），已有的文件完好无损",
        )
    )
