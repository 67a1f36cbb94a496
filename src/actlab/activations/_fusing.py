"""Where compiled kernels plug in: the catalogue knows that there may be some, and asks for them by this door alone."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Self

import torch
from torch import Tensor

from .._language import say
from ..errors import UsageError

SAVES = ("auto", "input", "output")


def check_save(save: str) -> None:
    """Raises UsageError for anything but one of SAVES."""
    if save not in SAVES:
        raise UsageError(
            say(
                f"save must be one of {', '.join(SAVES)}; got {save!r}",
                f"save 应为 {', '.join(SAVES)} 之一；得到 {save!r}",
            )
        )


class fused:
    """Compute activations by fused kernels from here on, or within a `with` block: `actlab.fused()`, `actlab.fused(False)`.

    `save` is what they keep for the backward pass where a layer does not say otherwise; see `Pointwise`. On a GPU torch.compile writes them, in Triton; where parameters learn there are none. Where there is no kernel (float64, other devices, vmap, forward-mode derivatives, functions of vectors but for gated units) plain operations compute as before.
    """

    on = False
    save = "auto"
    state = (on, save)

    def __init__(self, on: bool = True, *, save: str = "auto"):
        check_save(save)
        self.before = fused.on, fused.save
        self.wanted = bool(on), save
        self._set(self.wanted)
        if on:
            engine()  # before torch.compile would have to follow the import

    def __enter__(self) -> Self:
        self._set(self.wanted)
        return self

    def __exit__(self, *_: object) -> None:
        self._set(self.before)

    @staticmethod
    def _set(state: tuple[bool, str]) -> None:
        fused.on, fused.save = fused.state = state


class _Door:
    engine: Any = None


def engine() -> Any:
    """The kernels. They build upon this catalogue, so they are not imported before they are asked for."""
    if _Door.engine is None:
        _Door.engine = import_module("..kernels", __package__)
    return _Door.engine


def run(
    entry: Any, x: Tensor, fixed: tuple[Any, ...], learnt: Sequence[Tensor], save: str | None = None, axis: int = 1
) -> Tensor | None:
    """f(x) by a fused kernel; None where there is none. `fixed` has None in the places of parameters that learn."""
    return (_Door.engine or engine()).run(entry, x, fixed, learnt, save or fused.save, axis)


def run_drawn(entry: Any, x: Tensor, seed: Tensor, values: tuple[Any, ...], save: str | None) -> Tensor | None:
    """f(x) of an entry that is random in training, drawn from this seed, by a fused kernel; None where there is none."""
    return (_Door.engine or engine()).run_drawn(entry, x, seed, values, save or fused.save)


def run_gate(gate: Any, x: Tensor, dim: int) -> Tensor | None:
    """The first half of x along an axis times `gate` of the second, by a fused kernel; None where there is none."""
    return (_Door.engine or engine()).run_gate(gate, x, dim)


def shortcut(entry: Any, fixed: tuple[Any, ...], save: str | None, dtype: torch.dtype, *, draws: bool = False) -> Any:
    """After a `run` or, with `draws`, a `run_drawn` that found a kernel: what to call for tensors of this type while `fused.state` is as now."""
    return engine().shortcut(entry, fixed, save or fused.save, dtype, draws=draws)
