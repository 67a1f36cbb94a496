"""`Prepare` and `Augment`: exact where they promise it, random only by torch's seed."""

import pickle
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from actlab import _language
from actlab.data import _augment
from actlab.data.images import Augment, Prepare, load
from actlab.errors import ActlabError, UsageError


@pytest.fixture(autouse=True)
def english():
    _language.choose("en")
    yield
    _language.choose(None)


@pytest.fixture(scope="module")
def images():
    return load("sample", limit=64).train.images


@pytest.mark.parametrize("size", [224, 227])
def test_default_is_pillow_and_to_tensor(images, size):
    expected = [
        np.array(Image.fromarray(image[0].numpy()).resize((size, size), Image.Resampling.BILINEAR), np.float32)
        / np.float32(255)
        for image in images[:8]
    ]
    prepared = Prepare(size=size)(images[:8])
    assert prepared.dtype == torch.float32
    assert torch.equal(prepared[:, 0], torch.from_numpy(np.stack(expected)))


def test_all_bytes_divided_exactly():
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert Prepare()(every).flatten().tolist() == [np.float32(value) / np.float32(255) for value in range(256)]


@pytest.mark.parametrize(("mean", "std"), [((0.286,), (0.353,)), ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))])
def test_normalisation(images, mean, std):
    pictures = images.repeat(1, len(mean), 1, 1)
    column = lambda numbers: torch.tensor(numbers, dtype=torch.float64).view(-1, 1, 1)  # noqa: E731
    expected = (pictures.double() / 255 - column(mean)) / column(std)
    # Two roundings of values up to 10 in float32.
    torch.testing.assert_close(Prepare(mean=mean, std=std)(pictures).double(), expected, atol=2e-6, rtol=0)


def test_input_is_left_alone(images):
    before = images.clone()
    Prepare(mean=(0.5,), std=(0.5,), augment=Augment(erase=1.0))(images, training=True)
    assert torch.equal(images, before)


def test_augments_in_training_only(images):
    prepare = Prepare(size=56, augment=Augment())
    assert torch.equal(prepare(images), Prepare(size=56)(images))
    assert not torch.equal(prepare(images, training=True), prepare(images))


def test_survives_pickling(images):
    prepare = Prepare(size=56, mean=(0.3,), std=(0.4,), augment=Augment(colour=0.2))
    prepare(images, training=True)
    again = pickle.loads(pickle.dumps(prepare))
    assert again == prepare and torch.equal(again(images), prepare(images))


EVERYTHING = Augment(flip=0.5, crop=3, erase=0.5, colour=0.3)


@pytest.mark.parametrize("channels", [1, 3])
def test_torchs_seed_decides_and_nothing_else_does(images, channels):
    pictures = images.repeat(1, channels, 1, 1)
    torch.manual_seed(5)
    first = EVERYTHING(pictures)
    np.random.seed(1)
    following = EVERYTHING(pictures)
    _augment._steps.cache_clear()  # as in a resumed process
    torch.manual_seed(5)
    assert torch.equal(EVERYTHING(pictures), first)
    assert torch.equal(EVERYTHING(pictures), following)
    assert not torch.equal(first, following)


def test_state_of_torchs_generator_is_all_there_is_to_resume(images):
    torch.manual_seed(0)
    EVERYTHING(images)
    state = torch.get_rng_state()
    expected = EVERYTHING(images)
    torch.set_rng_state(state)
    assert torch.equal(EVERYTHING(images), expected)


def test_flip_mirrors_about_half_and_nothing_more(images):
    torch.manual_seed(0)
    changed = Augment(flip=0.5, crop=0)(images)
    mirrored = [torch.equal(new, old.flip(-1)) for new, old in zip(changed, images, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(changed, images, strict=True)]
    assert all(m or k for m, k in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48  # 64 draws of one half: four standard deviations either way
    assert torch.equal(Augment(flip=1.0, crop=0)(images), images.flip(-1))


def test_crop_moves_each_image_by_whole_pixels_of_its_own(images):
    torch.manual_seed(0)
    moved = Augment(flip=0.0, crop=2)(images)
    wide = torch.nn.functional.pad(images, (2, 2, 2, 2))
    offsets = set()
    for index, image in enumerate(moved):
        places = [
            (y, x) for y in range(5) for x in range(5) if torch.equal(wide[index, :, y : y + 28, x : x + 28], image)
        ]
        assert places
        offsets.add(places[0])
    assert len(offsets) > 10


def test_erase_blackens_a_part():
    white = torch.full((20, 3, 28, 28), 255, dtype=torch.uint8)
    torch.manual_seed(0)
    erased = Augment(flip=0.0, crop=0, erase=1.0)(white)
    share = (erased == 0).float().mean((1, 2, 3))
    assert erased.unique().tolist() == [0, 255] and share.min() > 0.01 and share.max() < 0.4


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_changes_values_not_places(channels):
    gray = torch.full((20, channels, 4, 4), 100, dtype=torch.uint8)
    torch.manual_seed(0)
    changed = Augment(flip=0.0, crop=0, colour=0.3)(gray)
    assert (changed == changed[:, :, :1, :1]).all() and len(changed[:, 0, 0, 0].unique()) > 5


def test_nothing_asked_is_nothing_done(images):
    assert torch.equal(Augment(flip=0.0, crop=0)(images), images)


def test_without_kornia(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "kornia", None)
    _augment._steps.cache_clear()
    with pytest.raises(ActlabError) as caught:
        Augment()(images)
    assert str(caught.value) == "augmentation needs kornia, which is not installed; run: pip install 'actlab[images]'"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Augment(flip=1.5), "augment: flip must lie in [0, 1]; got 1.5"),
        (lambda: Augment(colour=-0.1), "augment: colour must lie in [0, 1]; got -0.1"),
        (lambda: Augment(crop=-1), "augment: crop must be 0 or more pixels; got -1"),
        (lambda: Prepare(mean=(0.5,), std=(0.5, 0.5)), "prepare: mean and std must be of equal length"),
        (lambda: Prepare(mean=(0.5,), std=(0.0,)), "std above 0; got (0.5,) and (0.0,)"),
        (
            lambda: Prepare(mean=(0.5,) * 3, std=(0.5,) * 3)(torch.zeros(1, 1, 2, 2, dtype=torch.uint8)),
            "prepare: expected images of 3 channels, one for each mean; got 1",
        ),
    ],
)
def test_arguments_out_of_range(make, said):
    with pytest.raises(UsageError) as caught:
        make()
    assert said in str(caught.value)
