"""An entry with its parameters decided: what a kernel is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from ..activations import Activation, VectorActivation
from ..activations._parting import Parted


def _key(entry: Activation, values: Sequence[str]) -> str:
    """A name among the kernels; a user's own entry is told apart by its formula."""
    own = f"[{entry.formula}]" if entry.made else ""
    return f"{entry.name}{own}({', '.join(values)})"


@dataclass(frozen=True)
class Variant:
    """An entry with its parameters: those that are numbers, and the names of those that learn."""

    entry: Activation
    fixed: tuple[tuple[str, float], ...]
    learnt: tuple[str, ...]

    @cached_property
    def key(self) -> str:
        """Its name among the kernels."""
        return _key(self.entry, [f"{name}={value!r}" for name, value in self.fixed] + list(self.learnt))

    def values(self, learnt: tuple[Tensor, ...]) -> list[Any]:
        """All parameters in order."""
        known = {**dict(self.fixed), **dict(zip(self.learnt, learnt, strict=True))}
        return [known[name] for name in self.entry.values()]


@dataclass(frozen=True)
class Parting:
    """What works on parts of an axis, with its parameters in order: such a function of vectors, or an activation as a gate, which multiplies."""

    entry: Activation | VectorActivation
    fixed: tuple[Any, ...]
    learnt: ClassVar[tuple[str, ...]] = ()

    @cached_property
    def parted(self) -> Parted | None:
        """How it works on parts; None for a gate."""
        if isinstance(self.entry, Activation):
            return None
        assert self.entry.parted is not None
        return self.entry.parted(*self.fixed)

    @cached_property
    def gate(self) -> Variant:
        """The gate by itself."""
        assert isinstance(self.entry, Activation)
        return Variant(self.entry, tuple(zip(self.entry.values(), self.fixed, strict=True)), ())

    @cached_property
    def key(self) -> str:
        """Its name among the kernels."""
        if isinstance(self.entry, Activation):
            return f"gate {self.gate.key}"
        return f"{self.entry.name}({', '.join(map(repr, self.fixed))})"
