"""Generated sources kept in the compiler's cache: generating one takes seconds, and every process would do it again."""

import hashlib
import json
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock

from .. import activations
from .._files import digest
from ._forms import sources
from ._lowering import NoKernel
from ._parted_forms import parted_sources
from ._variant import Parting, Variant


def kept_sources(variant: Variant | Parting, dtype: torch.dtype, *, rows: bool = False) -> dict[str, str]:
    """As `sources` and `parted_sources`, from the cache where they are; raises NoKernel."""
    place = _place(variant, dtype, rows)
    if place is None:
        return _generated(variant, dtype, rows)
    found = _read(place)
    if found is None:
        with _alone(place):  # of several processes that start at once, one does the work
            found = _read(place) or _made(variant, dtype, rows)
            _keep(place, found)
    if "none" in found:
        raise NoKernel(found["none"])
    return found


def _generated(variant: Variant | Parting, dtype: torch.dtype, rows: bool) -> dict[str, str]:
    return parted_sources(variant, dtype) if isinstance(variant, Parting) else sources(variant, dtype, rows=rows)


def _made(variant: Variant | Parting, dtype: torch.dtype, rows: bool) -> dict[str, str]:
    """The sources by their forms, or {"none": why}."""
    try:
        return _generated(variant, dtype, rows)
    except NoKernel as reason:
        return {"none": str(reason)}


def _read(place: Path) -> dict[str, str] | None:
    """What is in the file; None where there is none or it is damaged."""
    with suppress(OSError, ValueError):
        known = json.loads(place.read_text(encoding="utf-8"))
        if isinstance(known, dict) and known and all(isinstance(one, str) for one in known.values()):
            return known
    return None


def _alone(place: Path) -> AbstractContextManager[object]:
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_suffix(".lock").touch()
        return FileLock(place.with_suffix(".lock"))
    return nullcontext()


def _place(variant: Variant | Parting, dtype: torch.dtype, rows: bool) -> Path | None:
    """The file; None for entries whose Python code is not the catalogue's, and so not in the key."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    from_formula = isinstance(variant.entry, activations.Activation) and variant.entry.made is not None
    if not from_formula and not variant.entry.body.__module__.startswith(f"{activations.__name__}."):
        return None
    key = hashlib.sha256(f"{_code()} {variant.key} {dtype}{' rows' if rows else ''}".encode()).hexdigest()
    return Path(cache_dir()) / "actlab" / f"{key}.json"


@cache
def _code() -> str:
    """A hash of everything that decides what is generated: our code, torch's version, the processor's vectors."""
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    package = Path(__file__).parents[1]
    files = (file for folder in ("activations", "formula", "kernels") for file in (package / folder).rglob("*.py"))
    vectors = pick_vec_isa()  # its repr has an address in it, another one in every process
    return digest(files, torch.__version__, type(vectors).__name__, str(vectors))


def _keep(place: Path, content: dict[str, str]) -> None:
    from torch._inductor.codecache import write_atomic

    with suppress(OSError):  # a full or read-only disk costs the time, nothing else
        write_atomic(str(place), json.dumps(content), make_dirs=True)
