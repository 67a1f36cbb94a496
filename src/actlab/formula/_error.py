"""What a reader of formulas says when it does not understand: what was expected, what came, and where."""

from collections.abc import Iterable
from difflib import get_close_matches

from .._language import say
from ..errors import UsageError


class FormulaError(UsageError):
    """A formula that cannot be read, or a question about it that has no answer."""


def shown(text: str) -> str:
    """A piece of a formula as a message may hold it: short, and with nothing that a terminal could take amiss."""
    cut = text if len(text) <= 24 else text[:24] + "..."
    plain = "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in cut)
    code = (
        f" (U+{ord(text):04X})" if len(text) == 1 and not text.isascii() and plain == text else ""
    )  # a Cyrillic х is no x
    return say(f"'{plain}'{code}", f"“{plain}”{code}")


def expected(
    what_en: str, what_zh: str, position: int, came: str | None, hint: tuple[str, str] = ("", "")
) -> FormulaError:
    """The sentence for a formula that breaks off or goes on wrongly; position counts characters from 1, `came` None is the end."""
    got_en, got_zh = ("the end", "结尾") if came is None else (shown(came), shown(came))
    return FormulaError(
        say(
            f"formula: expected {what_en} at position {position}; got {got_en}{hint[0]}",
            f"公式：第 {position} 个字符处应为{what_zh}；得到{got_zh}{hint[1]}",
        )
    )


def nearest(name: str, known: Iterable[str]) -> tuple[str, str]:
    """What to say of a name that is in no list, in both languages."""
    known = list(known)
    near = get_close_matches(name[:40], known, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?", f"是否想用“{near[0]}”？"
    return f"there are: {', '.join(known) or 'none'}", f"可用的有：{'、'.join(known) or '无'}"


def unknown(kind_en: str, kind_zh: str, name: str, position: int, known: Iterable[str]) -> FormulaError:
    """The sentence for a name in a formula that is in no list."""
    hint_en, hint_zh = nearest(name, known)
    return FormulaError(
        say(
            f"formula: no {kind_en} {shown(name)} at position {position}; {hint_en}",
            f"公式：第 {position} 个字符处的{shown(name)}不是已知的{kind_zh}；{hint_zh}",
        )
    )


def not_a_parameter(name: str, known: Iterable[str]) -> FormulaError:
    """The sentence for a parameter that the formula does not have."""
    hint_en, hint_zh = nearest(str(name), known)
    return FormulaError(
        say(f"formula: no parameter {shown(str(name))}; {hint_en}", f"公式：没有参数{shown(str(name))}；{hint_zh}")
    )


def too_large(order: int) -> FormulaError:
    """The sentence for a derivative that has grown beyond use."""
    return FormulaError(
        say(
            f"formula: expected a derivative of bearable size; that of order {order} is too large",
            f"公式：{order} 阶导数的表达式过大，无法处理",
        )
    )


def wrong_parameters(parameters: Iterable[str], values: Iterable[str]) -> FormulaError:
    """The sentence for arguments that are not those of the formula."""
    wanted, came = ", ".join(parameters) or say("none", "无"), ", ".join(values) or say("none", "无")
    return FormulaError(
        say(f"formula: expected the parameters: {wanted}; got: {came}", f"公式：参数应为：{wanted}；得到：{came}")
    )
