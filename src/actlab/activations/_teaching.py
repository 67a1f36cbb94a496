"""What to say about an activation that cannot be measured: when to take it, when not, and what it is called elsewhere."""

from typing import NamedTuple

from .._language import say


class Text(NamedTuple):
    """One thing said in both languages."""

    en: str
    zh: str

    def __str__(self) -> str:
        return say(self.en, self.zh)


class Teaching(NamedTuple):
    """`good`: what it is good for. `bad`: its pitfalls. `related`: names of entries to compare it with."""

    good: Text
    bad: Text
    related: tuple[str, ...] = ()
