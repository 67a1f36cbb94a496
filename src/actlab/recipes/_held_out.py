"""Validation examples out of a user's own training data, drawn by a seed."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..data._split import draw, without
from ..train import Parts
from ..train.parts import Part, TensorPart


class Chosen:
    """Some examples of a part."""

    def __init__(self, part: Part, indices: Tensor):
        self._part, self._indices = part, indices
        for name in ("sizes", "tokens"):  # what a part may tell of each example
            if hasattr(part, name):
                setattr(self, name, getattr(part, name)[indices])

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, indices: Tensor) -> tuple[Any, Any]:
        return self._part[self._indices[indices]]


def hold_out(parts: Parts, count: int, seed: int) -> Parts:
    """With `count` training examples, a fifth at most, as validation part; class by class in proportion where labels lie in memory."""
    whole = len(parts.train)
    labels = torch.zeros(whole, dtype=torch.long)
    if isinstance(parts.train, TensorPart):
        targets = parts.train[torch.arange(whole)][1]
        labels = targets if targets.dim() == 1 and not targets.is_floating_point() else labels
    held = draw(labels, min(count, whole // 5), seed)
    return replace(parts, train=Chosen(parts.train, without(whole, held)), validation=Chosen(parts.train, held))
