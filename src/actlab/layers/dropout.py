"""Dropout with a mask that is cheap to draw on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STEPS = 2**16


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """`x` with every element zero with probability `p` and the others over 1 - p; the same shape.

    torch's own on any other device. On a CPU, where torch draws one 53-bit number for each element, four elements share a 64-bit one:
    the probability is then that of the nearest of 65,536 steps, and the scale is that of this probability, so that the mean is kept.
    Source: Srivastava et al. 2014, JMLR 15.
    """
    if not training or p == 0.0 or x.device.type != "cpu" or not x.is_floating_point() or torch.compiler.is_compiling():
        return F.dropout(x, p, training)
    cut = round(p * _STEPS)
    if not 0 < cut < _STEPS:
        return F.dropout(x, p, training)
    count = x.numel()
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    kept = (drawn >= cut - _STEPS // 2).view(x.shape)
    return x * kept.to(x.dtype).mul_(_STEPS / (_STEPS - cut))


class Dropout(nn.Dropout):
    """`nn.Dropout` by `dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape."""
        return super().forward(input) if self.inplace else dropout(input, self.p, self.training)
