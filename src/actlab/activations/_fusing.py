"""Where compiled kernels plug in: the catalogue knows that there may be some, and asks for them by this door alone."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar, Self

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

    `save` is what they keep for the backward pass where a layer does not say otherwise; see `Pointwise`. On a GPU torch.compile writes them, in Triton; where parameters learn there are none. Where there is no kernel (float64, other devices, vmap, forward-mode derivatives, distributions) plain operations compute as before.
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


class Fixed:
    """Parameters in order, None in the places of those that learn, as one thing that stays one.

    torch.compile with dynamic=True makes variables of the numbers that it finds, of which no kernel can be chosen; not of these.
    """

    _known: ClassVar[dict[tuple[Any, ...], "Fixed"]] = {}

    def __init__(self, values: tuple[Any, ...]):
        self.values = values

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> "Fixed":
        """The one for these values."""
        return cls._known.setdefault(values, cls(values))

    def __reduce__(self) -> tuple[Any, ...]:
        return Fixed.of, (self.values,)

    def __deepcopy__(self, _: Any) -> "Fixed":
        return self


Values = Fixed | tuple[Any, ...]  # of parameters in order


class _Door:
    engine: Any = None


def engine() -> Any:
    """The kernels. They build upon this catalogue, so they are not imported before they are asked for."""
    if _Door.engine is None:
        _Door.engine = import_module("..kernels", __package__)
    return _Door.engine


def run(
    entry: Any, x: Tensor, fixed: Values, learnt: Sequence[Tensor], save: str | None = None, axis: int = 1
) -> Tensor | None:
    """f(x) by a fused kernel; None where there is none. `fixed` has None in the places of parameters that learn."""
    return (_Door.engine or engine()).run(entry, x, fixed, learnt, save or fused.save, axis)


def run_drawn(entry: Any, x: Tensor, seed: Tensor, values: Values, save: str | None) -> Tensor | None:
    """f(x) of an entry that is random in training, drawn from this seed, by a fused kernel; None where there is none."""
    return (_Door.engine or engine()).run_drawn(entry, x, seed, values, save or fused.save)


def run_parted(entry: Any, x: Tensor, parameters: dict[str, int]) -> Tensor | None:
    """A function of an axis that works on parts of it, by a fused kernel; None where there is none."""
    return (_Door.engine or engine()).run_parted(entry, x, parameters)


def run_halves(gate: Any, values: Values, x: Tensor, dim: int, *, gate_first: bool) -> Tensor | None:
    """One half of x along an axis times `gate`, with these parameters, of the other, by a fused kernel; None where there is none."""
    return (_Door.engine or engine()).run_halves(gate, values, x, dim, gate_first=gate_first)


def run_pair(gate: Any, values: Values, value: Tensor, lever: Tensor) -> Tensor | None:
    """`value` times `gate`, with these parameters, of `lever`, by a fused kernel; None where there is none."""
    return (_Door.engine or engine()).run_pair(gate, values, value, lever)


def shortcut(entry: Any, fixed: Values, save: str | None, dtype: torch.dtype, *, draws: bool = False) -> Any:
    """After a `run` or, with `draws`, a `run_drawn` that found a kernel: what to call for tensors of this type while `fused.state` is as now."""
    return engine().shortcut(entry, fixed, save or fused.save, dtype, draws=draws)
