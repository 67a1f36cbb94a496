"""Many trainings of one shape as one batched training: the numbers of `fit`, several times sooner where networks are small.

outcomes = train_batched(models, parts, settings=[change(base, {"seed": seed}) for seed in range(16)])
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..records import Epoch, Evaluation
from ..train import seeds
from ..train.evaluation import Loss, is_classification
from ..train.fabric import start
from ..train.keeping import _LEAST_LOSS
from ..train.loop import _CHECK_STEPS, _DEAD_CHECKS, _GUESSING
from ..train.memory import keep_freed_memory
from ..train.parts import Part, Parts
from ..train.schedules import factor
from ..train.settings import Settings
from ._batchable import NotBatched, fetch, why_not, worth
from ._stacked import Stack, Steps, batched_loss, clip, frozen_parts, quiet, set_training

__all__ = ["NotBatched", "Outcome", "train_batched", "why_not", "worth"]

Stop = Literal["", "not finite", "ran away", "no gradient"]
_LOSS, _SCORE, _NORM, _CLIPPED = range(4)  # columns of the running totals


@dataclass(frozen=True)
class Outcome:
    """What became of one network: the rows and the test result that the record of `fit` would hold.

    `stopped` says why it was given up where `fit` would have raised Diverged, at step `steps`; its weights are then those before that
    step, and it has no test result.
    """

    epochs: tuple[Epoch, ...]
    steps: int
    test: Evaluation | None = None  # without confusion and mistakes
    stopped: Stop = ""

    @property
    def diverged(self) -> bool:
        """Whether it was given up."""
        return bool(self.stopped)


def train_batched(
    models: Sequence[nn.Module],
    parts: Parts,
    *,
    settings: Sequence[Settings],
    loss: Loss | None = None,
    after_step: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Train every one of `models` on `parts.train` as `fit(model, parts, settings=..., loss=loss)` would, all at once.

    The networks have one architecture and different weights; their settings differ in seed and learning rate alone. Losses and weights
    are those of `fit` up to rounding, and a network that diverges leaves the others as they are. The models are changed in place.
    `after_step(step, steps)` is told where the training stands.

    Raises NotBatched, before any step, with the sentence of `why_not`.
    """
    if reason := why_not(models, settings, parts=parts, loss=loss):
        raise NotBatched(reason)
    if settings[0].keep_memory:
        keep_freed_memory()
    with quiet():
        return _Training(models, parts, settings, loss).run(after_step)


class _Training:
    """Where a batched training stands. Rows of tensors are the networks that still train."""

    def __init__(self, models: Sequence[nn.Module], parts: Parts, settings: Sequence[Settings], loss: Loss | None):
        self.parts, self.all, self.settings = parts, list(settings), settings[0]
        self.device: torch.device = start(self.settings).device
        for model in models:
            model.to(self.device)
        self.modes = [(module, module.training) for module in models[0].modules()]
        self.frozen = frozen_parts(models[0])
        self.stack = Stack(models)
        self.steps = Steps(self.stack, settings)
        self.loss = batched_loss(loss, self.settings.label_smoothing)
        self.plain_loss = batched_loss(getattr(loss, "plain", loss), 0.0)
        self.step, self.examples, self.classes = 0, 0, 0
        self.sums = self._zeros(4)
        self.at_epoch, self.at_check = ((0, 0, self._zeros(4)) for _ in range(2))  # step, examples, totals
        self.first_losses = self._zeros()
        self.dead = self._zeros(dtype=torch.long)  # checks in a row in which no gradient reached the first weights
        self.order = torch.empty(len(models), 0, dtype=torch.long)
        self.rows: list[list[Epoch]] = [[] for _ in models]
        self.outcomes: dict[int, Outcome] = {}

    def _zeros(self, *sizes: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.zeros(len(self.stack), *sizes, dtype=dtype, device=self.device)

    def run(self, after_step: Callable[[int, int], None] | None) -> list[Outcome]:
        """From the first step to the last result."""
        count, size = len(self.parts.train), self.settings.batch_size
        steps, per_epoch = self.settings.steps_in_all(count), self.settings.steps_per_epoch(count)
        while self.step < steps and len(self.stack):
            done = self.step // per_epoch
            self.order = self._order(done, count)
            set_training(self.stack.models[0], self.frozen)
            for begin in range(0, min(per_epoch, steps - self.step) * size, size):
                if len(self.stack):
                    self._step(begin, steps)
                    if after_step is not None:
                        after_step(self.step, steps)
            self._close_epoch(done + 1, steps)
        self._finish()
        for module, training in self.modes:
            module.training = training
        return [self.outcomes[place] for place in range(len(self.all))]

    def _order(self, epoch: int, count: int) -> Tensor:
        """The examples of an epoch, for every network as its own `fit` would see them."""
        own = [self.all[place].seed for place in self.stack.places]
        drawn = {seed: seeds.order(seed, epoch, count) for seed in set(own)}
        return torch.stack([drawn[seed] for seed in own])

    def _step(self, begin: int, steps: int) -> None:
        indices = self.order[:, begin : begin + self.settings.batch_size]
        inputs, targets = fetch(self.parts, indices, self.device)
        outputs = self.stack.outputs(inputs)
        losses = self.loss(outputs, targets)
        finite = losses.isfinite()
        healthy = bool(finite.all())
        gradients = self.stack.gradients(losses if healthy else losses[finite])
        self.step += 1
        if not healthy:
            rows = self._give_up(~finite, "not finite")
            losses, outputs, targets = losses[rows], outputs[rows], targets[rows]
            gradients = {name: one[rows] for name, one in gradients.items()}
        if not len(self.stack):
            return
        if self.step == 1:
            self.first_losses = losses.detach().double()
        self._count(outputs, targets, losses.detach(), len(indices[0]))
        dead = _without_gradient(gradients) if self.step % _CHECK_STEPS == 0 else None
        if self.settings.clips:
            gradients, norms, cut = clip(gradients, self.settings)
            self.sums[:, _NORM] += norms.nan_to_num(0.0, 0.0, 0.0)
            self.sums[:, _CLIPPED] += cut
        rate = factor(self.settings.schedule, self.step - 1, steps, self.settings.warmup)
        self.steps.step(self.stack.weights, gradients, rate)
        if self.step % _CHECK_STEPS == 0:
            self._look(dead)

    def _count(self, outputs: Any, targets: Any, losses: Tensor, size: int) -> None:
        self.examples += size
        self.sums[:, _LOSS] += losses * size
        if is_classification(outputs[0], targets[0]):
            self.classes = outputs.shape[2]
            self.sums[:, _SCORE] += (outputs.argmax(2) == targets).sum(1)

    def _look(self, dead: Tensor | None) -> None:
        """Give up networks whose loss ran away, or that no gradient reaches any more, as `fit` does."""
        before, examples, sums = self.at_check
        if self.step == before:
            return
        recent = (self.sums - sums)[:, _LOSS] / (self.examples - examples)
        self.at_check = (self.step, self.examples, self.sums.clone())
        ran = recent > self.settings.divergence * self.first_losses.clamp(min=_LEAST_LOSS)
        died = torch.zeros_like(ran)
        if dead is not None:
            self.dead = (self.dead + 1) * dead
            if self.classes:
                died = (self.dead >= _DEAD_CHECKS) & (recent >= _GUESSING * math.log(self.classes)) & ~ran
        if bool(died.any()):
            ran = ran[self._give_up(died, "no gradient")]
        if bool(ran.any()):
            self._give_up(ran, "ran away")

    def _give_up(self, lost: Tensor, why: Stop) -> Tensor:
        """Take networks out, with the weights that they have; the rows that stay."""
        gone, rows = lost.nonzero().flatten(), (~lost).nonzero().flatten()
        self.stack.unload(gone.tolist())
        for row in gone.tolist():
            place = self.stack.places[row]
            self.outcomes[place] = Outcome(tuple(self.rows[place]), self.step, stopped=why)
        self.stack.keep(rows)
        self.steps.keep(rows)
        self.order = self.order[rows.to(self.order.device)]
        self.sums, self.first_losses, self.dead = self.sums[rows], self.first_losses[rows], self.dead[rows]
        self.at_epoch, self.at_check = ((*mark[:2], mark[2][rows]) for mark in (self.at_epoch, self.at_check))
        return rows

    def _close_epoch(self, number: int, steps: int) -> None:
        self._look(None)
        before, examples, sums = self.at_epoch
        self.at_epoch = (self.step, self.examples, self.sums.clone())
        means = (self.sums - sums) / max(1, self.examples - examples)
        by_step = (self.sums - sums) / max(1, self.step - before)
        rates = self.steps.rates * factor(self.settings.schedule, self.step - 1, steps, self.settings.warmup)
        results = self._evaluate(self.parts.validation, "validation")
        for row, place in enumerate(self.stack.places):
            found, clips = results[row] if results else None, self.settings.clips
            self.rows[place].append(
                Epoch(
                    epoch=number,
                    step=self.step,
                    examples=self.examples,
                    learning_rate=rates[row].item(),
                    train_loss=means[row, _LOSS].item(),
                    train_accuracy=means[row, _SCORE].item() if self.classes else None,
                    validation_loss=found.loss if found else None,
                    validation_accuracy=found.accuracy if found else None,
                    gradient_norm=by_step[row, _NORM].item() if clips else None,
                    clipped_share=by_step[row, _CLIPPED].item() if clips else None,
                )
            )

    def _finish(self) -> None:
        results = self._evaluate(self.parts.test, "test")
        self.stack.unload(range(len(self.stack)))
        for row, place in enumerate(self.stack.places):
            test = results[row] if results else None
            self.outcomes[place] = Outcome(tuple(self.rows[place]), self.step, test)

    @torch.no_grad()
    def _evaluate(self, part: Part | None, name: Literal["validation", "test"]) -> list[Evaluation]:
        if part is None or not len(part) or not len(self.stack):
            return []
        self.stack.models[0].eval()
        losses, right, classes = self._zeros(), self._zeros(), 0
        for indices in torch.arange(len(part)).split(self.settings.evaluate_batch_size):
            inputs, targets = (one.to(self.device) for one in part[indices])
            outputs = self.stack.outputs(self.parts.prepare(inputs, False), shared=True)
            outputs = outputs.float() if outputs.is_floating_point() else outputs  # as `fit` does
            repeated = targets.expand(len(self.stack), *targets.shape)
            losses += self.plain_loss(outputs, repeated) * len(indices)
            if is_classification(outputs[0], targets):
                classes = outputs.shape[2]
                right += (outputs.softmax(2).argmax(2) == targets).sum(1)
        return [
            Evaluation(part=name, count=len(part), loss=loss, accuracy=score if classes else None)
            for loss, score in zip((losses / len(part)).tolist(), (right / len(part)).tolist(), strict=True)
        ]


def _without_gradient(gradients: dict[str, Tensor]) -> Tensor | None:
    """Whether the gradient of the first weights, those farthest from the loss, is exactly zero, for every network."""
    first = next((one for one in gradients.values() if one.dim() > 2), None)
    return None if first is None else first.flatten(1).any(1).logical_not()
