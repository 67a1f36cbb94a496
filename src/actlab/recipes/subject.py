"""A run directory as something to look into: its network as it trains, batches of its training data, its loss."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .._language import say
from ..data import images
from ..errors import ActlabError, first_line
from ..train import Parts
from ..train.files import RunDirectory
from . import run_task
from .load import plan_of, with_weights
from .planning import Plan
from .run import build_model, load_data, parts_of


@dataclass(frozen=True)
class Subject:
    """A network in training mode, batches (inputs, targets) as it is trained on, and the loss."""

    plan: Plan
    model: nn.Module
    batches: list[tuple[Any, Any]]
    loss: Callable[[Any, Any], Any]


def subject(directory: str | Path, *, batches: int = 32, initial: bool = False) -> Subject:
    """The network of a run with its last weights, of a finished run or of one that is still running; `initial`: as it was at the start.

    The first `batches` batches of the first epoch, without augmentation. Raises ActlabError where the run has no weights yet.
    """
    path = Path(directory)
    plan = plan_of(path)
    torch.manual_seed(plan.settings.seed)
    if plan.data.task == "images":
        data = load_data(plan)
        model = build_model(plan.model, data.facts() if isinstance(data, images.ImageData) else data.described())
        parts, _ = parts_of(plan, model, data)
        loss = None
    else:
        task = run_task.open_task(plan)
        parts, loss = task.parts(), task.loss
        model = run_task.build_model(plan.model, task)
        loss = getattr(loss, "plain", loss)
    if not initial:
        _fill(model, path)
    return Subject(plan, model.train(), list(_batches(parts, plan, batches)), loss or F.cross_entropy)


def _fill(model: nn.Module, path: Path) -> None:
    if (path / "model.safetensors").exists():
        with_weights(model, path / "model.safetensors")
        return
    state = RunDirectory(path).load(torch.device("cpu"))
    if state is None:
        raise ActlabError(
            say(
                f"'{path}' has no weights yet; wait for its first checkpoint", f"“{path}”还没有权重；请等待第一个检查点"
            )
        )
    try:
        model.load_state_dict(state["model"])
    except (RuntimeError, KeyError) as error:
        raise ActlabError(
            say(f"the checkpoint of '{path}' is of another network: {first_line(error)}", f"“{path}”的检查点属于其他网络：{first_line(error)}")
        ) from error  # fmt: skip


def _batches(parts: Parts, plan: Plan, count: int) -> Any:
    from ..train import seeds

    size = min(plan.settings.batch_size, 256)
    sizes = getattr(parts.train, "sizes", None)
    order = seeds.order(plan.settings.seed, 0, len(parts.train), sizes, size)
    for indices in order.split(size)[:count]:
        inputs, targets = parts.train[indices]
        yield parts.prepare(inputs, False), targets
