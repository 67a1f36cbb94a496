"""Carrying out a plan for images: data -> model -> fit -> report. Straight down."""

from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import _own, models, report
from .._language import say
from ..activations import fused
from ..data import images
from ..errors import ActlabError, UsageError, first_line
from ..records import DataFacts, Evaluation, Run
from ..train import Parts, as_part
from ..train.files import RunDirectory
from ..train.show import Show
from . import carrying
from .planning import DataPlan, ModelPlan, Plan
from .run_task import run_task


def run(plan: Plan, *, place: carrying.Place, resume: bool = False, show: Show | None = None) -> Run:
    """Train as planned, write run directory and report, and return the record."""
    if plan.data.task != "images":
        return run_task(plan, place=place, resume=resume, show=show)
    data = load_data(plan)
    facts = data.facts() if isinstance(data, images.ImageData) else data.described()
    torch.manual_seed(plan.settings.seed)
    model = build_model(plan.model, facts)
    parts, shape = parts_of(plan, model, data)
    _check_fits(plan.model.name, model, parts, facts)
    done, path = carrying.train(
        plan, model, parts, place=place, resume=resume, show=show,
        input_shape=shape, multiply_adds=_multiply_adds(model, shape),
    )  # fmt: skip
    if path is not None:
        if not isinstance(data, Parts):
            done = _with_pictures(done, data)
            RunDirectory(path).record(done)
        report.write(path)
    return done


def load_data(plan: Plan, kept: dict[Path, Any] | None = None) -> images.ImageData | Parts:
    """Images by name or folder, or what a function of the user's gives: Parts, or datasets (train, test) or (train, validation, test).

    `kept`: as in `images.load`.
    """
    given = plan.data
    assert isinstance(given, DataPlan)
    if ":" not in given.source:
        side = 224 if plan.model.name.startswith("alexnet") else 28 if plan.model.name in models.names() else 64
        return images.load(
            given.source,
            validation=given.validation,
            limit=given.limit,
            seed=plan.settings.seed,
            image_size=side,
            kept=kept,
        )
    made = _own.call(given.source, {"seed": plan.settings.seed, "limit": given.limit})
    if isinstance(made, Parts | images.ImageData):
        return made
    if isinstance(made, tuple) and len(made) in (2, 3) and not all(torch.is_tensor(one) for one in made):
        train, *held, test = (as_part(one) for one in made)
        return Parts(train, held[0] if held else None, test)
    raise UsageError(
        say(
            f"expected {given.source} to return (train, test) or (train, validation, test) datasets; got {type(made).__name__}",
            f"{given.source} 应返回数据集 (train, test) 或 (train, validation, test)；得到 {type(made).__name__}",
        )
    )


def parts_of(plan: Plan, model: nn.Module, data: images.ImageData | Parts) -> tuple[Parts, tuple[int, ...]]:
    """What `fit` trains on, and the shape of one input of the network."""
    assert isinstance(plan.data, DataPlan)
    if isinstance(data, images.ImageData):
        facts = data.facts()
        shape = input_shape(model, facts)
        prepare = preparation(plan.data, facts, shape, augment=True)
        return Parts(data.train, data.validation, data.test, prepare=prepare, facts=facts), shape
    _refuse_empty(plan.data.source, data)
    inputs = data.prepare(data.train[torch.tensor([0])][0], False)
    return data, tuple(inputs.shape[1:]) if torch.is_tensor(inputs) else ()


def build_model(plan: ModelPlan, facts: DataFacts) -> nn.Module:
    """The network for data of that kind. A callable of the user's gets of `classes`, `channels` and `activation` what it takes."""
    offered: dict[str, Any] = {"activation": plan.activation, **plan.arguments}
    if facts.classes:
        offered["classes"] = len(facts.classes)
    if len(facts.example_shape) == 3:
        offered |= {"inputs": prod(facts.example_shape)} if plan.name == "mlp" else {"channels": facts.example_shape[0]}
    with fused(plan.fused and not torch.accelerator.is_available()):  # the kernels are for the CPU
        model = _own.module(plan.name, offered) if ":" in plan.name else models.build(plan.name, **offered)
    return models.initialise(model, plan.initialise)


def input_shape(model: nn.Module, facts: DataFacts) -> tuple[int, ...]:
    """Shape of one image as the network sees it: squares of its `input_size`, where it names one, else as the data are."""
    side = None if isinstance(model, models.MLP) else getattr(model, "input_size", None)
    return (facts.example_shape[0], side, side) if side else facts.example_shape


def preparation(plan: DataPlan, facts: DataFacts, shape: tuple[int, ...], *, augment: bool = False) -> images.Prepare:
    """Augment, resize and normalise to what a network of that input shape wants."""
    changes = {"flip": plan.flip, "crop": plan.crop, "erase": plan.erase, "colour": plan.colour}
    return images.Prepare(
        size=shape[-1] if shape[-2:] != facts.example_shape[-2:] else None,
        mean=facts.mean if plan.normalise else (0.0,),
        std=facts.std if plan.normalise else (1.0,),
        augment=images.Augment(**changes) if augment and any(changes.values()) else None,
    )


def _refuse_empty(source: str, parts: Parts) -> None:
    if not len(parts.train):
        raise UsageError(
            say(
                f"expected at least one training example from {source}; got none",
                f"{source} 至少应给出一个训练样本；得到 0 个",
            )
        )


def _check_fits(name: str, model: nn.Module, parts: Parts, facts: DataFacts) -> None:
    """Refuse a network that cannot read the data, or has too few outputs, before anything is trained or written."""
    modes = [(module, module.training) for module in model.modules()]
    shape = ""
    try:
        inputs, targets = parts.train[torch.arange(min(2, len(parts.train)))]
        inputs = parts.prepare(inputs, False)
        shape = "x".join(map(str, inputs.shape[1:]))
        with torch.no_grad():
            outputs = model.eval()(inputs)
            nn.functional.cross_entropy(outputs, targets)
    except ActlabError:
        raise
    except Exception as error:
        raise UsageError(
            say(
                f"{name} and these data, of shape {shape or 'unknown'}, do not fit: {first_line(error)}; expected outputs (batch, classes) and class numbers",
                f"{name} 与形状为 {shape or '未知'} 的数据不相配：{first_line(error)}；输出应为（批, 类别），目标应为类别编号",
            )
        ) from error
    finally:
        for module, training in modes:
            module.training = training
    if facts.classes and outputs.shape[-1] < len(facts.classes):
        count = outputs.shape[-1]
        raise UsageError(
            say(
                f"{name} has {count} outputs, too few for {len(facts.classes)} classes",
                f"{name} 只有 {count} 个输出，不够 {len(facts.classes)} 个类别",
            )
        )


def _multiply_adds(model: nn.Module, shape: tuple[int, ...]) -> int | None:
    try:
        return models.summarise(model, shape).multiply_adds
    except Exception:  # a user's model may want other inputs than one tensor of floats
        return None


def _with_pictures(run: Run, data: images.ImageData) -> Run:
    """The record with the picture of every mistake in it."""
    if run.test is None:
        return run
    mistakes = tuple(
        one.model_copy(update={"image_png": images.png_base64(data.test.images[one.index])})
        for one in run.test.mistakes
    )
    test: Evaluation = run.test.model_copy(update={"mistakes": mistakes})
    return run.model_copy(update={"test": test})
