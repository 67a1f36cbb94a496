"""What the first layer looks for: its weights as a grid of small pictures, as in figure 3 of the AlexNet paper."""

import io
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .records import Run

MOST_FILTERS = 256
MOST_UNITS = 64  # of an MLP


@dataclass(frozen=True)
class FirstLayer:
    """Weights of the first layer, as pictures."""

    name: str  # of the tensor
    convolution: bool
    pictures: np.ndarray  # count, channel (1 or 3), height, width
    total: int  # how many there are in the layer; `pictures` may be the first of them


def first_layer(run_directory: Path, run: Run) -> FirstLayer | None:
    """The weights that see the picture itself; None where there is no file or no such layer.

    Raises ValueError or OSError where the file is damaged.
    """
    path = run_directory / "model.safetensors"
    if not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as tensors:
            shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
            name = choose(shapes, run.data.example_shape or run.model.input_shape)
            if name is None:
                return None
            weight = tensors.get_tensor(name).float().numpy()
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    convolution = weight.ndim == 4
    most = MOST_FILTERS if convolution else MOST_UNITS
    return FirstLayer(name, convolution, weight[:most] if convolution else _as_pictures(weight[:most]), len(weight))


def choose(shapes: dict[str, tuple[int, ...]], example_shape: tuple[int, ...]) -> str | None:
    """Which tensor holds the first layer.

    A safetensors file is ordered by name, not by layer: the names are read as a person would (2 before 10), and a
    tensor that fits the channels of the pictures goes first, so that a depthwise layer deeper down is not taken.
    """
    names = sorted((name for name in shapes if name.endswith("weight")), key=_natural)
    if kernels := [n for n in names if len(shapes[n]) == 4 and shapes[n][1] in (1, 3) and min(shapes[n][2:]) > 1]:
        fitting = [n for n in kernels if len(example_shape) == 3 and shapes[n][1] == example_shape[0]]
        return (fitting or kernels)[0]
    if any(len(shape) == 4 for shape in shapes.values()):
        return None  # a convolution on something that is not a picture: its classifier is no first layer
    matrices = [n for n in names if len(shapes[n]) == 2]
    return matrices[0] if matrices and _picture_shape(shapes[matrices[0]][1]) else None


def _natural(name: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name)]


def _picture_shape(features: int) -> tuple[int, int, int] | None:
    for channels in (1, 3):
        side = math.isqrt(features // channels)
        if side > 1 and channels * side * side == features:
            return channels, side, side
    return None


def _as_pictures(weight: np.ndarray) -> np.ndarray:
    shape = _picture_shape(weight.shape[1])
    assert shape is not None  # `choose` took only such a matrix
    return weight.reshape(-1, *shape)


def grid(pictures: np.ndarray, *, shape: float = 2.2) -> np.ndarray:
    """All pictures in one RGBA image, each scaled on its own so that zero is middle gray; separators are transparent.

    There are about `shape` times as many columns as rows: 96 filters give 16 x 6, as in the paper.
    """
    count, channels, height, width = pictures.shape
    columns = _columns(count, shape)
    rows = math.ceil(count / columns)
    finite = np.nan_to_num(pictures.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    peak = np.abs(finite).max(axis=(1, 2, 3), keepdims=True)
    shades = np.round(127.5 + 127.5 * finite / np.where(peak > 0, peak, 1)).astype(np.uint8)
    scale = max(1, round(36 / max(height, width)))  # so that separators are thin beside a small filter
    shades = shades.repeat(scale, axis=2).repeat(scale, axis=3).transpose(0, 2, 3, 1)
    high, wide = height * scale + 2, width * scale + 2
    canvas = np.zeros((rows * high - 2, columns * wide - 2, 4), dtype=np.uint8)
    for index in range(count):
        top, left = index // columns * high, index % columns * wide
        cell = canvas[top : top + high - 2, left : left + wide - 2]
        cell[..., :3] = shades[index] if channels == 3 else shades[index][..., :1]
        cell[..., 3] = 255
    return canvas


def _columns(count: int, shape: float) -> int:
    """A count of columns that fills the rows, where there is such a one near the wanted shape."""
    wanted = math.sqrt(shape * count)
    full = [n for n in range(1, count + 1) if count % n == 0 and wanted / 1.5 < n < wanted * 1.5]
    return min(full, key=lambda n: abs(math.log(n / wanted))) if full else math.ceil(wanted)


def png(image: Any) -> bytes:
    """An array of bytes (height, width, channels) as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, format="PNG", optimize=True)
    return file.getvalue()
