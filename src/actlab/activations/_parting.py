"""Functions of an axis that work element by element on parts of it: what their kernels are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Parted:
    """`value` makes `made` parts of the `given` ones that an axis is cut into, `gradient` gradients by these of those by the results.

    `keeps` is what the backward pass gets: "output" hands the results to `gradient`, after their gradients. With "choice" there is one
    result, which is one of the parts, and `value` gives after it a one for the part that it is and zeros for the others, in its type;
    these are kept as bits and handed on. The axis is cut into blocks, or with `neighbours` into groups of elements side by side.
    """

    given: int
    made: int
    keeps: Literal["output", "choice"]
    value: Callable[..., tuple[Tensor, ...]]
    gradient: Callable[..., tuple[Tensor, ...]]
    neighbours: bool = False
