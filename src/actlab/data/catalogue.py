"""Every data set that has a name: what it is, its terms, and where it lies on this machine."""

from pathlib import Path

from actlab._language import language
from actlab.errors import UnknownName

from . import images
from ._locate import Available
from ._sources import SOURCES


def names() -> list[str]:
    """Of all data sets."""
    return [*images.NAMES, *SOURCES]


def available() -> list[Available]:
    """All data sets, found on this machine or not."""
    zh = language() == "zh"
    rows = [
        Available(one.name, one.summary[zh], one.licence, one.attribution, one.find(), one.size_bytes)
        for one in SOURCES.values()
    ]
    return [*images.available(), *rows]


def check(name: str) -> tuple[str, Path]:
    """Fetch a data set if it is not here (or take a folder of images), read all of it, and say what there is.

    Raises UnknownName for other names.
    """
    from actlab._language import say

    from . import pronunciation, series, speech, text, translation

    folder = Path(name).expanduser()
    if name not in names() and not folder.is_dir():
        raise UnknownName(say("data set", "数据集"), name, names())
    if name not in SOURCES:
        loaded = images.load(name, validation=0)
        parts = say(
            f"{len(loaded.train):,} training and {len(loaded.test):,} test images, {len(loaded.classes)} classes",
            f"{len(loaded.train):,} 张训练图像，{len(loaded.test):,} 张测试图像，{len(loaded.classes)} 个类别",
        )
        return parts, images.locate(name) if name in images.NAMES else folder
    folder = SOURCES[name].locate()
    if name == "snips":
        slots = text.load_slots(name, validation=0)
        found = say(
            f"{len(slots.train):,} training and {len(slots.test):,} test sentences",
            f"{len(slots.train):,} 个训练句子，{len(slots.test):,} 个测试句子",
        )
    elif name == "fsdd":
        words = speech.load(name, validation=0)
        found = say(
            f"{len(words.train):,} training and {len(words.test):,} test recordings, {len(words.classes)} words",
            f"{len(words.train):,} 段训练录音，{len(words.test):,} 段测试录音，{len(words.classes)} 个词",
        )
    elif name == "cmudict":
        words = pronunciation.load(name)
        found = say(
            f"{len(words.train):,} training pairs, {len(words.test):,} test words",
            f"{len(words.train):,} 个训练词条，{len(words.test):,} 个测试词",
        )
    elif name == "tatoeba":
        pairs = translation.load(name)
        found = say(
            f"{len(pairs.train):,} training pairs, {len(pairs.test):,} test sentences",
            f"{len(pairs.train):,} 个训练句对，{len(pairs.test):,} 个测试句子",
        )
    else:
        one = series.load(name)
        found = say(
            f"{len(one.values):,} rows in {len(one.pieces)} pieces without gaps",
            f"{len(one.values):,} 行，{len(one.pieces)} 个无间断片段",
        )
    return found, folder
