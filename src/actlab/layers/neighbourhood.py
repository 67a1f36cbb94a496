"""What stands next to a token, given to it before any attention: a time-delay layer with a residual."""

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError
from .delay import delayed


class Neighbourhood(nn.Module):
    """Adds to every place of (batch, time, width) a linear map of itself and of the `reach` places on each side, or before it if `causal`.

    Attention has to learn from positions which tokens are neighbours; here it is given. The same as a convolution over time of
    2 reach + 1 (causal: reach + 1) places. Source: Waibel et al. 1989, IEEE Trans. ASSP 37(3); before attention: Gulati et al. 2020,
    arXiv:2005.08100.
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

    def forward(self, x: Tensor, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same shape, and the last `reach` places of the input, which a causal layer takes as `before` when it goes on with what follows.

        Places without a token must be zero, as those outside the sequence are.
        """
        whole = x if before is None else torch.cat([before, x], 1)
        return x + self.linear(delayed(whole, self.delays))[:, whole.shape[1] - x.shape[1] :], whole[:, -self.reach :]

    def extra_repr(self) -> str:
        """For print(model)."""
        return f"reach={self.reach}, causal={self.causal}"
