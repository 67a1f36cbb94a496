"""Answers of a Transformer to a batch of sources: step by step, or all places at once."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..decoding import collapsed, greedy, hypotheses, mask_predict, normalised, refined
from ..layers._plain import plain
from ..models.transformer import END, MASKED, PADDING, START, UNKNOWN, Transformer
from ._paths import over_paths

_PATHS = 0.3  # the share of the paths' log-probability beside the decoder's


def stepping(model: Transformer, source: Tensor) -> tuple[Any, Any]:
    """A step function with a key-value cache, and its state for a batch of sources."""
    bare = plain(model)
    with torch.no_grad():
        memory, mask = model.encode(source)
        barred = torch.zeros(model.output.out_features, device=source.device)
        barred[[PADDING, UNKNOWN, START, MASKED]] = -torch.inf

    @torch.inference_mode(bare is not model)  # not where somebody looks on, who might keep what he sees
    def step(number: Tensor, state: Any) -> tuple[Tensor, Any]:
        memory, mask, caches = state
        scores, caches = bare.decode(number[:, None].to(source.device), memory, mask, caches=caches)
        return scores[:, -1] + barred, (memory, mask, caches)

    return step, (memory, None if mask.all() else mask, None)


@torch.no_grad()
def answer_by_steps(model: Transformer, source: Tensor, *, width: int | None, length_penalty: float) -> list[list[int]]:
    """Greedy answers, or with a `width` those of the beam; at most four times as long as the source and ten more.

    Of a network with paths, the beam's answer that decoder and paths together find likeliest (Watanabe et al. 2017).
    """
    step, state = stepping(model, source)
    first = torch.full((len(source),), START, device=source.device)
    steps = min(model.longest - 1, 4 * source.shape[1] + 10)
    if width is None:
        return greedy(step, first, state, end=END, steps=steps)
    found = hypotheses(step, first, state, end=END, steps=steps, width=width, length_penalty=length_penalty)
    if model.paths is not None:
        found = _agreed(model.path_scores(state[0], (source != PADDING)[:, None]), found, length_penalty)
    return [max(one, key=lambda pair: pair[1])[0] for one in found]


def _agreed(
    scores: Tensor, found: list[list[tuple[list[int], float]]], length_penalty: float
) -> list[list[tuple[list[int], float]]]:
    """The hypotheses of each row with the log-probability of their paths added, by its share."""
    rows = torch.tensor([row for row, one in enumerate(found) for _ in one], device=scores.device)
    answers = [torch.tensor(path, dtype=torch.long) for one in found for path, _ in one]
    targets = pad_sequence(answers, batch_first=True).to(scores.device)
    costs = iter(over_paths(scores[rows], targets).tolist())
    return [
        [(path, (1 - _PATHS) * score + _PATHS * normalised(-next(costs), len(path) + 1, length_penalty)) for path, score in one]
        for one in found
    ]  # fmt: skip


def places_of(source: int, stretch: float, longest: int | None = None) -> int:
    """Places for an answer that its first end mark ends: `stretch` for each token of the source and two more."""
    places = int(source * stretch) + 2
    return places if longest is None else min(places, longest)


def answer_at_once(model: Transformer, source: Tensor, *, iterations: int, candidates: int = 3, stretch: float | None = None) -> list[list[int]]:  # fmt: skip
    """All places at once, in one pass or with `iterations` of mask-predict.

    Without `stretch`: of a few lengths the one that is likeliest together with its tokens, with one iteration the likeliest length.
    (By the mean log-probability of the tokens alone, as published, three lengths were worse than one: word errors 44 % against 33 %.)
    With `stretch`: what stands before the first end mark. Of a network with paths: the best path, refined where it is uncertain.
    """
    with torch.no_grad():
        memory, mask = model.encode(source)

        def look(target: Tensor) -> Tensor:
            return model.decode(target, memory, mask)[0]

        def fill(lengths: Tensor, never: tuple[int, ...]) -> tuple[Tensor, Tensor]:
            return mask_predict(look, lengths, masked=MASKED, padding=PADDING, never=never, iterations=iterations)

        never = (PADDING, UNKNOWN, START, MASKED)
        if model.paths is not None:
            scores = model.path_scores(memory, mask)
            scores[..., [*never[1:], END]] = -torch.inf
            chances, lengths = collapsed(scores, blank=PADDING)
            numbers = refined(look, chances, lengths, masked=MASKED, padding=PADDING, never=(*never, END), iterations=iterations)  # fmt: skip
            return [row[:n] for row, n in zip(numbers.tolist(), lengths.tolist(), strict=True)]
        if stretch is not None:
            lengths = (source != PADDING).sum(1)
            lengths = torch.tensor([places_of(one, stretch, model.longest) for one in lengths.tolist()]).to(
                source.device
            )
            return [
                _before_end(row[:n]) for row, n in zip(fill(lengths, never)[0].tolist(), lengths.tolist(), strict=True)
            ]
        longest = min(model.longest, 2 * source.shape[1] + 10)
        chances = model.lengths(memory, mask)[:, 1:longest].log_softmax(-1)
        tried = chances.topk(min(candidates if iterations > 1 else 1, longest - 1))
        best: list[tuple[float, list[int]]] = [(-torch.inf, [])] * len(source)
        for place, chance in zip(tried.indices.unbind(1), tried.values.unbind(1), strict=True):
            lengths = place + 1
            numbers, score = fill(lengths, (*never, END))
            together = (score * lengths + chance).tolist()
            for row, (value, answer, length) in enumerate(
                zip(together, numbers.tolist(), lengths.tolist(), strict=True)
            ):
                if value > best[row][0]:
                    best[row] = (value, answer[:length])
    return [answer for _, answer in best]


def _before_end(numbers: list[int]) -> list[int]:
    return numbers[: numbers.index(END)] if END in numbers else numbers
