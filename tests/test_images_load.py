"""`load` from IDX: the sample, splits, limits, facts."""

import os
from pathlib import Path

import pytest
import torch

from actlab import _language
from actlab.data import _fashion
from actlab.data._make_sample import make_sample
from actlab.data._split import draw, without
from actlab.data.images import ImageSplit, load
from actlab.errors import UnknownName, UsageError


@pytest.fixture(autouse=True)
def english():
    _language.choose("en")
    yield
    _language.choose(None)


def parts(data):
    return {"train": data.train, "validation": data.validation, "test": data.test}


def same(one, other):
    return all(
        torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)
        for a, b in zip(parts(one).values(), parts(other).values(), strict=True)
    )


def test_sample_is_balanced_and_small():
    data = load("sample", validation=0)
    assert data.facts().sizes == {"train": 3000, "validation": 0, "test": 1000}
    assert data.train.labels.bincount().tolist() == [300] * 10
    assert data.test.labels.bincount().tolist() == [100] * 10
    assert data.train.images.dtype == torch.uint8 and data.train.labels.dtype == torch.int64
    assert data.train.images.shape == (3000, 1, 28, 28)


def test_sample_has_its_terms_with_it():
    folder = Path(_fashion.__file__).parent / "sample"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2_000_000
    assert "Copyright © 2017 Zalando SE" in (folder / "LICENSE").read_text()
    data = load("sample")
    assert data.licence == "MIT" and "Zalando" in data.attribution


def test_facts():
    facts = load("sample", limit=20).facts()
    assert (facts.name, facts.example_shape, facts.classes[9]) == ("sample", (1, 28, 28), "Ankle boot")
    assert facts.sizes == {"train": 20, "validation": 20, "test": 20}


def test_validation_comes_out_of_training_and_leaves_the_test_part_alone():
    whole, split = load("sample", validation=0), load("sample", validation=500)
    assert torch.equal(whole.test.images, split.test.images)
    assert split.validation.labels.bincount().tolist() == [50] * 10
    together = torch.cat([split.train.images, split.validation.images])
    pictures = lambda images: sorted(image.numpy().tobytes() for image in images)  # noqa: E731
    assert pictures(together) == pictures(whole.train.images)


def test_validation_is_never_more_than_a_fifth():
    assert load("sample").facts().sizes == {"train": 2400, "validation": 600, "test": 1000}


def test_labels_stay_with_their_images():
    whole, split = load("sample", validation=0), load("sample", validation=300, limit=50, seed=3)
    known = {image.numpy().tobytes(): label for image, label in zip(*whole.train[:], strict=True)}
    for part in (split.train, split.validation):
        assert [known[image.numpy().tobytes()] for image in part.images] == part.labels.tolist()


def test_seed_decides():
    assert same(load("sample", limit=100, seed=1), load("sample", limit=100, seed=1))
    assert not torch.equal(load("sample", seed=1).validation.images, load("sample", seed=2).validation.images)


def test_this_seed_gives_this_split_for_good():
    # RandomState(0).permutation(20) begins 18 1 19 8 10 17: three even, three odd
    assert draw(torch.arange(20) % 2, 6, seed=0).tolist() == [1, 8, 10, 17, 18, 19]


@pytest.mark.parametrize("limit", [1, 10, 25, 999, 5000])
def test_limit(limit):
    for name, part in parts(load("sample", limit=limit)).items():
        counts = part.labels.bincount(minlength=10)
        assert len(part) == min(limit, {"train": 2400, "validation": 600, "test": 1000}[name])
        assert counts.max() - counts.min() <= 1


def test_smaller_draw_lies_within_a_larger_one():
    labels = torch.randint(0, 5, (200,), generator=torch.Generator().manual_seed(0))
    assert set(draw(labels, 20, 7).tolist()) < set(draw(labels, 60, 7).tolist())


def test_draw_keeps_shares():
    labels = torch.cat([torch.zeros(900), torch.ones(100)]).long()
    assert labels[draw(labels, 100, 0)].bincount().tolist() == [90, 10]


def test_without():
    assert without(5, torch.tensor([3, 0])).tolist() == [1, 2, 4]


def test_split_is_indexed_by_tensor_and_slice():
    split = ImageSplit(torch.arange(12, dtype=torch.uint8).view(3, 1, 2, 2), torch.tensor([5, 6, 7]))
    images, labels = split[torch.tensor([2, 0])]
    assert images[:, 0, 0, 0].tolist() == [8, 0] and labels.tolist() == [7, 5]
    assert split[1:][1].tolist() == [6, 7] and len(split) == 3


def test_three_channels_of_a_gray_set():
    data, gray = load("sample", channels=3, limit=5), load("sample", limit=5)
    assert data.train.images.shape == (5, 3, 28, 28)
    assert torch.equal(data.train.images, gray.train.images.repeat(1, 3, 1, 1))
    assert (data.mean, data.std) == ((0.2860,) * 3, (0.3530,) * 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"validation": -1}, "validation must be at least 0; got -1"),
        ({"limit": 0}, "limit must be at least 1; got 0"),
        ({"image_size": 0}, "image_size must be at least 1; got 0"),
        ({"channels": 2}, "channels must be 1 or 3; got 2"),
    ],
)
def test_arguments_out_of_range(arguments, said):
    with pytest.raises(UsageError) as caught:
        load("sample", **arguments)
    assert str(caught.value) == said


def test_misspelt_name_and_missing_folder_and_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName, match="no data set or folder 'fashion'; did you mean 'fashion-mnist'"):
        load("fashion")
    with pytest.raises(UsageError, match=r"expected a folder of images; there is no '\./fashion'"):
        load("./fashion")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="expected a folder of images; 'file' is a file"):
        load("file")


REAL = next(
    (
        place
        for place in (Path(os.environ.get("ACTLAB_DATA", "-")), Path("/usr/share/datasets"))
        if (place / "fashion-mnist" / "train-images-idx3-ubyte.gz").exists()
    ),
    None,
)


@pytest.mark.skipif(REAL is None, reason="the whole of Fashion-MNIST is not on this machine")
class TestTheWholeSet:
    def test_by_name(self, monkeypatch):
        monkeypatch.setenv("ACTLAB_DATA", str(REAL))
        data = load()
        assert data.facts().sizes == {"train": 55_000, "validation": 5000, "test": 10_000}
        assert data.validation.labels.bincount().tolist() == [500] * 10
        pixels = torch.cat([data.train.images, data.validation.images]).double() / 255
        assert round(pixels.mean().item(), 4) == data.mean[0] and round(pixels.std().item(), 4) == data.std[0]

    def test_by_path_it_is_recognised(self):
        data = load(REAL / "fashion-mnist", limit=10)
        assert (data.name, data.classes, data.licence) == ("fashion-mnist", _fashion.CLASSES, "MIT")

    def test_sample_is_made_of_it(self, tmp_path):
        make_sample(REAL / "fashion-mnist", tmp_path)
        fresh, kept = load(tmp_path, validation=0), load("sample", validation=0)
        assert same(fresh, kept)
