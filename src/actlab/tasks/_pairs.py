"""Pairs of sequences in batches, and the loss over them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ..data.pronunciation import Tokens
from ..models.transformer import END, MASKED, PADDING, START
from ._paths import over_paths
from .answering import places_of

_IGNORED = -100


class PairPart:
    """Pairs as numbers. For a network that goes token by token: ((source, start + target), target + end), with `paths` (target + end, target).

    Without autoregression: ((source, target with masked places), (the tokens at these places, length)), or with `stretch`, which fills
    the places after the target with end marks, the tokens alone, or with `paths` ((the tokens at these places, the whole target). A part for training masks as many places as it draws, from one to all,
    any other part all of them.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Tensor, Tensor]],
        words: Sequence[Tokens] = (),
        *,
        autoregressive: bool,
        training: bool,
        stretch: float | None = None,
        paths: bool = False,
    ):
        self.pairs, self.words = pairs, words
        self.sizes = torch.tensor([100 * len(source) + len(target) for source, target in pairs])
        self.tokens = torch.tensor([len(source) + len(target) for source, target in pairs])
        self._autoregressive, self._training, self._stretch, self._paths = autoregressive, training, stretch, paths

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, indices: Tensor) -> tuple[Any, Any]:
        chosen = [self.pairs[number] for number in indices.tolist()]
        source = pad_sequence([one for one, _ in chosen], batch_first=True)
        if self._autoregressive:
            target = pad_sequence([one for _, one in chosen], batch_first=True)
            length = torch.tensor([len(one) for _, one in chosen])[:, None]
            given = F.pad(target, (1, 0), value=START)
            place = torch.arange(given.shape[1])
            wanted = F.pad(target, (0, 1)).masked_fill_(place == length, END).masked_fill_(place > length, _IGNORED)
            return (source, given), (wanted, target) if self._paths else wanted
        targets = [one if self._stretch is None else self._with_ends(*pair) for pair in chosen for one in pair[1:]]
        target = pad_sequence(targets, batch_first=True)
        length = torch.tensor([len(one) for one in targets])
        hidden = target != PADDING
        if self._training:
            count = (torch.rand(len(target)) * length).floor().long() + 1
            rank = torch.rand(target.shape).masked_fill(~hidden, 2.0).argsort(-1).argsort(-1)
            hidden &= rank < count[:, None]
        given, wanted = target.masked_fill(hidden, MASKED), target.masked_fill(~hidden, _IGNORED)
        if self._paths:
            return (source, given), (wanted, target)
        return (source, given), wanted if self._stretch is not None else (wanted, length)

    def _with_ends(self, source: Tensor, target: Tensor) -> Tensor:
        assert self._stretch is not None
        places = places_of(len(source), self._stretch)
        return torch.cat([target, torch.full((places,), END)])[:places]


class PairLoss:
    """Cross-entropy summed over the tokens of an answer, in nats per answer, with label smoothing.

    Without autoregression that of its length is added. Of a network with paths, minus the log-probability of all paths to the answer is
    added, times `ctc`.
    """

    def __init__(self, smoothing: float, ctc: float = 1.0):
        self.smoothing, self.ctc = smoothing, ctc

    @property
    def plain(self) -> "PairLoss":
        """Without smoothing, for evaluation."""
        return PairLoss(0.0, self.ctc)

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
        if not isinstance(outputs, tuple):
            return loss
        if outputs[1].dim() == 3:
            return loss + self.ctc * over_paths(outputs[1], targets[1], impossible=0.0).mean()
        return loss + F.cross_entropy(outputs[1], targets[1])
