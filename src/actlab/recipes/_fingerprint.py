"""Whether a network and data of one's own are still those with which a comparison was begun."""

import ast
import inspect
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from .. import _own
from ..train import Parts

_EXAMPLES = 4096  # of each part


def fingerprint(names: list[str], parts: Parts) -> str:
    """Sixteen hex digits over the code of these callables, without comments and layout, and over the first examples of every part."""
    digest = sha256()
    for name in names:
        digest.update(_code(name).encode())
    for part in (parts.train, parts.validation, parts.test):
        size = 0 if part is None else len(part)
        digest.update(str(size).encode())
        for start in range(0, min(size, _EXAMPLES), 256):
            assert part is not None
            _add(digest, part[torch.arange(start, min(size, _EXAMPLES, start + 256))])
    return digest.hexdigest()[:16]


def _code(name: str) -> str:
    """The file it stands in; what is typed at a prompt by itself, or by its bytecode."""
    function = _own.load(name)
    for text in (lambda: _file(name, function).read_text(encoding="utf-8"), lambda: inspect.getsource(function)):
        try:
            return ast.dump(ast.parse(text()))
        except (OSError, TypeError, ValueError, SyntaxError):
            continue
    code = getattr(function, "__code__", None)
    return type(function).__qualname__ if code is None else f"{code.co_code!r}{code.co_consts!r}{code.co_names!r}"


def _file(name: str, function: Callable[..., Any]) -> Path:
    """Not by `inspect.getmodule`, which of two files of one name finds the one loaded first."""
    where = name.rpartition(":")[0]
    if where.endswith(".py") and name not in _own.given:
        return Path(where).expanduser()
    return Path(inspect.getfile(inspect.unwrap(function)))


def _add(digest: Any, batch: Any) -> None:
    if torch.is_tensor(batch):
        digest.update(batch.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    elif isinstance(batch, tuple | list):
        for one in batch:
            _add(digest, one)
