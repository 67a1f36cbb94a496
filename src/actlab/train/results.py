"""What an epoch and a training end with: evaluation, the row of metrics, the weights to keep."""

import math
import time
from typing import Any, Literal

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from .._language import say
from ..records import Epoch, Evaluation, Run
from . import keeping, sharding
from .evaluation import evaluate
from .parts import Forwarding
from .session import Session

_MISTAKES = 24


def close_epoch(s: Session) -> None:
    """Evaluate, and add a row to the metrics."""
    keeping.check_divergence(s)
    p, began = s.progress, time.perf_counter()
    done, clips = p.sums.since(p.at_epoch), s.settings.clips
    validation = _evaluate(s, "validation")
    test = _evaluate(s, "test") if s.settings.report_test else None
    classifies = (
        any(result is not None and result.accuracy is not None for result in (validation, test)) or done.score > 0
    )
    row = Epoch(
        epoch=len(p.rows) + 1,
        step=p.step,
        examples=p.sums.count,
        learning_rate=float(s.optimizers[-1].param_groups[0]["lr"]),
        train_loss=done.mean_loss,
        train_accuracy=done.mean_score if classifies else None,
        validation_loss=validation.loss if validation else None,
        validation_accuracy=validation.accuracy if validation else None,
        test_loss=test.loss if test else None,
        test_accuracy=test.accuracy if test else None,
        gradient_norm=done.norm / max(1, done.steps) if clips else None,
        clipped_share=done.clipped / max(1, done.steps) if clips else None,
        scores=validation.scores if validation else {},
    )
    if validation is not None:
        _compare_with_best(s, row.epoch, validation)
    p.rows.append(row)
    p.at_epoch = p.mark()
    p.seconds.evaluation += time.perf_counter() - began
    s.write(lambda files: files.metrics(p.rows))
    s.write(lambda files: files.record(keeping.describe_run(s, "running")))
    s.event("epoch", **row.model_dump())
    s.show.epoch(row, s.epochs, p.sums.count / max(1e-9, p.seconds.loop))


def patience_is_out(s: Session) -> bool:
    """Whether too many epochs have passed since the best one."""
    p = s.progress
    return (
        s.settings.patience is not None
        and p.best_epoch is not None
        and len(p.rows) - p.best_epoch >= s.settings.patience
    )


def finish(s: Session) -> Run:
    """Put the weights to keep into the model, test them, and write the results."""
    p, began = s.progress, time.perf_counter()
    keeping.take_best(s)
    test = _evaluate(s, "test", _MISTAKES)
    p.seconds.evaluation += time.perf_counter() - began
    if s.average is not None:
        s.model.load_state_dict(s.average.module.state_dict())
    message = _guessing(s)
    if message:
        s.show.note(message)
    run = keeping.describe_run(s, "finished", test=test, message=message)
    weights = sharding.whole(s.model.state_dict(), s.first)
    s.write(lambda files: files.weights(weights))
    s.write(lambda files: files.metrics(p.rows))
    s.write(lambda files: files.record(run))
    s.event("finished", step=p.step, loss=test.loss if test else None, accuracy=test.accuracy if test else None)
    return run


def _guessing(s: Session) -> str:
    """A warning, where the last epoch was no better than guessing."""
    if not s.classes or not s.progress.rows or s.progress.rows[-1].train_loss < 0.98 * math.log(s.classes):
        return ""
    loss = s.progress.rows[-1].train_loss
    return say(
        f"this network did not learn: its training loss, {loss:.3f}, is that of guessing among {s.classes} classes; "
        "try more steps, another rate or another start (--set model.initialise=he)",
        f"网络没有学到东西：训练损失 {loss:.3f} 相当于在 {s.classes} 类中猜测；请增加步数、换学习率或换初始化（--set model.initialise=he）",
    )


def _compare_with_best(s: Session, epoch: int, validation: Evaluation) -> None:
    if s.parts.scores is not None:
        value = s.parts.scores.value(validation.scores)
    else:
        value = validation.accuracy if validation.accuracy is not None else -validation.loss
    if s.progress.best_value is None or value > s.progress.best_value:
        s.progress.best_value, s.progress.best_epoch = value, epoch
        keeping.keep_best(s)


def _evaluate(s: Session, name: Literal["validation", "test"], mistakes: int = 0) -> Evaluation | None:
    part = s.parts.validation if name == "validation" else s.parts.test
    if part is None or not len(part):
        return None
    several = s.fabric.world_size > 1
    module = (
        s.evaluated if several or s.average is not None else s.wrapped
    )  # DDP's own forward would wait for the others
    module.eval()
    if several:
        for buffer in module.buffers():  # each process has its own running averages; those of the first one are kept
            torch.distributed.broadcast(buffer, 0)

    def forward(inputs: Any) -> Any:
        inputs = s.laid_out(s.parts.prepare(inputs, False))
        with s.fabric.autocast():
            return apply_to_collection(module(inputs), Tensor, _in_float32)

    def after_batch() -> None:
        if s.signals.received is not None and s.fabric.world_size == 1:
            keeping.save(s)
            keeping.interrupt(s)

    found = evaluate(
        forward,
        part,
        s.plain_loss,
        name=name,
        batch_size=s.settings.evaluate_batch_size,
        fabric=s.fabric,
        mistakes=mistakes,
        after_batch=after_batch,
    )
    if s.parts.scores is None:
        return found
    with torch.no_grad():  # every process goes over the whole part, and finds the same
        scores = s.parts.scores.measure(
            Forwarding(s.evaluated, lambda inputs: forward(s.fabric.to_device(inputs))), part
        )
    return found.model_copy(update={"scores": scores})


def _in_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
