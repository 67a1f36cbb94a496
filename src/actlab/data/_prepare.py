"""From a batch of bytes to what a network reads: augment, resize, normalise."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from actlab._language import say
from actlab.errors import UsageError

from ._augment import Augment
from ._resize import resize_to_floats


@dataclass(frozen=True)
class Prepare:
    """`prepare(images, training)`: float32 of (pixel / 255 - mean) / std, resized to `size`, augmented when training.

    Augmentation works before resizing, where a 28x28 batch is 64 times smaller than at 224x224. With the default mean and std
    the result is bit for bit what Pillow's resize and torchvision's ToTensor give.
    """

    size: int | None = None  # None leaves images as large as they are
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    augment: Augment | None = None

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise UsageError(
                say(
                    f"prepare: mean and std must be of equal length and std above 0; got {self.mean} and {self.std}",
                    f"prepare：mean 与 std 应等长且 std 大于 0，实际为 {self.mean} 和 {self.std}",
                )
            )

    def __call__(self, images: Tensor, training: bool = False) -> Tensor:
        if len(self.mean) not in (1, images.shape[1]):
            raise UsageError(
                say(
                    f"prepare: expected images of {len(self.mean)} channels, one for each mean; got {images.shape[1]}",
                    f"prepare：图像应有 {len(self.mean)} 个通道（每个 mean 一个），实际为 {images.shape[1]}",
                )
            )
        if training and self.augment is not None:
            images = self.augment(images)
        values = images.to(torch.float32) if self.size is None else resize_to_floats(images, self.size)
        if set(self.mean) == {0.0} and set(self.std) == {1.0}:
            return values.div_(255)  # exact; multiplying by 1/255 is not
        scale = [1 / (255 * std) for std in self.std]
        shift = [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        if len(scale) == 1:
            return values.mul_(scale[0]).add_(shift[0])
        return values.mul_(_by_channel(tuple(scale), values.device)).add_(_by_channel(tuple(shift), values.device))


@lru_cache(maxsize=64)
def _by_channel(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    """Kept, because making it anew would wait for the device in every step."""
    return torch.tensor(numbers, dtype=torch.float32, device=device).view(-1, 1, 1)
