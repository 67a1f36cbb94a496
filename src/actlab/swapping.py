"""Exchanging the activations of a network that exists: `swap(model, "gelu")`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from . import activations
from ._exchanging import Found, Fresh, exchange, known_as
from ._language import say
from .activations import Activation, Pointwise, VectorActivation
from .errors import UnknownName, UsageError
from .properties import Properties

_GATES = {"sigmoid", "hardsigmoid", "hard_sigmoid", "log_sigmoid", "identity"}
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Swapped:
    """The network with its new activations; what was exchanged, as (place, old, new); what was left and why, as (place, reason)."""

    model: nn.Module
    exchanged: tuple[tuple[str, str, str], ...]
    left: tuple[tuple[str, str], ...]


def swap(model: nn.Module, new: str | dict[str, str], *, gain: str = "keep") -> Swapped:
    """Exchange activations of `model`: {"relu": "gelu"} those named, "gelu" all but gates (sigmoids) and softmax.

    Modules are replaced in place. Calls of functions, such as F.relu(x), are replaced where torch.fx can trace the model, which then
    comes back as a GraphModule over the same weights. `gain`: "keep" leaves the weights as they are; "match" scales those of the next
    linear or convolutional layer so that the size of activations stays what it was, for normal input to them.

    Raises UnknownName for a name that is not in the catalogue, and UsageError where nothing could be exchanged.
    """
    if gain not in ("keep", "match"):
        raise UsageError(
            say(f"gain must be 'keep' or 'match'; got {gain!r}", f"gain 应为 'keep' 或 'match'；得到 {gain!r}")
        )
    wanted = _wanted(model, new)

    def choose(old: Found) -> Fresh | None:
        replacement = wanted(old.name)
        if replacement is None:
            return None
        layer = activations.layer(replacement)()
        if gain == "keep":
            return Fresh(replacement, layer)
        entry = old.module.activation if isinstance(old.module, Pointwise) else activations.get(old.name)
        before = entry.properties(**(old.parameters or {}))
        return Fresh(replacement, layer, lambda after: _match(after, before, replacement))

    model, exchanged, left = exchange(model, choose)
    left += [(name, _reason(old)) for name, old in _kept(model, wanted)]
    if not exchanged:
        raise UsageError(
            say(
                f"found no activation to exchange for {new!r}"
                + (f" ({'; '.join(f'{n}: {r}' for n, r in left)})" if left else ""),
                f"没有可换成 {new!r} 的激活函数" + (f"（{'；'.join(f'{n}：{r}' for n, r in left)}）" if left else ""),
            )
        )
    return Swapped(model, tuple(exchanged), tuple(left))


def _wanted(model: nn.Module, new: str | dict[str, str]) -> Callable[[str], str | None]:
    """The new name for an old one; none where that is the same function."""
    if isinstance(new, str):
        _pointwise(new)
        return lambda old: None if old in _GATES or _canonical(old) == _canonical(new) else new
    own = {found[0] for found in map(known_as, model.modules()) if found}  # names of a user's own activations too
    table = {old if old in own else activations.get(old).name: replacement for old, replacement in new.items()}
    for replacement in table.values():
        _pointwise(replacement)

    def chosen(old: str) -> str | None:
        replacement = table.get(old) or table.get(_canonical(old)) or table.get(_base(old))
        return replacement if replacement and _canonical(replacement) != _canonical(old) else None

    return chosen


def _canonical(name: str) -> str:
    """The entry's own name for an alias; a user's own activation keeps its name."""
    try:
        return activations.get(name).name
    except UnknownName:
        return name


def _base(name: str) -> str:
    """The entry whose parameters an alias such as silu or relu6 fixes."""
    try:
        return activations.get(name).body.__name__
    except UnknownName:
        return name


def _pointwise(name: str) -> Activation:
    entry = activations.get(name)
    if isinstance(entry, VectorActivation):
        raise UsageError(
            say(
                f"{name} is a function of whole vectors; expected a pointwise activation",
                f"{name} 是向量函数；应为逐元素激活函数",
            )
        )
    return entry


def _match(after: list[nn.Module], before: Properties, new: str) -> None:
    """Scale the next weights by what the new function changes about its output.

    A network whose weights suit the old one has inputs to it of the deviation of its gain (He et al. 2015, section 2.2).
    """
    following = next((module for module in after if isinstance(module, _WEIGHTED)), None)
    if following is not None:
        now = activations.get(new).properties()
        ratio = before.expected(2, deviation=before.gain) / now.expected(2, deviation=before.gain)
        with torch.no_grad():
            following.weight.mul_(ratio**0.5)


def _kept(model: nn.Module, wanted: Callable[[str], str | None]) -> Iterator[tuple[str, str]]:
    for name, module in model.named_modules():
        found = known_as(module)
        if found and found[0] in _GATES and wanted(found[0]) is None:
            yield name, found[0]
        if isinstance(
            module, nn.MultiheadAttention | nn.RNNBase | nn.TransformerEncoderLayer | nn.TransformerDecoderLayer
        ):
            yield name, type(module).__name__


def _reason(old: str) -> str:
    if old in _GATES:
        return say(f"{old} is a gate or an output; name it to exchange it", f"{old} 是门或输出；如需替换请指明")
    return say(f"the activations inside {old} are fixed in its code", f"{old} 内部的激活函数写死在其代码中")
