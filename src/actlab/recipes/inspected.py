"""What `actlab inspect` looks at: the network of a run or of one's own, an image as the network reads it, an item that it attends to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from .. import _own
from .._language import say
from ..data import images
from ..data._picture import FORMATS, strict_pillow
from ..errors import UnknownName, UsageError
from ..train import Parts
from .load import Trained, kind
from .run import load_data, preparation

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Seen:
    """One image: as the network reads it (1, channel, height, width), and as a person sees it (height, width[, 3]) in [0, 1]."""

    inputs: Tensor
    shown: np.ndarray


def network(target: str) -> nn.Module:
    """The network of file.py:callable, or of a run on images; raises UsageError for another run."""
    return _own.module(target, {}) if ":" in target else _run(target).model


def seen(target: str, item: str, shape: Shape | None = None) -> tuple[nn.Module, Seen]:
    """The network, and an image file, or of a run `test:17`, as it reads it. `shape` (channel, height, width) is for one's own networks."""
    if ":" in target:
        model = _own.module(target, {})
        if _part(item):
            raise UsageError(
                say(
                    f"expected an image file for {target}, which is no run with images of its own; got '{item}'",
                    f"{target} 不是自带图像的运行，需要图像文件；得到“{item}”",
                )
            )
        image = images.read_image(item, shape or _shape(model, item))
        return model, Seen(image[None] / 255, _shown(image / 255))
    if shape is not None:
        raise UsageError(
            say("a run knows the shape of its images; leave out --input", "运行已知图像的形状；请去掉 --input")
        )
    trained = _run(target)
    return trained.model, of_run(trained, item)


def of_run(trained: Trained, item: str) -> Seen:
    """An image file or `test:17` as the network of a run reads it."""
    facts, plan = trained.run.data, trained.plan.data
    if place := _part(item):
        data = load_data(trained.plan)
        raw = _one(data, *place)
        if isinstance(data, Parts):
            inputs = data.prepare(raw, False)
            return Seen(inputs, _shown(_stretched(inputs[0])))
    else:
        if len(facts.example_shape) != 3:
            raise UsageError(say(f"'{trained.path}' was not trained on image files; name one of its own images, such as test:0", f"“{trained.path}”不是用图像文件训练的；请指定其自带图像，例如 test:0"))  # fmt: skip
        raw = images.read_image(item, (facts.example_shape[0], *facts.example_shape[1:]))[None]
    prepare = preparation(plan, facts, trained.run.model.input_shape)  # type: ignore[arg-type]
    plain = images.Prepare(size=prepare.size)
    return Seen(prepare(raw, False), _shown(plain(raw, False)[0]))


def _run(target: str) -> Trained:
    found = kind(target)
    if found != "images":
        raise UsageError(
            say(
                f"expected a run on images; '{target}' was trained on {found}: see 'actlab inspect attention' or 'actlab trace'",
                f"需要图像运行；“{target}”的任务是 {found}：可用“actlab inspect attention”或“actlab trace”",
            )
        )
    return Trained(target)


def _part(item: str) -> tuple[str, int] | None:
    """`test:17` as part and number; None for anything else, such as a file name."""
    part, colon, number = item.rpartition(":")
    return (part, int(number)) if colon and number.isdecimal() and not Path(item).exists() else None


def _one(data: images.ImageData | Parts, part: str, number: int) -> Any:
    if part not in ("train", "validation", "test"):
        raise UnknownName("part", part, ("train", "validation", "test"))
    split: Any = getattr(data, part)
    count = 0 if split is None else len(split)
    if split is None or number >= count:
        raise UsageError(
            say(
                f"expected an image from {part}:0 to {part}:{count - 1}; got {part}:{number}",
                f"图像应为 {part}:0 到 {part}:{count - 1}；得到 {part}:{number}",
            )
            if count
            else say(f"there are no {part} examples in these data", f"这些数据中没有 {part} 样本")
        )
    return split[torch.tensor([number])][0]


def _shape(model: nn.Module, path: str) -> Shape:
    """Channels of the first convolution, sides of the file or the network's own `input_size`."""
    wide, high, gray = _measured(path)
    convolution = next((one for one in model.modules() if isinstance(one, nn.Conv2d)), None)
    channels = (1 if gray else 3) if convolution is None else convolution.in_channels
    if channels not in (1, 3):
        raise UsageError(
            say(
                f"expected a network on images of 1 or 3 channels; its first convolution takes {channels}",
                f"需要处理 1 或 3 通道图像的网络；其第一个卷积层有 {channels} 个输入通道",
            )
        )
    side = getattr(model, "input_size", None)
    return (channels, side, side) if isinstance(side, int) else (channels, high, wide)


def _measured(path: str) -> tuple[int, int, bool]:
    try:
        with strict_pillow(), Image.open(path, formats=FORMATS) as image:
            return (*ImageOps.exif_transpose(image).size, image.mode in ("1", "L", "LA", "I;16"))
    except Exception:
        images.read_image(path, (1, 1, 1))  # says in one sentence what is wrong with the file
        raise


def _shown(image: Tensor) -> np.ndarray:
    """(channel, height, width) in [0, 1] as a picture: gray for other than three channels."""
    array = image.detach().float().clamp(0, 1).cpu()
    return array.permute(1, 2, 0).numpy() if len(array) == 3 else array.mean(0).numpy()


def _stretched(image: Tensor) -> Tensor:
    """Any values as values in [0, 1]; raises UsageError for what is no image."""
    if image.dim() != 3:
        raise UsageError(
            say(
                f"expected an image (channel, height, width); got {tuple(image.shape)}",
                f"需要图像（通道, 高, 宽）；得到 {tuple(image.shape)}",
            )
        )
    low, high = float(image.min()), float(image.max())
    return (image.float() - low) / ((high - low) or 1.0)
