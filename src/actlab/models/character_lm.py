"""A language model over characters: which one comes next."""

from typing import Literal

from torch import Tensor, nn

from ..errors import UnknownName
from ..layers import Recurrent

_CELLS = ("lstm", "peephole", "gru", "elman")


class CharacterLM(nn.Module):
    """Embedding, recurrent layers, and a score for every character to come next; trained with truncated back-propagation.

    Graves 2013, "Generating Sequences With Recurrent Neural Networks", arXiv:1308.0850.
    """

    def __init__(
        self,
        characters: int = 64,
        *,
        hidden: int = 256,
        layers: int = 2,
        cell: Literal["lstm", "peephole", "gru", "elman"] = "lstm",
        activation: str = "tanh",
        size: int = 64,
        dropout: float = 0.2,
        truncate: int | None = None,
    ):
        super().__init__()
        if cell not in _CELLS:
            raise UnknownName("cell", cell, _CELLS)
        self.characters = nn.Embedding(characters, size)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = Recurrent(
            cell, size, hidden, layers=layers, dropout=dropout, truncate=truncate, activation=activation
        )
        self.output = nn.Linear(hidden, characters)

    def forward(self, text: Tensor) -> Tensor:
        """Scores (batch, characters, time) of the next character, for numbers of characters (batch, time)."""
        steps, _ = self.continued(text, None)
        return steps.transpose(1, 2)

    def continued(self, text: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scores (batch, time, characters) and the state to go on from."""
        steps, after = self.recurrent(self.dropout(self.characters(text.long())), state=state)
        return self.output(self.dropout(steps)), after
