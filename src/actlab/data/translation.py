"""Sentences and their translations: Tatoeba's English and Chinese, or a file of one's own, a pair a line.

data = load("tatoeba", reverse=False)
data.train[0]  # (("R", "u", "n", "."), ("你", "用", "跑", "的", "。"))
"""

from pathlib import Path

import numpy as np

from actlab._language import say
from actlab.errors import ActlabError, UnknownName, UsageError

from ._sources import TATOEBA, read
from .pronunciation import PairData, Tokens

VALIDATION, TEST = 500, 1000


def load(source: str | Path = "tatoeba", *, reverse: bool = False, limit: int | None = None, seed: int = 0) -> PairData:
    """Pairs in characters, from the first language to the second, or with `reverse` back; further columns are not read.

    No sentence to translate is in two parts, and no training pair has a reference of the other parts as its other side. Validation and
    test have each sentence once, all its translations as references: 500 and 1,000 of them, or a twentieth and a tenth of few.
    """
    named = str(source) == TATOEBA.name
    path = TATOEBA.path(TATOEBA.locate()) if named else Path(source).expanduser()
    if not path.is_file():
        if path.name == str(source):
            raise UnknownName(say("pairs or file", "句对或文件"), str(source), [TATOEBA.name])
        raise UsageError(say(f"expected a file of pairs; there is no '{source}'", f"没有句对文件“{source}”"))
    found: dict[Tokens, list[Tokens]] = {}
    for one, other in read(path, _lines):
        first, second = (other, one) if reverse else (one, other)
        variants = found.setdefault(tuple(first), [])
        if tuple(second) not in variants:
            variants.append(tuple(second))
    sentences = list(found)
    if len(sentences) < 30:
        raise ActlabError(
            say(
                f"expected at least 30 sentences in '{path}'; got {len(sentences)}",
                f"“{path}”至少应有 30 句；得到 {len(sentences)} 句",
            )
        )
    shuffled = np.random.RandomState(seed % 2**32).permutation(len(sentences)).tolist()  # frozen for good (NEP 19)
    test, validation = min(TEST, len(sentences) // 10), min(VALIDATION, len(sentences) // 20)
    cut = [[sentences[n] for n in part] for part in (shuffled[:test], shuffled[test : test + validation], shuffled[test + validation :])]  # fmt: skip
    if limit is not None:
        cut = [part[:limit] for part in cut]
    held = {other for part in cut[:2] for one in part for other in found[one]}
    return PairData(
        name=TATOEBA.name if named else path.name,
        train=tuple((one, other) for one in cut[2] for other in found[one] if other not in held),
        validation=tuple((one, found[one][0]) for one in cut[1]),
        test=tuple((one, found[one][0]) for one in cut[0]),
        references={one: tuple(found[one]) for part in cut for one in part},
        sentences=True,
        licence=TATOEBA.licence if named else "",
        attribution=TATOEBA.attribution if named else "",
    )


def _lines(file: Path) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        fields = [one.strip() for one in line.split("\t")]
        if len(fields) < 2 or not fields[0] or not fields[1]:
            raise ActlabError(
                say(
                    f"'{file}', line {number}: expected a sentence, a tab and its translation",
                    f"“{file}”第 {number} 行：应为句子、制表符与译文",
                )
            )
        pairs.append((fields[0], fields[1]))
    return pairs
