"""Writing a file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ._language import say
from .errors import ActlabError, first_line


@contextmanager
def replace(path: Path, mode: str) -> Iterator[IO[Any]]:
    """A new file under a temporary name, renamed to `path` when the block ends well and removed when it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open(mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise ActlabError(say(f"could not write '{path}': {reason}", f"无法写入“{path}”：{reason}")) from error
    finally:
        with suppress(OSError):  # the directory is gone or read-only: then there is no file to remove either
            temporary.unlink(missing_ok=True)
