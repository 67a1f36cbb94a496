"""What one call of `fit` works with, and how it is opened."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._language import say
from ..errors import ActlabError, UsageError, first_line
from ..records import Run
from . import optimizers, sharding
from .evaluation import Loss
from .fabric import on_first, start
from .files import RunDirectory
from .guards import StopSignals
from .memory import keep_freed_memory
from .origin import Origin
from .parts import Parts
from .progress import Progress
from .settings import Settings
from .show import Quiet, Show

Place = str | Path | Callable[[], Path] | None


@dataclass
class Session:
    """Model, data, optimizers and position of a training under way."""

    fabric: Any
    model: nn.Module  # as the user gave it
    wrapped: Any  # through Fabric: precision, several processes
    optimizers: list[Any]
    average: Any  # torch's AveragedModel, or None
    parts: Parts
    loss: Loss
    plain_loss: Loss  # for evaluation: without label smoothing
    settings: Settings
    files: RunDirectory | None
    show: Show
    origin: Origin
    began: float
    progress: Progress = field(default_factory=Progress)
    signals: StopSignals = field(default_factory=StopSignals)
    # of steps not yet read from the device: (loss, right answers, norm, clipped, no gradient), examples
    pending: list[tuple[tuple[Tensor | float, ...], int]] = field(default_factory=list)
    parameters: list[nn.Parameter] = field(default_factory=list)
    frozen: list[nn.Module] = field(default_factory=list)  # parts that came in evaluation mode and stay in it
    inputs: Any = None  # of the last step, to look for the layer that diverged
    classes: int = 0  # of a classifier
    best: dict[str, Tensor] | None = None  # the best weights, where there is no directory to keep them in
    saved_at: float = 0.0
    failure: ActlabError | None = None  # met by the first of several processes between two points where all agree

    @property
    def first(self) -> bool:
        """Whether this process writes and shows."""
        return bool(self.fabric.is_global_zero)

    @property
    def per_epoch(self) -> int:
        """Steps of one pass."""
        return self.settings.steps_per_epoch(len(self.parts.train), self._token_count)

    @property
    def tokens(self) -> Tensor | None:
        """Tokens of each training example, where batches are to be of like tokens."""
        return None if self.settings.batch_tokens is None else getattr(self.parts.train, "tokens", None)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.settings.steps_in_all(len(self.parts.train), self._token_count)

    @cached_property
    def _token_count(self) -> int | None:
        return None if self.tokens is None else int(self.tokens.sum())

    @property
    def epochs(self) -> int:
        """Epochs in all, the last perhaps a part of one."""
        return -(-self.steps // self.per_epoch)

    @property
    def evaluated(self) -> nn.Module:
        """The module whose weights are evaluated and kept."""
        return self.model if self.average is None else self.average.module

    def event(self, kind: str, **values: Any) -> None:
        """Into `events.jsonl`, by the first process."""
        if self.files is None or not self.first:
            return
        try:
            self.files.event(kind, **values)
        except ActlabError as error:
            if self.fabric.world_size == 1:
                raise
            self.failure = error

    def write(self, act: Callable[[RunDirectory], object]) -> None:
        """Let the first process write; an error is raised in all of them, so this must be called by all."""
        if self.files is not None:
            files = self.files
            on_first(self.fabric, lambda: act(files))

    def set_training(self) -> None:
        """Training mode, except for the parts that the user has put into evaluation mode."""
        self.wrapped.train()
        for module in self.frozen:
            module.eval()

    def laid_out(self, inputs: Any) -> Any:
        """Inputs in the memory format of the model."""
        if self.settings.channels_last and torch.is_tensor(inputs) and inputs.dim() == 4:
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs


def open_session(
    model: nn.Module,
    parts: Parts,
    settings: Settings,
    loss: Loss | None,
    place: Place,
    resume: bool,
    origin: Origin,
    show: Show,
) -> Session | Run:
    """Everything before the first step; the Run itself if it is finished already."""
    began = time.perf_counter()
    _check(parts, settings)
    if not origin.plan:
        origin = origin.model_copy(update={"plan": {"settings": settings.model_dump()}})
    if settings.keep_memory:
        keep_freed_memory()
    fabric = start(settings)
    files = on_first(fabric, lambda: _directory(place, resume, origin))
    if files is not None and (run := on_first(fabric, lambda: _finished(files))) is not None:
        _fill_from(model, files)
        if fabric.is_global_zero:
            show.note(say(f"run '{run.name}' is finished already", f"运行“{run.name}”已经完成"))
        return run
    frozen = [module for module in model.modules() if model.training and not module.training]
    if settings.channels_last and not settings.shards:  # slices are contiguous; their convolutions follow the inputs
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue, reportArgumentType]
    model.to(fabric.device)
    average = _average(model, settings)
    wrapped, wrapped_optimizers = _wrap(fabric, model, average, settings)
    return Session(
        fabric=fabric,
        model=model,
        wrapped=wrapped,
        optimizers=wrapped_optimizers,
        average=average,
        parts=parts,
        loss=loss or _cross_entropy(settings.label_smoothing),
        plain_loss=getattr(loss, "plain", loss) or _cross_entropy(0.0),
        settings=settings,
        files=files,
        show=show if fabric.is_global_zero else Quiet(),
        origin=origin,
        began=began,
        frozen=frozen,
        parameters=list(model.parameters()),
        saved_at=time.perf_counter(),
    )


def _check(parts: Parts, settings: Settings) -> None:
    if len(parts.train) == 0:
        raise UsageError(say("expected at least one training example; got none", "至少需要一个训练样本；得到 0 个"))
    if settings.batch_tokens is not None and not hasattr(parts.train, "tokens"):
        raise UsageError(
            say(
                "batch_tokens needs data that count tokens (pairs of sequences); use batch_size",
                "batch_tokens 需要以词元计数的数据（序列对）；请用 batch_size",
            )
        )
    if settings.patience is not None and not parts.validation:
        raise UsageError(
            say(
                "patience needs validation examples to choose by; there are none",
                "patience 需要验证样本来选择；现在没有",
            )
        )


def _directory(place: Place, resume: bool, origin: Origin) -> RunDirectory | None:
    if place is None:
        return None
    path = Path(place() if callable(place) else place)
    files = RunDirectory.reopen(path, origin) if resume else RunDirectory.create(path, origin.plan)
    for name, content in origin.files.items():
        files.text(name, content)
    return files


def _finished(files: RunDirectory) -> Run | None:
    if not (files.path / "run.json").exists():
        return None
    run = Run.read(files.path)
    return run if run.status == "finished" else None


def _fill_from(model: nn.Module, files: RunDirectory) -> None:
    """The weights of a finished run into a model, which is then what `fit` would have made of it."""
    from safetensors.torch import load_file

    try:
        model.load_state_dict(load_file(files.path / "model.safetensors"))
    except Exception as error:  # kinds of safetensors' and torch's own
        raise ActlabError(
            say(
                f"the weights of the finished run '{files.path}' cannot be used: {first_line(error)}",
                f"无法使用已完成的运行“{files.path}”的权重：{first_line(error)}",
            )
        ) from error


def _average(model: nn.Module, settings: Settings) -> Any:
    if settings.ema is None:
        return None
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))


def _wrap(fabric: Any, model: nn.Module, average: Any, settings: Settings) -> tuple[Any, list[Any]]:
    """Model and optimizers as Fabric runs them. Weights that are to be cut must be so before an optimizer sees them."""
    compiled: Any = torch.compile(model) if settings.compile else model
    if not settings.shards:
        wrapped, *chosen = fabric.setup(compiled, *optimizers.build(model, settings))
        return wrapped, chosen
    wrapped = fabric.setup_module(compiled)
    if average is not None:
        sharding.shard(average.module, fabric.strategy.device_mesh)
    chosen = [fabric.setup_optimizers(one) for one in optimizers.build(model, settings)]
    return wrapped, chosen


def _cross_entropy(smoothing: float) -> Loss:
    def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, label_smoothing=smoothing)

    return cross_entropy
