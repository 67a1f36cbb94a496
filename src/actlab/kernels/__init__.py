"""Fused kernels: activations in one pass over the memory, forward and backward, generated from the catalogue's entries."""

import torch

from ._run import build as build
from ._run import derivative as derivative
from ._run import run as run
from ._run import tells_slope as tells_slope
from ._runtime import library as library
from ._runtime import ready as ready
from ._runtime import register as register
from ._variant import Variant as Variant

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
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
