"""What is known about Fashion-MNIST: files, checksums, classes, terms."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ._idx import fault, read_idx, sha256


class Known(NamedTuple):
    """SHA-256 of one file: of the pixels or labels in it, and of the gzip file as upstream publishes it."""

    content: str
    upstream: str


# "upstream" was checked against the MD5s that Zalando publishes: Debian's files with name and time put back into the gzip header.
KNOWN = {
    "train-images-idx3-ubyte.gz": Known(
        "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    "train-labels-idx1-ubyte.gz": Known(
        "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    "t10k-images-idx3-ubyte.gz": Known(
        "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    "t10k-labels-idx1-ubyte.gz": Known(
        "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
DOWNLOAD_BYTES = 30_878_645
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
MEAN, STD = (0.2860,), (0.3530,)  # of the 60,000 training images, pixels in [0, 1]
LICENCE = "MIT"
ATTRIBUTION = "Fashion-MNIST, © 2017 Zalando SE, https://github.com/zalandoresearch/fashion-mnist"


def holds(folder: Path) -> bool:
    """Whether any of the four files, gzipped or plain, lies in `folder`: a part missing is then a fault, not an absence."""
    return any((folder / name).exists() or (folder / name).with_suffix("").exists() for name in KNOWN)


def read_set(folder: Path, *, checked: bool) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Training and test part in `folder`, each as images (uint8, count 1 height width) and labels (int64).

    `checked` holds images to 28x28 pixels, labels to ten classes and gzip files to the checksums of Fashion-MNIST. Without it any
    IDX set of these file names passes that is sound in itself. Checksums come last, so that a more telling fault gets its name.
    """
    paths = {name: _path(folder, name) for name in KNOWN}
    data = {name: read_idx(path, dimensions=3 if "images" in name else 1) for name, path in paths.items()}
    train_images, train_labels, test_images, test_labels = data.values()
    size = torch.Size((28, 28)) if checked else train_images.shape[1:]
    classes = len(CLASSES) if checked else max(train_labels.tolist(), default=0) + 1
    names = list(KNOWN)
    for images, labels in (names[:2], names[2:]):
        _check_pair(paths[images], data[images], paths[labels], data[labels], size, classes)
    for name, path in paths.items():
        if checked and path.suffix == ".gz" and (found := sha256(data[name])) != KNOWN[name].content:
            wanted = KNOWN[name].content
            raise fault(
                path,
                f"has a wrong checksum: expected SHA-256 {wanted[:16]}... of its content, got {found[:16]}...",
                f"校验和不符：内容的 SHA-256 应为 {wanted[:16]}...，实际为 {found[:16]}...",
            )
    return (train_images.unsqueeze(1), train_labels.long()), (test_images.unsqueeze(1), test_labels.long())


def is_fashion(test_labels: Tensor) -> bool:
    """Whether a set that somebody pointed at has the test labels, hence the classes, of Fashion-MNIST."""
    return sha256(test_labels.byte()) == KNOWN["t10k-labels-idx1-ubyte.gz"].content


def _check_pair(
    image_path: Path, images: Tensor, label_path: Path, labels: Tensor, size: torch.Size, classes: int
) -> None:
    (height, width), got = size, "x".join(map(str, images.shape[1:]))
    if images.shape[1:] != size or not images.numel():
        raise fault(
            image_path,
            f"has the wrong shape: expected one or more images of {height}x{width}, got {len(images)} of {got}",
            f"形状不符：应为一张以上 {height}x{width} 图像，实际为 {len(images)} 张 {got}",
        )
    if len(images) != len(labels):
        raise fault(
            label_path,
            f"does not belong to '{image_path}': {len(labels)} labels for {len(images)} images",
            f"与“{image_path}”不匹配：{len(images)} 张图像，却有 {len(labels)} 个标签",
        )
    if (largest := int(labels.max())) >= classes:
        raise fault(
            label_path,
            f"has a label out of range: expected 0 to {classes - 1}, got {largest}",
            f"中有越界标签：应为 0 到 {classes - 1}，实际有 {largest}",
        )


def _path(folder: Path, name: str) -> Path:
    plain = (folder / name).with_suffix("")
    return plain if plain.exists() and not (folder / name).exists() else folder / name
