"""Attention step by step: scores between queries and keys, a normalisation, the weighted sum of the values."""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._language import say
from ..activations import get
from ..errors import UnknownName, UsageError
from .dropout import dropout
from .position import rotated

Score = Literal["dot", "additive"]
SCORES = ("dot", "additive")


class Cache(NamedTuple):
    """Keys and values (batch, head, time, width) of the steps so far."""

    key: Tensor
    value: Tensor


def dot_scores(query: Tensor, key: Tensor) -> Tensor:
    """alpha = q . k / sqrt(width), for (..., query, width) and (..., key, width)."""
    return query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5


def additive_scores(query: Tensor, key: Tensor, weight: Tensor) -> Tensor:
    """alpha = w . tanh(q + k): additive attention, with q and k already multiplied by their matrices.

    weight: (head, width). Source: Bahdanau, Cho & Bengio 2015, arXiv:1409.0473.
    """
    return torch.einsum("bhqkd,hd->bhqk", torch.tanh(query[:, :, :, None] + key[:, :, None]), weight)


def weights_of(scores: Tensor, mask: Tensor | None, normalise: nn.Module | None) -> Tensor:
    """What the scores become: softmax over the keys that may be seen, or an activation of each divided by their number.

    A query that may see nothing gets zeros. Of ReLU and its like: Wortsman et al. 2023, arXiv:2309.08586.
    """
    if normalise is None:
        if mask is None:
            return scores.softmax(-1)
        found = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        return found.masked_fill(~mask.any(-1, keepdim=True), 0.0)
    found = normalise(scores)
    if mask is None:
        return found / scores.shape[-1]
    return (found * mask) / mask.sum(-1, keepdim=True).clamp(min=1)


class Attention(nn.Module):
    """Multi-head attention of `query` (batch, time, width) over a `source` (batch, time, source_width), itself by default.

    `kv_heads` below `heads` are shared by groups of query heads (Ainslie et al. 2023, arXiv:2305.13245). `score` is "dot" or "additive";
    `normalise` is "softmax" or any pointwise activation of the catalogue, such as "relu". `rotary` turns queries and keys by their
    position. Dot products with softmax run through torch's scaled_dot_product_attention; with `need_weights`, and in all other cases,
    the explicit steps run, which tests hold to the same numbers. Source: Vaswani et al. 2017, arXiv:1706.03762.
    """

    def __init__(
        self,
        width: int,
        heads: int = 1,
        *,
        kv_heads: int | None = None,
        source_width: int | None = None,
        score: Score = "dot",
        normalise: str = "softmax",
        rotary: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        if width < 1 or heads < 1 or width % heads or kv_heads < 1 or heads % kv_heads:
            raise UsageError(
                say(
                    f"expected heads that divide the width and kv_heads that divide the heads; got width {width}, heads {heads}, kv_heads {kv_heads}",
                    f"heads 应整除 width，kv_heads 应整除 heads；得到 width {width}、heads {heads}、kv_heads {kv_heads}",
                )
            )
        if score not in SCORES:
            raise UnknownName(say("score", "打分方式"), score, SCORES)
        self.width, self.heads, self.kv_heads, self.size = width, heads, kv_heads, width // heads
        self.score, self.rotary, self.dropout = score, rotary, dropout
        self.normalise = None if normalise == "softmax" else get(normalise).module()
        source_width = width if source_width is None else source_width
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(source_width, kv_heads * self.size, bias=bias)
        self.value = nn.Linear(source_width, kv_heads * self.size, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)
        self.weight = nn.Parameter(torch.randn(heads, self.size) * self.size**-0.5) if score == "additive" else None
        for one in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(one.weight)

    def forward(
        self,
        query: Tensor,
        source: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        cache: Cache | None = None,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None, Cache]:
        """Outputs (batch, query, width), weights (batch, head, query, key) if asked for, and keys and values to go on with.

        `mask` (query, key) or (batch, 1 or query, key) is True where a query may look. `causal` lets each query see itself and what came
        before. With a `cache` of this layer the queries come after its keys; with `cache` and a source of other length than the query
        nothing is added to it: the keys of a cross attention are computed once.
        """
        fixed = source is not None and cache is not None
        q = self._heads(self.query(query), self.heads)
        if fixed:
            assert cache is not None
            key, value = cache
        else:
            source = query if source is None else source
            key, value = self._heads(self.key(source), self.kv_heads), self._heads(self.value(source), self.kv_heads)
            start = 0 if cache is None else cache.key.shape[2]
            if self.rotary:
                q, key = rotated(q, start), rotated(key, start)
            if cache is not None:
                key, value = torch.cat([cache.key, key], 2), torch.cat([cache.value, value], 2)
        after = Cache(key, value)
        causal = causal and q.shape[2] > 1  # a single query, the last one, may look at every key
        if mask is not None and mask.dim() == 3:
            mask = mask[:, None]
        dropped = (
            self.training and self.dropout > 0 and query.device.type == "cpu"
        )  # where torch takes explicit steps too
        if self.score == "dot" and self.normalise is None and not need_weights and not dropped:
            out, weights = self._fused(q, key, value, mask, causal), None
        else:
            out, weights = self._explicit(q, key, value, mask, causal)
        out = self.output(out.transpose(1, 2).flatten(2))
        return out, weights if need_weights else None, after

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], heads, self.size).transpose(1, 2)

    def _fused(self, q: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        whole = causal and q.shape[2] == key.shape[2]
        if causal and (mask is not None or not whole):
            mask = _with_causal(mask, q, key)
            whole = False
        return F.scaled_dot_product_attention(
            q, key, value, attn_mask=mask, is_causal=whole, dropout_p=self.dropout if self.training else 0.0,
            enable_gqa=self.kv_heads != self.heads,
        )  # fmt: skip

    def _explicit(
        self, q: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool
    ) -> tuple[Tensor, Tensor]:
        if self.kv_heads != self.heads:
            key, value = (one.repeat_interleave(self.heads // self.kv_heads, 1) for one in (key, value))
        if causal:
            mask = _with_causal(mask, q, key)
        scores = dot_scores(q, key) if self.weight is None else additive_scores(q, key, self.weight)
        weights = weights_of(scores, mask, self.normalise)
        return dropout(weights, self.dropout, self.training) @ value, weights

    @torch.no_grad()
    def load_torch(self, module: nn.MultiheadAttention) -> "Attention":
        """Take the weights of torch's layer; returns this one."""
        packed, biases = module.in_proj_weight, module.in_proj_bias
        for one, weight in zip((self.query, self.key, self.value), packed.chunk(3), strict=True):
            one.weight.copy_(weight)
        if biases is not None:
            for one, bias in zip((self.query, self.key, self.value), biases.chunk(3), strict=True):
                one.bias.copy_(bias)
        self.output.load_state_dict(module.out_proj.state_dict())
        return self


def _with_causal(mask: Tensor | None, q: Any, key: Any) -> Tensor:
    from .masks import causal

    own = causal(q.shape[2], key.shape[2], device=q.device)
    return own if mask is None else own & mask
