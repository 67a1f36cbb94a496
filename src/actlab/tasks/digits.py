"""Spoken words: a recording to one of a few classes."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .._language import say
from ..data import speech
from ..errors import UsageError
from ..records import DataFacts
from ..train.parts import Parts
from . import made_of

_FILE = "words.json"


class SpokenWords:
    """The task; its loss is cross-entropy in nats per recording."""

    loss = None

    def __init__(
        self, classes: tuple[str, ...], mels: int, *, data: speech.SpeechData | None = None, mask: float = 0.0
    ):
        self.classes, self.mels, self._data, self._mask = classes, mels, data, mask

    @classmethod
    def open(cls, source: str, *, split: str, validation: int, limit: int | None, mels: int, mask: float, seed: int) -> "SpokenWords":  # fmt: skip
        """From data by name or folder."""
        data = speech.load(source, split=split, validation=validation, limit=limit, seed=seed, mels=mels)
        return cls(data.classes, mels, data=data, mask=mask)

    @classmethod
    def reopen(cls, directory: Path) -> "SpokenWords":
        """From a run directory, without data."""
        return made_of(directory, _FILE, lambda found: cls(tuple(found["words"]), found["mels"]))

    def take(self, other: "SpokenWords") -> None:
        """Hear other recordings of the same words; raises UsageError for other words."""
        if other.classes != self.classes:
            raise UsageError(
                say(
                    f"expected recordings of {', '.join(self.classes)}; got {', '.join(other.classes)}",
                    f"应为这些词的录音：{'、'.join(self.classes)}；得到 {'、'.join(other.classes)}",
                )
            )
        self._data = other._data

    def files(self) -> dict[str, str]:
        """The words and the number of bands."""
        return {_FILE: json.dumps({"words": self.classes, "mels": self.mels}, ensure_ascii=False) + "\n"}

    def offered(self, model: str) -> dict[str, Any]:
        """Bands in, words out."""
        return {"inputs": self.mels, "classes": len(self.classes), "summary": "mean"}

    def parts(self) -> Parts:
        """The three parts; in training, bands and stretches of time are hidden (SpecAugment, Park et al. 2019, arXiv:1904.08779)."""
        data = self._data
        assert data is not None
        facts = DataFacts(
            name=data.name,
            classes=data.classes,
            sizes={"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
            licence=data.licence,
            attribution=data.attribution,
        )
        return Parts(data.train, data.validation, data.test, prepare=self._prepare, facts=facts)

    def _prepare(self, inputs: tuple[Tensor, Tensor], training: bool) -> tuple[Tensor, Tensor]:
        sound, lengths = inputs
        if not training or not self._mask:
            return inputs
        sound = _moved(sound, 2)
        kept = torch.ones_like(sound[:, :, :1]) * _hidden(sound.shape[0], sound.shape[2], self._mask)[:, None, :]
        times = _hidden(sound.shape[0], sound.shape[1], self._mask)[:, :, None]
        return sound * kept.to(sound.device) * times.to(sound.device), lengths

    def hear(self, model: Any, path: str | Path, top: int) -> dict[str, Any]:
        """{"recording", "classes": {word: probability}} of a wave file."""
        sound = speech.features(speech.read_wave(path), self.mels)
        with torch.no_grad():
            chances = model((sound[None], torch.tensor([len(sound)])))[0].softmax(0)
        best = chances.topk(min(top, len(self.classes)))
        named = {self.classes[i]: p for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)}
        return {"recording": str(path), "classes": named}


def _hidden(batch: int, size: int, share: float) -> Tensor:
    """Ones (batch, size) with one stretch of zeros in each row, up to that share long."""
    longest = max(1, round(size * share))
    width = torch.randint(0, longest + 1, (batch, 1))
    begin = (torch.rand(batch, 1) * (size - width + 1)).long()
    place = torch.arange(size)
    return ((place < begin) | (place >= begin + width)).float()


def _moved(sound: Tensor, most: int) -> Tensor:
    """Each recording up or down by a few bands, as another voice is; the bands that come in are those at the edge."""
    shift = torch.randint(-most, most + 1, (len(sound), 1))
    place = (torch.arange(sound.shape[2]) + shift).clamp(0, sound.shape[2] - 1)
    return sound.gather(2, place[:, None, :].expand(-1, sound.shape[1], -1).to(sound.device))
