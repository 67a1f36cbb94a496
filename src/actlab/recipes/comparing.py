"""Comparing candidates on a recipe, or on a network and data of one's own."""

import inspect
from functools import lru_cache
from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import nn

from .. import _own, activations
from .._files import cannot_write, write_whole
from .._language import say
from ..comparison.candidates import matched_dropout, matched_start
from ..comparison.protocol import check, compare
from ..comparison.running import Runner
from ..data import images
from ..errors import UsageError
from ..records import Comparison, Declaration
from ..swapping import swap
from ..train import Parts, Settings, change
from ..train.files import read_config, without_none
from . import run_task
from .planning import DataPlan, Plan, read
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
        self.fixed = self.task is not None or ":" in source  # else the seed draws the validation part

    def planned(self, candidate: str, seed: int) -> Plan:
        """The plan of one candidate and seed."""
        model = {_FACTORS[self.declared.factor]: candidate}
        return self.plan.with_changes(model=model, settings={"seed": seed, "steps": self.declared.steps})

    def model(self, candidate: str, seed: int) -> nn.Module:
        """Built anew, with the start that fits its activation."""
        plan = self.planned(candidate, seed)
        torch.manual_seed(seed)
        model = self._built(plan, seed)
        if self.declared.factor != "activation":
            return model
        if self.own and "activation" not in inspect.signature(_own.load(plan.model.name)).parameters:
            model = _exchanged(model, candidate)
        return matched_start(matched_dropout(model, candidate), candidate, seed)

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
    def _data(self, seed: int) -> Any:
        seed = self.plan.settings.seed if self.fixed else seed
        return load_data(self.plan.with_changes(settings={"seed": seed}))

    @lru_cache(maxsize=12)  # noqa: B019
    def _parts(self, seed: int) -> Parts:
        if self.task is not None:
            return self.task.parts()
        first = self.planned(self.declared.baseline, seed)
        parts, _ = parts_of(self.plan, self._built(first, seed), self._data(seed))
        if parts.validation is None:
            raise UsageError(
                say(f"'{self.declared.target}' has no validation part to tune by: give data with (train, validation, test), or data.validation above 0", f"“{self.declared.target}”没有用于调参的验证数据：请给出 (train, validation, test)，或设 data.validation 大于 0")
            )  # fmt: skip
        return parts


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


def run_comparison(declared: Declaration, folder: Path, *, workers: int = 1, show: Any = lambda trial, left: None) -> Comparison:  # fmt: skip
    """Carry out a declaration in `folder`, where `compare.toml` and every finished trial stand; what is there is not trained again.

    Raises UsageError, before any training, for candidates that are unknown or cannot be reached, and for a folder of another declaration.
    """
    declared = check(declared)
    check_candidates(declared)
    _keep(declared, folder)
    runner = Runner(declared, open_subject, folder, workers=workers, show=show)
    for candidate in declared.candidates:
        runner.subject.model(
            candidate, declared.tuning_seeds[0]
        )  # a network whose activations cannot be reached says so now
    found = compare(declared, runner, part=runner.part)
    write_whole(
        folder / "comparison.json",
        lambda file: file.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8"),
    )
    return found


def check_candidates(declared: Declaration) -> None:
    """Raises UnknownName or UsageError for an activation that is none, or that acts on vectors."""
    if declared.factor == "activation":
        for name in declared.candidates:
            if isinstance(activations.get(name), activations.VectorActivation):
                raise UsageError(
                    say(f"'{name}' acts on whole vectors and cannot take the place of a pointwise activation", f"“{name}”作用于整个向量，不能代替逐点激活函数")
                )  # fmt: skip


def _keep(declared: Declaration, folder: Path) -> None:
    """`compare.toml`, written once; another one is refused."""
    file = folder / "compare.toml"
    content = without_none(declared.model_dump(mode="json"))
    if file.exists():
        if read_config(file) != content:
            raise UsageError(
                say(f"'{folder}' holds another comparison; choose another folder with --out", f"“{folder}”中是另一次比较；请用 --out 另选文件夹")
            )  # fmt: skip
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    write_whole(file, lambda temporary: temporary.write_text(tomli_w.dumps(content), encoding="utf-8"))
