"""A user's own images: layouts, conversion and each way a folder can be wrong."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from actlab import _language
from actlab.data.images import load, png_base64, read_image
from actlab.errors import ActlabError, UsageError


@pytest.fixture(autouse=True)
def english():
    _language.choose("en")
    yield
    _language.choose(None)


def save(path, value=(200, 30, 60), size=(20, 20), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "L" if isinstance(value, int) else "RGB" if len(value) == 3 else "RGBA"
    Image.new(mode, size, value).save(path, **options)


def fill(folder, counts, gray=False):
    for name, count in counts.items():
        for number in range(count):
            save(folder / name / f"{number:03}.png", number if gray else (number, 10, 200))


# Layouts


def test_classes_alone_are_split_in_tenths_of_every_class(tmp_path):
    fill(tmp_path, {"cat": 40, "dog": 20})
    data = load(tmp_path, image_size=8)
    assert data.classes == ("cat", "dog") and data.name == tmp_path.name
    assert data.test.labels.bincount().tolist() == [4, 2]
    assert data.validation.labels.bincount().tolist() == [4, 2]
    assert data.train.labels.bincount().tolist() == [32, 16]
    numbers = torch.cat(
        [part.images[part.labels == 0][:, 0, 0, 0] for part in (data.train, data.validation, data.test)]
    )
    assert sorted(numbers.tolist()) == list(range(40))
    again, other = load(tmp_path, image_size=8), load(tmp_path, image_size=8, seed=1)
    assert torch.equal(data.test.images, again.test.images) and not torch.equal(data.test.images, other.test.images)


@pytest.mark.parametrize(("validation", "sizes"), [(0, (54, 0, 6)), (3, (51, 3, 6)), (5000, (48, 6, 6))])
def test_validation_of_a_folder_of_classes(tmp_path, validation, sizes):
    fill(tmp_path, {"cat": 40, "dog": 20})
    assert tuple(load(tmp_path, validation=validation, image_size=8).facts().sizes.values()) == sizes


def test_parts_of_the_folder_are_kept(tmp_path):
    for part, count in {"train": 5, "validation": 2, "test": 3}.items():
        fill(tmp_path / part, {"a": count, "b": count})
    assert load(tmp_path).facts().sizes == {"train": 10, "validation": 4, "test": 6}


def test_validation_is_drawn_from_train_where_there_is_no_such_part(tmp_path):
    fill(tmp_path / "train", {"a": 10, "b": 10})
    fill(tmp_path / "test", {"a": 1, "b": 1})
    assert load(tmp_path).facts().sizes == {"train": 16, "validation": 4, "test": 2}
    assert load(tmp_path, validation=2).facts().sizes == {"train": 18, "validation": 2, "test": 2}


def test_hidden_and_other_files_are_passed_over(tmp_path):
    fill(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "._000.png").write_bytes(b"left by a Mac")
    (tmp_path / ".git").mkdir()
    assert load(tmp_path).facts().sizes == {"train": 2, "validation": 2, "test": 2}


def test_mean_and_std_are_measured_on_the_training_part(tmp_path):
    fill(tmp_path, {"a": 12, "b": 12})
    data = load(tmp_path)
    pixels = data.train.images.double().div(255).transpose(0, 1).flatten(1)
    torch.testing.assert_close(torch.tensor(data.mean, dtype=torch.float64), pixels.mean(1))
    assert data.std[0] == pytest.approx(pixels[0].std(correction=0).item())
    assert data.std[1] == 1 / 255  # a channel that never changes would be divided by zero


# Conversion


def test_channels_follow_the_images(tmp_path):
    fill(tmp_path, {"a": 3, "b": 3}, gray=True)
    assert load(tmp_path).train.images.shape[1:] == (1, 64, 64)
    assert load(tmp_path, channels=3).train.images.shape[1:] == (3, 64, 64)
    save(tmp_path / "a" / "gray-as-rgb.png", (7, 7, 7))
    assert load(tmp_path).train.images.shape[1] == 1
    save(tmp_path / "a" / "coloured.png", (7, 8, 7))
    assert load(tmp_path).train.images.shape[1] == 3
    assert load(tmp_path, channels=1).train.images.shape[1] == 1


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "JPG", "bmp", "webp"])
def test_formats(tmp_path, ending):
    for name in ("a", "b"):
        for number in range(3):
            save(tmp_path / name / f"{number}.{ending}", (250, 0, 0))
    image = load(tmp_path, image_size=4).train.images[0]
    torch.testing.assert_close(image[:, 2, 2].int(), torch.tensor([250, 0, 0]).int(), atol=4, rtol=0)  # lossy formats


def test_is_cut_to_its_middle_and_resized_as_pillow_does(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    middle = Image.fromarray(pixels).resize((16, 16), Image.Resampling.BILINEAR, box=(15, 0, 55, 40))
    assert torch.equal(read_image(tmp_path / "x.png", (3, 16, 16)).permute(1, 2, 0), torch.from_numpy(np.array(middle)))


def test_height_and_width_are_not_mixed_up(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 80), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert torch.equal(read_image(tmp_path / "x.png", (1, 40, 80))[0], torch.from_numpy(pixels))


def test_camera_orientation_is_honoured(tmp_path):
    pixels = np.zeros((20, 20), np.uint8)
    pixels[:5] = 255  # bright above
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    image = read_image(tmp_path / "x.png", (1, 20, 20))[0]
    assert image[:5].max() == 0 and image[-5:].min() == 255


def test_transparency_is_laid_on_white(tmp_path):
    save(tmp_path / "clear.png", (0, 0, 0, 0))
    save(tmp_path / "half.png", (0, 100, 0, 128))
    assert read_image(tmp_path / "clear.png", (3, 2, 2)).flatten().tolist() == [255] * 12
    assert read_image(tmp_path / "half.png", (3, 1, 1)).flatten().tolist() == [127, 177, 127]
    Image.new("LA", (4, 4), (0, 0)).save(tmp_path / "gray.png")
    assert read_image(tmp_path / "gray.png", (1, 1, 1)).item() == 255
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.save(tmp_path / "palette.png", transparency=1)
    assert read_image(tmp_path / "palette.png", (1, 1, 1)).item() == 255


def test_sixteen_bits_keep_the_upper_eight(tmp_path):
    Image.fromarray(np.full((4, 4), 0x8123, np.uint16)).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", (1, 4, 4)).unique().tolist() == [0x81]


def test_large_jpeg_agrees_with_full_decoding(tmp_path):
    rows = np.linspace(0, 255, 600)
    pixels = np.stack([np.broadcast_to(rows, (600, 600)), np.broadcast_to(rows[:, None], (600, 600))], 2)
    pixels = np.concatenate([pixels, pixels[..., :1]], 2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.jpg", quality=95)
    with Image.open(tmp_path / "x.jpg") as opened:
        whole = torch.from_numpy(np.array(ImageOps.fit(opened, (32, 32), Image.Resampling.BILINEAR))).permute(2, 0, 1)
    torch.testing.assert_close(read_image(tmp_path / "x.jpg", (3, 32, 32)).int(), whole.int(), atol=4, rtol=0)


def test_folder_and_single_file_are_read_alike(tmp_path):
    for name in ("a", "b"):
        for number in range(3):
            save(tmp_path / name / f"{number}.jpg", (number * 70, 90, 10), size=(33, 21))
    images = load(tmp_path, image_size=12).train.images
    files = [read_image(path, (3, 12, 12)) for path in sorted(tmp_path.glob("*/*.jpg"))]
    assert all(any(torch.equal(image, file) for file in files) for image in images)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_base64_keeps_every_pixel(channels):
    image = torch.randint(0, 256, (channels, 5, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    decoded = np.array(Image.open(io.BytesIO(base64.b64decode(png_base64(image)))))
    assert np.array_equal(decoded.reshape(5, 9, channels), image.permute(1, 2, 0).numpy())


# Faults


def refused(call, *said):
    with pytest.raises(ActlabError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    for part in said:
        assert part in text
    return caught.value


def test_no_classes(tmp_path):
    save(tmp_path / "x.png")
    refused(lambda: load(tmp_path), "expected a sub-folder of images for each class in", str(tmp_path), "there is none")


def test_one_class(tmp_path):
    fill(tmp_path, {"cat": 10})
    refused(lambda: load(tmp_path), "expected two or more classes in", "there is only 'cat'")


def test_class_without_images(tmp_path):
    fill(tmp_path, {"cat": 10})
    (tmp_path / "dog").mkdir()
    refused(lambda: load(tmp_path), "of class 'dog' in", "there are none", ".png")


def test_class_missing_in_test_or_in_train(tmp_path):
    fill(tmp_path / "train", {"a": 5, "b": 5})
    fill(tmp_path / "test", {"a": 5, "c": 5})
    refused(lambda: load(tmp_path), "test/c' is a class without training images")
    fill(tmp_path / "train", {"c": 5})
    refused(lambda: load(tmp_path), "of class 'b' in", "there are none")


@pytest.mark.parametrize("validation", [0, 5000])
def test_too_few_images(tmp_path, validation):
    fill(tmp_path, {"cat": 10, "dog": 1 if validation == 0 else 2})
    needed = 3 if validation else 2
    refused(lambda: load(tmp_path, validation=validation), f"at least {needed} images of each class", "'dog' has")


def test_too_few_images_to_hold_any_out(tmp_path):
    fill(tmp_path / "train", {"a": 2, "b": 2})
    fill(tmp_path / "test", {"a": 1, "b": 1})
    refused(lambda: load(tmp_path), "expected at least 5 training images in", "got 4")
    assert load(tmp_path, validation=0).facts().sizes == {"train": 4, "validation": 0, "test": 2}


@pytest.mark.parametrize("content", [b"", b"plain text", b"\x89PNG\r\n\x1a\n and no more"])
def test_file_that_is_no_image(tmp_path, content):
    fill(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "001.png").write_bytes(content)
    refused(lambda: load(tmp_path), f"'{tmp_path}/a/001.png' is not an image that can be read")
    refused(lambda: read_image(tmp_path / "a" / "001.png", (1, 8, 8)), "is not an image that can be read")


def test_truncated_image(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:2000])
    refused(lambda: read_image(tmp_path / "x.png", (3, 8, 8)), "x.png' is not an image that can be read (")


def test_postscript_is_not_run(tmp_path):
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    refused(lambda: read_image(tmp_path / "x.png", (3, 8, 8)), "is not an image that can be read")


def test_missing_file(tmp_path):
    refused(lambda: read_image(tmp_path / "x.png", (3, 8, 8)), "expected an image file; there is no '", "x.png")


@pytest.mark.parametrize("limit", [399, 150])  # Pillow: an error from twice the limit, a warning from once
def test_decompression_bomb(tmp_path, monkeypatch, limit):
    fill(tmp_path, {"a": 3, "b": 3})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    refused(
        lambda: read_image(tmp_path / "a" / "000.png", (1, 8, 8)), "000.png' has more than", "pixels; make it smaller"
    )
    refused(lambda: load(tmp_path), "pixels; make it smaller")


def test_wrong_number_of_channels(tmp_path):
    save(tmp_path / "x.png")
    error = refused(lambda: read_image(tmp_path / "x.png", (2, 8, 8)), "channels must be 1 or 3; got 2")
    assert isinstance(error, UsageError)
