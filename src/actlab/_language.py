"""Which language a person reads: `--lang`, then the locale. `say` picks one of two texts."""

import os
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
_chosen: list[Language] = []


def choose(language: Language | None) -> None:
    """Speak `language` from here on; None returns to the locale."""
    _chosen[:] = [] if language is None else [language]


def language() -> Language:
    """The language in force."""
    if _chosen:
        return _chosen[0]
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def take(arguments: list[str]) -> list[str]:
    """Choose the language named by `--lang` anywhere among `arguments`, and return the others.

    Done before anything else, because help texts are made before options are parsed. Raises UsageError for another language.
    """
    from .errors import UnknownName

    rest, waiting = [], False
    for argument in arguments:
        if waiting or argument.startswith("--lang="):
            value = argument.removeprefix("--lang=")
            if value not in LANGUAGES:
                raise UnknownName("language", value, LANGUAGES)
            choose("zh" if value == "zh" else "en")
            waiting = False
        elif argument == "--lang":
            waiting = True
        else:
            rest.append(argument)
    if waiting:
        raise UnknownName("language", "", LANGUAGES)
    return rest


def say(en: str, zh: str) -> str:
    """The text in the language in force."""
    return zh if language() == "zh" else en
