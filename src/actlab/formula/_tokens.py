"""Text to tokens: numbers, names and signs of plain ASCII, and nothing else."""

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

from .._language import say
from ._error import FormulaError, expected

MOST_CHARACTERS, MOST_DIGITS, LARGEST_EXPONENT = 1000, 40, 308
_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|<=|>=|[-+*/^(),<>])"
    r"|(?P<space>[ \t\r\n]+)"
)
# What is written for these signs elsewhere; full-width forms are folded by their Unicode names.
_MEANT = {"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "—": "-", "≤": "<=", "≥": ">=", "π": "pi", "²": "^2", "³": "^3", "√": "sqrt"}  # fmt: skip


class Token(NamedTuple):
    """kind: "number", "name", "sign" or "end"; the position counts from 1."""

    kind: str
    text: str
    position: int


def tokens(text: str) -> list[Token]:
    """The tokens of a text that is short enough, with one of kind "end" after them."""
    if len(text) > MOST_CHARACTERS:
        raise FormulaError(
            say(
                f"formula: expected at most {MOST_CHARACTERS} characters; got {len(text)}",
                f"公式：最多 {MOST_CHARACTERS} 个字符；得到 {len(text)} 个",
            )
        )
    found, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _foreign(text[place], place + 1)
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match.group(), place + 1))
        place = match.end()
    return [*found, Token("end", "", len(text) + 1)]


def _foreign(character: str, position: int) -> FormulaError:
    folded = _MEANT.get(character) or unicodedata.normalize("NFKC", character)
    meant = folded if folded != character and _TOKEN.fullmatch(folded) else _MEANT.get(character, "")
    hint = (f"; did you mean '{meant}'?", f"；是否想用“{meant}”？") if meant else ("", "")
    return expected(
        "a number, a name or one of + - * / ^ ( ) , < >",
        "数、名称或 + - * / ^ ( ) , < > 之一",
        position,
        character,
        hint,
    )


def value(token: Token) -> Fraction:
    """The exact value of a number; refused if it is too long, or would be infinite or zero in double precision."""
    mantissa, _, exponent = token.text.lower().partition("e")
    digits = len(mantissa.replace(".", ""))
    if digits > MOST_DIGITS:
        raise expected(
            f"a number of at most {MOST_DIGITS} digits", f"至多 {MOST_DIGITS} 位的数", token.position, token.text
        )
    sound = len(exponent) <= 9 and abs(int(exponent or 0)) <= LARGEST_EXPONENT
    exact = Fraction(token.text) if sound else Fraction(0)
    if not sound or exact > Fraction(10) ** LARGEST_EXPONENT or 0 < exact < Fraction(1, 10**LARGEST_EXPONENT):
        raise expected("a number between 1e-308 and 1e308", " 1e-308 与 1e308 之间的数", token.position, token.text)
    return exact
