"""Which language a person reads: `--lang`, then the locale. `say` picks one of two texts."""

import os
import sys
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
_chosen: list[Language] = []


def choose(language: Language | None) -> None:
    """Speak `language` from here on; None returns to the locale."""
    _chosen[:] = [] if language is None else [language]


def language() -> Language:
    """The language in force.

    `--lang` is read off the command line itself, because help texts are made before options are parsed.
    """
    if _chosen:
        return _chosen[0]
    for argument, following in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        value = following if argument == "--lang" else argument.removeprefix("--lang=")
        if argument.startswith("--lang") and value in LANGUAGES:
            return value
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def say(en: str, zh: str) -> str:
    """The text in the language in force."""
    return zh if language() == "zh" else en
