"""An entry's own arithmetic in float32 up to some |x|, where kernels otherwise compute in float64."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..activations._numerics import arithmetic
from ._variant import Variant


class Within(NamedTuple):
    """The "value" or the "slope" of a variant for |x| up to `high`."""

    variant: Variant
    kind: str
    high: float

    @property
    def low(self) -> float:
        """The other end."""
        return -self.high

    @property
    def everywhere(self) -> bool:
        """Whether it is right for all x: never."""
        return False

    def at(self, x: Tensor) -> Tensor:
        """It at x of float32."""
        entry = self.variant.entry
        body = entry.body if self.kind == "value" else entry.bodies[self.kind]
        with arithmetic("fused"):
            return body(x, *self.variant.values(()))


def within(variant: Variant, kind: str, dtype: torch.dtype) -> Within | None:
    """How kernels for results of this type compute a variant up to some |x|; None where the entry says of no such."""
    limit = variant.entry.single_up_to.get(kind)
    if limit is None or variant.learnt or dtype != torch.float32:
        return None
    return Within(variant, kind, *variant.entry.points((limit,), **dict(variant.fixed)))
