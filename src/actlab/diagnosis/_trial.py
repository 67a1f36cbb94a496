"""Small trials on a copy of the network: can it learn one batch by heart, and anything that holds for other batches."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

_STEPS, _RATES = 60, (1e-3, 1e-2)


def learn_one_batch(model: nn.Module, loss: Callable[[Any, Any], Any], batch: tuple[Any, Any]) -> tuple[float, float]:
    """The loss on one batch before, and the best within 60 steps of Adam at either of two rates."""
    from .diagnosing import call

    start = {name: value.detach().clone() for name, value in model.state_dict().items()}
    before, best = math.inf, math.inf
    for rate in _RATES:
        model.load_state_dict(start)
        optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=rate)
        for number in range(_STEPS):
            value = loss(call(model, batch[0]), batch[1])
            if rate == _RATES[0] and number == 0:
                before = float(value.detach())
            if not bool(torch.isfinite(value)):
                break
            best = min(best, float(value.detach()))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        if best < 0.5 * before:
            break
    return before, best


def held_out(
    model: nn.Module,
    loss: Callable[[Any, Any], Any],
    batches: list[tuple[Any, Any]],
    guesses: list[float],
    passes: int = 12,
) -> tuple[float, float, float]:
    """(best loss on batches kept out of the training, the standard error of its difference to guessing, the loss of guessing them) over some passes of Adam.

    guesses: the loss of guessing each batch.
    """
    from .diagnosing import call

    kept = max(1, len(batches) // 4)
    train, test = batches[:-kept], batches[-kept:]
    own = torch.tensor(guesses[-kept:])
    guess = float(own.mean())
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=2e-3)
    best, error, training = math.inf, 0.0, model.training
    for _ in range(passes):
        for inputs, targets in train:
            value = loss(call(model, inputs), targets)
            if not bool(torch.isfinite(value)):
                return best, error, guess
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        with torch.no_grad():
            model.eval()
            values = torch.tensor([float(loss(call(model, inputs), targets)) for inputs, targets in test])
            model.train(training)
        if float(values.mean()) < best:
            best = float(values.mean())
            error = float((values - own).std()) / len(values) ** 0.5 if len(values) > 1 else 0.02 * guess
        if best < 0.9 * guess:
            break
    return best, error, guess
