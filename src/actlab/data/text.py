"""Sentences with slots and intents: SNIPS, ATIS or a folder of one's own; the vocabularies that turn them into numbers.

data = load_slots("snips")
words = Vocabulary.of(word for one in data.train for word in one.words)
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actlab._language import say
from actlab.errors import ActlabError, UnknownName, UsageError

from . import _slot_files
from ._slot_files import Utterance as Utterance
from ._slot_files import words as words
from ._sources import SNIPS, read

UNKNOWN = "<unknown>"
PADDING = "<padding>"


@dataclass(frozen=True)
class SlotData:
    """Three parts of labelled sentences, and the terms of their use."""

    name: str
    train: tuple[Utterance, ...]
    validation: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    licence: str = ""
    attribution: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """Names and their numbers. Where there are unknown words, 0 pads and 1 stands for all that was never seen."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, found: Iterable[str], *, least: int = 1, open: bool = True) -> "Vocabulary":
        """All that occur at least so often, by frequency and then by name; an `open` one has room for padding and the unknown."""
        counts = Counter(found)
        kept = sorted((name for name, count in counts.items() if count >= least), key=lambda one: (-counts[one], one))
        return cls((*((PADDING, UNKNOWN) if open else ()), *kept))

    def __len__(self) -> int:
        return len(self.names)

    def numbers(self) -> dict[str, int]:
        """Name to number."""
        return {name: number for number, name in enumerate(self.names)}


def load_slots(
    source: str | Path = "snips", *, validation: int = 700, limit: int | None = None, seed: int = 0
) -> SlotData:
    """SNIPS by name, or a folder: of JSON files as SNIPS has them, or `train`, `valid` and `test` as ATIS comes.

    Files of the latter hold a sentence a line, `word:label word:label <=> intent`, or a word and its label a line with a blank line
    between sentences, or are folders with `seq.in`, `seq.out` and `label`. Without a validation part, `validation` sentences are held
    out of the training ones, in equal numbers of each intent as far as there are any.
    """
    named = str(source) == SNIPS.name
    folder = SNIPS.locate() if named else _folder(source)
    parts = read(folder, _slot_files.read_folder)
    if not parts.get("train"):
        raise ActlabError(say(f"'{folder}' holds no training sentences", f"“{folder}”中没有训练句子"))
    if "validation" not in parts:
        parts |= _hold_out(parts["train"], validation, seed)
    if not parts.get("test"):
        raise ActlabError(say(f"'{folder}' holds no test sentences", f"“{folder}”中没有测试句子"))
    if limit is not None:
        parts = {name: _draw(part, limit, seed) for name, part in parts.items()}
    return SlotData(
        name=SNIPS.name if named else folder.name,
        train=tuple(parts["train"]),
        validation=tuple(parts["validation"]),
        test=tuple(parts["test"]),
        licence=SNIPS.licence if named else "",
        attribution=SNIPS.attribution if named else "",
    )


def read_text(path: str | Path) -> str:
    """A text file in UTF-8, for a language model; raises UsageError if it is too short to learn from."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise UsageError(say(f"expected a text file; there is no '{path}'", f"没有文本文件“{path}”"))
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            say(
                f"'{path}' is not UTF-8 (byte {error.start}); convert it first",
                f"“{path}”不是 UTF-8（第 {error.start} 字节）；请先转换",
            )
        ) from None
    if len(text) < 1000:
        raise UsageError(
            say(
                f"expected at least 1,000 characters to learn from; '{path}' has {len(text)}",
                f"至少需要 1,000 个字符；“{path}”只有 {len(text)} 个",
            )
        )
    return text


def _folder(source: str | Path) -> Path:
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.name == str(source):
        raise UnknownName(say("data set or folder", "数据集或文件夹"), str(source), [SNIPS.name])
    raise UsageError(say(f"expected a folder of sentences; there is no '{source}'", f"没有句子文件夹“{source}”"))


def _hold_out(train: Sequence[Utterance], count: int, seed: int) -> dict[str, list[Utterance]]:
    """Training and validation sentences: of each intent in turn the next one of a shuffled order."""
    count = min(count, len(train) // 5)
    held = set(_in_turn(train, seed)[:count])
    return {
        "train": [one for number, one in enumerate(train) if number not in held],
        "validation": [train[number] for number in sorted(held)],
    }


def _draw(part: Sequence[Utterance], limit: int, seed: int) -> list[Utterance]:
    return [part[number] for number in sorted(_in_turn(part, seed)[:limit])]


def _in_turn(part: Sequence[Utterance], seed: int) -> list[int]:
    """Places in a shuffled order in which the intents take turns."""
    shuffled = np.random.RandomState(seed % 2**32).permutation(len(part)).tolist()  # frozen for good (NEP 19)
    seen: Counter[str] = Counter()
    ranked = []
    for number in shuffled:
        intent = part[number].intent
        ranked.append((seen[intent], intent, number))
        seen[intent] += 1
    return [number for _, _, number in sorted(ranked)]
