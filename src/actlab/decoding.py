"""From scores to answers: the best path through labels, and text drawn step by step. Needs only scores or a step function."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ._language import say
from .errors import UsageError

# (numbers (batch), state or None) -> (scores (batch, vocab) of what comes next, state)
StepFunction = Callable[[Tensor, Any], tuple[Tensor, Any]]


def best_path(scores: Tensor, follows: Tensor, starts: Tensor, lengths: Sequence[int]) -> list[list[int]]:
    """For each sequence the labels of the highest sum of scores in which every label may follow the one before.

    scores: (batch, time, label); follows: (label before, label after) booleans; starts: (label) those that may come first.
    Source: Viterbi 1967, IEEE Trans. Information Theory 13(2).
    """
    scores = scores.float()
    never = torch.finfo(scores.dtype).min / 4
    barrier = torch.zeros(follows.shape).masked_fill(~follows, never)
    best = scores[:, 0] + torch.zeros(starts.shape).masked_fill(~starts, never)
    history, sums = [], [best]
    for now in range(1, scores.shape[1]):
        value, origin = (best[:, :, None] + barrier).max(1)
        best = value + scores[:, now]
        history.append(origin)
        sums.append(best)
    found = []
    for row, length in enumerate(lengths):
        path = [int(sums[length - 1][row].argmax())]
        for now in range(length - 2, -1, -1):
            path.append(int(history[now][row, path[-1]]))
        found.append(path[::-1])
    return found


def sample(
    step: StepFunction,
    prompt: Sequence[int],
    steps: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> list[int]:
    """The prompt and `steps` numbers drawn one by one from what `step` gives.

    temperature: 0 takes the most probable one; below 1 is more careful, above 1 bolder. top_k draws from the k most probable ones,
    top_p from the fewest that together have that probability (Holtzman et al. 2020, arXiv:1904.09751).
    """
    if not prompt:
        raise UsageError(say("expected a prompt to begin with; got none", "需要一个开头；得到空内容"))
    for name, value, right in (
        ("temperature", temperature, temperature >= 0),
        ("top_k", top_k, top_k is None or top_k >= 1),
        ("top_p", top_p, top_p is None or 0 < top_p <= 1),
    ):
        if not right:
            raise UsageError(say(f"{name}: {value} is out of range", f"{name}：{value} 超出范围"))
    found, state = list(prompt), None
    scores = torch.empty(0)
    with torch.no_grad():
        for number in prompt:
            scores, state = step(torch.tensor([number]), state)
        for _ in range(steps):
            found.append(_draw(scores[0], temperature, top_k, top_p, generator))
            scores, state = step(torch.tensor([found[-1]]), state)
    return found


def _draw(scores: Tensor, temperature: float, top_k: int | None, top_p: float | None, generator: Any) -> int:
    if temperature == 0:
        return int(scores.argmax())
    chances, order = (scores.double() / temperature).softmax(0).sort(descending=True, stable=True)
    if top_k is not None:
        chances[top_k:] = 0
    if top_p is not None:
        chances[1:][chances.cumsum(0)[:-1] >= top_p] = 0
    return int(order[torch.multinomial(chances, 1, generator=generator)])
