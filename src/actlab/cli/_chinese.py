"""Typer's own words in Chinese: the titles of its help, and its complaints about a command line."""

import re
from typing import Any


def translate_help() -> None:
    """Give the panels of the help Chinese titles."""
    from typer import rich_utils

    rich_utils.ARGUMENTS_PANEL_TITLE = "参数"
    rich_utils.OPTIONS_PANEL_TITLE = "选项"
    rich_utils.COMMANDS_PANEL_TITLE = "命令"
    rich_utils.ERRORS_PANEL_TITLE = "错误"


def complaint(error: Any) -> str:
    """One sentence for an error of Typer's parser."""
    kind, text = type(error).__name__, error.format_message()
    near = re.findall(r"Did you mean '?([\w-]+)|Possible options: ([\w-]+)", text)
    hint = f"；是否想用“{''.join(near[0])}”？" if near else "；用 --help 查看用法"
    if kind == "NoSuchOption":
        return f"没有选项“{error.option_name}”{hint}"
    if kind == "MissingParameter":
        return f"缺少参数“{error.param.name if error.param else ''}”；用 --help 查看用法"
    if kind == "BadParameter":
        return f"选项“{error.param.opts[-1] if error.param else ''}”的值无效（{error.message}）；用 --help 查看用法"
    if command := re.search(r"No such command '([^']*)'", text):
        return f"没有命令“{command[1]}”{hint}"
    return f"命令行有误（{text}）；用 --help 查看用法"
