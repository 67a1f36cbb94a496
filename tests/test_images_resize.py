"""`resize` against Pillow, bit for bit."""

import numpy as np
import pytest
import torch
from PIL import Image

from actlab.data._resize import _torch_is_exact, resize_in_integers, resize_to_floats
from actlab.data.images import resize

SIZES = [
    ((28, 28), (224, 224)),
    ((28, 28), (227, 227)),
    ((28, 28), (32, 32)),
    ((64, 64), (32, 32)),
    ((64, 64), (28, 28)),
    ((64, 48), (30, 100)),
    ((31, 77), (224, 50)),
    ((93, 13), (80, 5)),
    ((1, 1), (7, 5)),
    ((200, 3), (1, 1)),
    ((20, 30), (20, 60)),
    ((20, 30), (10, 30)),
]


def by_pillow(images, size):
    resized = []
    for image in images:
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        array = np.array(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
        resized.append(torch.from_numpy(array.reshape(*size, -1)).permute(2, 0, 1))
    return torch.stack(resized)


def some(batch, channels, size):
    generator = torch.Generator().manual_seed(batch * 1000 + channels)
    return torch.randint(0, 256, (batch, channels, *size), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("form", [resize, resize_in_integers])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_is_pillow(form, channels, old, new):
    images = some(5, channels, old)
    images[0] = 255  # the weights of an output may sum to a little more than one
    assert torch.equal(form(images, new), by_pillow(images, new))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        *SIZES,
        ((28, 28), (56, 56)),
        ((28, 28), (28, 224)),
        ((28, 28), (448, 28)),
        ((7, 9), (56, 18)),
        ((1, 1), (8, 2)),
        ((1, 5), (64, 20)),
        ((5, 5), (5, 5)),
        ((2, 2), (2048, 2)),
    ],
)
def test_floats_are_pillows_bytes(channels, old, new):
    images = some(5, channels, old)
    images[0] = 255
    images[1, :, ::2] = 0
    found = resize_to_floats(images, new)
    assert found.dtype == torch.float32
    assert torch.equal(found, by_pillow(images, new).float())


def test_every_pair_of_neighbours_rounds_as_pillow_does():
    """All 65,536 pairs of bytes, enlarged eight times: every product and every half that has to be rounded."""
    values = torch.arange(256, dtype=torch.uint8)
    pairs = torch.cartesian_prod(values, values).reshape(256, 1, 256, 2)
    assert torch.equal(resize_to_floats(pairs, (256, 16)), by_pillow(pairs, (256, 16)).float())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [224, 60])
def test_layout_in_memory_does_not_matter(channels, size):
    images = some(6, channels, (28, 28))
    expected = by_pillow(images, (size, size))
    assert torch.equal(resize(images.contiguous(memory_format=torch.channels_last), size), expected)
    assert torch.equal(resize(images[:1].expand(6, -1, -1, -1), size), expected[:1].expand(6, -1, -1, -1))
    assert torch.equal(resize(images[::2], size), expected[::2])


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
def test_gray_images_packed_in_fours_come_back_in_order(batch):
    images = some(batch, 1, (28, 28))
    assert torch.equal(resize(images, 56), by_pillow(images, (56, 56)))


@pytest.mark.skipif(
    tuple(map(int, Image.__version__.split(".")[:1])) < (13,), reason="older Pillow rounds in another order here"
)
@pytest.mark.parametrize(("old", "new"), [((93, 13), (23, 5)), ((128, 16), (32, 16)), ((212, 23), (1, 177))])
def test_order_of_passes_when_height_shrinks_most(old, new):
    images = some(4, 3, old)
    assert torch.equal(resize(images, new), by_pillow(images, new))


def test_both_forms_are_used():
    assert _torch_is_exact(28, 224) and _torch_is_exact(28, 56) and not _torch_is_exact(28, 227)


def test_many_pieces_are_as_one():
    images = some(40, 3, (64, 64))
    assert torch.equal(resize(images, 227), resize_in_integers(images, (227, 227)))


def test_same_size_and_no_images():
    images = some(2, 3, (28, 28))
    assert torch.equal(resize(images, 28), images)
    assert resize(images[:0], 224).shape == (0, 3, 224, 224)
