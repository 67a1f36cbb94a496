"""Fused kernels: activations in one pass over the memory, forward and backward, generated from the catalogue's entries."""

from ._forms import PRECISIONS as PRECISIONS
from ._run import build as build
from ._run import derivative as derivative
from ._run import run as run
from ._run import run_drawn as run_drawn
from ._run import shortcut as shortcut
from ._run import tells_slope as tells_slope
from ._run_parts import run_halves as run_halves
from ._run_parts import run_pair as run_pair
from ._run_parts import run_parted as run_parted
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
