"""Sequence to sequence: letters to phonemes, one token after the other or all places at once."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .._language import say
from ..data import translation
from ..data.pronunciation import PairData, Tokens, load
from ..errors import ActlabError, UsageError
from ..models.transformer import START
from ..records import DataFacts
from ..train.parts import Forward, Part, Parts, Scores, module_of
from . import made_of
from ._pairs import PairLoss, PairPart
from ._paths import outputs_needed
from ._side import Side
from .answering import answer_at_once, answer_by_steps, places_of

MODES = ("greedy", "beam", "parallel", "refine")
_FILE = "tokens.json"
_AT_ONCE = 256  # sequences decoded together


class Transduction:
    """The task. Scores: token error rate (of phonemes, `per`) and the share of words with any error (`wer`), against the nearest reference.

    Without autoregression a classifier gives the answer's length, or with `stretch` the first end mark among so many places for each
    token of the source, or the best of the `paths` through so many outputs for each token.
    """

    def __init__(
        self,
        source: Sequence[str],
        target: Sequence[str],
        *,
        autoregressive: bool,
        sentences: bool = False,
        source_pieces: str | None = None,
        target_pieces: str | None = None,
        stretch: float | None = None,
        paths: int = 0,
        ctc: float = 1.0,
        data: PairData | None = None,
        smoothing: float = 0.0,
    ):
        self.source, self.target = Side(source, source_pieces), Side(target, target_pieces)
        self.autoregressive, self.stretch, self.paths = autoregressive, stretch, paths
        self.sentences, self.data = sentences, data
        self.loss = PairLoss(smoothing, ctc)

    @classmethod
    def open(
        cls, source: str, *, stress: bool, reverse: bool, limit: int | None, seed: int, autoregressive: bool, smoothing: float,
        pieces: int | None = None, lengths: str = "classifier", ctc: float = 0.0,
    ) -> "Transduction":  # fmt: skip
        """From pairs by name or file: sentences in a .txt or .tsv file, words in any other."""
        if source == "tatoeba" or Path(source).suffix in (".txt", ".tsv"):
            data = translation.load(source, reverse=reverse, limit=limit, seed=seed)
        else:
            data = load(source, stress=stress, limit=limit, seed=seed)
        given = {one for one, _ in data.train}
        one, other = Side.of(sorted(given), pieces), Side.of([answer for _, answer in data.train], pieces)
        stretch, paths = None, 0
        if ctc if autoregressive else lengths == "ctc":
            paths = outputs_needed([(one.split(a), other.split(b)) for a, b in data.train])
        if lengths == "end" and not autoregressive:
            shares = [(len(other.split(b)) + 1) / len(one.split(a)) for a, b in data.train]
            stretch = float(torch.tensor(shares).quantile(0.999)) if len(shares) < 10**6 else max(shares)
        return cls(
            one.names, other.names, autoregressive=autoregressive, sentences=data.sentences, data=data, smoothing=smoothing,
            source_pieces=one.state, target_pieces=other.state, stretch=stretch, paths=paths, ctc=ctc if autoregressive else 1.0,
        )  # fmt: skip

    @classmethod
    def reopen(cls, directory: Path) -> "Transduction":
        """From a run directory, without data."""
        return made_of(directory, _FILE, lambda found: cls(**found))

    def take(self, other: "Transduction") -> None:
        """Read other pairs with these tokens."""
        self.data = other.data

    def learn_from(self, teacher: "Transduction", model: Any) -> None:
        """Put the answers of a trained network in place of the training targets, one for each source."""
        assert self.data is not None
        sources = list(dict.fromkeys(one for one, _ in self.data.train))
        mode = "greedy" if teacher.autoregressive else "refine"
        answers = teacher.decode(model, [teacher.source.encode(one) for one in sources], mode)
        pairs = ((one, tuple(teacher.target.text(answer)) if self.sentences else answer) for one, answer in zip(sources, answers, strict=True))  # fmt: skip
        self.data = dataclasses.replace(self.data, train=tuple(pair for pair in pairs if pair[1]))

    def files(self) -> dict[str, str]:
        """The tokens."""
        found = {
            "source": self.source.names,
            "target": self.target.names,
            "autoregressive": self.autoregressive,
            "sentences": self.sentences,
            "source_pieces": self.source.state,
            "target_pieces": self.target.state,
            "stretch": self.stretch,
            "paths": self.paths,
        }
        return {_FILE: json.dumps(found, ensure_ascii=False) + "\n"}

    def offered(self, model: str) -> dict[str, Any]:
        """Sizes of the vocabularies, and what kind of decoder it is to be."""
        return {
            "source_words": len(self.source),
            "target_words": len(self.target),
            "autoregressive": self.autoregressive,
            "length_classifier": self.stretch is None and not self.paths,
            "paths": self.paths,
        }

    def parts(self) -> Parts:
        """Three parts, batched by like lengths."""
        data = self.data
        assert data is not None
        made = {}
        for name in ("train", "validation", "test"):
            pairs = [(self.source.encode(one), self.target.encode(other)) for one, other in getattr(data, name)]
            made[name] = PairPart(
                pairs, [one for one, _ in getattr(data, name)],
                autoregressive=self.autoregressive, training=name == "train", stretch=self.stretch, paths=self.paths > 0,
            )  # fmt: skip
        facts = DataFacts(
            name=data.name,
            sizes={name: len(part) for name, part in made.items()},
            licence=data.licence,
            attribution=data.attribution,
        )
        scores = Scores(self._measure, "chrf") if self.sentences else Scores(self._measure, "wer", lowest=True)
        return Parts(made["train"], made["validation"], made["test"], facts=facts, scores=scores)

    def _measure(self, forward: Forward, part: Part) -> dict[str, float]:
        assert isinstance(part, PairPart) and self.data is not None
        sources = [source for source, _ in part.pairs]
        mode = "greedy" if self.autoregressive else "refine"
        found = self.decode(module_of(forward), sources, mode)
        return self.likeness(part.words, found) if self.sentences else self.errors(part.words, found)

    def errors(self, sources: Sequence[Tokens], found: Sequence[Tokens]) -> dict[str, float]:
        """`per`: edits over reference tokens; `wer`: share of sources whose answer is no reference."""
        assert self.data is not None
        edits, tokens, wrong = 0, 0, 0
        for source, answer in zip(sources, found, strict=True):
            count, length = min((edit_distance(answer, one), len(one)) for one in self.data.references[source])
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
        assert self.data is not None
        every = [self.data.references[source] for source in sources]
        most = max(map(len, every))
        answers = [self.target.text(one) for one in found]
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
                    answers = answer_at_once(
                        model, batch, iterations=iterations if mode == "refine" else 1, stretch=self.stretch
                    )
                for row, answer in zip(rows, answers, strict=True):
                    found[row] = self.target.tokens(answer)
        finally:
            model.train(training)
        return found

    def look(self, model: Any, source: Tensor, answer: Tokens) -> Tensor:
        """How the last decoder layer looks at the source while it writes (or has written) the answer: (answer, source), mean of the heads."""
        numbers = self.target.numbers(answer)
        given = torch.cat([torch.tensor([START]), numbers]) if self.autoregressive else numbers
        found: list[Tensor] = []
        with torch.no_grad():
            memory, mask = model.encode(source[None])
            model.decode(given[None], memory, mask, weights=found)
        return found[-1][0].mean(0)

    def split(self, model: Any, text: str) -> Tensor:
        """A word or sentence as numbers; raises UsageError for an empty one, one too long, or one without a known letter."""
        text = text.strip() if self.sentences else text.strip().lower()
        tokens = self.source.split(text) if text else ()
        if not any(map(self.source.known, tokens)):
            raise UsageError(
                say(
                    f"expected text in letters that the network has seen in training; got '{text}'",
                    f"需要由训练中见过的字母组成的文本；得到“{text}”",
                )
            )
        longest = model.longest // max(2, self.paths)
        longest = longest if self.stretch is None else places_of(model.longest, 1 / self.stretch, model.longest)
        if len(tokens) > longest:
            raise UsageError(
                say(
                    f"expected at most {longest} letters or pieces; got {len(tokens)}: shorten the text",
                    f"最多 {longest} 个字母或词片；得到 {len(tokens)} 个：请缩短文本",
                )
            )
        return self.source.numbers(tokens)


def edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Fewest insertions, deletions and substitutions that turn one into the other. Source: Levenshtein 1966."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (one != other))
    return row[-1]
