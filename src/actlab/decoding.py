"""From scores to answers: the best path through labels, and text drawn step by step. Needs only scores or a step function."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

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
        ("temperature", temperature, 0 <= temperature < float("inf")),
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
    if temperature < 1e-6:
        return int(scores.argmax())
    chances, order = (scores.double() / temperature).softmax(0).sort(descending=True, stable=True)
    if top_k is not None:
        chances[top_k:] = 0
    if top_p is not None:
        chances[1:][chances.cumsum(0)[:-1] >= top_p] = 0
    return int(order[torch.multinomial(chances, 1, generator=generator)])


def greedy(step: StepFunction, first: Tensor, state: Any, *, end: int, steps: int) -> list[list[int]]:
    """For each row the most probable number at every step, without the end mark; at most `steps` of them.

    first: (batch) the numbers to begin with, which are not part of the answer.
    """
    going, number = list(range(len(first))), first
    found: list[list[int]] = [[] for _ in going]
    with torch.no_grad():
        for _ in range(steps):
            scores, state = step(number, state)
            number = scores.argmax(-1)
            values = number.tolist()
            going = [row for row in going if values[row] != end]
            if not going:
                break
            for row in going:
                found[row].append(values[row])
    return found


def beam(
    step: StepFunction, first: Tensor, state: Any, *, end: int, steps: int, width: int = 4, length_penalty: float = 0.0
) -> list[tuple[list[int], float]]:
    """For each row the best of its `hypotheses`, and its score; never one that scores below the greedy answer."""
    found = hypotheses(step, first, state, end=end, steps=steps, width=width, length_penalty=length_penalty)
    return [one[0] for one in found]


def hypotheses(
    step: StepFunction, first: Tensor, state: Any, *, end: int, steps: int, width: int = 4, length_penalty: float = 0.0
) -> list[list[tuple[list[int], float]]]:
    """For each row the answers that `width` hypotheses a step find, the greedy one among them, and their scores; the best comes first.

    The score is the sum of the log-probabilities in nats, end mark included, over ((5 + length) / 6) ** length_penalty. Answers that
    have not ended after `steps` count as they stand. Raises UsageError for a width above the vocabulary.
    Source: Lowerre 1976, The HARPY Speech Recognition System, CMU; length penalty: Wu et al. 2016, arXiv:1609.08144.
    """
    rows = len(first)
    with torch.no_grad():
        scores, grown = step(first, state)
        words = scores.shape[-1]
        if not 1 <= width <= words:
            raise UsageError(
                say(
                    f"expected a beam of 1 to {words} hypotheses, the size of the vocabulary; got {width}",
                    f"束宽应为 1 到词表大小 {words}；得到 {width}",
                )
            )
        finished: list[list[tuple[float, list[int]]]] = [[] for _ in range(rows)]
        paths: list[list[int]] = [[] for _ in range(rows)]
        origin, sums = torch.arange(rows), torch.zeros(rows, dtype=torch.float64)
        for number in range(steps):
            total = sums[:, None] + scores.double().log_softmax(-1).cpu()
            keep: list[tuple[int, float, int]] = []  # row of the hypothesis, its sum, the number it goes on with
            for row in origin.unique().tolist():
                places = (origin == row).nonzero().flatten()
                best, flat = total[places].flatten().topk(min(2 * width, total[places].numel()))
                alive = 0
                for value, place in zip(best.tolist(), flat.tolist(), strict=True):
                    hypothesis, word = int(places[place // words]), place % words
                    if word == end:
                        finished[row].append((normalised(value, number + 1, length_penalty), paths[hypothesis]))
                    elif alive < width:
                        keep.append((hypothesis, value, word))
                        alive += 1
                bound = normalised(max(value for h, value, _ in keep if origin[h] == row), steps if length_penalty > 0 else number + 1, length_penalty)  # fmt: skip
                done = len(finished[row]) >= width and max(finished[row])[0] >= bound
                keep = [one for one in keep if origin[one[0]] != row] if done else keep
            if not keep:
                break
            chosen = torch.tensor([one[0] for one in keep])
            paths = [[*paths[h], word] for h, _, word in keep]
            origin, sums = origin[chosen], torch.tensor([one[1] for one in keep], dtype=torch.float64)
            if number + 1 == steps:
                for row, value, path in zip(origin.tolist(), sums.tolist(), paths, strict=True):
                    finished[row].append((normalised(value, steps, length_penalty), path))
                break
            scores, grown = step(torch.tensor([one[2] for one in keep], device=first.device), select(grown, chosen))
        greedy_ones = _greedy_scored(step, first, state, end, steps, length_penalty)
        return [_ranked([*one, other]) for one, other in zip(finished, greedy_ones, strict=True)]


def select(state: Any, rows: Tensor) -> Any:
    """A state of tensors, tuples, lists and None, with these rows of every tensor."""
    if torch.is_tensor(state):
        return state.index_select(0, rows.to(state.device))
    if isinstance(state, tuple):
        parts = [select(one, rows) for one in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return [select(one, rows) for one in state] if isinstance(state, list) else state


def collapsed(scores: Tensor, *, blank: int) -> tuple[Tensor, Tensor]:
    """The best path of a CTC output: log-probabilities (batch, longest, vocab) of its numbers, in nats, and their count (batch).

    scores: (batch, time, vocab). Equal neighbours are one number, then blanks are left out; of the steps of a number the surest one
    tells its chances, `blank` apart. What is behind the count means nothing.
    Source: Graves et al. 2006, "Connectionist Temporal Classification", ICML, best path decoding.
    """
    every = scores.float().log_softmax(-1)
    chance, best = every.max(-1)
    spoken = best != blank
    begins = spoken & (best != nn.functional.pad(best[:, :-1], (1, 0), value=blank))
    place = begins.cumsum(1) * spoken  # 0 is where blanks are put aside
    shape = (len(best), int(begins.sum(1).max()) + 1)
    surest = chance.new_full(shape, -torch.inf).scatter_reduce(1, place, chance, "amax").gather(1, place)
    time = torch.where(chance == surest, torch.arange(best.shape[1], device=best.device), 0)
    step = best.new_zeros(shape).scatter_reduce(1, place, time, "amax")[:, 1:]
    found = every.gather(1, step[..., None].expand(-1, -1, every.shape[-1]))
    found[..., blank] = -torch.inf
    return found.log_softmax(-1), begins.sum(1)


def refined(
    fill: Callable[[Tensor], Tensor],
    chances: Tensor,
    lengths: Tensor,
    *,
    masked: int,
    padding: int,
    never: Sequence[int],
    iterations: int = 1,
    certain: float = 0.9,
) -> Tensor:
    """Numbers (batch, longest): the likeliest by `chances`, the uncertain ones weighed again by what `fill` says given all the others.

    chances: (batch, longest, vocab), in nats. In every iteration after the first, places whose probability is below `certain` are
    masked, and take the number of the highest sum of both log-probabilities. Source: Higuchi et al. 2020, arXiv:2005.08700, who let
    `fill` alone decide; together they were better (LOG.md).
    """
    inside = torch.arange(chances.shape[1], device=lengths.device) < lengths[:, None]
    sure, numbers = chances.max(-1)
    numbers = numbers.masked_fill(~inside, padding)
    with torch.no_grad():
        for _ in range(1, iterations):
            open_ = inside & (sure < math.log(certain))
            if not open_.any():
                break
            scores = fill(numbers.masked_fill(open_, masked)).float()
            scores[..., list(never)] = -torch.inf
            chance, best = (scores.log_softmax(-1) + chances).log_softmax(-1).max(-1)
            numbers, sure = torch.where(open_, best, numbers), torch.where(open_, chance, sure)
    return numbers


def mask_predict(
    fill: Callable[[Tensor], Tensor],
    lengths: Tensor,
    *,
    masked: int,
    padding: int,
    never: Sequence[int],
    iterations: int = 1,
) -> tuple[Tensor, Tensor]:
    """All places at once: numbers (batch, longest) and the mean log-probability of each answer, in nats.

    fill: numbers (batch, time) with `masked` places to scores (batch, time, vocab). With one iteration nothing is refined; with more,
    each one masks the least probable places again, fewer every time. `never` are numbers that no answer may hold.
    Source: Ghazvininejad et al. 2019, arXiv:1904.09324.
    """
    longest = int(lengths.max())
    inside = torch.arange(longest, device=lengths.device) < lengths[:, None]
    numbers = torch.where(inside, masked, padding)
    sure = torch.zeros(numbers.shape, device=lengths.device)
    with torch.no_grad():
        for turn in range(iterations):
            if turn:
                again = (lengths * (1 - turn / iterations)).long().clamp(min=1)
                rank = sure.masked_fill(~inside, torch.inf).argsort(-1).argsort(-1)
                numbers = numbers.masked_fill((rank < again[:, None]) & inside, masked)
            scores = fill(numbers).float()
            scores[..., list(never)] = -torch.inf
            chance, best = scores.log_softmax(-1).max(-1)
            open_ = numbers == masked
            numbers = torch.where(open_, best, numbers)
            sure = torch.where(open_, chance, sure)
    return numbers, (sure * inside).sum(-1) / lengths.clamp(min=1)


def normalised(total: float, length: int, penalty: float) -> float:
    """A sum of log-probabilities over ((5 + length) / 6) ** penalty; the length counts the end mark. Source: Wu et al. 2016, arXiv:1609.08144."""
    return total / ((5 + length) / 6) ** penalty


def _greedy_scored(step: StepFunction, first: Tensor, state: Any, end: int, steps: int, penalty: float) -> list[tuple[float, list[int]]]:  # fmt: skip
    number, totals, open_ = (
        first,
        torch.zeros(len(first), dtype=torch.float64),
        torch.ones(len(first), dtype=torch.bool),
    )
    paths: list[list[int]] = [[] for _ in range(len(first))]
    counts = torch.zeros(len(first), dtype=torch.long)
    for _ in range(steps):
        scores, state = step(number, state)
        chance, number = scores.double().log_softmax(-1).max(-1)
        totals += chance.cpu() * open_
        counts += open_
        for row in (open_ & (number.cpu() != end)).nonzero().flatten().tolist():
            paths[row].append(int(number[row]))
        open_ &= number.cpu() != end
        if not open_.any():
            break
    return [(normalised(float(t), int(c), penalty), path) for t, c, path in zip(totals, counts, paths, strict=True)]


def _ranked(finished: list[tuple[float, list[int]]]) -> list[tuple[list[int], float]]:
    return [(path, score) for score, path in sorted(finished, key=lambda one: one[0], reverse=True)]
