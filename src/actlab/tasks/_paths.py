"""Paths of CTC: what all of them to an answer cost, and how many outputs they need."""

import itertools
import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from ..data.pronunciation import Tokens
from ..models.transformer import NEVER, PADDING


def over_paths(scores: Tensor, target: Tensor, *, impossible: float = math.inf) -> Tensor:
    """Minus the log-probability of all paths to each target, in nats (batch); `impossible` (inf or 0) for one too long for its source."""
    chances = scores.float().log_softmax(-1).transpose(0, 1)
    steps = (scores.detach()[..., PADDING + 1 :].amax(-1) > NEVER / 2).sum(1)  # behind a source there are blanks alone
    lengths = (target != PADDING).sum(1)
    return F.ctc_loss(chances, target, steps, lengths, blank=PADDING, reduction="none", zero_infinity=not impossible)


def outputs_needed(pairs: Sequence[tuple[Tokens, Tokens]]) -> int:
    """Outputs for each token of the source, such that a path of CTC exists for 999 pairs of 1,000; equal neighbours need a blank."""
    needed = sorted(-(-(len(b) + sum(x == y for x, y in itertools.pairwise(b))) // len(a)) for a, b in pairs)
    return max(1, needed[int(0.999 * (len(needed) - 1))])
