"""The decoder-only Transformer: what comes next, from all that came before."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UnknownName
from ..layers import Dropout, Positions
from .transformer import Layer


class Past(NamedTuple):
    """What a decoder goes on from: the numbers (batch, time) that it still sees, and the keys and values of each layer."""

    numbers: Tensor
    caches: list[Any]


class DecoderOnly(nn.Module):
    """Layers of causal self-attention and a score for every number to come next.

    It sees at most `longest` numbers. Where a text goes on beyond that, the last half of them is read anew. `kv_heads` fewer than `heads`
    are shared (Ainslie et al. 2023). Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training"; the norm
    comes before each part and once more at the end, as in their second network (2019).
    """

    def __init__(
        self,
        characters: int = 64,
        *,
        width: int = 128,
        heads: int = 4,
        kv_heads: int | None = None,
        layers: int = 4,
        hidden: int | None = None,
        activation: str | Callable[[], nn.Module] = "gelu",
        gated: bool = False,
        norm: Literal["pre", "post"] = "pre",
        positions: str = "rotary",
        tied: bool = True,
        dropout: float = 0.1,
        longest: int = 128,
    ):
        super().__init__()
        if norm not in ("pre", "post"):
            raise UnknownName("norm", norm, ("pre", "post"))
        self.longest = longest
        self.characters = nn.Embedding(characters, width)
        self.positions = Positions(positions, width, longest=longest)
        attention = {"rotary": positions == "rotary", "kv_heads": kv_heads}
        self.layers = nn.ModuleList(
            Layer(
                width, heads, hidden or 4 * width, activation, norm=norm, dropout=dropout, gated=gated, cross=False,
                attention=attention,
            )
            for _ in range(layers)
        )  # fmt: skip
        self.norm = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(width, characters, bias=not tied)
        nn.init.normal_(self.characters.weight, std=0.02)
        if tied:
            self.output.weight = self.characters.weight

    def forward(self, text: Tensor) -> Tensor:
        """Scores (batch, words, time) of the next number, for numbers (batch, time) of which there are at most `longest`."""
        scores, _ = self._read(text.long(), None)
        return scores.transpose(1, 2)

    def continued(self, text: Tensor, state: Past | None) -> tuple[Tensor, Past]:
        """Scores (batch, time, words) and the state to go on from; with a state, `text` are the numbers that come after it."""
        text = text.long()
        if state is not None and state.numbers.shape[1] + text.shape[1] > self.longest:
            seen = state.numbers.shape[1]
            kept = state.numbers[:, max(0, seen - max(0, self.longest // 2 - text.shape[1])) :]
            scores, state = self._read(torch.cat([kept, text], 1), None)
            return scores[:, -text.shape[1] :], state
        return self._read(text, state)

    def _read(self, text: Tensor, state: Past | None) -> tuple[Tensor, Past]:
        start = 0 if state is None else state.numbers.shape[1]
        x = self.dropout(self.positions(self.characters(text), start))
        caches = []
        for number, one in enumerate(self.layers):
            x, cache = one(x, causal=True, cache=(None, None, None) if state is None else state.caches[number])
            caches.append(cache)
        seen = text if state is None else torch.cat([state.numbers, text], 1)
        return self.output(self.norm(x)), Past(seen, caches)
