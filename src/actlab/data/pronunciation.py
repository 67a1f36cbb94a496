"""Words and how they are spoken: the CMU pronouncing dictionary, letters to phonemes.

data = load("cmudict")
data.train[0]  # (("a", "c", "t"), ("AE", "K", "T"))
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actlab._language import say
from actlab.errors import ActlabError, UnknownName, UsageError

from ._sources import CMUDICT, read

Tokens = tuple[str, ...]
_VARIANT = re.compile(r"\(\d+\)$")
# Of the published split (Rao et al. 2015; Yolchuyeva, Nemeth & Gyires-Toth 2019, arXiv:2004.06338), in words.
TRAIN, VALIDATION, TEST = 106_837, 2_670, 12_753


@dataclass(frozen=True)
class PairData:
    """Pairs of sources and targets in three parts; a source may have several right targets, which `references` names."""

    name: str
    train: tuple[tuple[Tokens, Tokens], ...]
    validation: tuple[tuple[Tokens, Tokens], ...]
    test: tuple[tuple[Tokens, Tokens], ...]
    references: dict[Tokens, tuple[Tokens, ...]]
    sentences: bool = False  # translations, in characters; else words and their phonemes
    licence: str = ""
    attribution: str = ""


def load(source: str | Path = "cmudict", *, stress: bool = False, limit: int | None = None, seed: int = 0) -> PairData:
    """The dictionary by name, or a file of lines `word PH ON EM`. Words, not entries, are drawn: no word is in two parts.

    Training learns every variant of a word, validation and test have each word once, with all its variants as references. Without
    `stress` the digits after vowels are left out. Of a dictionary of another size the parts have the published shares.
    """
    named = str(source) == CMUDICT.name
    path = CMUDICT.path(CMUDICT.locate()) if named else Path(source).expanduser()
    if not path.is_file():
        if path.name == str(source):
            raise UnknownName(say("dictionary or file", "词典或文件"), str(source), [CMUDICT.name])
        raise UsageError(say(f"expected a dictionary; there is no '{source}'", f"没有词典“{source}”"))
    words = read(path, lambda file: _entries(file, stress))
    if len(words) < 30:
        raise ActlabError(
            say(
                f"expected at least 30 words in '{path}'; got {len(words)}",
                f"“{path}”至少应有 30 个词；得到 {len(words)} 个",
            )
        )
    whole = TRAIN + VALIDATION + TEST
    share = min(1.0, len(words) / whole)
    counts = [max(1, round(one * share)) for one in (TEST, VALIDATION, TRAIN)]
    shuffled = np.random.RandomState(seed % 2**32).permutation(len(words)).tolist()  # frozen for good (NEP 19)
    names = list(words)
    cut = [[names[number] for number in shuffled[sum(counts[:part]) : sum(counts[: part + 1])]] for part in range(3)]
    if limit is not None:
        cut = [part[:limit] for part in cut]
    test, validation, train = cut
    return PairData(
        name=CMUDICT.name if named else path.name,
        train=tuple((tuple(word), spoken) for word in train for spoken in words[word]),
        validation=tuple((tuple(word), words[word][0]) for word in validation),
        test=tuple((tuple(word), words[word][0]) for word in test),
        references={tuple(word): words[word] for part in cut for word in part},
        licence=CMUDICT.licence if named else "",
        attribution=CMUDICT.attribution if named else "",
    )


def _entries(file: Path, stress: bool) -> dict[str, tuple[Tokens, ...]]:
    found: dict[str, list[Tokens]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split("#", 1)[0].split()
        if not fields or line.startswith(";;;"):
            continue
        if len(fields) < 2:
            raise ActlabError(
                say(
                    f"'{file}', line {number}: expected a word and its phonemes",
                    f"“{file}”第 {number} 行：应为一个词及其音素",
                )
            )
        spoken = tuple(fields[1:] if stress else (one.rstrip("012") for one in fields[1:]))
        variants = found.setdefault(_VARIANT.sub("", fields[0]).lower(), [])
        if spoken not in variants:
            variants.append(spoken)
    return {word: tuple(variants) for word, variants in found.items()}
