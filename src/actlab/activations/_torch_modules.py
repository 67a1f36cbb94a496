"""The activations that torch itself offers as modules, by name.

What the models need until every function has an entry of its own: a name, a module. The calls are those of the entries to come:
`get(name).module(**parameters)`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from .._language import say
from ..errors import UnknownName, UsageError


@dataclass(frozen=True)
class Activation:
    """A pointwise nonlinearity under its usual name."""

    name: str
    build: Callable[..., nn.Module]
    fixed: dict[str, Any] = field(default_factory=dict)

    def module(self, **parameters: Any) -> nn.Module:
        """The activation as a layer; raises UsageError for a parameter that it does not have."""
        try:
            return self.build(**self.fixed, **parameters)
        except TypeError as error:
            raise UsageError(
                say(
                    f"{self.name}: unknown parameter among {sorted(parameters)} ({error})",
                    f"{self.name}：参数 {sorted(parameters)} 有误（{error}）",
                )
            ) from None


_MODULES: dict[str, tuple[Callable[..., nn.Module], dict[str, Any]]] = {
    "celu": (nn.CELU, {}),
    "elu": (nn.ELU, {}),
    "gelu": (nn.GELU, {}),
    "gelu_tanh": (nn.GELU, {"approximate": "tanh"}),
    "hard_shrink": (nn.Hardshrink, {}),
    "hard_sigmoid": (nn.Hardsigmoid, {}),
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


def names() -> list[str]:
    """Every name that `get` knows, sorted."""
    return sorted(_MODULES)


def get(name: str) -> Activation:
    """The activation of that name; raises UnknownName, with the nearest one."""
    if name not in _MODULES:
        raise UnknownName("activation", name, _MODULES)
    build, fixed = _MODULES[name]
    return Activation(name, build, fixed)


def layer(activation: "str | nn.Module | Callable[[], nn.Module]") -> Callable[[], nn.Module]:
    """A function that builds one fresh activation layer per call.

    A module is copied for each place, so that learnable activations do not share their parameters by accident.
    """
    if isinstance(activation, str):
        return get(activation).module
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
