"""Who looks at whom: the weights of an attention layer for one input, head by head."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..diagnosis._attention import entropies, of_module
from ..errors import UnknownName, UsageError
from ..layers import Attention
from .features import ran, still


@dataclass(frozen=True)
class Heads:
    """Weights (head, query, key) of an attention layer; each row of a softmax sums to 1."""

    layer: str
    weights: Tensor

    @property
    def evenness(self) -> list[float | None]:
        """For each head the mean entropy of its rows over the largest there can be: 1 looks everywhere alike, 0 at one place.

        None where every row sees one place alone.
        """
        return [None if math.isnan(one) else one for one in entropies(self.weights[None])]

    def facts(self) -> dict[str, Any]:
        """What JSON can hold: name, shape, evenness and weights."""
        shape = list(self.weights.shape)
        return {"layer": self.layer, "shape": shape, "evenness": self.evenness, "weights": self.weights.tolist()}


def attention_layers(model: nn.Module) -> list[str]:
    """Names of the attention layers: torch's MultiheadAttention and our Attention."""
    return [name for name, one in model.named_modules() if isinstance(one, nn.MultiheadAttention | Attention)]


def heads(model: nn.Module, run: Callable[[Any], Any], layer: str | None = None) -> Heads:
    """What an attention layer (the last by default) weighs while `run(copy of the model)` lets it answer one input.

    Of several calls of the layer the last counts. Raises UsageError for a network without attention layers or a layer that does not
    run, UnknownName for one that is not there or is no attention layer, OwnCodeError where the network fails.
    """
    names = attention_layers(model)
    if not names:
        raise UsageError(
            say(
                f"expected a network with attention layers; {type(model).__name__} has none",
                f"需要含注意力层的网络；{type(model).__name__} 没有",
            )
        )
    name = names[-1] if layer is None else layer
    if name not in names:
        raise UnknownName(say("attention layer", "注意力层"), name, names)
    found: list[Tensor | None] = []

    def look(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        found[:] = [of_module(module, given, named)]

    fast = torch.backends.mha.get_fastpath_enabled()
    with still(model) as net, torch.no_grad():
        handle = net.get_submodule(name).register_forward_pre_hook(look, with_kwargs=True)
        try:
            torch.backends.mha.set_fastpath_enabled(False)  # torch's encoder would go round its attention layers
            ran(net, lambda: run(net))
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            handle.remove()
    if not found or found[0] is None:
        raise UsageError(say(f"the layer '{name}' does not run for this input; name one that does", f"层“{name}”对此输入未运行；请指定会运行的层"))  # fmt: skip
    return Heads(name, found[0][0].float().cpu())
