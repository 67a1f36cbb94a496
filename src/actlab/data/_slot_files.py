"""Files of sentences with slots: SNIPS' JSON and the forms in which ATIS is handed on."""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from actlab._language import say
from actlab.errors import ActlabError

_WORDS = re.compile(r"\w+|[^\w\s]")
_PARTS = {"train": "train", "valid": "validation", "dev": "validation", "validation": "validation", "test": "test"}
_EDGES = ("BOS", "EOS")  # that some copies of ATIS put around a sentence


@dataclass(frozen=True)
class Utterance:
    """A sentence in words, the slot of each word in BIO ("B-city", "I-city", "O"), and what is wanted ("" where not told)."""

    words: tuple[str, ...]
    slots: tuple[str, ...]
    intent: str = ""


def words(sentence: str) -> list[str]:
    """Runs of letters and digits, and every other mark for itself."""
    return _WORDS.findall(sentence)


def read_folder(folder: Path) -> dict[str, list[Utterance]]:
    """The parts of a folder: "train", "test" and perhaps "validation"."""
    found: dict[str, list[Utterance]] = {}
    jsons = sorted(folder.glob("*/*.json"))
    if jsons:
        for file in jsons:
            part = "test" if file.name.startswith("validate_") else "train"
            found.setdefault(part, []).extend(_snips(file))
        return found
    for path in sorted(folder.iterdir()):
        part = next(
            (name for start, name in _PARTS.items() if re.search(rf"(^|[^a-z]){start}([^a-z]|$)", path.name)), None
        )
        if part and path.is_dir() and (path / "seq.in").exists():
            found.setdefault(part, []).extend(_three_files(path))
        elif part and path.is_file():
            found.setdefault(part, []).extend(_lines(path))
    if not found:
        raise ActlabError(
            say(
                f"expected sentences in '{folder}': INTENT/train_INTENT_full.json as SNIPS has them, or train and test as ATIS comes",
                f"“{folder}”中没有句子：需要 SNIPS 的 INTENT/train_INTENT_full.json，或 ATIS 的 train 与 test",
            )
        )
    return found


def decode(content: bytes) -> str:
    """UTF-8, and latin-1 for the bytes that are not."""
    return content.decode("utf-8", errors="latin-1 for the rest")


def _latin(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("latin-1 for the rest", _latin)


def _snips(file: Path) -> Iterator[Utterance]:
    """One intent's sentences: pieces of text, some of them an entity."""
    for intent, sentences in json.loads(decode(file.read_bytes())).items():
        for sentence in sentences:
            words: list[str] = []
            slots: list[str] = []
            for piece in sentence["data"]:
                new = _WORDS.findall(piece["text"])
                kind = piece.get("entity")
                words += new
                slots += [f"{'I' if number else 'B'}-{kind}" if kind else "O" for number in range(len(new))]
            if words:
                yield Utterance(tuple(words), tuple(slots), intent)


def _three_files(folder: Path) -> Iterator[Utterance]:
    lines = [decode((folder / name).read_bytes()).splitlines() for name in ("seq.in", "seq.out")]
    label = folder / "label"
    intents = decode(label.read_bytes()).splitlines() if label.exists() else [""] * len(lines[0])
    if not len(lines[0]) == len(lines[1]) == len(intents):
        raise ActlabError(
            say(
                f"seq.in, seq.out and label in '{folder}' differ in length",
                f"“{folder}”中 seq.in、seq.out 与 label 行数不同",
            )
        )
    for number, (words, slots, intent) in enumerate(zip(*lines, intents, strict=True), 1):
        yield _checked(words.split(), slots.split(), intent.strip(), folder / "seq.in", number)


def _lines(file: Path) -> Iterator[Utterance]:
    text = decode(file.read_bytes())
    form = _columns if ("<=>" not in text and "\t" not in text.split("\n", 1)[0]) or _is_columns(text) else _rows
    yield from form(text, file)


def _is_columns(text: str) -> bool:
    """Whether the first line holds one word and its label."""
    return len(text.split("\n", 1)[0].split()) in (0, 2)


def _rows(text: str, file: Path) -> Iterator[Utterance]:
    """`word:label word:label <=> intent`, or the words, a tab, the labels with the intent last."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if "\t" in line:
            left, right = line.split("\t", 1)
            words, labels = left.split(), right.split()
            intent = labels.pop() if len(labels) in (len(words), len(words) + 1) and not _is_label(labels[-1]) else ""
            if words[-1:] == ["EOS"] and len(words) == len(labels) + 1:
                words.pop()
        else:
            sentence, _, intent = line.partition("<=>")
            pairs = [one.rpartition(":") for one in sentence.split()]
            words, labels = [word for word, _, _ in pairs], [label for _, _, label in pairs]
        yield _checked(words, labels, intent.strip(), file, number)


def _is_label(text: str) -> bool:
    return text == "O" or text[:2] in ("B-", "I-")


def _columns(text: str, file: Path) -> Iterator[Utterance]:
    """A word and its label a line, a blank line between sentences; a line of one word, or `# intent: name`, is the intent."""
    words: list[str] = []
    labels: list[str] = []
    intent = ""
    for number, line in enumerate([*text.splitlines(), ""], 1):
        fields = line.split()
        if line.startswith("#"):
            intent = line.partition(":")[2].strip() or line[1:].strip()
        elif not fields:
            if words:
                yield _checked(words, labels, intent, file, number)
            words, labels, intent = [], [], ""
        elif len(fields) == 1:
            intent = fields[0]
        else:
            words.append(fields[0])
            labels.append(fields[-1])


def _checked(words: list[str], labels: list[str], intent: str, file: Path, number: int) -> Utterance:
    if len(words) != len(labels) or not words or not all(map(_is_label, labels)):
        raise ActlabError(
            say(
                f"'{file}', line {number}: expected a BIO label for every word; got {len(words)} words and the labels {labels[:3]}",
                f"“{file}”第 {number} 行：每个词应有 BIO 标签；得到 {len(words)} 个词，标签 {labels[:3]}",
            )
        )
    kept = [(word, label) for word, label in zip(words, labels, strict=True) if word not in _EDGES]
    return Utterance(tuple(word for word, _ in kept), tuple(label for _, label in kept), intent)
