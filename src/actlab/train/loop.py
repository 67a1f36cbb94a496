"""`fit`: one straight loop from a model and data to a Run record."""

import math
import time
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..records import Run
from . import guards, keeping, optimizers, results, seeds, sharding
from .evaluation import Loss, is_classification
from .origin import Origin
from .parts import Parts
from .progress import Sums
from .schedules import factor
from .session import Place, Session, open_session
from .settings import Settings
from .show import Quiet, Show

_CHECK_STEPS = 20  # over this many steps the loss is averaged before it is compared with the first one
_DEAD_CHECKS = 2  # so many checks in a row without any gradient, and the network is given up
_GUESSING = 0.95  # of log(classes): no better than guessing
_EVENTS = 200  # points of the fine curve over a whole run


def fit(
    model: nn.Module,
    parts: Parts,
    *,
    settings: Settings | None = None,
    loss: Loss | None = None,
    run_dir: Place = None,
    resume: bool = False,
    origin: Origin | None = None,
    show: Show | None = None,
) -> Run:
    """Train `model` on `parts.train`, evaluate it, and return the record of the run.

    `loss(outputs, targets)` is a mean over the batch; by default cross-entropy with the label smoothing of `settings`. A loss
    with an attribute `plain` is evaluated by that. The model is
    changed in place and ends with the weights that were evaluated: the best ones with `patience`, the averaged ones with `ema`. With
    `run_dir` (or a function that names it) everything is also written there; `resume` goes on from its last checkpoint, on a CPU bit
    for bit as if it had never stopped.

    Raises UsageError for settings that cannot work, Diverged when the loss runs away, Interrupted after Ctrl-C or SIGTERM, and
    ActlabError when files cannot be written.
    """
    opened = open_session(
        model, parts, settings or Settings(), loss, run_dir, resume, origin or Origin(), show or Quiet()
    )
    if isinstance(opened, Run):
        return opened
    if resume:
        keeping.restore(opened)
    try:
        with opened.signals:
            return _train(opened)
    except BaseException as error:
        keeping.record_failure(opened, error)
        raise
    finally:
        opened.show.stop()
        if opened.files is not None:
            opened.files.close()


def _train(s: Session) -> Run:
    p = s.progress
    s.show.start(_title(s), p.step, s.steps)
    s.event("resume" if p.resumed else "start", step=p.step, steps=s.steps)
    if p.step == 0:
        keeping.save(s)
    s.write(lambda files: files.record(keeping.describe_run(s, "running")))
    while len(p.rows) < s.epochs and not results.patience_is_out(s):
        _epoch(s)
        results.close_epoch(s)
        keeping.save(s)
    if len(p.rows) < s.epochs:
        s.show.note(
            say(
                f"stopped early: nothing better since epoch {p.best_epoch}",
                f"提前停止：第 {p.best_epoch} 轮之后没有更好的结果",
            )
        )
    return results.finish(s)


def _epoch(s: Session) -> None:
    """The steps left in this epoch."""
    p, settings = s.progress, s.settings
    sizes = getattr(s.parts.train, "sizes", None)
    if s.tokens is None:
        batches = seeds.order(settings.seed, len(p.rows), len(s.parts.train), sizes, settings.batch_size).split(
            settings.batch_size
        )
    else:
        batches = seeds.batches_of_tokens(settings.seed, len(p.rows), s.tokens, sizes, s.per_epoch)
    start = len(p.rows) * s.per_epoch
    last = min(start + s.per_epoch, s.steps)
    event_every = max(1, s.steps // _EVENTS)
    s.set_training()
    began = time.perf_counter()
    while p.step < last:
        batch = batches[p.step - start]
        _step(s, batch)
        event = p.step % event_every == 0 or p.step == last
        stop = save = False
        if event or p.step % _CHECK_STEPS == 0 or s.fabric.device.type == "cpu":
            stop, save = _read(s)
        recent = None
        if event:
            recent, p.at_event = p.sums.since(p.at_event), p.mark()
            if s.files is not None:
                s.event("step", **_facts(s, recent, time.perf_counter() - began))
        s.show.step(p.step, len(batch), recent)
        if stop or save:
            p.seconds.loop += time.perf_counter() - began
            keeping.save(s)
            began = time.perf_counter()
        if stop:
            keeping.interrupt(s)
    p.seconds.loop += time.perf_counter() - began


def _step(s: Session, batch: Tensor) -> None:
    """One optimizer step on the examples of `batch`, shared out over the processes."""
    p, fabric = s.progress, s.fabric
    seeds.seed_step(s.settings.seed, p.step, fabric.global_rank, fabric.device)
    optimizers.set_rates(s.optimizers, factor(s.settings.schedule, p.step, s.steps, s.settings.warmup))
    mine = batch[fabric.global_rank :: fabric.world_size]
    pieces = mine.chunk(s.settings.accumulate) if len(mine) else (batch[:1],)
    share = fabric.world_size / len(batch) if len(mine) else 0.0  # without examples: help with a gradient of zero
    losses: list[Tensor] = []
    right: list[Tensor] = []
    for number, piece in enumerate(pieces):
        inputs, targets = _fetch(s, piece)
        more = number + 1 < len(pieces)
        with fabric.no_backward_sync(s.wrapped, enabled=True) if more else nullcontext():
            outputs = s.wrapped(inputs)
            loss = s.loss(outputs, targets)
            fabric.backward(loss * (len(piece) * share))
        s.inputs, s.classes = inputs, outputs.shape[1] if is_classification(outputs, targets) else 0
        if share:
            losses.append(loss.detach() * len(piece))
            right += [(outputs.argmax(1) == targets).sum()] if s.classes else []
    dead = guards.no_gradient(s.model) if p.step % _CHECK_STEPS == _CHECK_STEPS - 1 else None
    norm, clipped = _clip(s) or (0.0, 0.0)
    for optimizer in s.optimizers:
        optimizer.step()
        optimizer.zero_grad()
    if s.average is not None:
        s.average.update_parameters(s.model)
    p.step += 1
    s.pending.append(((sum(losses), sum(right), norm, clipped, 0.0 if dead is None else dead), len(batch)))


def _fetch(s: Session, indices: Tensor) -> tuple[Any, Any]:
    began = time.perf_counter()
    inputs, targets = s.parts.train[indices]
    if s.fabric.device.type != "cpu":
        inputs, targets = s.fabric.to_device((inputs, targets))
    inputs = s.laid_out(s.parts.prepare(inputs, True))
    s.progress.seconds.fetch += time.perf_counter() - began
    return inputs, targets


def _clip(s: Session) -> tuple[Tensor, Tensor] | None:
    """Unscale, then clip the gradient of all parameters, whichever optimizer they belong to: its norm before, and whether it was cut.

    By value, every element on its own; by norm, all together (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063).
    """
    norm_limit, value_limit = s.settings.clip_norm, s.settings.clip_value
    if norm_limit is None and value_limit is None:
        return None
    for optimizer in s.optimizers:
        s.fabric.strategy.precision.unscale_gradients(optimizer.optimizer)
    norm = sharding.gathered(nn.utils.clip_grad_norm_(s.parameters, math.inf if norm_limit is None else norm_limit))
    clipped = norm > (math.inf if norm_limit is None else norm_limit)
    if value_limit is not None:
        gradients = [one.grad for one in s.parameters if one.grad is not None]
        largest = nn.utils.get_total_norm(gradients, math.inf)
        clipped = clipped | (sharding.gathered(largest) > value_limit)
        nn.utils.clip_grad_value_(s.parameters, value_limit)
    return norm, clipped


def _figures(s: Session) -> tuple[list[list[float]], list[int]]:
    """What the steps since the last reading have put aside: loss, right answers, gradient norm, clipped, no gradient; and their examples.

    This, and nothing else in a step, waits for the device. Several processes add theirs up.
    """
    rows, counts = [row for row, _ in s.pending], [count for _, count in s.pending]
    s.pending.clear()
    if s.fabric.device.type == "cpu" and s.fabric.world_size == 1:
        return [[float(value) for value in row] for row in rows], counts
    device = s.fabric.device
    figures = torch.stack(
        [torch.stack([torch.as_tensor(value, device=device).detach().float() for value in row]) for row in rows]
    )
    if s.fabric.world_size > 1:
        figures = s.fabric.all_reduce(figures, reduce_op="sum")
        figures[:, 2:] /= s.fabric.world_size  # the same everywhere
    return figures.tolist(), counts


def _agree(s: Session) -> tuple[bool, bool]:
    """Whether any process was asked to stop, and whether the first one wants to save."""
    stop, save = s.signals.received is not None or s.failure is not None, keeping.save_is_due(s)
    if s.fabric.world_size > 1:
        flags = torch.tensor([stop, save], dtype=torch.float32, device=s.fabric.device)
        stop, save = (value > 0 for value in s.fabric.all_reduce(flags, reduce_op="sum").tolist())
    return stop, save


def _read(s: Session) -> tuple[bool, bool]:
    """Take in the figures put aside, look for divergence, and agree with the other processes on stopping and saving."""
    p = s.progress
    figures, counts = _figures(s)
    first_step, dead = p.step - len(counts), False
    for number, ((loss, score, norm, clipped, without_gradient), count) in enumerate(zip(figures, counts, strict=True)):
        p.sums.loss += loss
        p.sums.score += score
        p.sums.count += count
        p.sums.norm += norm if math.isfinite(norm) else 0.0  # fp16: such a step is skipped, and the scale lowered
        p.sums.clipped += clipped
        p.sums.steps += 1
        dead = without_gradient == 1.0
        if p.first_loss is None:
            p.first_loss = loss / count
        if not math.isfinite(loss):
            keeping.diverged(s, loss / count, first_step + number + 1)
    if p.step % _CHECK_STEPS == 0:
        recent = keeping.check_divergence(s)
        p.dead_checks = p.dead_checks + 1 if dead else 0
        if p.dead_checks >= _DEAD_CHECKS and s.classes and recent >= _GUESSING * math.log(s.classes):
            raise guards.died(s.model, p.step, recent, s.classes, s.settings.learning_rate)
    return _agree(s)


def _facts(s: Session, recent: Sums, seconds: float) -> dict[str, float | int | None]:
    """One line of the fine curve."""
    p = s.progress
    elapsed = p.seconds.loop + seconds
    rate = p.sums.count / elapsed if elapsed > 0 else 0.0
    return {
        "step": p.step,
        "epoch": len(p.rows) + 1,
        "examples": p.sums.count,
        "loss": recent.mean_loss,
        "accuracy": recent.mean_score if s.classes else None,
        "learning_rate": s.optimizers[-1].param_groups[0]["lr"],
        "gradient_norm": recent.norm / max(1, recent.steps) if s.settings.clips else None,
        "examples_per_second": round(rate, 2),
        "seconds_left": round((s.steps - p.step) * elapsed / max(1, p.step), 1),
    }


def _title(s: Session) -> str:
    count = sum(parameter.numel() for parameter in s.model.parameters())
    name = " ".join(part for part in (s.origin.recipe, s.origin.preset) if part)
    where = f" -> {s.files.path}" if s.files else ""
    tokens, size = s.settings.batch_tokens, s.settings.batch_size
    return say(
        f"{name}: {count:,} parameters, {len(s.parts.train):,} training examples, {s.steps:,} steps of {f'{tokens:,} tokens' if tokens else size}{where}",
        f"{name}：{count:,} 个参数，{len(s.parts.train):,} 个训练样本，{s.steps:,} 步，每步 {f'{tokens:,} 个词元' if tokens else f'{size} 个样本'}{where}",
    )
