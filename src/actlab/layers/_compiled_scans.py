"""The peephole loops in C++, compiled at first use and kept in torch's compiler cache."""

from functools import cache
from pathlib import Path
from typing import Any

import torch


@cache
def loops() -> Any:
    """`torch.ops.actlab_scans`, or None where there is no compiler: the loops then run in Python, with the same numbers."""
    from torch._inductor.codecache import CppCodeCache

    try:
        CppCodeCache.load((Path(__file__).parent / "scan.cpp").read_text(), device_type="cpu")
    except Exception:  # no compiler, a compiler too old, no space: nothing but speed is lost
        return None
    return torch.ops.actlab_scans
