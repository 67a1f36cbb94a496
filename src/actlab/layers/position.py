"""Where a token stands: sinusoids or learnt vectors added to it, or a rotation of queries and keys."""

import math

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UnknownName, UsageError

KINDS = ("sinusoidal", "learned", "rotary", "none")


def sinusoids(time: int, width: int, *, device: torch.device | None = None) -> Tensor:
    """(time, width): sin(t / 10000^(2i / width)) at even places and the cosine at odd ones. Source: Vaswani et al. 2017, section 3.5."""
    even = torch.arange(0, width, 2, device=device, dtype=torch.float64)
    angle = torch.arange(time, device=device, dtype=torch.float64)[:, None] * torch.exp(
        even * (-math.log(10000.0) / width)
    )
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :width].float()


class Positions(nn.Module):
    """Adds to (batch, time, width) the vectors of the positions from `start` on; "rotary" and "none" add nothing."""

    def __init__(self, kind: str, width: int, *, longest: int = 512):
        super().__init__()
        if kind not in KINDS:
            raise UnknownName(say("positions", "位置编码"), kind, KINDS)
        self.kind, self.longest = kind, longest
        if kind == "learned":
            self.table = nn.Parameter(torch.randn(longest, width) * 0.02)
        elif kind == "sinusoidal":
            self.register_buffer("table", sinusoids(longest, width), persistent=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """The same shape; raises UsageError beyond the longest position."""
        end = start + x.shape[1]
        if end > self.longest and self.kind != "none":
            raise UsageError(
                say(
                    f"expected at most {self.longest} positions; got {end}: shorten the input or build the network with longest={end}",
                    f"最多 {self.longest} 个位置；得到 {end} 个：请缩短输入，或以 longest={end} 构造网络",
                )
            )
        return x + self.table[start:end].to(x.dtype) if self.kind in ("learned", "sinusoidal") else x


def rotated(x: Tensor, start: int = 0) -> Tensor:
    """Queries or keys (batch, head, time, width) turned by an angle that grows with the position, so that only distances count.

    Pairs are the two halves of the width. Source: Su et al. 2021, arXiv:2104.09864.
    """
    half = x.shape[-1] // 2
    precise = {"device": x.device, "dtype": torch.float32 if x.device.type == "mps" else torch.float64}
    frequency = torch.exp(torch.arange(half, **precise) * (-math.log(10000.0) / half))
    angle = torch.arange(start, start + x.shape[-2], **precise)[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half : 2 * half]
    return torch.cat([a * cos - b * sin, a * sin + b * cos, x[..., 2 * half :]], -1)
