"""An activation as a layer. One class serves the whole catalogue."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError
from ._fusing import Fixed, check_save, engine, fused, run, shortcut

if TYPE_CHECKING:
    from ._spec import Activation


def _shape(name: str, size: Any, axis: Any) -> tuple[int, ...]:
    """The shape of a learnt parameter; raises UsageError for sizes that cannot be."""
    shape = () if size is None else tuple(size) if isinstance(size, tuple | list) else (size,)
    if any(type(one) is not int or one < 1 for one in shape) or type(axis) is not int:
        raise UsageError(
            say(
                f"{name}: size must be a number of channels or a tuple of sizes, and axis a whole number; got {size!r}, {axis!r}",
                f"{name}：size 应为通道数或由大小组成的元组，axis 应为整数；得到 {size!r}、{axis!r}",
            )
        )
    return shape


class Pointwise(nn.Module):
    """`activation` with fixed parameters as numbers and those that learn as nn.Parameter.

    `learn=False` fixes the latter too. `size` makes them one for each channel (a number; `axis` says which axis of the input holds
    the channels) or one for each element (a tuple of the last axes' sizes); without it one number is shared by all. They are never
    weight-decayed by `fit`.

    `fused` computes by a compiled kernel (True), by plain operations (False), or as `actlab.fused` says (None). `save` is what a fused
    one keeps for the backward pass: its "input", its "output" (often kept by the next layer anyway, so that it costs nothing), or
    "auto": the output for half types, the input for float32. None is as `actlab.fused` says, "auto" at first. Where parameters learn,
    kernels compute in float32, right to 4.5 ulp (0.52 of half types) of the larger of the result and what its terms come to: at a root
    that moves with the parameters, terms cancel. The gradients of parameters are summed in float32.
    """

    decays = False
    _shortcut: Any = None  # what the last call found: `fused.state` then, a function, its fixed arguments

    def __init__(
        self,
        activation: "Activation",
        *,
        learn: bool = True,
        size: int | tuple[int, ...] | None = None,
        axis: int = 1,
        fused: bool | None = None,
        save: str | None = None,
        **parameters: Any,
    ):
        super().__init__()
        if save is not None:
            check_save(save)
        activation, parameters = activation.variant(parameters)
        activation.check(parameters)
        self.activation = activation
        self.size = size
        self.axis = axis
        self.fused = fused
        if fused:
            engine()
        self.save = save
        shape = _shape(activation.name, size, axis)
        values = activation.values(parameters)
        self.names = tuple(values)
        learnt = activation.learnt if learn else ()
        if size is not None and not learnt:
            raise UsageError(
                say(
                    f"{activation.name}: size is for parameters that learn, and it has none",
                    f"{activation.name}：size 用于可学习的参数，而它没有",
                )
            )
        self.learnt = tuple(name for name in values if name in learnt)
        for name, value in values.items():
            setattr(self, name, nn.Parameter(torch.full(shape, float(value))) if name in learnt else value)
        self._settle()

    def forward(self, x: Tensor) -> Tensor:
        """f(x), of the shape and type of x; random entries draw in training mode."""
        if not torch.compiler.is_compiling() and (short := self._shortcut) is not None and short[0] == fused.state:
            own = tuple([self._parameters.get(name) for name in self.learnt]) if self.learnt else ()
            result = short[1](x, own, *short[2])
            if result is not None:
                return result
        fusing = self.fused or (self.fused is None and fused.on)
        if self.training and self.activation.random:
            values = tuple([getattr(self, name) for name in self.names])
            result = self.activation.draw(x, values, by_kernel=fusing, save=self.save, fixed=self.fixed)
            if fusing:
                self._shorten(x, draws=True)
            return result
        if fusing and self._fits(x):
            weights = [getattr(self, name) for name in self.learnt] if self.learnt else ()
            result = run(
                self.activation, x, self.fixed, weights, self.save, -1 if isinstance(self.size, tuple) else self.axis
            )
            if result is not None:
                if all(one.dim() == 0 for one in weights):
                    self._shorten(x)
                return result
        placed = [self._placed(getattr(self, name), x) for name in self.names]
        return self.activation.plain(x, placed)

    def _settle(self) -> None:
        """Parameters that are numbers, as kernels are asked for."""
        self.fixed = Fixed.of(tuple([None if name in self.learnt else getattr(self, name) for name in self.names]))

    def _shorten(self, x: Tensor, *, draws: bool = False) -> None:
        """Have the next call for such an x go the short way."""
        if not torch.compiler.is_compiling():
            found = shortcut(self.activation, self.fixed, self.save, x.dtype, draws=draws)
            self.__dict__["_shortcut"] = found and (fused.state, *found)

    def _fits(self, x: Tensor) -> bool:
        """Whether x has the channels that the parameters are for; if not, plain operations say so."""
        if not isinstance(self.size, int):
            return True
        return -x.dim() <= self.axis < x.dim() and x.shape[self.axis] == self.size

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__["_shortcut"] = None  # whatever changes may change what is to be called
        super().__setattr__(name, value)
        if "fixed" in self.__dict__ and name in self.names:
            self._settle()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shortcut": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._settle()
        if self.fused:
            engine()  # before torch.compile would have to follow the import

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any, **more: Any) -> None:
        """Takes the weights of torch's PReLU too, which calls them otherwise."""
        if self.activation.name == "prelu" and f"{prefix}weight" in state_dict:
            state_dict[f"{prefix}a"] = state_dict.pop(f"{prefix}weight").reshape(self.a.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest, **more)

    def _placed(self, value: Any, x: Tensor) -> Any:
        """A parameter in the shape in which it meets x."""
        if not isinstance(value, Tensor) or not isinstance(self.size, int):
            return value
        if not self._fits(x):
            raise UsageError(
                say(
                    f"{self.activation.name}: expected {self.size} channels on axis {self.axis}; got an input of shape {tuple(x.shape)}",
                    f"{self.activation.name}：第 {self.axis} 轴应有 {self.size} 个通道；输入的形状为 {tuple(x.shape)}",
                )
            )
        return value.reshape(self.size, *[1] * (x.dim() - self.axis % x.dim() - 1))

    def extra_repr(self) -> str:
        parts = [self.activation.name]
        for name in self.names:
            value = getattr(self, name)
            if isinstance(value, Tensor):
                parts.append(f"{name}={value.item():g}" if value.dim() == 0 else f"{name}: {tuple(value.shape)}")
            else:
                parts.append(f"{name}={value:g}")
        return ", ".join(parts)
