"""Errors that a person reads: one sentence with what was expected, what came and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

from ._language import say


class ActlabError(Exception):
    """Something failed while working; the command line prints it and ends with exit code 1."""

    agreed = False  # of several processes, all raise it alike


class UsageError(ActlabError, ValueError):
    """What was asked for makes no sense; the command line prints it and ends with exit code 2."""


class OwnCodeError(ActlabError):
    """The user's own code failed; the command line prints its traceback below the sentence."""


_KINDS = {
    "activation": "激活函数",
    "initialisation": "初始化方法",
    "language": "语言",
    "layer": "层",
    "model": "模型",
    "network": "网络",
    "optimizer": "优化器",
    "part": "数据部分",
    "pooling": "池化方法",
    "precision": "精度",
    "recipe": "配方",
    "schedule": "学习率计划",
    "setting": "设置",
    "task": "任务",
}


class UnknownName(UsageError, KeyError):
    """A name that is not in a list of names; says which one comes nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        known = sorted(known)
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        zh = _KINDS.get(kind, kind)
        if near:
            text = say(
                f"no {kind} '{name}'; did you mean '{near[0]}'?", f"没有名为“{name}”的{zh}；是否想用“{near[0]}”？"
            )
        else:
            names = ", ".join(known)
            text = say(f"no {kind} '{name}'; there are: {names}", f"没有名为“{name}”的{zh}；可用的有：{names}")
        super().__init__(text)

    def __str__(self) -> str:  # KeyError would print the repr
        return str(self.args[0])


def first_line(error: Exception) -> str:
    """The error's own message, cut to its first line."""
    return (str(error) or type(error).__name__).splitlines()[0]
