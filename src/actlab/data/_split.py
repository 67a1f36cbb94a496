"""Which examples go where: seeded draws that keep the share of every class."""

import numpy as np
import torch
from torch import Tensor


def place_in_class(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """For each example a random place within its class, counted from 0, and the size of the class."""
    names = labels.numpy()
    shuffled = np.random.RandomState(seed % 2**32).permutation(len(names))  # this stream is frozen for good (NEP 19)
    place, size = np.empty(len(names), np.int64), np.empty(len(names), np.int64)
    for name in np.unique(names):
        members = shuffled[names[shuffled] == name]
        place[members], size[members] = np.arange(len(members)), len(members)
    return torch.from_numpy(place), torch.from_numpy(size)


def draw(labels: Tensor, count: int, seed: int) -> Tensor:
    """Indices of `count` examples in ascending order, in which each class has its share of the whole.

    Those nearest to the front of their class, as a share of it. So a smaller draw of the same seed lies within a larger one.
    """
    place, size = place_in_class(labels, seed)
    return ((place + 0.5) / size).argsort(stable=True)[:count].sort().values


def without(count: int, taken: Tensor) -> Tensor:
    """The indices below `count` that are not in `taken`, in ascending order."""
    left = torch.ones(count, dtype=torch.bool)
    left[taken] = False
    return left.nonzero().squeeze(1)
