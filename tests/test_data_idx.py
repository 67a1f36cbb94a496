"""Reading IDX: what is right is read right, and every fault has its own sentence that names the file."""

import gzip
import struct

import pytest
import torch

from actlab import _language
from actlab.data import _fashion
from actlab.data._idx import read_idx, sha256, write_idx
from actlab.data._locate import SAMPLE
from actlab.data.images import load
from actlab.errors import ActlabError

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = _fashion.KNOWN


@pytest.fixture(params=["en", "zh"], autouse=True)
def language(request):
    _language.choose(request.param)
    yield request.param
    _language.choose(None)


@pytest.fixture
def small(tmp_path):
    """A sound IDX set of 20 training and 10 test images of 28x28, and its raw bytes by name."""
    raw = {}
    for name in _fashion.KNOWN:
        content = gzip.decompress((SAMPLE / name).read_bytes())
        count = 20 if name.startswith("train") else 10
        dimensions = 3 if "images" in name else 1
        size = count * 784 if dimensions == 3 else count
        header = content[:4] + struct.pack(">I", count) + content[8 : 4 + 4 * dimensions]
        raw[name] = header + content[4 + 4 * dimensions :][:size]
        if name == LABELS:
            raw[name] = raw[name][:-1] + b"\x09"  # the last class occurs too
        (tmp_path / name).write_bytes(gzip.compress(raw[name]))
    return tmp_path, raw


def test_reads_what_struct_and_gzip_read():
    content = gzip.decompress((SAMPLE / TEST_IMAGES).read_bytes())
    magic, count, height, width = struct.unpack(">4I", content[:16])
    images = read_idx(SAMPLE / TEST_IMAGES, dimensions=3)
    assert (magic, tuple(images.shape)) == (0x803, (count, height, width))
    assert images.numpy().tobytes() == content[16:]


@pytest.mark.parametrize(
    "data", [torch.arange(24, dtype=torch.uint8).view(2, 3, 4), torch.arange(5, dtype=torch.uint8)]
)
def test_what_is_written_is_read_again_and_has_the_same_bytes_each_time(tmp_path, data):
    write_idx(tmp_path / "a.gz", data)
    write_idx(tmp_path / "b.gz", data)
    assert torch.equal(read_idx(tmp_path / "a.gz", dimensions=data.ndim), data)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_a_plain_file_is_read_where_there_is_no_gzipped_one(small):
    folder, raw = small
    zipped = load(folder, validation=0)
    for name, content in raw.items():
        (folder / name).unlink()
        (folder / name.removesuffix(".gz")).write_bytes(content)
    assert torch.equal(load(folder, validation=0).train.images, zipped.train.images)


def changed(content: bytes, at: int, value: int) -> bytes:
    return content[:at] + bytes([value]) + content[at + 1 :]


# name of the file, how its raw bytes become the bytes on disk, what the sentence says in English and in Chinese
FAULTS = {
    "empty": (IMAGES, lambda raw: b"", "is empty", "空文件"),
    "not-gzip": (IMAGES, lambda raw: raw, "is not a gzip file", "却不是 gzip"),
    "gzip-truncated": (
        IMAGES,
        lambda raw: gzip.compress(raw)[:-9],
        "the gzip stream ends too early",
        "gzip 数据提前结束",
    ),
    "gzip-damaged": (LABELS, lambda raw: changed(gzip.compress(raw), -6, 99), "is damaged", "已损坏"),
    "gzip-then-garbage": (LABELS, lambda raw: gzip.compress(raw) + b"garbage", "is damaged", "已损坏"),
    "magic": (
        IMAGES,
        lambda raw: gzip.compress(changed(raw, 2, 0x0D)),
        "start with 000008, got 00000d",
        "实际为 00000d",
    ),
    "three-bytes": (
        IMAGES,
        lambda raw: gzip.compress(raw[:3]),
        "its header alone takes 16 bytes, it has 3",
        "实际只有 3 字节",
    ),
    "header-cut": (
        IMAGES,
        lambda raw: gzip.compress(raw[:12]),
        "its header alone takes 16 bytes, it has 12",
        "实际只有 12 字节",
    ),
    "dimensions": (LABELS, lambda raw: gzip.compress(changed(raw, 3, 3)), "expected 1, got 3", "应为 1，实际为 3"),
    "payload-cut": (IMAGES, lambda raw: gzip.compress(raw[:-1]), "promises 15696 bytes, it has 15695", "15695 字节"),
    "trailing": (LABELS, lambda raw: gzip.compress(raw + b"xy"), "has 2 bytes too many", "多出 2 字节"),
    "no-images": (
        TEST_IMAGES,
        lambda raw: gzip.compress(raw[:4] + bytes(4) + raw[8:16]),
        "got 0 of 28x28",
        "实际为 0 张",
    ),
    "other-size": (
        TEST_IMAGES,
        lambda raw: gzip.compress(raw[:8] + struct.pack(">2I", 56, 14) + raw[16:]),
        "wrong shape: expected one or more images of 28x28, got 10 of 56x14",
        "形状不符",
    ),
    "counts": (
        LABELS,
        lambda raw: gzip.compress(raw[:7] + b"\x13" + raw[8:-1]),
        "19 labels for 20 images",
        "却有 19 个标签",
    ),
    "range": (TEST_LABELS, lambda raw: gzip.compress(raw[:-1] + b"\xff"), "expected 0 to 9, got 255", "实际有 255"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("source", ["path", "by-name"])
def test_each_fault_has_its_own_sentence(small, fault, source, language, monkeypatch):
    folder, raw = small
    name, damage, *said = FAULTS[fault]
    (folder / name).write_bytes(damage(raw[name]))
    monkeypatch.setenv("ACTLAB_DATA", str(folder))
    with pytest.raises(ActlabError) as caught:
        load(folder if source == "path" else "fashion-mnist")
    text = str(caught.value)
    assert said[language == "zh"] in text
    assert str(folder / name) in text
    assert "\n" not in text


def test_missing(small, language):
    (small[0] / LABELS).unlink()
    with pytest.raises(ActlabError, match="which is missing; fetch" if language == "en" else "缺少文件") as caught:
        load(small[0])
    assert LABELS in str(caught.value)


def test_directory_in_its_place(small, language):
    (small[0] / LABELS).unlink()
    (small[0] / LABELS).mkdir()
    with pytest.raises(ActlabError, match=f"{LABELS}' is a directory" if language == "en" else "实际是目录"):
        load(small[0])


def test_unreadable(small, language, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)  # not chmod: root may read everything
    with pytest.raises(ActlabError, match="cannot be read" if language == "en" else "无法读取") as caught:
        load(small[0])
    assert IMAGES in str(caught.value) and "Permission denied" in str(caught.value)


@pytest.mark.parametrize("name", list(_fashion.KNOWN))
def test_a_sound_file_with_other_bytes_fails_its_checksum_last(small, language, monkeypatch, name):
    folder, _ = small
    monkeypatch.setenv("ACTLAB_DATA", str(folder))
    for other in _fashion.KNOWN:
        if other != name:
            content = sha256(read_idx(folder / other, dimensions=3 if "images" in other else 1))
            monkeypatch.setitem(_fashion.KNOWN, other, _fashion.Known(content, ""))
    with pytest.raises(ActlabError, match="has a wrong checksum" if language == "en" else "校验和不符") as caught:
        load("fashion-mnist")
    assert str(folder / name) in str(caught.value)


def test_plain_files_pass_without_a_checksum(small, monkeypatch):
    folder, raw = small
    for name, content in raw.items():
        (folder / name).unlink()
        (folder / name.removesuffix(".gz")).write_bytes(content)
    monkeypatch.setenv("ACTLAB_DATA", str(folder))
    assert len(load("fashion-mnist", validation=0).train) == 20


def test_another_idx_set_is_named_by_its_folder_and_numbers_its_classes(small):
    folder, raw = small
    labels = bytearray(raw[LABELS])
    labels[8:] = [value % 3 for value in labels[8:]]
    tests = raw[TEST_LABELS][:8] + bytes(value % 3 for value in raw[TEST_LABELS][8:])
    (folder / LABELS).write_bytes(gzip.compress(bytes(labels)))
    (folder / TEST_LABELS).write_bytes(gzip.compress(tests))
    data = load(folder, validation=0)
    assert (data.name, data.classes, data.licence) == (folder.name, ("0", "1", "2"), "")
    pixels = data.train.images.double() / 255
    assert data.mean[0] == pytest.approx(pixels.mean().item(), abs=1e-12)
    assert data.std[0] == pytest.approx(pixels.std(correction=0).item(), abs=1e-12)
