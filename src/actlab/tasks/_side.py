"""One side of pairs: its vocabulary, in characters, phonemes or pieces of words."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.pieces import Pieces
from ..data.pronunciation import Tokens
from ..models.transformer import UNKNOWN

SPECIAL = ("<padding>", "<unknown>", "<start>", "<end>", "<masked>")


class Side:
    """Names by number, and how a text is cut into them."""

    def __init__(self, names: Sequence[str], pieces: str | None = None):
        self.names = tuple(names)
        self.pieces = None if pieces is None else Pieces(pieces)
        self._number = {name: number for number, name in enumerate(self.names)}

    @classmethod
    def of(cls, texts: Sequence[Tokens], pieces: int | None) -> "Side":
        """The tokens that these texts hold; with `pieces` so many pieces of words, if the language puts spaces between words."""
        if pieces is not None and sum(" " in text for text in texts) > len(texts) / 2:
            learnt = Pieces.learn(["".join(text) for text in texts], pieces)
            return cls((*SPECIAL, *learnt.names), learnt.state)
        return cls((*SPECIAL, *sorted({one for text in texts for one in text})))

    def __len__(self) -> int:
        return len(self.names)

    def split(self, text: Sequence[str]) -> Tokens:
        """The tokens of a text that is given in characters or phonemes."""
        return tuple(text) if self.pieces is None else tuple(self.pieces.split("".join(text)))

    def known(self, token: str) -> bool:
        """Whether the vocabulary has it."""
        return token in self._number

    def encode(self, text: Sequence[str]) -> Tensor:
        """Numbers of a text that is given in characters or phonemes."""
        return self.numbers(self.split(text))

    def numbers(self, tokens: Sequence[str]) -> Tensor:
        """Numbers of tokens; those not in the vocabulary share one."""
        return torch.tensor([self._number.get(one, UNKNOWN) for one in tokens], dtype=torch.long)

    def tokens(self, numbers: Sequence[int]) -> Tokens:
        """Names of numbers."""
        return tuple(self.names[number] for number in numbers)

    def text(self, tokens: Sequence[str]) -> str:
        """Tokens as one text."""
        return "".join(tokens) if self.pieces is None else self.pieces.join(tokens)

    @property
    def state(self) -> str | None:
        """What the pieces are made from again."""
        return None if self.pieces is None else self.pieces.state
