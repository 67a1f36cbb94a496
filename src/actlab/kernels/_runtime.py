"""The compiled operators `torch.ops.actlab.*`, and the kernels entered into them."""

import ctypes
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

import torch

from .._language import say
from ..errors import first_line
from ._forms import DTYPES, FORMS
from ._lowering import PREFIX, NoKernel
from ._source_cache import kept_sources
from ._variant import Parting, Variant
from ._waiting import compiling

_VARIANTS: dict[str, Variant | Parting] = {}  # by their keys: what the operators may ask for
# the forms, those for rows apart; none where plain operations compute
_BUILT: dict[tuple[str, torch.dtype, bool], tuple[str, ...]] = {}
_BUILDING = RLock()
_KEPT: list[Any] = []  # libraries and callbacks that must outlive this module's functions


@cache
def own(name: str) -> ctypes.CDLL | None:
    """The operators of a .cpp file here, compiled at first use and kept in the compiler's cache; None, said once, where there is no compiler."""
    from torch._inductor.codecache import CppCodeCache

    try:
        with compiling(say("the operators of fused activations", "融合激活函数的算子")):
            loaded = CppCodeCache.load((Path(__file__).parent / f"{name}.cpp").read_text(), device_type="cpu")
        assert isinstance(loaded, ctypes.CDLL)
    except Exception as error:  # no compiler, a compiler too old, no space: whatever it is, plain operations still work
        warnings.warn(
            say(
                f"activations run as plain operations, because kernels cannot be compiled here: {first_line(error)}",
                f"无法在此编译内核，激活函数改用普通运算：{first_line(error)}",
            ),
            stacklevel=2,
        )
        return None
    return loaded


@cache
def library() -> ctypes.CDLL | None:
    """The operators of generated kernels; None as for `own`."""
    loaded = own("runtime")
    if loaded is None:
        return None
    loaded.actlab_enter.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    loaded.actlab_enter.restype = None
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int)(_asked)
    _KEPT.append(callback)
    loaded.actlab_set_builder(callback)
    return loaded


@cache
def fast(kind: str = "") -> Callable[..., Any]:
    """`fast()(x, learnt, key, axis, keep, dtype)`: the operator without what torch.ops does in Python at every call; see runtime.cpp.

    That of kind "drawn" is f as in training, of a seed that it draws; `learnt` is empty then and `axis` any. "parted" and "paired" are
    those of functions that work on parts of an axis, and take arguments of their own.
    """
    loaded = library()
    assert loaded is not None
    make = getattr(ctypes.PyDLL(loaded._name), f"actlab_fast{kind and '_'}{kind}")
    make.restype, make.argtypes = ctypes.py_object, []
    return make()


def register(variant: Variant | Parting) -> str:
    """Make a variant known to the operators; its key."""
    return _VARIANTS.setdefault(variant.key, variant).key


def ready(key: str, dtype: torch.dtype, *, rows: bool = False) -> bool:
    """Whether there are kernels of this variant for this type, with `rows` those for parameters of each channel too; builds them at the first question."""
    return bool(forms(key, dtype, rows=rows))


def forms(key: str, dtype: torch.dtype, *, rows: bool = False) -> tuple[str, ...]:
    """The kernels of this variant for this type, or none; builds them at the first question."""
    found = _forms(key, dtype, False)
    if not (found and rows and _VARIANTS[key].learnt):
        return found
    more = _forms(key, dtype, True)
    return found + more if more else ()


def _forms(key: str, dtype: torch.dtype, rows: bool) -> tuple[str, ...]:
    known = _BUILT.get((key, dtype, rows))
    if known is None:
        with _BUILDING:  # torch's compiler keeps its state in globals
            known = _BUILT.get((key, dtype, rows))
            if known is None:
                possible = dtype in DTYPES and library() is not None
                known = _BUILT[key, dtype, rows] = _build(_VARIANTS[key], dtype, rows) if possible else ()
    return known


def _build(variant: Variant | Parting, dtype: torch.dtype, rows: bool) -> tuple[str, ...]:
    from torch._inductor.codecache import CppCodeCache

    try:
        with compiling(say(f"the kernels of {variant.entry.name}", f" {variant.entry.name} 的内核")):
            found = kept_sources(variant, dtype, rows=rows)
            compiled = CppCodeCache.load(PREFIX + "".join(found.values()), device_type="cpu")
    except NoKernel:  # nothing is wrong: plain operations are what this entry is best computed by
        return ()
    except Exception as error:
        warnings.warn(
            say(
                f"{variant.key} runs as plain operations in {dtype}: {first_line(error)}",
                f"{variant.key} 在 {dtype} 下改用普通运算：{first_line(error)}",
            ),
            stacklevel=2,
        )
        return ()
    _KEPT.append(compiled)
    operators = library()
    assert operators is not None
    for form in found:
        pointer = ctypes.cast(getattr(compiled, f"{form}_kernel"), ctypes.c_void_p)
        operators.actlab_enter(variant.key.encode(), DTYPES.index(dtype), FORMS.index(form), pointer)
    return tuple(found)


def _asked(key: bytes, dtype: int) -> int:
    """The operators' question for a kernel that is not there; 0 if it is now."""
    try:
        return 0 if ready(key.decode(), DTYPES[dtype], rows=True) else 1
    except Exception:  # nothing may pass from here into C++
        return 1
