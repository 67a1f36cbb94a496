"""What a comparison trains: networks and data of a plan in which one thing varies."""

import inspect
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import nn

from .. import _own, activations
from .._language import say
from ..comparison.candidates import GATES, after_activation, matched_dropout, matched_start
from ..comparison.running import Subject
from ..data import images
from ..errors import UsageError, first_line
from ..models import constructor
from ..records import Declaration
from ..swapping import swap
from ..train import Parts, Settings, change
from ..train.evaluation import is_classification
from . import run_task
from ._held_out import hold_out
from .planning import DataPlan, ModelPlan, Plan, read
from .run import build_model, load_data, parts_of

_FACTORS = {"activation": "activation", "init": "initialise", "model": "name"}  # in a plan's model


class PlannedSubject:
    """Networks and data of a plan in which one thing varies."""

    def __init__(self, declared: Declaration):
        self.declared, self.plan = declared, read(declared.plan)
        self.own = ":" in self.plan.model.name
        self.task = None if isinstance(self.plan.data, DataPlan) else run_task.open_task(self.plan)
        self.loss: Any = None if self.task is None else self.task.loss
        source = getattr(self.plan.data, "source", "")
        self.loader = source if self.task is None and ":" in source else None  # a function of the user's

    @cached_property
    def fixed(self) -> bool:
        """Whether the data are the same for every seed; else the seed draws the validation part."""
        if self.task is not None:
            return True
        return self.loader is not None and not self._seeded and self._data(0).validation is not None

    @cached_property
    def _seeded(self) -> bool:
        """Whether the user's function asks for the seed."""
        return self.loader is not None and "seed" in inspect.signature(_own.load(self.loader)).parameters

    def planned(self, candidate: str, seed: int) -> Plan:
        """The plan of one candidate and seed."""
        changes: dict[str, Any] = {_FACTORS[self.declared.factor]: candidate}
        if self.declared.factor == "activation" and candidate in GATES:
            changes = gated(self.plan.model, candidate)
        return self.plan.with_changes(model=changes, settings={"seed": seed, "steps": self.declared.steps})

    def model(self, candidate: str, seed: int) -> nn.Module:
        """Built anew, with the start that fits its activation."""
        plan = self.planned(candidate, seed)
        torch.manual_seed(seed)
        model = self._built(plan, seed)
        if self.declared.factor != "activation":
            return model
        if self.own and "activation" not in inspect.signature(_own.load(plan.model.name)).parameters:
            model = _exchanged(model, candidate)
        model = matched_dropout(model, candidate)
        return matched_start(model, candidate, seed, after=self._after(candidate, model))

    def _after(self, candidate: str, model: nn.Module) -> frozenset[int] | None:
        """Which layers read an activation; asked once of each candidate."""
        if candidate not in self._answers:
            modes = [(module, module.training) for module in model.modules()]
            try:
                self._answers[candidate] = after_activation(model, self.look)
            except Exception as error:
                name = self.declared.target
                raise UsageError(
                    say(f"{name} does not fit its data: {first_line(error)}", f"{name} 与其数据不符：{first_line(error)}")
                ) from error  # fmt: skip
            finally:
                for module, training in modes:
                    module.training = training
        return self._answers[candidate]

    @cached_property
    def _answers(self) -> dict[str, frozenset[int] | None]:
        return {}

    @torch.no_grad()
    def look(self, model: nn.Module) -> None:
        """Call it on two training examples."""
        parts = self.parts(self.declared.tuning_seeds[0])
        inputs, _ = parts.train[torch.arange(min(2, len(parts.train)))]
        model.eval()(parts.prepare(inputs, False))

    def _built(self, plan: Plan, seed: int) -> nn.Module:
        if self.task is not None:
            return run_task.build_model(plan.model, self.task)
        data = self._data(seed)
        return build_model(plan.model, data.facts() if isinstance(data, images.ImageData) else data.described())

    def parts(self, seed: int) -> Parts:
        """The same for every seed where the plan's data have no split to draw."""
        return self._parts(self.plan.settings.seed if self.fixed else seed)

    def settings(self, candidate: str, rate: float, seed: int) -> Settings:
        """The plan's, with the budget of the comparison."""
        return change(self.planned(candidate, seed).settings, {"learning_rate": rate})

    @lru_cache(maxsize=12)  # noqa: B019  (a subject lives as long as its comparison)
    def _loaded(self, seed: int) -> Any:
        return load_data(self.plan.with_changes(settings={"seed": seed}))

    def _data(self, seed: int) -> Any:
        drawn = self._seeded if self.loader is not None else self.task is None
        return self._loaded(seed if drawn else self.plan.settings.seed)

    @lru_cache(maxsize=12)  # noqa: B019
    def _parts(self, seed: int) -> Parts:
        if self.task is not None:
            return self.task.parts()
        first = self.planned(self.declared.baseline, seed)
        parts, _ = parts_of(self.plan, self._built(first, seed), self._data(seed))
        if parts.validation is not None:
            return parts
        assert isinstance(self.plan.data, DataPlan)
        if not self.plan.data.validation or len(parts.train) < 5:
            raise UsageError(
                say(f"'{self.declared.target}' has no validation part to tune by: give data with (train, validation, test), or data.validation above 0", f"“{self.declared.target}”没有用于调参的验证数据：请给出 (train, validation, test)，或设 data.validation 大于 0")
            )  # fmt: skip
        return hold_out(parts, self.plan.data.validation, seed)


def check_metric(subject: Subject, declared: Declaration) -> None:
    """Raises UsageError where there is nothing to tune by, or no accuracy."""
    seed, target = declared.tuning_seeds[0], declared.target
    parts = subject.parts(seed)
    if parts.validation is None or not len(parts.validation):
        raise UsageError(
            say(f"'{target}' holds no validation data out to tune learning rates by", f"“{target}”没有留出用于调学习率的验证数据")
        )  # fmt: skip
    model = subject.model(declared.baseline, seed).eval()
    inputs, targets = parts.validation[torch.arange(min(2, len(parts.validation)))]
    with torch.no_grad():
        outputs = model(parts.prepare(inputs, False))
    if declared.metric == "accuracy" and not is_classification(outputs, targets):
        raise UsageError(
            say(f"'{target}' has no accuracy, for its targets are not one class an example; compare by --metric loss", f"“{target}”没有准确率（其目标不是每例一个类别）；请用 --metric loss")
        )  # fmt: skip


def gated(plan: ModelPlan, name: str) -> dict[str, Any]:
    """A plan's model with a gate in its feed-forward layers, at two thirds of their width, which keeps the number of weights.

    Raises UsageError for a network that has no such layers. Source: Shazeer 2020, arXiv:2002.05202, section 3.
    """
    known = {} if ":" in plan.name else inspect.signature(constructor(plan.name)).parameters
    if "gated" not in known:
        raise UsageError(
            say(f"'{name}' acts on whole vectors and cannot take the place of a pointwise activation", f"“{name}”作用于整个向量，不能代替逐点激活函数")
        )  # fmt: skip
    width = plan.arguments.get("width", known["width"].default)
    hidden = plan.arguments.get("hidden", known["hidden"].default) or 4 * width
    arguments = {**plan.arguments, "gated": True, "hidden": max(1, round(2 * hidden / 3))}
    return {"activation": GATES[name], "arguments": arguments}


def _exchanged(model: nn.Module, candidate: str) -> nn.Module:
    """With the candidate in the place of its activations; one that it has already goes out and comes back, so that all go the same way."""
    try:
        return swap(model, candidate).model
    except UsageError:
        other = "gelu" if activations.get(candidate).name == "relu" else "relu"
        return swap(swap(model, other).model, candidate).model


def open_subject(declared: Declaration) -> PlannedSubject:
    """For this process and others."""
    return PlannedSubject(declared)
