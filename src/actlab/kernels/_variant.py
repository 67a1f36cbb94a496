"""An entry with its parameters decided: what a kernel is made of."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from ..activations import Activation


@dataclass(frozen=True)
class Variant:
    """An entry with its parameters: those that are numbers, and the names of those that learn. With `gate` it is what something is multiplied by."""

    entry: Activation
    fixed: tuple[tuple[str, float], ...]
    learnt: tuple[str, ...]
    gate: bool = False

    @cached_property
    def key(self) -> str:
        """Its name among the kernels; a user's own entry is told apart by its formula."""
        own = f"[{self.entry.formula}]" if self.entry.made else ""
        values = [f"{name}={value!r}" for name, value in self.fixed] + list(self.learnt)
        return f"{'gate ' * self.gate}{self.entry.name}{own}({', '.join(values)})"

    def values(self, learnt: tuple[Tensor, ...]) -> list[Any]:
        """All parameters in order."""
        known = {**dict(self.fixed), **dict(zip(self.learnt, learnt, strict=True))}
        return [known[name] for name in self.entry.values()]
