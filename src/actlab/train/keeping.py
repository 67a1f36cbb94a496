"""Checkpoints and the record: what a training under way leaves on disk."""

import time
from typing import Any, NoReturn

from torch import nn

from .._language import say
from ..errors import ActlabError
from ..records import Clock, Evaluation, ModelFacts, Run, Status
from . import guards, sharding
from .fabric import anywhere
from .machine import describe
from .progress import Progress
from .session import Session

_LEAST_LOSS = 1.0  # a first loss below it, as when a trained network is tuned, is no measure
_SAVING_SHARE = 0.02  # of the time, at most, goes into checkpoints within an epoch


def save_is_due(s: Session) -> bool:
    """Whether it is time for a checkpoint within the epoch."""
    if s.files is None or not s.first:
        return False
    since, seconds = time.perf_counter() - s.saved_at, s.progress.seconds
    return since >= s.settings.checkpoint_seconds and seconds.saving <= _SAVING_SHARE * (seconds.loop + since)


def save(s: Session) -> None:
    """Write the checkpoint; raises Diverged, and keeps the one before, if a weight is not finite."""
    if s.files is None:
        return
    if anywhere(s.fabric, not guards.finite(s.model)):
        diverged(s, float("nan"), s.progress.step)
    began, size = time.perf_counter(), [0]
    s.progress.seconds.total = began - s.began
    state = _state(s)
    s.write(lambda files: size.append(files.save(state)))
    s.saved_at = time.perf_counter()
    s.progress.seconds.saving += s.saved_at - began
    s.event("checkpoint", step=s.progress.step, bytes=size[-1], seconds=round(s.saved_at - began, 3))


def _state(s: Session) -> dict[str, Any]:
    state = {
        "model": s.model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in s.optimizers],
        "average": None if s.average is None else s.average.state_dict(),
        "scaler": s.fabric.strategy.precision.state_dict() or None,
        "progress": s.progress.model_dump_json(),
    }
    return sharding.whole(state, s.first)


def check_divergence(s: Session) -> float:
    """Stop if the mean loss since the last check is far above the first one; returns that mean."""
    p = s.progress
    recent, p.at_check = p.sums.since(p.at_check), p.mark()
    if (
        recent.steps
        and p.first_loss is not None
        and recent.mean_loss > s.settings.divergence * max(p.first_loss, _LEAST_LOSS)
    ):
        diverged(s, recent.mean_loss, p.step)
    return recent.mean_loss


def restore(s: Session) -> None:
    """Go back to the last checkpoint, if there is one."""
    if s.files is None or not s.files.checkpoint.exists():
        return
    state = s.files.load(s.fabric.device)
    assert state is not None
    _fill(s.model, state["model"])
    for optimizer, saved in zip(s.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(sharding.optimizer_state(saved, optimizer))
    if s.average is not None:
        s.average.load_state_dict(sharding.cut_like(state["average"], s.average.state_dict()))
    if state["scaler"] is not None:
        s.fabric.strategy.precision.load_state_dict(state["scaler"])
    s.progress = Progress.model_validate_json(state["progress"])
    s.progress.resumed += 1
    s.began -= s.progress.seconds.total  # so that the clock goes on


def _fill(model: nn.Module, state: dict[str, Any]) -> None:
    try:
        model.load_state_dict(sharding.cut_like(state, model.state_dict()))
    except RuntimeError as error:
        raise ActlabError(
            say(
                f"the checkpoint holds another network than this one: {error}", f"检查点中的网络与当前网络不同：{error}"
            )
        ) from error


def keep_best(s: Session) -> None:
    """Keep the weights as they are now as the best so far."""
    if s.settings.patience is None:
        return
    if s.files is not None:
        weights = sharding.whole(s.evaluated.state_dict(), s.first)
        s.write(lambda files: files.save(weights, files.best))
    else:
        s.best = {name: tensor.detach().clone() for name, tensor in s.evaluated.state_dict().items()}


def take_best(s: Session) -> None:
    """Put the best weights back into the model."""
    if s.settings.patience is None or s.progress.best_epoch is None:
        return
    s.fabric.barrier()  # the first process may still be writing it
    best = s.best if s.files is None else s.files.load(s.fabric.device, s.files.best)
    if best is None:
        raise ActlabError(
            say(
                f"the weights of the best epoch are missing: expected '{s.files.best if s.files else ''}'; remove the run directory and train anew",
                f"缺少最佳轮次的权重“{s.files.best if s.files else ''}”；请删除运行目录后重新训练",
            )
        )
    s.evaluated.load_state_dict(sharding.cut_like(best, s.evaluated.state_dict()))


def interrupt(s: Session) -> NoReturn:
    """Leave a resumable run behind and stop."""
    s.fabric.barrier()
    if s.failure is not None:
        raise s.failure
    name = s.signals.received.name if s.signals.received else say("another process", "另一个进程")
    where = (
        say(
            f"; the same command with --resume goes on from there ({s.files.path})",
            f"；用同一命令加 --resume 继续（{s.files.path}）",
        )
        if s.files
        else ""
    )
    raise guards.Interrupted(
        say(
            f"stopped by {name} after step {s.progress.step} of {s.steps}{where}",
            f"在第 {s.progress.step}/{s.steps} 步后因 {name} 停止{where}",
        )
    )


def diverged(s: Session, loss: float, step: int) -> NoReturn:
    """Stop with the step, the layer and what to try."""
    p, settings = s.progress, s.settings
    bad = guards.not_finite(s.inputs)
    if anywhere(s.fabric, bad):  # one answer for all: weights that are cut are gathered by all together
        raise guards.bad_inputs(step)
    with s.fabric.autocast():
        where = guards.culprit(s.model, s.inputs)
    raise guards.diverged(step, loss, p.first_loss, where, settings.learning_rate, settings.clip_norm)


def record_failure(s: Session, error: BaseException) -> None:
    """Write down why the run ended, as far as the disk still allows."""
    if s.files is None or not s.first:
        return
    status: Status = "interrupted" if isinstance(error, guards.Interrupted | KeyboardInterrupt) else "failed"
    message = str(error) or type(error).__name__
    try:
        s.files.metrics(s.progress.rows)
        s.files.record(describe_run(s, status, message=message))
        s.event(status, step=s.progress.step, message=message)
    except ActlabError:
        pass  # the disk is what failed; the error already raised says so


def describe_run(s: Session, status: Status, *, test: Evaluation | None = None, message: str = "") -> Run:
    """The record as things stand."""
    p, seconds = s.progress, s.progress.seconds
    total = time.perf_counter() - s.began
    return Run(
        name=s.files.path.name if s.files else s.origin.recipe,
        recipe=s.origin.recipe,
        preset=s.origin.preset,
        status=status,
        created=p.created,
        message=message,
        settings=s.origin.plan,
        model=ModelFacts(
            name=s.origin.model or sharding.kind(s.model),
            arguments=s.origin.arguments,
            parameters=sum(parameter.numel() for parameter in s.model.parameters()),
            multiply_adds=s.origin.multiply_adds,
            input_shape=s.origin.input_shape,
        ),
        data=s.parts.described(),
        machine=describe(s.fabric.device, s.fabric.world_size),
        clock=Clock(
            compute=seconds.loop - seconds.fetch,
            training=seconds.loop + seconds.saving,
            evaluation=seconds.evaluation,
            total=total,
        ),
        loss_unit=s.origin.loss_unit,
        steps=p.step,
        examples=p.sums.count,
        resumed=p.resumed,
        epochs=tuple(p.rows),
        best_epoch=p.best_epoch,
        test=test,
    )
