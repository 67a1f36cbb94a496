"""Activation layers for networks: torch's own kernel where it has one, else the catalogue's.

Untuned, the catalogue's exact forms cost several passes over the memory; torch's modules cost one.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from .._language import say
from ..errors import UsageError
from ._catalogue import get
from ._spec import Activation

_MODULES: dict[str, tuple[Callable[..., nn.Module], dict[str, Any]]] = {
    "celu": (nn.CELU, {}),
    "elu": (nn.ELU, {}),
    "gelu": (nn.GELU, {}),
    "gelu_tanh": (nn.GELU, {"approximate": "tanh"}),
    "hard_shrink": (nn.Hardshrink, {}),
    "hardsigmoid": (nn.Hardsigmoid, {}),
    "hard_swish": (nn.Hardswish, {}),
    "hard_tanh": (nn.Hardtanh, {}),
    "identity": (nn.Identity, {}),
    "leaky_relu": (nn.LeakyReLU, {}),
    "log_sigmoid": (nn.LogSigmoid, {}),
    "mish": (nn.Mish, {}),
    "prelu": (nn.PReLU, {}),
    "relu": (nn.ReLU, {}),
    "relu6": (nn.ReLU6, {}),
    "rrelu": (nn.RReLU, {}),
    "selu": (nn.SELU, {}),
    "sigmoid": (nn.Sigmoid, {}),
    "silu": (nn.SiLU, {}),
    "soft_shrink": (nn.Softshrink, {}),
    "softplus": (nn.Softplus, {}),
    "softsign": (nn.Softsign, {}),
    "swish": (nn.SiLU, {}),
    "tanh": (nn.Tanh, {}),
    "tanh_shrink": (nn.Tanhshrink, {}),
}


def layer(activation: "str | nn.Module | Callable[[], nn.Module]") -> Callable[[], nn.Module]:
    """A function that builds one fresh activation layer per call.

    A module is copied for each place, so that learnable activations do not share their parameters by accident.
    """
    if isinstance(activation, str):
        entry = get(activation)  # refuses unknown names
        if not isinstance(entry, Activation):
            raise UsageError(
                say(
                    f"{activation} is a function of whole vectors; expected a pointwise activation, such as relu",
                    f"{activation} 是向量函数；此处需要逐元素激活函数，如 relu",
                )
            )
        if activation not in _MODULES:
            return entry.module
        build, fixed = _MODULES[activation]
        return lambda: build(**fixed)
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
