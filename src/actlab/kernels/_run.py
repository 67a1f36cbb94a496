"""From a call of an activation to its kernel, or to the answer that there is none."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .._language import say
from ..activations import Activation
from ..activations._calculus import transforming
from ..activations._fusing import Fixed, Values
from ..errors import UsageError
from ._forms import DTYPES
from ._lean import INPUT, NOTHING, is_good, lean
from ._runtime import fast, forms, ready, register
from ._variant import Variant

Shortcut = tuple[Callable[..., Tensor | None], tuple[Any, ...]]

_SINGLE = -1  # no axis has channels with parameters of their own
_VARIANTS: dict[tuple[Any, ...], Variant] = {}
_DECIDED: dict[tuple[Any, ...], tuple[str, int]] = {}


def variant_of(entry: Activation, values: Sequence[Any]) -> Variant:
    """This entry with these parameters; tensors among them learn."""
    return _variant(entry, tuple(None if isinstance(value, Tensor) else value for value in values))


def _variant(entry: Activation, fixed: Values) -> Variant:
    """The same, with None for those that learn."""
    found = _VARIANTS.get((entry, fixed))
    if found is None:
        named = list(zip(entry.values(), fixed.values if isinstance(fixed, Fixed) else fixed, strict=True))
        numbers = tuple((name, value) for name, value in named if value is not None)
        learnt = tuple(name for name, value in named if value is None)
        found = _VARIANTS[entry, fixed] = Variant(entry, numbers, learnt)
        register(found)
    return found


def build(entry: Activation, dtype: torch.dtype) -> tuple[str, ...]:
    """Compile the kernels of an entry with its usual parameters; the forms there are, none where plain operations compute."""
    values = [torch.tensor(value) if name in entry.learnt else value for name, value in entry.values().items()]
    return forms(variant_of(entry, values).key, dtype, rows=True)


def tells_slope(entry: Activation, values: dict[str, float]) -> bool:
    """Whether the output of an entry with these parameters, none of them learnt, tells its slope, of whatever type it is."""
    variant = _variant(entry, tuple(values.values()))
    return all(lean(variant, dtype) is not None for dtype in DTYPES)


def kept(variant: Variant, save: str, dtype: torch.dtype) -> int:
    """What to keep for the backward pass; raises UsageError where the output is asked for and does not tell the slope."""
    if variant.entry.hands_on:
        return NOTHING
    if save == "input" or (save == "auto" and dtype == torch.float32):
        return INPUT
    way = lean(variant, dtype)
    if save == "output" and way is None:
        raise UsageError(
            say(
                f"{variant.key}: the slope cannot be told from the output; take save='input'",
                f"{variant.key}：无法由输出求出斜率；请用 save='input'",
            )
        )
    return way.keep if way is not None and (save == "output" or is_good(variant, dtype)) else INPUT


def run(entry: Activation, x: Tensor, fixed: Values, learnt: Sequence[Tensor], save: str, axis: int) -> Tensor | None:
    """f(x) by the kernel; None where there is none for such a tensor, or where torch is transforming or exporting.

    `fixed` are all parameters in order, None in the places of those that learn. This runs at every call: it is written to be short.
    """
    rows = bool(learnt) and learnt[0].numel() > 1
    if torch.compiler.is_compiling():
        if torch.compiler.is_exporting() or not x.is_cpu or transforming():
            return None
        key, keep = _decided(entry, fixed, save, x.dtype, rows)
    else:
        key, keep = _DECIDED.get((entry, fixed, save, x.dtype, rows)) or (
            _decided(entry, fixed, save, x.dtype, rows) if _is_plain(x) else ("", INPUT)
        )
    if not key:
        return _elsewhere(entry, x, fixed, save)
    flat, place = (), 0
    if learnt:
        flat = tuple([value.reshape(()) if value.dim() and value.numel() == 1 else value for value in learnt])
        for value in flat:
            if value.dim() > 1 or value.dim() != flat[0].dim() or (value.dim() and not _has_channels(x, axis, value)):
                return None
        place = axis % max(1, x.dim())
    if torch.compiler.is_compiling():
        return torch.ops.actlab.forward.default(x, flat, key, place, keep)
    result = fast()(x, flat, key, place, keep, x.dtype)
    if result is None and _is_plain(x) and not torch._C._get_tracing_state():  # someone watches operators go by
        return torch.ops.actlab.forward.default(x, flat, key, place, keep)
    return _elsewhere(entry, x, fixed, save) if result is None else result


def _elsewhere(entry: Activation, x: Tensor, fixed: Values, save: str, seed: Tensor | None = None) -> Tensor | None:
    """`run` or, with a seed, `run_drawn` on a GPU; None on other devices, for other kinds of tensors, and where parameters learn."""
    if not gpu_takes(x):
        return None
    from ._gpu import run as on_gpu

    variant = _variant(entry, fixed)
    return on_gpu(variant, x, kept(variant, save, x.dtype), seed)


def run_drawn(entry: Activation, x: Tensor, seed: Tensor, values: Values, save: str) -> Tensor | None:
    """f(x) as in training, of an entry that is random there, drawn from this seed; None as for `run`."""
    if not operators_take(x):
        return None if torch.compiler.is_compiling() else _elsewhere(entry, x, values, save, seed)
    key, keep = _decided_drawn(entry, values, save, x.dtype)
    return torch.ops.actlab.drawn.default(x, x, seed, key, keep) if key else None


def gpu_takes(x: Tensor) -> bool:
    """Whether x is an ordinary tensor of a GPU, of a type that kernels are for, and torch neither transforms nor traces."""
    usual = x.is_cuda and x.dtype in DTYPES and type(x) in _TENSORS
    return usual and not transforming() and not torch.compiler.is_compiling() and not torch._C._get_tracing_state()


def operators_take(x: Tensor) -> bool:
    """Whether x is for operators on the CPU: plain, or traced by torch.compile but not for an export."""
    if torch.compiler.is_compiling():
        return x.is_cpu and not torch.compiler.is_exporting() and not transforming()
    return _is_plain(x) and not torch._C._get_tracing_state()


def shortcut(
    entry: Activation, fixed: Values, save: str, dtype: torch.dtype, *, draws: bool = False
) -> Shortcut | None:
    """`run` for tensors of one type and parameters that are single numbers: a function, and its arguments after x and those that learn.

    With `draws` it draws a seed and does as `run_drawn`. It gives None where these must decide. What they have not decided on the CPU,
    as of tensors of a GPU, is None here: no kernels are built for it.
    """
    found = _DECIDED.get((entry, fixed, save, dtype, False))
    if found and draws:
        found = _decided_drawn(entry, fixed, save, dtype)
    return (fast("drawn" * draws), (found[0], _SINGLE, found[1], dtype)) if found and found[0] else None


def _decided(entry: Activation, fixed: Values, save: str, dtype: torch.dtype, rows: bool) -> tuple[str, int]:
    """The variant's key, empty where there is no kernel, and what its backward pass keeps. `rows`: for parameters of each channel."""
    found = _DECIDED.get((entry, fixed, save, dtype, rows))
    if found is None:
        variant = _variant(entry, fixed)
        there = ready(variant.key, dtype, rows=rows)
        found = _DECIDED[entry, fixed, save, dtype, rows] = (
            variant.key if there else "",
            kept(variant, save, dtype) if there and not variant.learnt else INPUT,
        )
    return found


def _decided_drawn(entry: Activation, fixed: Values, save: str, dtype: torch.dtype) -> tuple[str, int]:
    """The same of an entry that is random in training."""
    key, keep = _decided(entry, fixed, save, dtype, False)
    return (key if key and "drawn" in forms(key, dtype) else ""), keep


# Decided while torch.compile traces. What torch.compiler.assume_constant_result does; calling it would import the compiler, in 0.8 s.
for _one in (_decided, _decided_drawn):
    _one._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def derivative(entry: Activation, x: Tensor, values: Sequence[Any], order: int) -> Tensor | None:
    """The first or second derivative by the kernel of the backward pass; None where there is none."""
    if not _is_plain(x) or any(isinstance(value, Tensor) for value in values):
        return None
    if x.requires_grad and torch.is_grad_enabled():  # plain operations are differentiable further
        return None
    key = variant_of(entry, values).key
    if not ready(key, x.dtype):
        return None
    ones = torch.ones_like(x)
    if order == 2:
        return torch.ops.actlab.curve.default(ones, x, key)
    return torch.ops.actlab.backward.default(ones, x, None, [], key, 0, INPUT)[0]


_TENSORS = (Tensor, torch.nn.Parameter)


def _is_plain(x: Tensor) -> bool:
    """Whether x is an ordinary tensor on the CPU and no transformation, such as vmap or jvp, is at work."""
    return type(x) in _TENSORS and x.is_cpu and not transforming()


def _has_channels(x: Tensor, axis: int, value: Tensor) -> bool:
    return -x.dim() <= axis < x.dim() and x.shape[axis] == value.shape[0]
