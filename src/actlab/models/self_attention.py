"""Self-attention over sequences, patches of an image, or the nodes of a graph."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError
from ..layers import Dropout, Positions, masks
from ._reading import Sequences, Summary, check, summarised, unpacked
from .transformer import Layer


class SelfAttention(nn.Module):
    """Encoder layers over vectors (batch, time, inputs): one output a step, or with `summary` one for each sequence.

    `window` lets every step see so many to each side (truncated attention, as for speech). Source: Vaswani et al. 2017,
    arXiv:1706.03762, section 3.1; the norm comes before each part, and once more at the end.
    """

    def __init__(
        self,
        inputs: int = 40,
        width: int = 128,
        classes: int = 10,
        *,
        heads: int = 4,
        layers: int = 3,
        hidden: int | None = None,
        activation: str | Callable[[], nn.Module] = "gelu",
        gated: bool = False,
        positions: str = "sinusoidal",
        window: int | None = None,
        dropout: float = 0.1,
        summary: Summary = "none",
        longest: int = 2048,
    ):
        super().__init__()
        check(summary)
        if window is not None and window < 0:
            raise UsageError(say(f"window must be at least 0; got {window}", f"window 至少为 0；得到 {window}"))
        self.input = nn.Linear(inputs, width)
        self.positions = Positions(positions, width, longest=longest)
        made: dict[str, Any] = {"norm": "pre", "dropout": dropout, "gated": gated, "cross": False}
        attention = {"rotary": positions == "rotary"}
        self.layers = nn.ModuleList(
            Layer(width, heads, hidden or 4 * width, activation, attention=attention, **made) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(width, classes)
        self.window, self.summary = window, summary

    def forward(
        self, sequences: Sequences, *, mask: Tensor | None = None, weights: list[Tensor] | None = None
    ) -> Tensor:
        """Outputs (batch, time, classes), or (batch, classes). `mask` (query, key) says who may look at whom besides."""
        values, lengths = unpacked(sequences)
        time = values.shape[1]
        if lengths is not None:
            inside = masks.padding(lengths.to(values.device), time)
            mask = inside if mask is None else inside & mask
        if self.window is not None:
            near = masks.window(time, self.window, device=values.device)
            mask = near if mask is None else near & mask
        x = self.dropout(self.positions(self.input(values)))
        for one in self.layers:
            x, _ = one(x, mask=mask, weights=weights)
        return self.output(summarised(self.norm(x), lengths, self.summary))


class ImageAttention(nn.Module):
    """Self-attention over the patches of an image, each a vector of its pixels; the class from the mean of all places.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, without its class token.
    """

    input_size = 28

    def __init__(
        self,
        classes: int = 10,
        *,
        channels: int = 1,
        patch: int = 4,
        size: int = 28,
        width: int = 64,
        heads: int = 4,
        layers: int = 4,
        hidden: int | None = None,
        activation: str | Callable[[], nn.Module] = "gelu",
        gated: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        if patch < 1 or size % patch:
            raise UsageError(
                say(
                    f"patch must divide the image's side {size}; got {patch}",
                    f"patch 应整除图像边长 {size}；得到 {patch}",
                )
            )
        self.patch = patch
        self.attention = SelfAttention(
            channels * patch * patch, width, classes, heads=heads, layers=layers, hidden=hidden, activation=activation, gated=gated,
            dropout=dropout, positions="learned", summary="mean", longest=(size // patch) ** 2,
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) for images (batch, channels, size, size)."""
        return self.attention(nn.functional.unfold(images, self.patch, stride=self.patch).transpose(1, 2))


class GraphAttention(nn.Module):
    """Attention in which a node sees its neighbours and itself: a graph network. Nodes have no positions.

    `features` (nodes, inputs) and `edges` (nodes, nodes) belong to the graph, so the network keeps them and is called with the numbers
    of the nodes to classify; without them it is a ring of four. Source: Velickovic et al. 2018, arXiv:1710.10903, with dot-product attention.
    """

    def __init__(
        self,
        features: Tensor | None = None,
        edges: Tensor | None = None,
        classes: int = 2,
        *,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        hidden: int | None = None,
        activation: str | Callable[[], nn.Module] = "gelu",
        gated: bool = False,
        dropout: float = 0.2,
    ):
        super().__init__()
        if features is None or edges is None:
            features, edges = torch.eye(4), torch.eye(4).roll(1, 0) + torch.eye(4).roll(-1, 0)
        self.register_buffer("features", features, persistent=False)
        self.register_buffer("mask", masks.adjacency(edges), persistent=False)
        self.attention = SelfAttention(
            features.shape[1], width, classes, heads=heads, layers=layers, hidden=hidden, activation=activation, gated=gated, dropout=dropout,
            positions="none",
        )  # fmt: skip

    def forward(self, nodes: Tensor) -> Tensor:
        """Logits (batch, classes) of these nodes (batch)."""
        every = self.attention(self.features[None], mask=self.mask)[0]  # pyright: ignore[reportIndexIssue]
        return every[nodes.long()]
