"""Carrying out a plan for sentences, speech, series or text: task -> model -> fit -> report. Straight down."""

import inspect
from typing import Any

import torch
from torch import nn

from .. import _own, models, report
from .._language import say
from ..errors import ActlabError, UsageError, first_line
from ..records import Run
from ..tasks import Task
from ..tasks.characters import Characters
from ..tasks.digits import SpokenWords
from ..tasks.forecasting import Forecasting
from ..tasks.nodes import Nodes
from ..tasks.slots import Slots
from ..tasks.transduction import Transduction
from ..train import Parts
from ..train.show import Show
from . import carrying
from .planning import CharacterPlan, GraphPlan, ModelPlan, PairPlan, Plan, SeriesPlan, SlotPlan, SpeechPlan

KINDS: dict[str, Any] = {
    "slots": Slots,
    "speech": SpokenWords,
    "series": Forecasting,
    "characters": Characters,
    "pairs": Transduction,
    "graph": Nodes,
}
_LOSS = {
    "slots": "nats per sentence",
    "series": "squared standard deviations",
    "characters": "nats per character",
    "pairs": "nats per answer",
    "graph": "nats per node",
}


def run_task(plan: Plan, *, place: carrying.Place, resume: bool = False, show: Show | None = None) -> Run:
    """Train as planned, write run directory and report, and return the record."""
    if plan.data.task == "pairs" and plan.settings.shards:
        raise UsageError(
            say(
                "pronunciation is scored by decoding with whole weights; use --strategy ddp",
                "发音任务的评分需要完整权重；请用 --strategy ddp",
            )
        )
    task = open_task(plan)
    parts = task.parts()
    torch.manual_seed(plan.settings.seed)
    model = build_model(plan.model, task)
    if isinstance(task, Forecasting):
        task.begin(model)
    _check_fits(plan.model.name, model, parts, task)
    done, path = carrying.train(
        plan, model, parts, place=place, resume=resume, show=show, loss=task.loss,
        files=task.files(), loss_unit=_LOSS.get(plan.data.task, "nats per example"),
    )  # fmt: skip
    if path is not None:
        report.write(path)
    return done


def open_task(plan: Plan) -> Task:
    """The task with its data."""
    data, seed = plan.data, plan.settings.seed
    if isinstance(data, SlotPlan):
        return Slots.open(data.source, validation=data.validation, limit=data.limit, seed=seed)
    if isinstance(data, SpeechPlan):
        given = data.model_dump(exclude={"task"})
        return SpokenWords.open(**given, seed=seed)
    if isinstance(data, SeriesPlan):
        return Forecasting.open(**data.model_dump(exclude={"task"}))
    if isinstance(data, GraphPlan):
        return Nodes.open(data.source, seed)
    if isinstance(data, PairPlan):
        given = data.model_dump(exclude={"task", "validation", "teacher"})
        task = Transduction.open(**given, seed=0, smoothing=plan.settings.label_smoothing)
        return task if data.teacher is None else _taught(task, data.teacher)
    assert isinstance(data, CharacterPlan)
    if not data.source:
        raise UsageError(
            say(
                "expected a text to learn from: name a file with --data FILE.txt",
                "需要一份文本：请用 --data FILE.txt 指定文件",
            )
        )
    return Characters.open(data.source, length=data.length)


def _taught(task: Transduction, teacher: str) -> Transduction:
    """Training targets as the teacher gives them: sequence-level distillation (Kim & Rush 2016, arXiv:1606.07947)."""
    from .load_task import TrainedTask

    trained = TrainedTask(teacher, "pairs")
    if trained.task.sentences != task.sentences:
        raise UsageError(
            say(f"expected a teacher for the same kind of pairs; '{teacher}' is not", f"教师运行“{teacher}”的任务不同")
        )
    task.learn_from(trained.task, trained.model)
    return task


def build_model(plan: ModelPlan, task: Task) -> nn.Module:
    """The network with the sizes of the task. What the plan says itself goes before."""
    offered = task.offered(plan.name)
    if ":" in plan.name:
        model = _own.module(plan.name, {"activation": plan.activation, **offered, **plan.arguments})
    else:
        known = inspect.signature(models.constructor(plan.name)).parameters
        fitting = {name: value for name, value in offered.items() if name in known}
        model = models.build(plan.name, **{"activation": plan.activation, **fitting, **plan.arguments})
    return models.initialise(model, plan.initialise)


def _check_fits(name: str, model: nn.Module, parts: Parts, task: Task) -> None:
    """Refuse a network that cannot read the data, before anything is trained or written."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        inputs, targets = parts.train[torch.arange(min(2, len(parts.train)))]
        with torch.no_grad():
            outputs = model.eval()(parts.prepare(inputs, False))
            (task.loss or nn.functional.cross_entropy)(outputs, targets)
    except ActlabError:
        raise
    except Exception as error:
        raise UsageError(
            say(f"{name} does not fit this task: {first_line(error)}", f"{name} 不适合此任务：{first_line(error)}")
        ) from error
    finally:
        for module, training in modes:
            module.training = training
