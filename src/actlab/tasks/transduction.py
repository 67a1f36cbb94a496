"""Sequence to sequence: letters to phonemes, one token after the other or all places at once."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from .._language import say
from ..data import translation
from ..data.pronunciation import PairData, Tokens, load
from ..decoding import beam, greedy, mask_predict
from ..errors import ActlabError, UsageError
from ..models.transformer import END, MASKED, PADDING, START, UNKNOWN, Transformer
from ..records import DataFacts
from ..train.parts import Forward, Part, Parts, Scores, module_of
from . import made_of

SPECIAL = ("<padding>", "<unknown>", "<start>", "<end>", "<masked>")
MODES = ("greedy", "beam", "parallel", "refine")
_FILE = "tokens.json"
_IGNORED = -100
_AT_ONCE = 256  # sequences decoded together


class PairPart:
    """Pairs as numbers. For a network that goes token by token: ((source, start + target), target + end).

    Without autoregression: ((source, target with masked places), (the tokens at these places, length)); a part for training masks as many
    places as it draws, from one to all, any other part all of them.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Tensor, Tensor]],
        words: Sequence[Tokens] = (),
        *,
        autoregressive: bool,
        training: bool,
    ):
        self.pairs, self.words = pairs, words
        self.sizes = torch.tensor([100 * len(source) + len(target) for source, target in pairs])
        self._autoregressive, self._training = autoregressive, training

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, indices: Tensor) -> tuple[Any, Any]:
        chosen = [self.pairs[number] for number in indices.tolist()]
        source = pad_sequence([one for one, _ in chosen], batch_first=True)
        if self._autoregressive:
            start, end = torch.tensor([START]), torch.tensor([END])
            given = pad_sequence([torch.cat([start, one]) for _, one in chosen], batch_first=True)
            wanted = pad_sequence(
                [torch.cat([one, end]) for _, one in chosen], batch_first=True, padding_value=_IGNORED
            )
            return (source, given), wanted
        target = pad_sequence([one for _, one in chosen], batch_first=True)
        length = torch.tensor([len(one) for _, one in chosen])
        hidden = target != PADDING
        if self._training:
            count = (torch.rand(len(target)) * length).floor().long() + 1
            rank = torch.rand(target.shape).masked_fill(~hidden, 2.0).argsort(-1).argsort(-1)
            hidden &= rank < count[:, None]
        return (source, target.masked_fill(hidden, MASKED)), (target.masked_fill(~hidden, _IGNORED), length)


class PairLoss:
    """Cross-entropy summed over the tokens of an answer, in nats per answer, with label smoothing.

    Without autoregression that of its length is added.
    """

    def __init__(self, smoothing: float):
        self.smoothing = smoothing

    @property
    def plain(self) -> "PairLoss":
        """Without smoothing, for evaluation."""
        return PairLoss(0.0)

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        scores, wanted = (outputs[0], targets[0]) if isinstance(outputs, tuple) else (outputs, targets)
        tokens = F.cross_entropy(
            scores.flatten(0, 1),
            wanted.flatten(),
            ignore_index=_IGNORED,
            label_smoothing=self.smoothing,
            reduction="sum",
        )
        loss = tokens / len(wanted)
        return loss + F.cross_entropy(outputs[1], targets[1]) if isinstance(outputs, tuple) else loss


class Transduction:
    """The task. Scores: token error rate (of phonemes, `per`) and the share of words with any error (`wer`), against the nearest reference."""

    def __init__(self, source: Sequence[str], target: Sequence[str], *, autoregressive: bool, sentences: bool = False, data: PairData | None = None, smoothing: float = 0.0):  # fmt: skip
        self.source, self.target, self.autoregressive = tuple(source), tuple(target), autoregressive
        self._source = {name: number for number, name in enumerate(self.source)}
        self._target = {name: number for number, name in enumerate(self.target)}
        self.sentences, self._data = sentences, data
        self.loss = PairLoss(smoothing)

    @classmethod
    def open(cls, source: str, *, stress: bool, reverse: bool, limit: int | None, seed: int, autoregressive: bool, smoothing: float) -> "Transduction":  # fmt: skip
        """From pairs by name or file: sentences in a .txt or .tsv file, words in any other."""
        if source == "tatoeba" or Path(source).suffix in (".txt", ".tsv"):
            data = translation.load(source, reverse=reverse, limit=limit, seed=seed)
        else:
            data = load(source, stress=stress, limit=limit, seed=seed)
        letters = sorted({one for word, _ in data.train for one in word})
        phonemes = sorted({one for _, spoken in data.train for one in spoken})
        return cls(
            (*SPECIAL, *letters),
            (*SPECIAL, *phonemes),
            autoregressive=autoregressive,
            sentences=data.sentences,
            data=data,
            smoothing=smoothing,
        )

    @classmethod
    def reopen(cls, directory: Path) -> "Transduction":
        """From a run directory, without data."""
        return made_of(directory, _FILE, lambda found: cls(**found))

    def take(self, other: "Transduction") -> None:
        """Read other pairs with these tokens."""
        self._data = other._data

    def files(self) -> dict[str, str]:
        """The tokens."""
        found = {
            "source": self.source,
            "target": self.target,
            "autoregressive": self.autoregressive,
            "sentences": self.sentences,
        }
        return {_FILE: json.dumps(found, ensure_ascii=False) + "\n"}

    def offered(self, model: str) -> dict[str, Any]:
        """Sizes of the vocabularies."""
        return {
            "source_words": len(self.source),
            "target_words": len(self.target),
            "autoregressive": self.autoregressive,
        }

    def encode(self, tokens: Sequence[str]) -> Tensor:
        """Numbers of source tokens."""
        return torch.tensor([self._source.get(one, UNKNOWN) for one in tokens], dtype=torch.long)

    def parts(self) -> Parts:
        """Three parts, batched by like lengths."""
        data = self._data
        assert data is not None
        made = {}
        for name in ("train", "validation", "test"):
            pairs = [
                (self.encode(s), torch.tensor([self._target.get(one, UNKNOWN) for one in t]))
                for s, t in getattr(data, name)
            ]
            made[name] = PairPart(
                pairs, [s for s, _ in getattr(data, name)], autoregressive=self.autoregressive, training=name == "train"
            )
        facts = DataFacts(
            name=data.name,
            sizes={name: len(part) for name, part in made.items()},
            licence=data.licence,
            attribution=data.attribution,
        )
        return Parts(made["train"], made["validation"], made["test"], facts=facts, scores=Scores(self._measure, "chrf") if self.sentences else Scores(self._measure, "wer", lowest=True))  # fmt: skip

    def _measure(self, forward: Forward, part: Part) -> dict[str, float]:
        assert isinstance(part, PairPart) and self._data is not None
        sources = [source for source, _ in part.pairs]
        mode = "greedy" if self.autoregressive else "refine"
        found = self.decode(module_of(forward), sources, mode)
        return self.likeness(part.words, found) if self.sentences else self.errors(part.words, found)

    def errors(self, sources: Sequence[Tokens], found: Sequence[Tokens]) -> dict[str, float]:
        """`per`: edits over reference tokens; `wer`: share of sources whose answer is no reference."""
        assert self._data is not None
        edits, tokens, wrong = 0, 0, 0
        for source, answer in zip(sources, found, strict=True):
            count, length = min((edit_distance(answer, one), len(one)) for one in self._data.references[source])
            edits, tokens, wrong = edits + count, tokens + length, wrong + (count > 0)
        return {"wer": wrong / len(found), "per": edits / tokens}

    def likeness(self, sources: Sequence[Tokens], found: Sequence[Tokens]) -> dict[str, float]:
        """chrF and BLEU by sacrebleu, in per cent, against all translations there are; Chinese by characters."""
        try:
            import sacrebleu
        except ImportError:
            raise ActlabError(
                say(
                    "translations are scored by sacrebleu, which is not installed; run: pip install 'actlab[sequences]'",
                    "翻译由 sacrebleu 评分，但尚未安装；请运行：pip install 'actlab[sequences]'",
                )
            ) from None
        assert self._data is not None
        every = [self._data.references[source] for source in sources]
        most = max(map(len, every))
        answers = ["".join(one) for one in found]
        columns = [["".join(one[min(number, len(one) - 1)]) for one in every] for number in range(most)]
        chinese = any("\u4e00" <= letter <= "\u9fff" for letter in "".join(columns[0]))
        return {
            "chrf": sacrebleu.corpus_chrf(answers, columns).score,
            "bleu": sacrebleu.corpus_bleu(answers, columns, tokenize="zh" if chinese else "13a").score,
        }

    def decode(
        self,
        model: Any,
        sources: Sequence[Tensor],
        mode: str,
        *,
        width: int = 5,
        length_penalty: float = 0.6,
        iterations: int = 4,
    ) -> list[Tokens]:
        """Answers: "greedy" and "beam" for a network that goes token by token, "parallel" and "refine" for one that does not."""
        allowed = MODES[:2] if self.autoregressive else MODES[2:]
        if mode not in allowed:
            raise UsageError(
                say(
                    f"this network decodes by {' or '.join(allowed)}; got '{mode}'",
                    f"此网络的解码方式为 {' 或 '.join(allowed)}；得到“{mode}”",
                )
            )
        training = model.training
        found: list[Tokens] = [()] * len(sources)
        model.eval()
        try:
            order = sorted(range(len(sources)), key=lambda number: len(sources[number]))
            for begin in range(0, len(order), _AT_ONCE):
                rows = order[begin : begin + _AT_ONCE]
                batch = pad_sequence([sources[row] for row in rows], batch_first=True).to(
                    next(model.parameters()).device
                )
                if self.autoregressive:
                    answers = answer_by_steps(
                        model, batch, width=width if mode == "beam" else None, length_penalty=length_penalty
                    )
                else:
                    answers = answer_at_once(model, batch, iterations=iterations if mode == "refine" else 1)
                for row, answer in zip(rows, answers, strict=True):
                    found[row] = tuple(self.target[number] for number in answer)
        finally:
            model.train(training)
        return found

    def look(self, model: Any, source: Tensor, answer: Tokens) -> Tensor:
        """How the last decoder layer looks at the source while it writes (or has written) the answer: (answer, source), mean of the heads."""
        numbers = torch.tensor([self._target[one] for one in answer])
        given = torch.cat([torch.tensor([START]), numbers]) if self.autoregressive else numbers
        found: list[Tensor] = []
        with torch.no_grad():
            memory, mask = model.encode(source[None])
            model.decode(given[None], memory, mask, weights=found)
        return found[-1][0].mean(0)

    def split(self, model: Any, word: str) -> Tensor:
        """A word as numbers; raises UsageError for an empty one, one too long, or one without a known letter."""
        word = word.strip() if self.sentences else word.strip().lower()
        known = [one for one in word if one in self._source]
        if not word or not known:
            raise UsageError(
                say(f"expected a word in known letters; got '{word}'", f"需要由已知字母组成的词；得到“{word}”")
            )
        if len(word) > model.longest // 2:
            raise UsageError(
                say(
                    f"expected a word of at most {model.longest // 2} letters; got {len(word)}",
                    f"词最多 {model.longest // 2} 个字母；得到 {len(word)} 个",
                )
            )
        return self.encode(word)


def stepping(model: Transformer, source: Tensor) -> tuple[Any, Any]:
    """A step function with a key-value cache, and its state for a batch of sources."""
    with torch.no_grad():
        memory, mask = model.encode(source)

    def step(number: Tensor, state: Any) -> tuple[Tensor, Any]:
        memory, mask, caches = state
        scores, caches = model.decode(number[:, None].to(source.device), memory, mask, caches=caches)
        scores = scores[:, -1].clone()
        scores[:, [PADDING, UNKNOWN, START, MASKED]] = -torch.inf
        return scores, (memory, mask, caches)

    return step, (memory, mask, None)


def answer_by_steps(model: Transformer, source: Tensor, *, width: int | None, length_penalty: float) -> list[list[int]]:
    """Greedy answers, or with a `width` those of the beam; at most four times as long as the source and ten more."""
    step, state = stepping(model, source)
    first = torch.full((len(source),), START, device=source.device)
    steps = min(model.longest - 1, 4 * source.shape[1] + 10)
    if width is None:
        return greedy(step, first, state, end=END, steps=steps)
    return [
        path for path, _ in beam(step, first, state, end=END, steps=steps, width=width, length_penalty=length_penalty)
    ]


def answer_at_once(model: Transformer, source: Tensor, *, iterations: int, candidates: int = 3) -> list[list[int]]:
    """The answer of the likeliest of a few lengths, by the mean log-probability of its tokens; with one iteration the likeliest length."""
    with torch.no_grad():
        memory, mask = model.encode(source)
        longest = min(model.longest, 2 * source.shape[1] + 10)
        tried = model.lengths(memory, mask)[:, 1:longest].topk(candidates if iterations > 1 else 1).indices + 1
        best: list[tuple[float, list[int]]] = [(-torch.inf, [])] * len(source)
        for lengths in tried.unbind(1):
            numbers, score = mask_predict(
                lambda target: model.decode(target, memory, mask)[0], lengths, masked=MASKED, padding=PADDING,
                never=(PADDING, UNKNOWN, START, END, MASKED), iterations=iterations,
            )  # fmt: skip
            for row, (value, answer, length) in enumerate(
                zip(score.tolist(), numbers.tolist(), lengths.tolist(), strict=True)
            ):
                if value > best[row][0]:
                    best[row] = (value, answer[:length])
    return [answer for _, answer in best]


def edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Fewest insertions, deletions and substitutions that turn one into the other. Source: Levenshtein 1966."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (one != other))
    return row[-1]
