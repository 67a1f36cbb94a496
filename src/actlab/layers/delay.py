"""Tapped delay lines: the last steps of a signal side by side, the memory of a TDNN and of a NARX network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError


def delayed(signal: Tensor, delays: Sequence[int]) -> Tensor:
    """`signal` (batch, time, features) at each of `delays` steps ago, side by side: (batch, time, delays * features).

    Steps before the first are zero. A negative delay looks ahead; steps after the last are zero. The features of the first delay
    come first.
    """
    longest, farthest = max(0, *delays), max(0, *(-one for one in delays))
    padded = nn.functional.pad(signal, (0, 0, longest, farthest))
    steps = signal.shape[1]
    return torch.cat([padded[:, longest - one : longest - one + steps] for one in delays], dim=-1)


class TappedDelay(nn.Module):
    """The delay line as a layer. `delays` counts steps back: (0, 1, 2) sees the present and the two steps before it.

    Source: Waibel et al. 1989, "Phoneme Recognition Using Time-Delay Neural Networks", IEEE Trans. ASSP 37(3).
    """

    def __init__(self, delays: Sequence[int]):
        super().__init__()
        if not delays or any(type(one) is not int for one in delays) or len(set(delays)) != len(delays):
            raise UsageError(
                say(
                    f"delays: expected different whole numbers of steps, such as (0, 1, 2); got {delays!r}",
                    f"delays：应为互不相同的整数步数，如 (0, 1, 2)；得到 {delays!r}",
                )
            )
        self.delays = tuple(delays)

    def forward(self, signal: Tensor) -> Tensor:
        """(batch, time, features) to (batch, time, delays * features)."""
        return delayed(signal, self.delays)

    def extra_repr(self) -> str:
        """For print(model)."""
        return f"delays={self.delays}"
