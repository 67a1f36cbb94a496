"""What an activation of a whole axis is: softmax and its kin, gated units, maxout."""

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import getdoc, signature
from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError
from ._calculus import wide
from ._catalogue import enter
from ._fusing import engine, fused, run_parted
from ._parting import Parted
from ._refusals import floating, known
from ._spec import Activation
from ._teaching import Teaching


@dataclass(eq=False)
class VectorActivation:
    """A function of the vectors along one axis of its input. Call it as `f(x, dim=-1, **parameters)`."""

    body: Callable[..., Tensor]
    name: str
    formula: str  # LaTeX
    source: str
    also: tuple[str, ...] = ()
    zh: str = ""
    teaching: Teaching | None = None
    elsewhere: dict[str, str] = field(default_factory=dict)
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    gate: Activation | None = None  # it is the first half along the axis times this of the second
    parted: Callable[..., Parted] | None = None  # of its parameters but for the axis: how it works on parts of the axis
    operator: str | None = None  # a kernel written for it alone, beside those that are generated

    def __post_init__(self) -> None:
        self.parameters = tuple(signature(self.body).parameters.values())[1:]

    @property
    def fuses(self) -> bool:
        """Whether there is a kernel for it beside torch's own."""
        return bool(self.gate or self.parted or self.operator)

    @property
    def summary(self) -> str:
        """One sentence, in the language in force."""
        return say((getdoc(self.body) or "").splitlines()[0], self.zh)

    def __call__(self, x: Tensor, **parameters: Any) -> Tensor:
        """f along the axis `dim` of x, in the type of x; differentiable."""
        floating(self.name, x)
        self.check(parameters)
        dim = parameters.get("dim", -1)
        if not -x.dim() <= dim < x.dim():
            raise UsageError(
                say(
                    f"{self.name}: expected an input with an axis {dim}; got shape {tuple(x.shape)}",
                    f"{self.name}：输入应有第 {dim} 轴；得到形状 {tuple(x.shape)}",
                )
            )
        return self.apply(x, **parameters)

    def apply(self, x: Tensor, *, by_kernel: bool | None = None, **parameters: Any) -> Tensor:
        """As a call, with nothing checked. Half types are computed in float32. `by_kernel` is as `actlab.fused` says where it is None."""
        if self.fuses and (fused.on if by_kernel is None else by_kernel):
            result = run_parted(self, x, parameters)
            if result is not None:
                return result
        return self.body(wide(x), **parameters).to(x.dtype)

    def check(self, given: dict[str, Any]) -> None:
        """Raises TypeError for an unknown parameter or one that is not a whole number, as all of them are."""
        known(self.name, given, [one.name for one in self.parameters])
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(
                    say(
                        f"{self.name}: {name} must be a whole number; got {value!r}",
                        f"{self.name}：{name} 应为整数；得到 {value!r}",
                    )
                )

    def jacobian(self, x: Tensor, **parameters: Any) -> Tensor:
        """d f_i / d x_j for every vector along the last axis of x: (..., outputs, inputs)."""
        flat = x.reshape(-1, x.shape[-1])
        found = torch.func.vmap(torch.func.jacrev(lambda row: self(row, **{**parameters, "dim": -1})))(flat)
        return found.reshape(*x.shape[:-1], *found.shape[1:])

    def module(self, **parameters: Any) -> "Vectorwise":
        """The activation as a layer."""
        return Vectorwise(self, **parameters)

    def named(self, name: str) -> "VectorActivation":
        """The entry under another of its names: itself."""
        return self

    def tie(self) -> "VectorActivation":
        """Nothing to join: torch differentiates these bodies rightly."""
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        from ._catalogue import get

        return get, (self.name,)

    def __repr__(self) -> str:
        return f"<activation {self.name}({', '.join(f'{one.name}={one.default}' for one in self.parameters)})>"


class Vectorwise(nn.Module):
    """A vector activation as a layer.

    `fused` computes by a compiled kernel (True), by plain operations (False), or as `actlab.fused` says (None). softmax, log_softmax and
    softmin are torch's own kernels, one pass each way that keeps its output, and stay what they are.
    """

    def __init__(self, activation: VectorActivation, *, fused: bool | None = None, **parameters: Any):
        super().__init__()
        self.fused = fused
        if fused:
            engine()  # before torch.compile would have to follow the import
        activation.check(parameters)
        self.activation = activation
        self.values = {one.name: parameters.get(one.name, one.default) for one in activation.parameters}

    def forward(self, x: Tensor) -> Tensor:
        """f along the axis chosen."""
        return self.activation.apply(x, by_kernel=self.fused, **self.values)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.fused:
            engine()

    def extra_repr(self) -> str:
        return ", ".join([self.activation.name, *(f"{name}={value}" for name, value in self.values.items())])


def vector(**facts: Any) -> Callable[[Callable[..., Tensor]], VectorActivation]:
    """Enter the decorated function of a whole axis into the catalogue."""

    def register(body: Callable[..., Tensor]) -> VectorActivation:
        return enter(VectorActivation(body=body, name=body.__name__, **facts))

    return register


def parts(name: str, x: Tensor, dim: int, count: int) -> Tensor:
    """x with axis `dim` cut into (size / count, count) at the end; raises UsageError if it does not divide."""
    if not -x.dim() <= dim < x.dim() or count < 1 or x.shape[dim] % count:
        raise UsageError(
            say(
                f"{name}: expected an axis {dim} whose size is a multiple of {count}; got shape {tuple(x.shape)}",
                f"{name}：第 {dim} 轴的大小应为 {count} 的倍数；得到形状 {tuple(x.shape)}",
            )
        )
    last = x.movedim(dim, -1)
    return last.unflatten(-1, (last.shape[-1] // count, count))
