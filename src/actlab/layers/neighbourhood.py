"""What stands next to a token, as the notes' time-delay networks see it: a linear map of a place and those around it."""

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError
from .delay import delayed


class Neighbourhood(nn.Module):
    """A linear map of every place of (batch, time, width) together with the `reach` places on each side, or before it if `causal`.

    The same as a convolution over time of 2 reach + 1 (causal: reach + 1) places. Attention has to learn from positions who is next to
    whom; here it is given. Source: Waibel et al. 1989, IEEE Trans. ASSP 37(3); in a Transformer: Gulati et al. 2020, arXiv:2005.08100.
    """

    def __init__(self, width: int, reach: int, *, causal: bool = False):
        super().__init__()
        if reach < 1:
            raise UsageError(
                say(f"expected a reach of at least 1 place; got {reach}", f"邻域应至少为 1 个位置；得到 {reach}")
            )
        self.reach, self.causal = reach, causal
        self.delays = tuple(range(0 if causal else -reach, reach + 1))
        self.linear = nn.Linear(len(self.delays) * width, width)

    def forward(
        self, x: Tensor, *, inside: Tensor | None = None, before: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The same shape, and the last `reach` places of the input: what a causal layer takes as `before` to go on with the next ones.

        `inside` (batch, time, 1) is True where there is a token; the others count as zero, as all places outside the sequence do.
        """
        x = x if inside is None else x * inside
        whole = x if before is None else torch.cat([before, x], 1)
        return self.linear(delayed(whole, self.delays)[:, whole.shape[1] - x.shape[1] :]), whole[:, -self.reach :]

    def extra_repr(self) -> str:
        """For print(model)."""
        return f"reach={self.reach}, causal={self.causal}"
