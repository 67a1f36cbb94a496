"""How evenly the heads of an attention layer look, computed anew from its inputs, so that the layer itself runs as ever."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..layers import Attention

_SEQUENCES = 8  # of a batch that are looked at


def entropies(weights: Tensor) -> list[float]:
    """For each head of (batch, head, query, key) the mean entropy over the largest that the keys in sight allow, in [0, 1]."""
    weights = weights.detach().double()
    seen = (weights > 0).sum(-1)
    entropy = -(weights * weights.clamp(min=1e-300).log()).sum(-1)
    share = torch.where(seen > 1, entropy / seen.clamp(min=2).double().log(), math.nan)
    return share.transpose(0, 1).flatten(1).nanmean(1).tolist()


def on_padding(weights: Tensor, pads: Tensor) -> float | None:
    """Share of (batch, head, query, key) weights on keys that are padding, over the queries that are none; None where they do not fit.

    pads: (batch, key) or (key, batch), true where a token is padding; queries are the keys where there are as many.
    """
    batch, _, queries, keys = weights.shape
    if pads.shape[1] != keys or pads.shape[0] < batch:
        pads = pads.T
    if pads.shape[1] != keys or pads.shape[0] < batch or not bool(pads.any()):
        return None
    pads = pads[:batch]
    mass = (weights.detach() * pads[:, None, None]).sum(-1)
    if queries == keys:
        mass = mass.transpose(1, 2)[~pads]
    return float(mass.mean()) if mass.numel() else None


def of_call(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Weights (batch, head, query, key) of scaled_dot_product_attention, which is called with these."""
    mask, causal = attn_mask, is_causal
    query, key = query.detach()[:_SEQUENCES].float(), key.detach()[:_SEQUENCES].float()
    if query.dim() == 3:
        query, key = query[:, None], key[:, None]
    if key.shape[1] != query.shape[1]:
        key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(), -math.inf)  # fmt: skip
    if mask is not None:
        mask = mask[: scores.shape[0]] if mask.dim() >= 3 and mask.shape[0] > 1 else mask
        mask = mask[:, None] if mask.dim() == 3 else mask
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask.float()
    return scores.softmax(-1).nan_to_num()


def of_module(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Tensor | None:
    """Weights of torch's or our own attention layer for the inputs of its call."""
    training = module.training
    module.training = False  # no dropout, so no random number is drawn
    try:
        with torch.no_grad():
            if isinstance(module, nn.MultiheadAttention):
                names = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask", "average_attn_weights", "is_causal")  # fmt: skip
                call = {**dict(zip(names, given, strict=False)), **named, "need_weights": True, "average_attn_weights": False, "is_causal": False}  # fmt: skip
                found = nn.MultiheadAttention.forward(module, **call)[1]
                return None if found is None else found if found.dim() == 4 else found[None]
            if isinstance(module, Attention):
                call = {**named, "need_weights": True}
                return Attention.forward(module, *given, **call)[1]
    finally:
        module.training = training
    return None
