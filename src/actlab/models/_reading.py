"""What the recurrent networks share: how they take a batch, and how the steps of a sequence become one vector."""

from typing import Literal

import torch
from torch import Tensor

from ..errors import UnknownName

Summary = Literal["none", "mean", "last"]
SUMMARIES = ("none", "mean", "last")
Sequences = Tensor | tuple[Tensor, Tensor]  # (batch, time, features), or these and the length of each


def check(summary: str) -> None:
    """Raises UnknownName for a summary there is not."""
    if summary not in SUMMARIES:
        raise UnknownName("summary", summary, SUMMARIES)


def unpacked(sequences: Sequences) -> tuple[Tensor, Tensor | None]:
    """Values and lengths."""
    return sequences if isinstance(sequences, tuple) else (sequences, None)


def summarised(steps: Tensor, lengths: Tensor | None, summary: str) -> Tensor:
    """(batch, time, features) as they are, their mean over the steps that count, or the last of these: (batch, features)."""
    if summary == "none":
        return steps
    if summary == "last":
        if lengths is None:
            return steps[:, -1]
        return steps[torch.arange(len(steps), device=steps.device), lengths.to(steps.device) - 1]
    if lengths is None:
        return steps.mean(1)
    counts = lengths.to(steps.device)[:, None]
    inside = torch.arange(steps.shape[1], device=steps.device) < counts
    return (steps * inside[..., None]).sum(1) / counts
