"""What a layer finds in one input: its feature maps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..diagnosis.diagnosing import copied
from ..errors import ActlabError, OwnCodeError, UnknownName, UsageError, first_line

_SILENT = 1e-6  # of the layer's largest value


@dataclass(frozen=True)
class Features:
    """What a layer gives for one input: maps (channel, height, width), or the values of units (unit)."""

    layer: str
    kind: str  # the layer's class
    values: Tensor

    @property
    def means(self) -> Tensor:
        """Mean over all places, for each channel."""
        return self.values.flatten(1).mean(1) if self.values.dim() == 3 else self.values

    @property
    def largest(self) -> Tensor:
        """Largest value over all places, for each channel."""
        return self.values.flatten(1).amax(1) if self.values.dim() == 3 else self.values

    @property
    def silent(self) -> list[int]:
        """Channels that stay below a millionth of the layer's largest value everywhere."""
        size = self.values.abs().reshape(len(self.values), -1).amax(1)
        return (size <= _SILENT * size.max()).nonzero().flatten().tolist()

    def facts(self) -> dict[str, Any]:
        """What JSON can hold: names, shape, silent channels, mean and largest value of each channel."""
        rows = zip(self.means.tolist(), self.largest.tolist(), strict=True)
        return {
            "layer": self.layer,
            "kind": self.kind,
            "shape": list(self.values.shape),
            "silent": self.silent,
            "channels": [{"channel": number, "mean": mean, "max": top} for number, (mean, top) in enumerate(rows)],
        }


def features(model: nn.Module, inputs: Tensor, layer: str | None = None) -> Features:
    """What `layer` (a name of `named_modules()`; the last convolution by default) gives for `inputs` (1, channel, height, width).

    A copy of the network runs in evaluation mode, as far as that layer; of a layer that runs several times the first call counts.
    Raises UnknownName for a layer that is not there, UsageError for one that gives neither maps nor units, OwnCodeError where the
    network fails.
    """
    name = layer_of(model, layer)
    with still(model) as net, torch.no_grad():
        out = output_of(net, name, on_device(net, inputs)).float().cpu()
    return Features(name, type(model.get_submodule(name)).__name__, out[0])


def layer_of(model: nn.Module, layer: str | None) -> str:
    """The name itself, if there is such a layer; None means the last convolution."""
    names = [name for name, _ in model.named_modules() if name]
    if layer is None:
        found = [name for name, one in model.named_modules() if isinstance(one, nn.Conv2d)]
        if not found:
            raise UsageError(
                say(
                    f"this network has no convolution: name a layer with --layer; there are {_listed(names)}",
                    f"此网络没有卷积层：请用 --layer 指定一层；可用的有 {_listed(names)}",
                )
            )
        return found[-1]
    if layer not in names and not (layer == "" and not names):
        raise UnknownName("layer", layer, names)
    return layer


def _listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


@contextmanager
def still(model: nn.Module) -> Iterator[nn.Module]:
    """A copy of the network in evaluation mode; random numbers drawn meanwhile are given back."""
    net = copied(model).eval()
    devices = {one.device for one in net.parameters() if one.device.type == "cuda"}
    with torch.random.fork_rng([one.index or 0 for one in devices]):
        yield net


def on_device(net: nn.Module, inputs: Tensor) -> Tensor:
    """The inputs where the network's weights are, in their precision."""
    weight = next((one for one in net.parameters() if one.is_floating_point()), None)
    return inputs if weight is None else inputs.to(weight.device, weight.dtype)


class _Reached(BaseException):
    """The wanted layer has run: the rest of the network need not. No `except Exception` of a user's stops it."""


def output_of(net: nn.Module, name: str, inputs: Tensor) -> Tensor:
    """The output (1, channel, height, width) or (1, unit) of the first call of that layer, before anything changes it in place.

    Raises as `features` does.
    """
    found: list[Any] = []

    def catch(_: nn.Module, __: Any, out: Any) -> None:
        found.append(out)
        raise _Reached

    handle = net.get_submodule(name).register_forward_hook(catch)
    try:
        with suppress(_Reached):
            ran(net, lambda: net(inputs), tuple(inputs.shape))
    finally:
        handle.remove()
    if not found:
        raise UsageError(
            say(f"the layer '{name}' does not run for this input; name one that does", f"层“{name}”对此输入未运行；请指定会运行的层")
        )  # fmt: skip
    out: Any = found[0]
    while isinstance(out, tuple | list) and out:
        out = out[0]
    shape: tuple[int, ...] = tuple(out.shape) if isinstance(out, Tensor) else ()
    if not isinstance(out, Tensor) or out.dim() not in (2, 4) or len(out) != 1 or not out.numel():
        came = f"{shape}" if shape else type(out).__name__
        raise UsageError(
            say(
                f"expected a layer that gives maps (1, channel, height, width) or units (1, unit); '{name}' gives {came}: name another",
                f"该层应给出特征图 (1, 通道, 高, 宽) 或单元 (1, 单元)；“{name}”给出 {came}：请指定其他层",
            )
        )
    return out


def ran(net: nn.Module, run: Callable[[], Any], shape: tuple[int, ...] | None = None) -> Any:
    """What `run` gives; a failure of the network becomes OwnCodeError, with the shape it was given."""
    try:
        return run()
    except ActlabError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {first_line(error)}"
        given = "" if shape is None else say(f" of shape {shape}", f"（形状 {shape}）")
        raise OwnCodeError(
            say(
                f"{type(net).__name__} fails on an input{given}: {what}; give it one of the shape that it is made for",
                f"{type(net).__name__} 无法处理该输入{given}：{what}；请给出它所需形状的输入",
            )
        ) from error
