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
from ..records import Run
from ..train import Parts
from ..train.files import RunDirectory
from ..train.optimizers import build
from ..train.progress import Progress
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
    fresh: Callable[[], nn.Module]  # the network anew, as torch's random numbers then draw it
    step: int  # optimizer steps that its weights have behind them

    def optimizers(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        """Those of the run, at their full rates, for this network or a copy."""
        return build(model, self.plan.settings)

    def beginning(self) -> nn.Module:
        """The network as the run began with it."""
        torch.manual_seed(self.plan.settings.seed)
        return self.fresh().train()


def subject(directory: str | Path, *, batches: int = 32, initial: bool = False) -> Subject:
    """The network of a run with its last weights, of a finished run or of one that is still running; `initial`: as it was at the start.

    The first `batches` batches of the first epoch, without augmentation. Raises ActlabError where the run has no weights yet.
    """
    path = Path(directory)
    plan = plan_of(path)
    torch.manual_seed(plan.settings.seed)
    if plan.data.task == "images":
        data = load_data(plan)
        facts = data.facts() if isinstance(data, images.ImageData) else data.described()
        fresh: Callable[[], nn.Module] = lambda: build_model(plan.model, facts)  # noqa: E731
        model = fresh()
        parts, _ = parts_of(plan, model, data)
        loss = None
    else:
        task = run_task.open_task(plan)
        parts, loss = task.parts(), task.loss
        fresh = lambda: run_task.build_model(plan.model, task)  # noqa: E731
        model = fresh()
        loss = getattr(loss, "plain", loss)
    step = 0 if initial else _fill(model, path)
    return Subject(plan, model.train(), list(_batches(parts, plan, batches)), loss or F.cross_entropy, fresh, step)


def _fill(model: nn.Module, path: Path) -> int:
    """The weights of the run as they are now; returns its steps so far."""
    if (path / "model.safetensors").exists():
        with_weights(model, path / "model.safetensors")
        return Run.read(path).steps
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
    return Progress.model_validate_json(state["progress"]).step


def _batches(parts: Parts, plan: Plan, count: int) -> Any:
    from ..train import seeds

    size = min(plan.settings.batch_size, 256)
    sizes = getattr(parts.train, "sizes", None)
    order = seeds.order(plan.settings.seed, 0, len(parts.train), sizes, size)
    for indices in order.split(size)[:count]:
        inputs, targets = parts.train[indices]
        yield parts.prepare(inputs, False), targets
