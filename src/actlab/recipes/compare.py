"""`actlab.compare`: a comparison by one call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from torch import nn

from .. import _own
from .._language import say
from ..comparison.protocol import check
from ..errors import UnknownName, UsageError
from ..records import Comparison, Declaration
from ._compared import PlannedSubject, open_subject
from .comparing import check_candidates, fingerprinted, place_of, run_comparison
from .declaring import FULL, QUICK, declare
from .planning import Plan


class Declared(TypedDict, total=False):
    """What else a declaration may say; see `Declaration`."""

    factor: Literal["activation", "init", "model"]
    baseline: str
    metric: Literal["accuracy", "loss"]
    margin: float
    rates: Sequence[float]
    finalists: int
    alpha: float


def compare(
    model: str | Callable[..., nn.Module],
    data: Any = None,
    candidates: Sequence[str] = ("relu", "gelu", "swish", "elu"),
    *,
    steps: int = 300,
    seeds: int | None = None,
    quick: bool = False,
    settings: Mapping[str, Any] | None = None,
    into: str | Path | None = None,
    **declared: Unpack[Declared],
) -> Comparison:
    """Which candidate is best for a network and its data, by the protocol of `actlab compare`; the record, whose page stands in `into`.

    `model` is a recipe's name, `file.py:callable`, or a function that returns the network anew at every call; of `activation`, `classes` and
    `channels` it gets what it takes. Without an argument `activation` its activations are exchanged by `swap`. `data` is a name or folder,
    or (train, test) or (train, validation, test) of datasets or pairs of tensors, or a function that returns these; it is asked for every
    seed if it takes `seed`. Numbers as targets are learnt by their squared error, classes by cross-entropy. Without validation data a fifth of the training examples, 5,000 at most, is drawn anew by every seed.
    `settings` are those of the trainings, and of `data.NAME` and `model.NAME`; `seeds` counts the pairs of the confirmation.

    Every finished trial is kept in `into` (by default a new folder in `runs`, or the one of this very declaration), and is not trained
    again. All runs in this process, one training after another or in batches; `actlab compare --workers` uses more.

    Raises UsageError or UnknownName, before any training, for a declaration that cannot be decided or a network it cannot be asked of.
    """
    if isinstance(model, nn.Module):
        raise UsageError(
            say("expected a function that returns the network anew for every seed; got a network", "需要每个种子都能重新构建网络的函数；得到的是网络本身")
        )  # fmt: skip
    if isinstance(candidates, str):
        raise UsageError(say(f"expected a sequence of candidates; got the text '{candidates}'", f"候选应为序列；得到文本“{candidates}”"))  # fmt: skip
    own: dict[str, Callable[..., Any]] = {}
    target = model if isinstance(model, str) else _offered(own, model)
    source = data if data is None or isinstance(data, str) else _offered(own, data if callable(data) else _Given(data))
    size = QUICK if quick else FULL
    size = replace(size, confirmation=seeds) if seeds is not None else size
    base = candidates[0] if declared.get("factor") == "model" and candidates else target
    plan = _changed(base, source, settings or {})
    asked = declare(target, plan, candidates, size, steps=steps, **declared)
    opener: Any = partial(open_given, own) if own else open_subject
    check_candidates(check(asked))
    asked = fingerprinted(asked, opener)
    return run_comparison(asked, Path(into) if into is not None else place_of(asked), opener=opener)


class _Given:
    """Data that are there already, as a function."""

    def __init__(self, data: Any):
        self.data = data

    def __call__(self) -> Any:
        return self.data


def open_given(own: Mapping[str, Callable[..., Any]], declared: Declaration) -> PlannedSubject:
    """The subject of a declaration that names callables which no file holds."""
    _own.given.update(own)
    return PlannedSubject(declared)


def _offered(own: dict[str, Callable[..., Any]], function: Callable[..., Any]) -> str:
    name = _own.name_of(function)
    own[name] = function
    return name


def _changed(target: str, source: str | None, settings: Mapping[str, Any]) -> Plan:
    """The target's plan with its data and these settings."""
    from . import plan as planned

    plan = planned(target)
    changes: dict[str, dict[str, Any]] = {
        "data": {} if source is None else {"source": source},
        "model": {},
        "settings": {},
    }
    for key, value in settings.items():
        part, _, name = key.rpartition(".")
        if (part or "settings") not in changes:
            raise UnknownName(say("part", "部分"), part, list(changes))
        if part == "model" and name not in type(plan.model).model_fields:
            changes["model"].setdefault("arguments", dict(plan.model.arguments))[name] = value
        else:
            changes[part or "settings"][name] = value
    return plan.with_changes(**changes)
