"""Sentences to slots and intents: words and their letters, a recurrent layer, two outputs."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from ..activations import layer
from ..layers import Recurrent, TappedDelay
from ..layers.recurrent import Cell
from .self_attention import SelfAttention


class Tagger(nn.Module):
    """Each word gets a slot, each sentence an intent, from one recurrent network, or self-attention, that reads the sentence.

    A word is its own vector beside one made from its letters by a convolution and a maximum (dos Santos & Zadrozny 2014), so that an
    unknown word has one too. `context` words to each side are seen by every step (Mesnil et al. 2015, IEEE/ACM TASLP 23(3)). The intent
    is read off the maximum over all steps. A Jordan network remembers its slots: softmax of the scores that are its outputs.
    """

    def __init__(
        self,
        words: int = 1000,
        slots: int = 10,
        intents: int = 3,
        *,
        letters: int = 100,
        cell: Cell | Literal["attention"] = "lstm",
        hidden: int = 200,
        layers: int = 1,
        bidirectional: bool = True,
        activation: str | Callable[[], nn.Module] = "tanh",
        word_size: int = 150,
        letter_size: int = 30,
        letter_filters: int = 100,
        context: int = 0,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.words = nn.Embedding(words, word_size, padding_idx=0)
        self.letters = nn.Embedding(letters, letter_size, padding_idx=0)
        self.spelling = nn.Conv1d(letter_size, letter_filters, kernel_size=3, padding=1)
        self.spelling_activation = layer("relu")()
        self.context = TappedDelay(tuple(range(-context, context + 1)))
        size = (word_size + letter_filters) * (2 * context + 1)
        self.dropout = nn.Dropout(dropout)
        if cell == "attention":
            self.recurrent = SelfAttention(
                size, hidden, hidden, layers=layers, activation=activation, dropout=dropout / 2
            )
            self._finish(hidden, size, slots, intents)
            return
        jordan = {"outputs": slots, "output_activation": "softmax"} if cell == "jordan" else {}
        self.recurrent = Recurrent(
            cell,
            size,
            hidden,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
            activation=activation,
            **jordan,
        )
        own = cell == "jordan" and not bidirectional  # its outputs are the scores
        self._finish(self.recurrent.output_size, size, None if own else slots, intents)

    def _finish(self, width: int, size: int, slots: int | None, intents: int) -> None:
        self.slots = nn.Identity() if slots is None else nn.Linear(width, slots)
        self.intent = nn.Linear(width + size, intents)
        for table in (self.words, self.letters):
            nn.init.uniform_(table.weight, -0.1, 0.1)

    def embed(self, sentences: Tensor) -> tuple[Tensor, Tensor]:
        """What the recurrent layer sees (batch, time, features), and the length of each sentence."""
        sentences = sentences.long()
        words, letters = sentences[..., 0], sentences[..., 1:]
        batch, time, length = letters.shape
        spelled = self.letters(letters).view(batch * time, length, -1).transpose(1, 2)
        shape = self.spelling_activation(self.spelling(spelled)).amax(2).view(batch, time, -1)
        inside = (words != 0)[..., None]
        seen = self.dropout(torch.cat([self.words(words), shape], -1)) * inside
        return self.context(seen), (words != 0).sum(1).clamp(min=1)

    def forward(self, sentences: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of intents (batch, intents) and slots (batch, time, slots).

        `sentences` (batch, time, 1 + letters) holds the number of each word and those of its letters, 0 where there is none.
        """
        seen, lengths = self.embed(sentences)
        if isinstance(self.recurrent, SelfAttention):
            steps = self.recurrent((seen, lengths))
        else:
            steps, _ = self.recurrent(seen, lengths)
        if not isinstance(self.slots, nn.Identity):  # scores are not dropped, what they are made of is
            steps = self.dropout(steps)
        behind = torch.arange(steps.shape[1], device=steps.device) >= lengths[:, None]
        most = torch.cat([steps, seen], -1).masked_fill(behind[..., None], -torch.inf).amax(1)
        return self.intent(most), self.slots(steps)
