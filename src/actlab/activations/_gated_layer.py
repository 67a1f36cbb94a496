"""Products with an activation as layers: the gated blocks of language models, of two tensors or of the halves of one."""

from typing import Any

from torch import Tensor, nn

from ._catalogue import get
from ._fusing import fused, run_halves, run_pair
from ._layer import Pointwise
from ._spec import Activation


class Gated(nn.Module):
    """`value * f(gate)` for two tensors of one shape: `Gated("silu")(up(x), gate(x))` is the middle of LLaMA's feed-forward layers.

    f is an activation with fixed parameters. `fused` computes the product by one compiled kernel (True), which keeps the two tensors
    alone for the backward pass and has no second derivative, by plain operations (False), or as `actlab.fused` says (None). Where someone
    watches f by a hook, or it draws in training, it is computed by itself.
    """

    gate: nn.Module

    def __init__(self, activation: Activation | str, *, fused: bool | None = None, **parameters: Any):
        super().__init__()
        entry = get(activation) if isinstance(activation, str) else activation
        self.gate = entry.module(fused=fused, learn=False, **parameters)
        self.fused = fused

    @property
    def activation(self) -> Activation:
        """f, with other parameters perhaps than its usual ones."""
        assert isinstance(self.gate, Pointwise)
        return self.gate.activation

    def forward(self, value: Tensor, gate: Tensor) -> Tensor:
        """The product; where the two have not the same shape and type, as torch broadcasts and promotes them."""
        f, result = self._fused(), None
        if f is not None and isinstance(value, Tensor) and isinstance(gate, Tensor):
            result = run_pair(f.activation, f.fixed, value, gate)
        return value * self.gate(gate) if result is None else result

    def _fused(self) -> Pointwise | None:
        """f if it is to be part of a kernel."""
        f = self.gate  # by now another one perhaps
        if not (fused.on if self.fused is None else self.fused) or not isinstance(f, Pointwise) or f.learnt:
            return None
        watched = f._forward_hooks or f._forward_pre_hooks or f._backward_hooks or f._backward_pre_hooks
        return None if watched or (f.activation.random and self.training) else f


class GatedHalves(Gated):
    """The same of the halves of one tensor along an axis; the second half is the gate, with `gate_first` the first one."""

    def __init__(
        self,
        activation: Activation | str,
        *,
        dim: int = -1,
        gate_first: bool = False,
        fused: bool | None = None,
        **parameters: Any,
    ):
        super().__init__(activation, fused=fused, **parameters)
        self.dim, self.gate_first = dim, gate_first

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Half as long along the axis."""
        f, result = self._fused(), None
        if f is not None:
            result = run_halves(f.activation, f.fixed, x, self.dim, gate_first=self.gate_first)
        if result is not None:
            return result
        first, second = x.chunk(2, self.dim)
        return second * self.gate(first) if self.gate_first else first * self.gate(second)

    def extra_repr(self) -> str:
        return f"dim={self.dim}{', gate_first=True' if self.gate_first else ''}"
