"""Loss, accuracy, confusion and the worst mistakes of a model on one part of the data."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from ..records import Evaluation, Mistake
from .parts import Forward, Part

Loss = Callable[[Any, Any], Tensor]


def is_classification(output: Any, target: Any) -> bool:
    """Logits (batch, classes) against class numbers (batch)."""
    if not (torch.is_tensor(output) and torch.is_tensor(target)):
        return False
    return output.dim() == 2 and target.dim() == 1 and not target.is_floating_point()


def evaluate(
    forward: Forward,
    part: Part,
    loss: Loss,
    *,
    name: Literal["train", "validation", "test"],
    batch_size: int,
    fabric: Any,
    mistakes: int = 0,
    after_batch: Callable[[], None] | None = None,
) -> Evaluation:
    """The result of `forward` on all of `part`, shared out over the processes of `fabric`.

    `forward` prepares its inputs itself. Every process writes its batches into vectors over the whole part, which are then added up, so
    the figures do not depend on the number of processes. `mistakes`: how many of the most confident wrong answers to keep.
    """
    count, device = len(part), fabric.device
    starts = list(range(0, count, batch_size))
    losses = torch.zeros(len(starts), dtype=torch.float32, device=device)
    answers = torch.zeros(3, count, dtype=torch.float32, device=device)  # target, prediction, its probability
    classes = 0
    with torch.no_grad():
        for turn in range(
            fabric.global_rank, -(-len(starts) // fabric.world_size) * fabric.world_size, fabric.world_size
        ):
            number = min(turn, len(starts) - 1)
            indices = torch.arange(starts[number], min(starts[number] + batch_size, count))
            inputs, targets = (fabric.to_device(one) for one in part[indices])
            outputs = forward(inputs)
            if turn > number:  # nothing left: this pass only keeps step with the others, who may need slices of weights
                continue
            losses[number] = loss(outputs, targets).float() * len(indices)
            if is_classification(outputs, targets):
                classes = outputs.shape[1]
                probability, predicted = outputs.float().softmax(1).max(1)
                answers[:, indices[0] : indices[-1] + 1] = torch.stack(
                    [targets.float(), predicted.float(), probability]
                )
            if after_batch is not None:
                after_batch()
    if fabric.world_size > 1:
        losses, answers = fabric.all_reduce(losses, reduce_op="sum"), fabric.all_reduce(answers, reduce_op="sum")
        classes = int(fabric.broadcast(classes))
    mean = losses.cpu().double().sum().item() / max(1, count)
    return Evaluation(part=name, count=count, loss=mean, **_classified(answers.cpu(), classes, mistakes))


def _classified(answers: Tensor, classes: int, mistakes: int) -> dict[str, Any]:
    if not classes:
        return {}
    target, predicted, probability = answers[0].long(), answers[1].long(), answers[2]
    confusion = torch.bincount(target * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    wrong = (target != predicted).nonzero().flatten()
    worst = wrong[probability[wrong].sort(descending=True, stable=True).indices[:mistakes]]
    return {
        "accuracy": (target == predicted).double().mean().item(),
        "confusion": tuple(tuple(row) for row in confusion.tolist()),
        "mistakes": tuple(
            Mistake(index=i, truth=int(target[i]), predicted=int(predicted[i]), probability=float(probability[i]))
            for i in worst.tolist()
        ),
    }
