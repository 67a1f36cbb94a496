"""Language modelling by characters: a text cut into windows, each to be continued by one character at every place."""

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .._language import say
from ..data.text import Vocabulary, read_text
from ..decoding import sample
from ..errors import UsageError
from ..layers._plain import plain
from ..records import DataFacts
from ..train.parts import Forward, Part, Parts, Scores
from . import made_of

_FILE = "characters.json"


class TextPart:
    """Windows of a text: inputs and targets (batch, length), the targets one character later."""

    def __init__(self, text: Tensor, length: int):
        self._text, self._length = text, length

    def __len__(self) -> int:
        return max(0, (len(self._text) - 1) // self._length)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        places = indices[:, None] * self._length + torch.arange(self._length + 1)
        windows = self._text[places]
        return windows[:, :-1], windows[:, 1:]


class Characters:
    """The task; its loss is in nats per character."""

    loss = None

    def __init__(self, characters: Vocabulary, *, text: str = "", length: int = 128, name: str = ""):
        self.characters, self.length, self.name = characters, length, name
        self._number = characters.numbers()
        self._text = text

    @classmethod
    def open(cls, source: str, *, length: int) -> "Characters":
        """From a text file. Characters seen only once share one number with those never seen."""
        text = read_text(source)
        return cls(Vocabulary.of(text, least=2), text=text, length=length, name=Path(source).name)

    @classmethod
    def reopen(cls, directory: Path) -> "Characters":
        """From a run directory, without its text."""
        return made_of(
            directory, _FILE, lambda found: cls(Vocabulary(tuple(found["characters"])), length=found["length"])
        )

    def take(self, other: "Characters") -> None:
        """Read another text with these characters, in windows of this length."""
        self._text, self.name = other._text, other.name

    def files(self) -> dict[str, str]:
        """The characters, and the length of a window."""
        return {
            _FILE: json.dumps({"characters": self.characters.names, "length": self.length}, ensure_ascii=False) + "\n"
        }

    def offered(self, model: str) -> dict[str, Any]:
        """How many characters there are, and how many a network sees at once."""
        return {"characters": len(self.characters), "longest": self.length}

    def encode(self, text: str) -> list[int]:
        """Numbers of the characters."""
        return [self._number.get(one, 1) for one in text]

    def decode(self, numbers: Sequence[int]) -> str:
        """Characters of the numbers; what stands for the unknown becomes a replacement character."""
        return "".join(self.characters.names[one] if one > 1 else "\N{REPLACEMENT CHARACTER}" for one in numbers)

    def parts(self) -> Parts:
        """The first nine tenths to learn from, the rest in two halves: validation and test, in the order of the text."""
        numbers = torch.tensor(self.encode(self._text))
        cuts = [0, round(len(numbers) * 0.9), round(len(numbers) * 0.95), len(numbers)]
        parts = [TextPart(numbers[a:b], self.length) for a, b in itertools.pairwise(cuts)]
        if not all(map(len, parts)):
            raise UsageError(
                say(
                    f"the text of {len(numbers):,} characters is too short for windows of {self.length}; expected at least {22 * self.length:,}",
                    f"文本只有 {len(numbers):,} 个字符，不够 {self.length} 的窗口；至少需要 {22 * self.length:,} 个",
                )
            )
        sizes = {name: len(part) for name, part in zip(("train", "validation", "test"), parts, strict=True)}
        facts = DataFacts(name=self.name, sizes=sizes)
        return Parts(
            parts[0], parts[1], parts[2], facts=facts, scores=Scores(self._measure, "bits_per_character", lowest=True)
        )

    @staticmethod
    def _measure(forward: Forward, part: Part) -> dict[str, float]:
        total = 0.0
        for begin in range(0, len(part), 64):
            inputs, targets = part[torch.arange(begin, min(begin + 64, len(part)))]
            scores = forward(inputs)
            total += float(
                torch.nn.functional.cross_entropy(scores, targets.to(scores.device), reduction="mean")
            ) * len(inputs)
        return {"bits_per_character": total / len(part) / math.log(2)}

    def write(self, model: Any, prompt: str, steps: int, **how: Any) -> str:
        """The prompt and `steps` characters that the network writes after it."""
        bare = plain(model)

        def step(number: Tensor, state: Any) -> tuple[Tensor, Any]:
            scores, state = bare.continued(number[:, None], state)
            scores[:, -1, :2] = -math.inf  # neither padding nor the unknown is a character
            return scores[:, -1], state

        return prompt + self.decode(sample(step, self.encode(prompt), steps, **how)[len(prompt) :])
