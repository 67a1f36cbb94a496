"""From a call of an activation to its kernel, or to the answer that there is none."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..activations import Activation
from ._forms import Variant
from ._runtime import ready, register

_KEYS: dict[tuple[Any, ...], str] = {}
INPUT, OUTPUT, OUTPUT_AND_SIDE = range(3)  # what is kept for the backward pass, as the operators count it


def key_of(entry: Activation, values: Sequence[Any]) -> str:
    """The name under which the operators know this entry with these parameters; tensors among them learn."""
    fixed = tuple(None if isinstance(value, Tensor) else value for value in values)
    found = _KEYS.get((entry, fixed))
    if found is None:
        named = list(zip(entry.values(), fixed, strict=True))
        numbers = tuple((name, value) for name, value in named if value is not None)
        learnt = tuple(name for name, value in named if value is None)
        found = _KEYS[entry, fixed] = register(Variant(entry, numbers, learnt))
    return found


def run(entry: Activation, x: Tensor, values: Sequence[Any], *, save: str, axis: int) -> Tensor | None:
    """f(x) by the kernel; None where there is none for such a tensor, or where torch is transforming or tracing."""
    if not _is_plain(x):
        return None
    learnt = [value for value in values if isinstance(value, Tensor)]
    if not all(value.dim() == 0 or (value.dim() == 1 and _has_channels(x, axis, value)) for value in learnt):
        return None
    key = key_of(entry, values)
    if not ready(key, x.dtype):
        return None
    return torch.ops.actlab.forward.default(x, learnt, key, axis % x.dim() if learnt and x.dim() else 0, INPUT)


def derivative(entry: Activation, x: Tensor, values: Sequence[Any], order: int) -> Tensor | None:
    """The first or second derivative by the kernel of the backward pass; None where there is none."""
    if not _is_plain(x) or any(isinstance(value, Tensor) for value in values):
        return None
    key = key_of(entry, values)
    if not ready(key, x.dtype):
        return None
    ones = torch.ones_like(x)
    if order == 2:
        return torch.ops.actlab.curve.default(ones, x, key) if "curve" in entry.bodies else None
    return torch.ops.actlab.backward.default(ones, x, None, [], key, 0, INPUT)[0]


def _is_plain(x: Tensor) -> bool:
    return (
        type(x) in (Tensor, torch.nn.Parameter)
        and x.device.type == "cpu"
        and torch._C._functorch.maybe_current_level()  # pyright: ignore[reportAttributeAccessIssue]
        is None
        and forward_ad._current_level < 0
        and not torch.compiler.is_compiling()
    )


def _has_channels(x: Tensor, axis: int, value: Tensor) -> bool:
    return -x.dim() <= axis < x.dim() and x.shape[axis] == value.shape[0]
