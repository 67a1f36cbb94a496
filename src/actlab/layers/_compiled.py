"""C++ that lies beside these layers, compiled at first use and kept in torch's compiler cache."""

from functools import cache
from pathlib import Path
from typing import Any

import torch


@cache
def compiled(name: str) -> Any:
    """The library of a .cpp file, or None where there is no compiler: operations of torch then give the same numbers."""
    from torch._inductor.codecache import CppCodeCache

    try:
        return CppCodeCache.load((Path(__file__).parent / f"{name}.cpp").read_text(), device_type="cpu")
    except Exception:  # no compiler, a compiler too old, no space: nothing but speed is lost
        return None


def loops() -> Any:
    """`torch.ops.actlab_scans`, the peephole loops, or None."""
    return torch.ops.actlab_scans if compiled("scan") is not None else None
