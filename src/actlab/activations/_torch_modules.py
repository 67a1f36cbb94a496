"""Activation layers for networks: fused ones where `actlab.fused` is on, else torch's own kernel where it has one, else the catalogue's.

As plain operations the catalogue's exact forms cost several passes over the memory; torch's modules and fused ones cost one.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import nn

from .._language import say
from ..errors import UsageError
from ._catalogue import get
from ._fusing import engine, fused
from ._spec import Activation


class Twin(NamedTuple):
    """The module of torch that computes an entry: its class, our parameters as it calls them, and what else it is given."""

    kind: type[nn.Module]
    parameters: Mapping[str, str] = MappingProxyType({})
    fixed: Mapping[str, Any] = MappingProxyType({})


TWINS = {
    "celu": Twin(nn.CELU, {"a": "alpha"}),
    "elu": Twin(nn.ELU, {"a": "alpha"}),
    "gelu": Twin(nn.GELU, fixed={"approximate": "none"}),
    "gelu_tanh": Twin(nn.GELU, fixed={"approximate": "tanh"}),
    "hard_shrink": Twin(nn.Hardshrink, {"lambd": "lambd"}),
    "hardsigmoid": Twin(nn.Hardsigmoid),
    "hard_swish": Twin(nn.Hardswish),
    "hard_tanh": Twin(nn.Hardtanh, {"lo": "min_val", "hi": "max_val"}),
    "identity": Twin(nn.Identity),
    "leaky_relu": Twin(nn.LeakyReLU, {"a": "negative_slope"}),
    "log_sigmoid": Twin(nn.LogSigmoid),
    "mish": Twin(nn.Mish),
    "prelu": Twin(nn.PReLU),
    "relu": Twin(nn.ReLU),
    "relu6": Twin(nn.ReLU6),
    "rrelu": Twin(nn.RReLU, {"l": "lower", "u": "upper"}),
    "selu": Twin(nn.SELU),
    "sigmoid": Twin(nn.Sigmoid),
    "silu": Twin(nn.SiLU),
    "soft_shrink": Twin(nn.Softshrink, {"lambd": "lambd"}),
    "softplus": Twin(nn.Softplus, {"b": "beta"}, {"threshold": 20}),  # with another it is another function
    "softsign": Twin(nn.Softsign),
    "tanh": Twin(nn.Tanh),
    "tanh_shrink": Twin(nn.Tanhshrink),
    "threshold": Twin(nn.Threshold, {"theta": "threshold", "value": "value"}),
}


def twin_of(module: nn.Module) -> tuple[str, dict[str, float]] | None:
    """Name and parameters of the entry that this module of torch computes; None for any other."""
    for name, twin in TWINS.items():
        if type(module) is twin.kind and all(getattr(module, one) == value for one, value in twin.fixed.items()):
            return name, {ours: float(getattr(module, theirs)) for ours, theirs in twin.parameters.items()}
    return None


# Of these torch's own kernels were faster than fused ones, forward and backward together, when the trainings in benchmarks/results were made
# (LOG.md); GELU's are not any more. What they keep is more, of most.
_BEST = frozenset(
    {
        "gelu", "gelu_tanh", "hard_shrink", "hard_swish", "hard_tanh", "hardsigmoid", "identity", "leaky_relu", "relu", "relu6", "sigmoid",
        "silu", "soft_shrink", "threshold",
    }
)  # fmt: skip


def _fuses(entry: Activation) -> bool:
    """Whether to take a fused layer. One with weights is taken without a compiler too, so that their names do not depend on it."""
    if not fused.on or entry.name in _BEST:
        return False
    return bool(entry.learnt) or engine().library() is not None


def layer(activation: "str | nn.Module | Callable[[], nn.Module]") -> Callable[[], nn.Module]:
    """A function that builds one fresh activation layer per call.

    A module is copied for each place, so that learnable activations do not share their parameters by accident.
    """
    if isinstance(activation, str):
        on = fused.on
        entry = get(activation)  # refuses unknown names
        if not isinstance(entry, Activation):
            raise UsageError(
                say(
                    f"{activation} is a function of whole vectors; expected a pointwise activation, such as relu",
                    f"{activation} 是向量函数；此处需要逐元素激活函数，如 relu",
                )
            )
        if entry.name not in TWINS or _fuses(entry):
            return lambda: entry.module(fused=True) if on else entry.module()
        kind, parameters, fixed = TWINS[entry.name]
        values = entry.values()
        return lambda: kind(**fixed, **{theirs: values[ours] for ours, theirs in parameters.items()})
    if isinstance(activation, nn.Module):
        from copy import deepcopy

        return lambda: deepcopy(activation)
    return activation


# The maximum and a non-decreasing function commute, so pooling may come first.
NON_DECREASING = frozenset(
    {
        "celu",
        "elu",
        "hard_sigmoid",
        "hard_tanh",
        "identity",
        "leaky_relu",
        "log_sigmoid",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "softplus",
        "softsign",
        "tanh",
    }
)
