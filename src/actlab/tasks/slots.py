"""Slot filling: which words of a sentence fill which slot, and what the sentence wants."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from .._language import say
from ..data.text import SlotData, Utterance, Vocabulary, load_slots, words
from ..decoding import best_path
from ..errors import ActlabError, UsageError
from ..records import DataFacts
from ..train.parts import Forward, Part, Parts, Scores
from . import made_of

LETTERS = 14  # of a word; longer words lose their middle
LONGEST = 2000  # words that a sentence may have
_IGNORED = -100
_FILE = "vocabulary.json"


class SlotPart:
    """Sentences as numbers: inputs (batch, time, 1 + letters), targets (intents (batch), slots (batch, time))."""

    def __init__(
        self, sentences: Sequence[Tensor], slots: Sequence[Tensor], intents: Tensor, source: Sequence[Utterance]
    ):
        self._sentences, self._slots, self._intents = sentences, slots, intents
        self.source = source

    def __len__(self) -> int:
        return len(self._intents)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        chosen = indices.tolist()
        pad = torch.nn.utils.rnn.pad_sequence
        inputs = pad([self._sentences[number] for number in chosen], batch_first=True)
        slots = pad([self._slots[number] for number in chosen], batch_first=True, padding_value=_IGNORED)
        return inputs, (self._intents[indices], slots)


class Slots:
    """The task. Its loss is that of the intent plus those of all words, in nats per sentence."""

    def __init__(self, words: Vocabulary, letters: Vocabulary, slots: Vocabulary, intents: Vocabulary, *, rare: Sequence[str] = (), data: SlotData | None = None):  # fmt: skip
        self.words, self.letters, self.slots, self.intents = words, letters, slots, intents
        self._word, self._letter = words.numbers(), letters.numbers()
        self._rare = torch.tensor([self._word[one] for one in rare], dtype=torch.long)
        self._data = data

    @classmethod
    def open(cls, source: str, *, validation: int, limit: int | None, seed: int) -> "Slots":
        """From data by name or folder."""
        data = load_slots(source, validation=validation, limit=limit, seed=seed)
        lowered = [word.lower() for one in data.train for word in one.words]
        known = Vocabulary.of(lowered)
        counts: dict[str, int] = {}
        for word in lowered:
            counts[word] = counts.get(word, 0) + 1
        return cls(
            known,
            Vocabulary.of((letter for one in data.train for word in one.words for letter in word), least=3),
            Vocabulary.of((slot for one in data.train for slot in _both(one.slots)), open=False),
            Vocabulary.of((one.intent for one in data.train), open=False),
            rare=[word for word, count in counts.items() if count == 1],
            data=data,
        )

    @classmethod
    def reopen(cls, directory: Path) -> "Slots":
        """From a run directory, without data."""
        names = ("words", "letters", "slots", "intents")
        return made_of(directory, _FILE, lambda found: cls(*(Vocabulary(tuple(found[name])) for name in names)))

    def take(self, other: "Slots") -> None:
        """Read other sentences with these vocabularies."""
        self._data = other._data

    def files(self) -> dict[str, str]:
        """The vocabularies."""
        found = {name: getattr(self, name).names for name in ("words", "letters", "slots", "intents")}
        return {_FILE: json.dumps(found, ensure_ascii=False, indent=0) + "\n"}

    def offered(self, model: str) -> dict[str, Any]:
        """Sizes of the four vocabularies."""
        return {name: len(getattr(self, name)) for name in ("words", "letters", "slots", "intents")}

    def parts(self) -> Parts:
        """The three parts; in training, half of the words seen only once are unknown, so that the network learns to meet such."""
        data = self._data
        assert data is not None
        parts = [self._part(one) for one in (data.train, data.validation, data.test)]
        facts = DataFacts(
            name=data.name,
            classes=self.intents.names,
            sizes={name: len(part) for name, part in zip(("train", "validation", "test"), parts, strict=True)},
            licence=data.licence,
            attribution=data.attribution,
        )
        return Parts(*parts, prepare=self._prepare, facts=facts, scores=Scores(self._measure, "slot_f1"))

    def _part(self, sentences: Sequence[Utterance]) -> SlotPart:
        slot, intent = self.slots.numbers(), self.intents.numbers()
        return SlotPart(
            [self.encode(one.words) for one in sentences],
            [torch.tensor([slot.get(name, _IGNORED) for name in one.slots]) for one in sentences],
            torch.tensor([intent.get(one.intent, _IGNORED) for one in sentences]),
            sentences,
        )

    def encode(self, sentence: Sequence[str]) -> Tensor:
        """Numbers (time, 1 + letters) of words and their letters; case counts in the letters alone."""
        rows = []
        for word in sentence:
            cut = word if len(word) <= LETTERS else word[: LETTERS // 2] + word[-LETTERS // 2 :]
            spelled = [self._letter.get(letter, 1) for letter in cut]
            rows.append([self._word.get(word.lower(), 1), *spelled, *([0] * (LETTERS - len(cut)))])
        return torch.tensor(rows, dtype=torch.long)

    def _prepare(self, inputs: Tensor, training: bool) -> Tensor:
        if not training:
            return inputs
        number = inputs[..., 0]
        hidden = torch.isin(number, self._rare.to(inputs.device)) & (
            torch.rand(number.shape, device=inputs.device) < 0.5
        )
        return torch.cat([number.masked_fill(hidden, 1)[..., None], inputs[..., 1:]], -1)

    @staticmethod
    def loss(outputs: tuple[Tensor, Tensor], targets: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of the intent plus that of every word's slot, summed over the words: nats per sentence."""
        (intents, slots), (intent, slot) = outputs, targets
        by_word = F.cross_entropy(slots.flatten(0, 1), slot.flatten(), ignore_index=_IGNORED, reduction="sum")
        by_sentence = F.cross_entropy(intents, intent, ignore_index=_IGNORED, reduction="sum")
        return (by_sentence + by_word) / len(intent)

    @cached_property
    def _follows(self) -> Tensor:
        """Which slot may follow which: inside a span only the same span's beginning or inside comes before."""
        names = self.slots.names
        allowed = [
            [after[:2] != "I-" or (before[1:] == after[1:] and before != "O") for after in names] for before in names
        ]
        return torch.tensor(allowed)

    def decode(self, slots: Tensor, lengths: Sequence[int]) -> list[list[str]]:
        """The most probable slots of each sentence of which no inside stands without its beginning."""
        starts = torch.tensor([name[:2] != "I-" for name in self.slots.names])
        paths = best_path(slots.cpu(), self._follows, starts, lengths)
        return [[self.slots.names[number] for number in path] for path in paths]

    def _measure(self, forward: Forward, part: Part) -> dict[str, float]:
        """Span F1 by seqeval, intent accuracy, and the share of sentences that are right throughout."""
        try:
            from seqeval.metrics import f1_score
        except ImportError:
            raise ActlabError(
                say(
                    "slot filling is scored by seqeval, which is not installed; run: pip install 'actlab[sequences]'",
                    "槽位填充由 seqeval 评分，但尚未安装；请运行：pip install 'actlab[sequences]'",
                )
            ) from None

        assert isinstance(part, SlotPart)
        truth = [list(one.slots) for one in part.source]
        found: list[list[str]] = []
        wanted: list[str] = []
        for begin in range(0, len(part), 256):
            rows = torch.arange(begin, min(begin + 256, len(part)))
            intents, slots = forward(part[rows][0])
            wanted += [self.intents.names[number] for number in intents.argmax(1).tolist()]
            found += self.decode(slots, [len(truth[row]) for row in rows.tolist()])
        right = [one.intent == name for one, name in zip(part.source, wanted, strict=True)]
        whole = [same and a == b for same, a, b in zip(right, truth, found, strict=True)]
        return {
            "slot_f1": float(cast(float, f1_score(truth, found)))
            if any(one != "O" for row in truth for one in row)
            else 0.0,
            "intent_accuracy": sum(right) / len(right),
            "sentence_accuracy": sum(whole) / len(whole),
        }

    def read(self, model: Any, sentence: str) -> dict[str, Any]:
        """{"words", "slots", "intent", "probability", "spans": [{"slot", "text"}]} of a sentence as a person types it."""
        found = self.split(sentence)
        with torch.no_grad():
            intents, slots = model(self.encode(found)[None])
        probability, number = intents[0].softmax(0).max(0)
        (labels,) = self.decode(slots, [len(found)])
        return {
            "sentence": sentence,
            "words": found,
            "slots": labels,
            "intent": self.intents.names[int(number)],
            "probability": float(probability),
            "spans": spans(found, labels),
        }

    @staticmethod
    def split(sentence: str) -> list[str]:
        """The words; raises UsageError for none, or too many."""
        found = words(sentence)
        if not found:
            raise UsageError(say("expected a sentence; got none", "需要一个句子；得到空句子"))
        if len(found) > LONGEST:
            raise UsageError(
                say(
                    f"expected a sentence of at most {LONGEST:,} words; got {len(found):,}",
                    f"句子最多 {LONGEST:,} 个词；得到 {len(found):,} 个",
                )
            )
        return found


def spans(sentence: Sequence[str], labels: Sequence[str]) -> list[dict[str, str]]:
    """The words of each slot, in order."""
    found: list[dict[str, str]] = []
    for word, label in zip(sentence, labels, strict=True):
        if label.startswith("B-"):
            found.append({"slot": label[2:], "text": word})
        elif label.startswith("I-") and found:
            found[-1]["text"] += f" {word}"
    return found


def _both(slots: Sequence[str]) -> list[str]:
    """The labels, and for every inside its beginning, which the training part may lack."""
    return [*slots, *(f"B-{one[2:]}" for one in slots if one.startswith("I-"))]
