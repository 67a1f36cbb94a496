"""From a call of a function of an axis, or of a gate, to its kernel, or to the answer that there is none."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..activations import Activation, VectorActivation
from ..activations._fusing import Fixed, Values
from ._forms import DTYPES
from ._lean import CHOICE, INPUT, OUTPUT
from ._run import gpu_takes, operators_take
from ._runtime import fast, library, own, ready, register
from ._variant import Parting

_MOST = 8  # parts, as runtime.cpp has it
_PLANS: dict[tuple[Any, ...], "_Plan"] = {}


class _Plan(NamedTuple):
    """The key of a kernel, empty where there is none, how many parts it makes of how many, what is kept, and whether these are neighbours."""

    key: str
    given: int
    made: int
    keep: int
    neighbours: bool


def run_parted(entry: VectorActivation, x: Tensor, parameters: dict[str, int]) -> Tensor | None:
    """f along an axis of x by a kernel; None where there is none for such a tensor, or where torch is transforming or exporting."""
    dim = parameters.get("dim", -1)
    if entry.operator:
        taken = operators_take(x) and -x.dim() <= dim < x.dim() and _takes(entry.operator, x.dtype)
        return getattr(torch.ops.actlab, entry.operator).default(x, dim % x.dim()) if taken else None
    if entry.gate:
        return _parted(entry.gate, entry.gate.usual, x, dim)
    fixed = tuple([parameters.get(one.name, one.default) for one in entry.parameters if one.name != "dim"])
    return _parted(entry, fixed, x, dim)


def run_halves(gate: Activation, values: Values, x: Tensor, dim: int, *, gate_first: bool) -> Tensor | None:
    """One half of x along an axis times `gate` of the other; None as for `run_parted`."""
    return _parted(gate, values, x, dim, flipped=gate_first)


def run_pair(gate: Activation, values: Values, value: Tensor, lever: Tensor) -> Tensor | None:
    """`value` times `gate` of `lever`; None as for `run_parted`, and where the two are not of one shape and type."""
    known = None if torch.compiler.is_compiling() else _PLANS.get((gate, values, value.dtype))
    if known and known.key:
        result = fast("paired")(value, lever, known.key, value.dtype)
        if result is not None:
            return result
    if value.shape != lever.shape or value.dtype != lever.dtype:
        return None
    if operators_take(value) and operators_take(lever):
        plan = _plan(gate, values, value.dtype)
        return torch.ops.actlab.paired.default(value, lever, plan.key) if plan.key else None
    if gpu_takes(value) and gpu_takes(lever) and value.device == lever.device:
        from ._gpu_parts import run_pair as on_gpu

        return on_gpu(_parting(gate, values), value, lever)
    return None


def _parted(
    entry: Activation | VectorActivation, fixed: Values, x: Tensor, dim: int, *, flipped: bool = False
) -> Tensor | None:
    known = None if torch.compiler.is_compiling() else _PLANS.get((entry, fixed, x.dtype))
    if known and known.key:
        key, given, made, keep, neighbours = known
        result = fast("parted")(x, dim, given, made, flipped, keep, key, neighbours, x.dtype)
        if result is not None:
            return result
    on_cpu = operators_take(x)
    if not (on_cpu or gpu_takes(x)) or not -x.dim() <= dim < x.dim():
        return None
    axis = dim % x.dim()
    key, given, made, keep, neighbours = _plan(entry, fixed, x.dtype) if on_cpu else _shape(_parting(entry, fixed))
    if not key or x.shape[axis] % given:  # plain operations say what is wrong
        return None
    if neighbours:
        x, axis = x.unflatten(axis, (x.shape[axis] // given, given)), axis + 1
    if on_cpu:
        result = torch.ops.actlab.parted.default(x, axis, given, made, flipped, keep, key)
    else:
        from ._gpu_parts import run as on_gpu

        result = on_gpu(_parting(entry, fixed), x, axis, given, keep, flipped=flipped)
    return result.squeeze(axis) if neighbours else result


def _parting(entry: Activation | VectorActivation, fixed: Values) -> Parting:
    return Parting(entry, fixed.values if isinstance(fixed, Fixed) else fixed)


def _plan(entry: Activation | VectorActivation, fixed: Values, dtype: torch.dtype) -> _Plan:
    """What is decided of an entry with these parameters."""
    found = _PLANS.get((entry, fixed, dtype))
    if found is None:
        found = _PLANS[entry, fixed, dtype] = _planned(entry, fixed, dtype)
    return found


def _planned(entry: Activation | VectorActivation, fixed: Values, dtype: torch.dtype) -> _Plan:
    parting = _parting(entry, fixed)
    plan = _shape(parting)
    return plan if plan.key and ready(register(parting), dtype) else plan._replace(key="")


def _shape(parting: Parting) -> _Plan:
    parted = parting.parted
    if parted is None:
        return _Plan(parting.key, given=2, made=1, keep=INPUT, neighbours=False)
    keep = OUTPUT if parted.keeps == "output" else CHOICE
    few = 1 <= parted.given <= _MOST
    return _Plan(parting.key if few else "", parted.given, parted.made, keep, parted.neighbours)


def _takes(operator: str, dtype: torch.dtype) -> bool:
    """Whether an operator written for one entry is there, and for this type."""
    return dtype in DTYPES and library() is not None and own(operator) is not None


for _one in (_plan, _takes):  # as in _run.py
    _one._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]
