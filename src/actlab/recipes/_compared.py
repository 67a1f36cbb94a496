"""What a comparison trains: networks and data of a plan in which one thing varies."""

import inspect
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from .. import _own, activations
from .._language import say
from ..comparison.candidates import GATES, after_activation, drawn_by_no_seed, matched_dropout, matched_start
from ..data import images
from ..errors import ActlabError, UsageError, first_line
from ..models import MLP, constructor
from ..records import Declaration
from ..swapping import swap
from ..train import Parts, Settings, change
from . import run_task
from ._held_out import hold_out
from .planning import DataPlan, ModelPlan, Plan, read
from .run import build_model, load_data, parts_of

_LEAST = 5  # training examples of which one can be held out
_FACTORS = {"activation": "activation", "init": "initialise", "model": "name"}  # in a plan's model


class PlannedSubject:
    """Networks and data of a plan in which one thing varies."""

    def __init__(self, declared: Declaration):
        self.declared, self.plan = declared, read(declared.plan)
        self.own = ":" in self.plan.model.name
        self.task = None if isinstance(self.plan.data, DataPlan) else run_task.open_task(self.plan)
        source = getattr(self.plan.data, "source", "")
        self.loader = source if self.task is None and ":" in source else None  # a function of the user's

    @cached_property
    def loss(self) -> Any:
        """The task's; of one's own data the squared error where targets are numbers, else None, which is cross-entropy."""
        if self.task is not None:
            return self.task.loss
        if self.loader is None:
            return None
        _, targets = self._data(0).train[torch.tensor([0])]
        return squared_error if torch.is_tensor(targets) and targets.is_floating_point() else None

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
        if self.declared.factor == "model":
            return self._other(candidate, seed)
        changes: dict[str, Any] = {_FACTORS[self.declared.factor]: candidate}
        if self.declared.factor == "activation" and candidate in GATES:
            changes = gated(self.plan.model, candidate)
        return self.plan.with_changes(model=changes, settings={"seed": seed, "steps": self.declared.steps})

    def _other(self, name: str, seed: int) -> Plan:
        """The plan with another network: as its recipe has it, with what was changed of the first one's."""
        from . import names, plan

        own, first = (plan(one).model if one in names() or ":" in one else None for one in (name, self.declared.candidates[0]))  # fmt: skip
        given = self.plan.model
        before = first if first is not None else ModelPlan(name=given.name)
        changed = {key: value for key, value in given.arguments.items() if before.arguments.get(key) != value}
        model = own if own is not None else ModelPlan(name=name)
        update: dict[str, Any] = {
            "arguments": {**model.arguments, **changed},
            "fused": given.fused,
            "initialise": given.initialise,
        }
        if given.activation != before.activation:
            update["activation"] = given.activation
        planned = self.plan.with_changes(settings={"seed": seed, "steps": self.declared.steps})
        return planned.model_copy(update={"model": model.model_copy(update=update)})

    def _shape(self, seed: int) -> tuple[int, ...]:
        """Of one prepared input."""
        parts = self.parts(seed)
        return tuple(parts.prepare(parts.train[torch.tensor([0])][0], False).shape[1:]) if self.task is None else ()

    def model(self, candidate: str, seed: int) -> nn.Module:
        """Built anew, with the start that fits its activation."""
        model, _ = self._exchanged(candidate, seed)
        if self.declared.factor != "activation":
            return model
        if any(isinstance(one, UninitializedParameter) for one in model.parameters()):
            self.look(model)  # which gives them their shapes
        model = matched_dropout(model, candidate)
        return matched_start(model, candidate, seed, after=self._after(candidate, model), keep=self.kept_layers)

    def _exchanged(self, candidate: str, seed: int) -> tuple[nn.Module, tuple[str, ...]]:
        """The network with its activations, and the places that keep theirs."""
        plan = self.planned(candidate, seed)
        torch.manual_seed(seed)
        model = self._built(plan, seed)
        if self.declared.factor == "model":
            return sized(model, self._shape(seed)), ()
        builds = not self.own or "activation" in inspect.signature(_own.load(plan.model.name)).parameters
        return (model, ()) if builds or self.declared.factor != "activation" else exchanged(model, candidate)

    @cached_property
    def kept_layers(self) -> tuple[str, ...]:
        """Of a network of one's own: layers whose weights no seed draws."""
        if not self.own or self.declared.factor != "activation":
            return ()
        one, other = (self._exchanged(self.declared.baseline, seed)[0] for seed in (1, 2))
        if any(isinstance(weight, UninitializedParameter) for weight in one.parameters()):
            return ()
        return drawn_by_no_seed(one, other)

    @cached_property
    def names(self) -> list[str]:
        """Callables of one's own."""
        return [*([self.plan.model.name] if self.own else []), *([self.loader] if self.loader else [])]

    @cached_property
    def left(self) -> tuple[str, ...]:
        """Places whose activations are fixed in their code."""
        return self._exchanged(self.declared.baseline, 1)[1]

    def _after(self, candidate: str, model: nn.Module) -> frozenset[int] | None:
        """Which layers read an activation; asked once of each candidate."""
        if candidate not in self._answers:
            modes = [(module, module.training) for module in model.modules()]
            self._answers[candidate] = after_activation(model, self.look)
            for module, training in modes:
                module.training = training
        return self._answers[candidate]

    @cached_property
    def _answers(self) -> dict[str, frozenset[int] | None]:
        return {}

    @torch.no_grad()
    def look(self, model: nn.Module) -> None:
        """Call it on two training examples; raises UsageError where it cannot read them."""
        parts, declared = self.parts(self.declared.tuning_seeds[0]), self.declared
        inputs, _ = parts.train[torch.arange(min(2, len(parts.train)))]
        try:
            model.eval()(parts.prepare(inputs, False))
        except ActlabError:
            raise
        except Exception as error:
            data = getattr(self.plan.data, "source", "")
            raise UsageError(
                say(f"{declared.target} cannot read the data {data}: {first_line(error)}", f"{declared.target} 无法读取数据 {data}：{first_line(error)}")
            ) from error  # fmt: skip

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

    @lru_cache(maxsize=4)  # noqa: B019  (a subject lives as long as its comparison)
    def _loaded(self, seed: int) -> Any:
        return load_data(self.plan.with_changes(settings={"seed": seed}), self._files)

    @cached_property
    def _files(self) -> dict[Any, Any]:
        """Images as they were read, for the splits of all seeds."""
        return {}

    def _data(self, seed: int) -> Any:
        drawn = self._seeded if self.loader is not None else self.task is None
        return self._loaded(seed if drawn else self.plan.settings.seed)

    @lru_cache(maxsize=4)  # noqa: B019
    def _parts(self, seed: int) -> Parts:
        if self.task is not None:
            return self.task.parts()
        first = self.planned(self.declared.baseline, seed)
        # networks of different sizes of images resize their inputs themselves
        reader = nn.Identity() if self.declared.factor == "model" else self._built(first, seed)
        parts, _ = parts_of(self.plan, reader, self._data(seed))
        if parts.validation is not None:
            return parts
        assert isinstance(self.plan.data, DataPlan)
        if self.plan.data.validation and len(parts.train) < _LEAST:
            raise UsageError(
                say(f"{len(parts.train)} training examples are too few to hold some out for tuning; {_LEAST} are needed", f"{len(parts.train)} 个训练样本太少，无法留出一部分用于调参；至少需要 {_LEAST} 个")
            )  # fmt: skip
        if not self.plan.data.validation:
            raise UsageError(
                say(f"'{self.declared.target}' has no validation part to tune by: give data with (train, validation, test), or data.validation above 0", f"“{self.declared.target}”没有用于调参的验证数据：请给出 (train, validation, test)，或设 data.validation 大于 0")
            )  # fmt: skip
        return hold_out(parts, self.plan.data.validation, seed)


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over all numbers; raises UsageError where there are not as many outputs as targets."""
    if outputs.shape != targets.shape:
        raise UsageError(
            say(f"expected outputs of the targets' shape {tuple(targets.shape)}; got {tuple(outputs.shape)}", f"输出应与目标形状 {tuple(targets.shape)} 相同；得到 {tuple(outputs.shape)}")
        )  # fmt: skip
    return nn.functional.mse_loss(outputs, targets)


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


def exchanged(model: nn.Module, candidate: str) -> tuple[nn.Module, tuple[str, ...]]:
    """With the candidate in the place of its activations, and the places that keep theirs, but for gates and attention.

    An activation that it has already goes out and comes back, so that all go the same way.
    """
    try:
        done = swap(model, candidate)
    except UsageError:
        other = "gelu" if activations.get(candidate).name == "relu" else "relu"
        try:
            done = swap(swap(model, other).model, candidate)
        except UsageError as error:
            raise UsageError(
                str(error) + say("; let the function take 'activation' and build the network with it", "；可让该函数接受参数 activation 并据此构建网络")
            ) from None  # fmt: skip
    parts = dict(done.model.named_modules())
    fixed = [name for name, _ in done.left if not (known := parts.get(name)) or isinstance(known, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer)]  # fmt: skip
    return done.model, tuple(fixed)


class Resized(nn.Module):
    """A network behind images of another side than its own."""

    def __init__(self, model: nn.Module, side: int):
        super().__init__()
        self.model, self.side = model, side

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """What the network says of (batch, channels, height, width)."""
        return self.model(nn.functional.interpolate(images, size=(self.side, self.side), mode="bilinear", align_corners=False))  # fmt: skip


def sized(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """The network, which resizes its inputs where it wants another size of image."""
    side = getattr(model, "input_size", None)
    return Resized(model, side) if len(shape) == 3 and side and not isinstance(model, MLP) and shape[-1] != side else model  # fmt: skip


def open_subject(declared: Declaration) -> PlannedSubject:
    """For this process and others."""
    return PlannedSubject(declared)
