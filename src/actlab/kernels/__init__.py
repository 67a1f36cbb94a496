"""Fused kernels: activations in one pass over the memory, forward and backward, generated from the catalogue's entries."""

from ._forms import PRECISIONS as PRECISIONS
from ._run import build as build
from ._run import derivative as derivative
from ._run import run as run
from ._run import run_drawn as run_drawn
from ._run import run_gate as run_gate
from ._run import shortcut as shortcut
from ._run import tells_slope as tells_slope
from ._runtime import library as library

# Activations of the networks people train most, for `actlab kernels build`.
COMMON = (
    "elu",
    "gelu",
    "gelu_tanh",
    "hard_swish",
    "leaky_relu",
    "mish",
    "prelu",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
)
