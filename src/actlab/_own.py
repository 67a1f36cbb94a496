"""A user's own parts, named `package.module:callable` or `file.py:callable`."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ._language import say
from .errors import ActlabError, OwnCodeError, UnknownName, UsageError

given: dict[str, Callable[..., Any]] = {}  # callables that no file holds, by the names that stand for them in plans


def name_of(function: Callable[..., Any]) -> str:
    """A name that `load` knows in this process from now on, of the form package.module:callable."""
    name = f"{function.__module__}:{getattr(function, '__qualname__', type(function).__name__)}"
    free = next(one for number in range(1, 10**6) if given.get(one := name + f" {number}" * (number > 1), function) is function)  # fmt: skip
    given[free] = function
    return free


def load(name: str) -> Callable[..., Any]:
    """The callable of that name; raises UsageError if file or name do not exist, ActlabError if importing it fails."""
    if name in given:
        return given[name]
    where, _, what = name.rpartition(":")
    if not where or not what:
        raise UsageError(
            say(
                f"expected file.py:callable or package.module:callable; got '{name}'",
                f"需要 file.py:callable 或 package.module:callable；得到“{name}”",
            )
        )
    module = _module(where)
    found = getattr(module, what, None)
    if found is None:
        raise UnknownName(
            say(f"name in {where}", f"{where} 中的名称"), what, [one for one in vars(module) if not one.startswith("_")]
        )
    if not callable(found):
        raise UsageError(
            say(
                f"expected a callable; {name} is a {type(found).__name__}",
                f"需要可调用对象；{name} 是 {type(found).__name__}",
            )
        )
    return found


def call(name: str, offered: dict[str, Any]) -> Any:
    """Call it with those of `offered` that its signature takes."""
    function = load(name)
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # some built-in callables have none
        parameters = {}
    empty, variable = inspect.Parameter.empty, (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    wanted = [
        key
        for key, one in parameters.items()
        if one.default is empty and one.kind not in variable and key not in offered
    ]
    if wanted:
        raise UsageError(
            say(
                f"{name} asks for '{wanted[0]}', which is not offered; give it a default, or take some of {', '.join(offered)}",
                f"{name} 需要参数“{wanted[0]}”，而这里不提供；请给它默认值，可用的参数有 {'、'.join(offered)}",
            )
        )
    try:
        return function(**{key: value for key, value in offered.items() if key in parameters})
    except ActlabError:
        raise
    except Exception as error:
        raise OwnCodeError(
            say(f"{name} failed: {type(error).__name__}: {error}", f"{name} 出错：{type(error).__name__}：{error}")
        ) from error


def module(name: str, offered: dict[str, Any]) -> Any:
    """What `call` gives, which must be an nn.Module."""
    from torch import nn

    model = call(name, offered)
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise UsageError(
            say(f"expected {name} to return an nn.Module; got {kind}", f"{name} 应返回 nn.Module；得到 {kind}")
        )
    return model


def _module(where: str) -> ModuleType:
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        path = Path(where).expanduser().resolve()
        if not path.is_file():
            raise UsageError(say(f"expected a Python file; '{where}' does not exist", f"Python 文件“{where}”不存在"))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)
        sys.path.insert(0, str(path.parent))
        spec.loader.exec_module(module)
        return module
    except ActlabError:
        raise
    except ModuleNotFoundError as error:
        raise UsageError(say(f"cannot import '{where}': {error}", f"无法导入“{where}”：{error}")) from error
    except Exception as error:
        raise OwnCodeError(
            say(
                f"'{where}' fails on import: {type(error).__name__}: {error}",
                f"导入“{where}”时出错：{type(error).__name__}：{error}",
            )
        ) from error
