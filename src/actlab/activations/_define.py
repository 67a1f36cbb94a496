"""`define`: an entry of a user's own from a formula, with everything that the catalogue's entries have."""

import keyword
from inspect import Parameter as Argument
from inspect import Signature
from math import isfinite
from typing import Annotated, Any

from torch import Tensor

from .._language import say
from ..errors import UsageError
from ..formula import parse
from ._layer import Pointwise
from ._spec import Activation, Domain

_TAKEN = {"activation", "axis", "fused", "learn", "learnt", "names", "order", "save", "size", "training"}


def define(name: str, formula: str, **parameters: float) -> Activation:
    """An activation from the text of its formula in x and the named parameters, which are its defaults and can learn.

    `define("swoosh", "log(1 + exp(x - 1)) - 0.08*x - c", c=0.313)` gives module, derivatives, LaTeX, plot, properties and JavaScript.
    The formula is read by a whitelist of operations and functions, and known unstable forms are replaced by stable ones. The entry is
    not put into the catalogue; pass it, or its module, on.

    Raises FormulaError for a formula that cannot be read, UsageError for a name or a default that cannot be one.
    """
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(say(f"expected a name such as my_swish; got {name!r}", f"名称应形如 my_swish；得到 {name!r}"))
    definition = parse(formula, tuple(parameters))
    for key, value in parameters.items():
        if hasattr(Pointwise, key) or key in _TAKEN:
            raise UsageError(
                say(
                    f"{name}: a parameter cannot be called '{key}', which a layer has already",
                    f"{name}：参数不能叫“{key}”，层已有此名",
                )
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise UsageError(
                say(
                    f"{name}: {key} must be a finite number; got {value!r}", f"{name}：{key} 应为有限数；得到 {value!r}"
                )
            )
    entry = Activation(
        body=_body(definition.torch(), name, formula, parameters),
        name=name,
        formula=formula,
        source=say("defined by its user", "用户自定义"),
        zh=formula,
        made=(name, formula, tuple(parameters.items())),
    )
    entry.slope(_positional(definition.torch(1), parameters))
    entry.curve(_positional(definition.torch(2), parameters))
    for key in parameters:
        entry.partial(key)(_positional(definition.torch_by(key), parameters))
    return entry.tie()


def again(name: str, formula: str, parameters: tuple[tuple[str, float], ...]) -> Activation:
    """The same entry anew, for unpickling."""
    return define(name, formula, **dict(parameters))


def _positional(function: Any, parameters: dict[str, float]) -> Any:
    """As the catalogue calls it: parameters in order."""
    return lambda x, *values: function(x, **dict(zip(parameters, values, strict=True)))


def _body(function: Any, name: str, formula: str, parameters: dict[str, float]) -> Any:
    """A function with the signature that an entry is read from."""
    body = _positional(function, parameters)
    kind = Annotated[float, Domain(learnable=True)]
    arguments = [
        Argument(key, Argument.POSITIONAL_OR_KEYWORD, default=float(value), annotation=kind)
        for key, value in parameters.items()
    ]
    body.__name__, body.__doc__ = name, f"{formula}."
    body.__signature__ = Signature([Argument("x", Argument.POSITIONAL_OR_KEYWORD, annotation=Tensor), *arguments])
    body.__annotations__ = {"x": Tensor, **dict.fromkeys(parameters, kind)}
    return body
