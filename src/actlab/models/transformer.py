"""The Transformer: an encoder, a decoder that reads it, and what makes it autoregressive or not."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .._language import say
from ..activations import layer
from ..errors import UnknownName, UsageError
from ..layers import Attention, Cache, Dropout, Neighbourhood, Positions

PADDING, UNKNOWN, START, END, MASKED = range(5)  # numbers that every vocabulary of this network begins with
_GIVEN = ("pre", "post")
NEVER = -1e4  # a score that every dtype holds and whose probability is 0
_CROSS = ("last", "matching")


class FeedForward(nn.Module):
    """Two linear layers with an activation; `gated` multiplies the activation by a third one (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(
        self, width: int, hidden: int, activation: str | Callable[[], nn.Module], *, gated: bool, dropout: float
    ):
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.gate = nn.Linear(width, hidden) if gated else None
        self.activation = layer(activation)()
        self.dropout = Dropout(dropout)
        self.second = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        inner = self.activation(self.first(x))
        if self.gate is not None:
            inner = inner * self.gate(x)
        return self.second(self.dropout(inner))


class Layer(nn.Module):
    """Attention, perhaps cross attention, feed-forward: each with residual and norm, the norm after it (post) or before it (pre).

    With `neighbours` a map of so many places on each side (before it in a `causal` layer) comes ahead of the attention.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, activation: Any, *, norm: str, dropout: float, gated: bool, cross: bool, attention: dict[str, Any],
        neighbours: int = 0, causal: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.attention = Attention(width, heads, dropout=dropout, **attention)
        self.cross = Attention(width, heads, dropout=dropout, **{**attention, "rotary": False}) if cross else None
        self.feed_forward = FeedForward(width, hidden, activation, gated=gated, dropout=dropout)
        self.near = Neighbourhood(width, neighbours, causal=causal) if neighbours else None
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 + cross + (neighbours > 0)))
        self.dropout = Dropout(dropout)
        self.before = norm == "pre"

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
        cache: Sequence[Any] = (None, None, None),
        weights: list[Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Cache, Cache | None, Tensor | None]]:
        """The same shape, and what to go on from: keys and values of both attentions, and the last places where there are `neighbours`.

        `weights` collects those of the last attention.
        """
        wanted = weights is not None
        kept: list[Any] = [None, None, None]

        def gather(y: Tensor) -> Tensor:
            assert self.near is not None
            assert self.near.causal == causal, "a layer that may not look ahead must not do it by its neighbours"
            inside = None if causal or mask is None else mask.transpose(1, 2)
            out, kept[2] = self.near(y, inside=inside, before=cache[2])
            return out

        def attend(y: Tensor) -> Tensor:
            out, found, kept[0] = self.attention(
                y, mask=mask, causal=causal, cache=cache[0], need_weights=wanted and self.cross is None
            )
            if found is not None and weights is not None:
                weights.append(found)
            return out

        def look(y: Tensor) -> Tensor:
            assert self.cross is not None
            out, found, kept[1] = self.cross(y, source, mask=source_mask, cache=cache[1], need_weights=wanted)
            if found is not None and weights is not None:
                weights.append(found)
            return out

        first = [] if self.near is None else [gather]
        parts = [*first, attend, *([look] if self.cross is not None else []), self.feed_forward]
        for norm, part in zip(self.norms, parts, strict=True):
            if self.before:
                x = x + self.dropout(part(norm(x)))
            else:
                x = norm(x + self.dropout(part(x)))
        return x, (kept[0], kept[1], kept[2])


class Transformer(nn.Module):
    """Sequence to sequence: numbers of a source vocabulary to scores of a target one. Padding is 0.

    `norm`: "post" as published, "pre" trains without a long warm-up. `cross`: every decoder layer reads the "last" encoder layer, or the
    "matching" one (as many of each). `neighbours`: so many places on each side of a token (in the target of an autoregressive network
    before it) are given to it by a map of their vectors at the start of every layer; see Neighbourhood. `tied` shares the target embedding with the output. `autoregressive=False` makes the decoder see
    all places at once and, but for `length_classifier=False`, adds a classifier of the target's length: it is trained to fill in masked
    places and decodes by mask-predict (Ghazvininejad et al. 2019, arXiv:1904.09324). `paths` gives the encoder so many outputs for each
    place of the source, on which the target lies in order between blanks (CTC, Graves et al. 2006): without autoregression in place of
    the classifier, to be refined by the decoder (Mask-CTC, Higuchi et al. 2020, arXiv:2005.08700), with it for a second loss (Watanabe
    et al. 2017, IEEE J. Sel. Topics Signal Process. 11). Source: Vaswani et al. 2017, arXiv:1706.03762; differs in the start of the weights
    (Xavier for the matrices, width^-1/2 for the embeddings) and by a final norm where the norms come before.
    """

    def __init__(
        self,
        source_words: int = 40,
        target_words: int = 50,
        *,
        width: int = 256,
        heads: int = 4,
        layers: int = 3,
        decoder_layers: int | None = None,
        hidden: int = 1024,
        activation: str | Callable[[], nn.Module] = "relu",
        gated: bool = False,
        norm: Literal["pre", "post"] = "pre",
        cross: Literal["last", "matching"] = "last",
        positions: str = "sinusoidal",
        neighbours: int = 0,
        tied: bool = True,
        dropout: float = 0.1,
        longest: int = 256,
        autoregressive: bool = True,
        length_classifier: bool = True,
        paths: int = 0,
    ):
        super().__init__()
        for name, value, known in (("norm", norm, _GIVEN), ("cross", cross, _CROSS)):
            if value not in known:
                raise UnknownName(name, value, known)
        decoder_layers = layers if decoder_layers is None else decoder_layers
        if cross == "matching" and decoder_layers != layers:
            raise UsageError(
                say(
                    f"cross='matching' needs as many decoder as encoder layers; got {layers} and {decoder_layers}",
                    f"cross='matching' 要求编码器与解码器层数相同；得到 {layers} 和 {decoder_layers}",
                )
            )
        self.width, self.longest, self.autoregressive, self.matching = (
            width,
            longest,
            autoregressive,
            cross == "matching",
        )
        self.source = nn.Embedding(source_words, width, padding_idx=PADDING)
        self.target = nn.Embedding(target_words, width, padding_idx=PADDING)
        self.source_positions = Positions(positions, width, longest=longest)
        self.target_positions = Positions(positions, width, longest=longest)
        made: dict[str, Any] = {
            "norm": norm, "dropout": dropout, "gated": gated, "attention": {"rotary": positions == "rotary"},
            "neighbours": neighbours,
        }  # fmt: skip
        self.encoder = nn.ModuleList(
            Layer(width, heads, hidden, activation, cross=False, **made) for _ in range(layers)
        )
        self.decoder = nn.ModuleList(
            Layer(width, heads, hidden, activation, cross=True, causal=autoregressive, **made)
            for _ in range(decoder_layers)
        )
        final = norm == "pre"
        self.encoder_norm = nn.LayerNorm(width) if final else nn.Identity()
        self.decoder_norm = nn.LayerNorm(width) if final else nn.Identity()
        self.output = nn.Linear(width, target_words, bias=not tied)
        self.length = nn.Linear(width, longest) if length_classifier and not (autoregressive or paths) else None
        self.paths = nn.Linear(width, paths * target_words) if paths else None
        self.dropout = Dropout(dropout)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1 and "table" not in name:
                nn.init.xavier_uniform_(parameter)
        for table in (self.source, self.target):
            nn.init.normal_(table.weight, std=width**-0.5)
            with torch.no_grad():
                table.weight[PADDING] = 0
        if tied:
            self.output.weight = self.target.weight

    def encode(self, source: Tensor, weights: list[Tensor] | None = None) -> tuple[list[Tensor], Tensor]:
        """What each decoder layer is to read (batch, time, width), and which places of it count (batch, 1, time)."""
        mask = (source != PADDING)[:, None]
        x = self.dropout(_stream(self.source_positions(self.source(source) * self.width**0.5)))
        every = []
        for one in self.encoder:
            x, _ = one(x, mask=mask, weights=weights)
            every.append(x)
        if self.matching:
            return [self.encoder_norm(one) for one in every], mask
        return [self.encoder_norm(x)] * len(self.decoder), mask

    def decode(
        self,
        target: Tensor,
        memory: list[Tensor],
        memory_mask: Tensor | None,
        *,
        caches: list[Any] | None = None,
        weights: list[Tensor] | None = None,
    ) -> tuple[Tensor, list[Any]]:
        """Scores (batch, time, words) of what comes next at each place (of the place itself without autoregression), and caches.

        With the `caches` of an earlier call, `target` are the places that come after it. Without `memory_mask` all of the source counts.
        """
        start = 0 if caches is None else caches[0][0].key.shape[2]
        x = self.dropout(_stream(self.target_positions(self.target(target) * self.width**0.5, start)))
        mask = None if self.autoregressive else (target != PADDING)[:, None]
        kept = []
        for number, (one, read) in enumerate(zip(self.decoder, memory, strict=True)):
            x, cache = one(
                x, mask=mask, causal=self.autoregressive, source=read, source_mask=memory_mask,
                cache=(None, None, None) if caches is None else caches[number], weights=weights,
            )  # fmt: skip
            kept.append(cache)
        return self.output(self.decoder_norm(x)), kept

    def lengths(self, memory: list[Tensor], memory_mask: Tensor) -> Tensor:
        """Scores (batch, longest) of the target's length, from the mean of the encoder's last layer."""
        assert self.length is not None
        inside = memory_mask.transpose(1, 2)
        return self.length((memory[-1] * inside).sum(1) / inside.sum(1).clamp(min=1))

    def path_scores(self, memory: list[Tensor], memory_mask: Tensor) -> Tensor:
        """Scores (batch, paths * source, words) of a path: the target's numbers in order, and blanks, whose number is that of padding.

        Behind the end of a source there are blanks alone.
        """
        assert self.paths is not None
        scores = self.paths(memory[-1]).unflatten(-1, (-1, self.output.out_features)).flatten(1, 2)
        outside = ~memory_mask[:, 0].repeat_interleave(scores.shape[1] // memory_mask.shape[-1], 1)
        words = torch.arange(scores.shape[-1], device=scores.device) != PADDING
        return scores.masked_fill(outside[..., None] & words, NEVER)

    def forward(self, sequences: tuple[Tensor, Tensor]) -> Any:
        """Scores for (source, target) of numbers (batch, time); with a classifier (scores, of the length), with paths (scores, of a path)."""
        source, target = sequences
        memory, mask = self.encode(source)
        scores, _ = self.decode(target, memory, mask)
        if self.paths is not None:
            return scores, self.path_scores(memory, mask)
        return scores if self.length is None else (scores, self.lengths(memory, mask))


def _stream(x: Tensor) -> Tensor:
    """What runs past the layers: in bfloat16 under its autocast, else every layer would copy it there and back.

    Not in float16, whose range sums can leave.
    """
    kind = x.device.type
    on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    low = on and x.dtype == torch.float32 and torch.get_autocast_dtype(kind) == torch.bfloat16
    return x.to(torch.bfloat16) if low else x
