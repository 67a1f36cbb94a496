"""The LSTM, with peepholes too, and the GRU, over a sequence of vectors."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from ..errors import UnknownName
from ..layers import Recurrent
from ._reading import Sequences, Summary, check, summarised, unpacked

_CELLS = ("lstm", "peephole", "gru")


class LSTM(nn.Module):
    """Recurrent layers with gates, then a linear output: for every step, or with `summary` for each sequence.

    Hochreiter & Schmidhuber 1997, Neural Computation 9(8); bidirectional: Graves & Schmidhuber 2005, Neural Networks 18(5).
    """

    def __init__(
        self,
        inputs: int = 40,
        hidden: int = 128,
        classes: int = 10,
        *,
        cell: Literal["lstm", "peephole", "gru"] = "lstm",
        layers: int = 1,
        activation: str | Callable[[], nn.Module] = "tanh",
        bidirectional: bool = False,
        dropout: float = 0.0,
        summary: Summary = "none",
    ):
        super().__init__()
        if cell not in _CELLS:
            raise UnknownName("cell", cell, _CELLS)
        check(summary)
        self.recurrent = Recurrent(
            cell, inputs, hidden, layers=layers, activation=activation, bidirectional=bidirectional, dropout=dropout
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.recurrent.output_size, classes)
        self.summary = summary

    def forward(self, sequences: Sequences) -> Tensor:
        """Outputs (batch, time, classes), or (batch, classes), for (batch, time, inputs) or these with their lengths."""
        values, lengths = unpacked(sequences)
        steps, _ = self.recurrent(self.dropout(values), lengths)
        return self.output(self.dropout(summarised(steps, lengths, self.summary)))
