"""The catalogue itself: registering entries and finding them by name."""

from collections.abc import Callable
from typing import Any

from ..errors import UnknownName
from ._calculus import Body
from ._spec import Activation

_ENTRIES: dict[str, Any] = {}
_ALIASES: dict[str, str] = {}
_NAMED: dict[str, Any] = {}  # aliases that were asked for, so that asking again gives the same object


def activation(**facts: Any) -> Callable[[Body], Activation]:
    """Enter the decorated function, the stable form of its formula, into the catalogue; see `Activation` for the facts."""

    def register(body: Body) -> Activation:
        return enter(Activation(body=body, name=body.__name__, **facts))

    return register


def enter(entry: Any) -> Any:
    """Put an entry under its name and its aliases; raises ValueError if one is taken."""
    names = (entry.name, *entry.also, *entry.presets)
    for name in names:
        if name in _ENTRIES or name in _ALIASES:
            raise ValueError(f"activation '{name}' is already in the catalogue")
    _ENTRIES[entry.name] = entry
    _ALIASES.update(dict.fromkeys(names[1:], entry.name))
    return entry


def get(name: str) -> Any:
    """The activation of that name or alias; raises UnknownName, a KeyError, with the nearest one."""
    if name in _ENTRIES:
        return _ENTRIES[name]
    if name in _ALIASES:
        if name not in _NAMED:
            _NAMED[name] = _ENTRIES[_ALIASES[name]].named(name)
        return _NAMED[name]
    raise UnknownName("activation", str(name), [*_ENTRIES, *_ALIASES])


def names(*, aliases: bool = False, vectors: bool = True) -> list[str]:
    """Every name in the catalogue, sorted; with `aliases` also the other names, without `vectors` only pointwise functions."""
    found = [*_ENTRIES, *_ALIASES] if aliases else list(_ENTRIES)
    return sorted(name for name in found if vectors or isinstance(_ENTRIES[_ALIASES.get(name, name)], Activation))
