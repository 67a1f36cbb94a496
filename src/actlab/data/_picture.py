"""One image file as bytes: turned upright, transparency on white, gray or RGB, cut to its middle and resized."""

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from actlab._language import say
from actlab.errors import ActlabError, UsageError

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")  # others are rare, and some, as EPS, start programs
GRAY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")


def read_image(path: str | Path, shape: tuple[int, int, int]) -> Tensor:
    """The image file at `path` as uint8 in `shape` (channel height width), converted as a folder of images is.

    Colours are kept: Fashion-MNIST shows bright things on black, so a photograph on white should be inverted first.
    """
    channels, height, width = shape
    with strict_pillow():
        return convert(Path(path), channels, (height, width))


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Pillow only warns of an image between one and two times its limit; here that is an error too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # odd metadata is no reason to speak
        yield


def convert(path: Path, channels: int | None, size: tuple[int, int]) -> Tensor:
    """As `read_image`; without `channels`, one for an image without colour, else three. Call it inside `strict_pillow`."""
    if channels not in (None, 1, 3):
        raise UsageError(say(f"channels must be 1 or 3; got {channels}", f"channels 应为 1 或 3，实际为 {channels}"))
    try:
        with Image.open(path, formats=FORMATS) as opened:
            # A JPEG decodes several times faster at a fraction of its size; twice the wanted size loses nothing that is kept.
            opened.draft(opened.mode, (2 * size[1], 2 * size[0]))
            image = _colours(ImageOps.exif_transpose(opened))
    except FileNotFoundError:
        raise ActlabError(say(f"expected an image file; there is no '{path}'", f"没有图像文件“{path}”")) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ActlabError(
            say(
                f"'{path}' has more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller first",
                f"“{path}”超过 {Image.MAX_IMAGE_PIXELS:,} 像素；请先缩小",
            )
        ) from None
    except Exception as error:  # Pillow's readers raise all kinds on bytes that are not what they claim
        raise ActlabError(
            say(f"'{path}' is not an image that can be read{_why(error)}", f"“{path}”不是可读的图像{_why(error)}")
        ) from None
    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    fitted = np.array(ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(fitted[None] if fitted.ndim == 2 else np.ascontiguousarray(fitted.transpose(2, 0, 1)))
    colourless = channels is None and len(pixels) == 3 and bool((pixels == pixels[:1]).all())
    return pixels[:1] if colourless else pixels


def png_base64(image: Tensor) -> str:
    """A uint8 image (channel height width) as PNG in base64, to be kept in a record."""
    pixels = image.cpu().permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _colours(image: Image.Image) -> Image.Image:
    """The image as L or RGB, transparency laid on white."""
    gray = image.mode in GRAY_MODES
    if image.mode.startswith("I"):  # 16 bits: the upper eight, where Pillow's own conversion would clip
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if gray else "RGB")


def _why(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return ""
    return f" ({(str(error) or type(error).__name__).splitlines()[0]})"
