"""Fused kernels: activations in one pass over the memory, forward and backward, generated from the catalogue's entries."""

from ._run import derivative as derivative
from ._run import run as run
from ._runtime import library as library
from ._runtime import ready as ready
from ._runtime import register as register
from ._variant import Variant as Variant
