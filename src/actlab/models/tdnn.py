"""The time-delay neural network: every unit sees the layer below at a few steps."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .._language import say
from ..activations import layer
from ..errors import UsageError
from ..layers import TappedDelay
from ._reading import Sequences, Summary, check, summarised, unpacked


class TDNN(nn.Module):
    """Delay lines and linear layers by turns; the same as a stack of dilated 1-D convolutions, which a test shows.

    `delays` holds, for each hidden layer, which steps of the layer below it sees: (-2, -1, 0, 1, 2) two to each side, (0, 1, 2) the
    present and the past alone. Source: Waibel et al. 1989, IEEE Trans. ASSP 37(3); with context that widens layer by layer: Peddinti,
    Povey & Khudanpur 2015, Interspeech. Differs from the latter: no statistics pooling but the mean, and normalisation by
    layer norm over the units of one step.
    """

    def __init__(
        self,
        inputs: int = 40,
        hidden: int = 128,
        classes: int = 10,
        *,
        delays: Sequence[Sequence[int]] = ((-2, -1, 0, 1, 2), (-2, 0, 2), (-3, 0, 3), (0,)),
        activation: str | Callable[[], nn.Module] = "relu",
        dropout: float = 0.0,
        normalise: bool = True,
        summary: Summary = "none",
    ):
        super().__init__()
        check(summary)
        if not delays:
            raise UsageError(
                say("delays: expected those of at least one layer; got none", "delays：至少需要一层的延迟")
            )
        act = layer(activation)
        parts: list[nn.Module] = []
        for taps in delays:
            parts += [TappedDelay(tuple(taps)), nn.Linear(inputs * len(taps), hidden)]
            parts += [nn.LayerNorm(hidden)] if normalise else []
            parts += [act(), nn.Dropout(dropout)]
            inputs = hidden
        self.layers = nn.Sequential(*parts)
        self.output = nn.Linear(hidden, classes)
        self.summary = summary

    def forward(self, sequences: Sequences) -> Tensor:
        """Outputs (batch, time, classes), or (batch, classes), for (batch, time, inputs) or these with their lengths."""
        values, lengths = unpacked(sequences)
        inside = None
        if lengths is not None:  # behind the end of a sequence there is nothing, in every layer
            counts = lengths.to(values.device)[:, None]
            inside = (torch.arange(values.shape[1], device=values.device) < counts)[..., None]
        for one in self.layers:
            if inside is not None and isinstance(one, TappedDelay):
                values = values * inside
            values = one(values)
        return self.output(summarised(values, lengths, self.summary))
