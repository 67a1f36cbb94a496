"""Whether a network and data of one's own are still those with which a comparison was begun."""

import ast
import inspect
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import torch

from .. import _own
from ..train import Parts

_EXAMPLES = 4096  # of each part


def fingerprint(names: list[str], parts: Parts) -> str:
    """Sixteen hex digits over the code of these callables, without comments and layout, and over the first examples of every part."""
    digest = sha256()
    for name in names:
        digest.update(_code(_own.load(name)).encode())
    for part in (parts.train, parts.validation, parts.test):
        for indices in torch.arange(0 if part is None else min(len(part), _EXAMPLES)).split(256):
            assert part is not None
            _add(digest, part[indices])
        digest.update(str(0 if part is None else len(part)).encode())
    return digest.hexdigest()[:16]


def _code(function: Callable[..., Any]) -> str:
    """The file it stands in; what is typed at a prompt by itself, or by its bytecode."""
    for source in (inspect.getmodule(function), function):
        try:
            return ast.dump(ast.parse(inspect.getsource(source)))  # type: ignore[arg-type]
        except (OSError, TypeError, SyntaxError):
            continue
    code = getattr(function, "__code__", None)
    return type(function).__qualname__ if code is None else f"{code.co_code!r}{code.co_consts!r}{code.co_names!r}"


def _add(digest: Any, batch: Any) -> None:
    if torch.is_tensor(batch):
        digest.update(batch.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    elif isinstance(batch, tuple | list):
        for one in batch:
            _add(digest, one)
