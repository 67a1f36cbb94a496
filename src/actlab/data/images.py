"""Images with labels, as bytes in memory: Fashion-MNIST, the sample in the package, or a folder of one's own.

data = load("sample", limit=100)
images, labels = data.train[torch.arange(10)]
prepare = Prepare(size=224, mean=data.mean, std=data.std)
network(prepare(images, training=True))
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actlab._language import say
from actlab.errors import ActlabError, UnknownName, UsageError
from actlab.records import DataFacts

from . import _fashion
from ._augment import Augment
from ._locate import NAMES, Available, available, locate
from ._picture import png_base64, read_image
from ._prepare import Prepare
from ._resize import resize
from ._split import draw, without

__all__ = [
    "NAMES",
    "Augment",
    "Available",
    "ImageData",
    "ImageSplit",
    "Prepare",
    "available",
    "load",
    "locate",
    "png_base64",
    "read_image",
    "resize",
]


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """One part of the data."""

    images: Tensor  # uint8, count channel height width
    labels: Tensor  # int64, count

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor | slice) -> tuple[Tensor, Tensor]:
        return self.images[indices], self.labels[indices]


@dataclass(frozen=True, eq=False)
class ImageData:
    """Three parts of a data set, and what is known about it. `mean` and `std` are per channel, of pixels in [0, 1]."""

    name: str
    classes: tuple[str, ...]
    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    licence: str
    attribution: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def facts(self) -> DataFacts:
        """What a run's record says about its data."""
        return DataFacts(
            name=self.name,
            classes=self.classes,
            sizes={"train": len(self.train), "validation": len(self.validation), "test": len(self.test)},
            example_shape=tuple(self.train.images.shape[1:]),
            mean=self.mean,
            std=self.std,
            licence=self.licence,
            attribution=self.attribution,
        )


def load(
    source: str | Path = "fashion-mnist",
    *,
    validation: int = 5000,
    limit: int | None = None,
    seed: int = 0,
    image_size: int = 64,
    channels: int | None = None,
    kept: dict[Path, Any] | None = None,
) -> ImageData:
    """Images by name ("fashion-mnist", "sample"), from a folder of four IDX files, or from a folder of image files.

    validation: images held out of the training images, class by class in proportion; never more than a fifth of them, and of a
        folder without `train` and `test` never more than a tenth. A `validation` sub-folder is taken as it is.
    limit: at most so many images of each part, again class by class in proportion.
    image_size: side of the squares that image files are cut and resized to; IDX images keep their size.
    channels: 1 or 3; None keeps what there is, which for image files is 3 unless all are gray.
    kept: where IDX files stay once they are read, so that further calls, of other seeds, do not read them again and share their test part.
    """
    _check(validation, limit, image_size, channels)
    named = str(source) in NAMES
    folder = locate(str(source)) if named else _folder(source)
    if _fashion.holds(folder):
        known = kept if kept is not None else {}
        if folder not in known:
            known[folder] = _fashion.read_set(folder, checked=str(source) == "fashion-mnist")
        train, test = known[folder]
        parts = {"train": ImageSplit(*train), "test": ImageSplit(*test)}
        fashion = named or _fashion.is_fashion(parts["test"].labels)
        classes = _fashion.CLASSES if fashion else tuple(map(str, range(max(parts["train"].labels.tolist()) + 1)))
        parts = {part: ImageSplit(_as_channels(split.images, channels), split.labels) for part, split in parts.items()}
    else:
        from ._folder import read_folder

        fashion = False
        classes, pairs = read_folder(folder, validation=validation, seed=seed, size=image_size, channels=channels)
        parts = {part: ImageSplit(*pair) for part, pair in pairs.items()}
    if "validation" not in parts:
        parts |= _hold_out(parts["train"], validation, seed, folder)
    width = parts["train"].images.shape[1]
    mean, std = (_fashion.MEAN * width, _fashion.STD * width) if fashion else _moments(parts["train"].images)
    if limit is not None:
        parts = {part: ImageSplit(*split[draw(split.labels, limit, seed)]) for part, split in parts.items()}
    return ImageData(
        name=str(source) if named else folder.name,
        classes=classes,
        **parts,
        licence=_fashion.LICENCE if fashion else "",
        attribution=_fashion.ATTRIBUTION if fashion else "",
        mean=mean,
        std=std,
    )


def _check(validation: int, limit: int | None, image_size: int, channels: int | None) -> None:
    for name, value, least in (("validation", validation, 0), ("limit", limit, 1), ("image_size", image_size, 1)):
        if value is not None and value < least:
            raise UsageError(
                say(f"{name} must be at least {least}; got {value}", f"{name} 至少为 {least}，实际为 {value}")
            )
    if channels not in (None, 1, 3):
        raise UsageError(say(f"channels must be 1 or 3; got {channels}", f"channels 应为 1 或 3，实际为 {channels}"))


def _folder(source: str | Path) -> Path:
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder.resolve()  # so that "." has a name
    if folder.exists():
        raise UsageError(say(f"expected a folder of images; '{source}' is a file", f"应为图像文件夹，“{source}”是文件"))
    if folder.name == str(source):  # a bare word is more likely a misspelt name than a path
        raise UnknownName(say("data set or folder", "数据集或文件夹"), str(source), NAMES)
    raise UsageError(say(f"expected a folder of images; there is no '{source}'", f"没有图像文件夹“{source}”"))


def _hold_out(train: ImageSplit, validation: int, seed: int, folder: Path) -> dict[str, ImageSplit]:
    count = min(validation, len(train) // 5)
    if validation and not count:
        raise ActlabError(
            say(
                f"expected at least 5 training images in '{folder}', so that one can be held out; got {len(train)}",
                f"“{folder}”中至少要有 5 张训练图像才能留出验证图像，实际只有 {len(train)} 张",
            )
        )
    held_out = draw(train.labels, count, seed)
    return {"train": ImageSplit(*train[without(len(train), held_out)]), "validation": ImageSplit(*train[held_out])}


def _as_channels(images: Tensor, channels: int | None) -> Tensor:
    return images.expand(-1, channels or 1, -1, -1)


def _moments(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in [0, 1], by counting, so exact and without a copy in floats."""
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        means.append(float(share @ values))
        deviations.append(max(float(share @ (values - means[-1]) ** 2) ** 0.5, 1 / 255))  # of a blank set: never zero
    return tuple(means), tuple(deviations)
