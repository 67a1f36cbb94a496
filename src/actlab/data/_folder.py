"""A user's own images: a sub-folder per class, or `train`, `test` and perhaps `validation` with these inside."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from actlab._language import say
from actlab.errors import ActlabError

from ._picture import convert, strict_pillow
from ._split import draw, place_in_class, without

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
Part = tuple[Tensor, Tensor]


def read_folder(
    folder: Path, *, validation: int, seed: int, size: int, channels: int | None
) -> tuple[tuple[str, ...], dict[str, Part]]:
    """Class names, and images and labels of each part that the folder has: "train", "test" and perhaps "validation".

    Without `train` and `test` a tenth of every class (at least one image) is drawn for testing and as much for validation,
    the latter cut to `validation` images in all.
    """
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        names = [name for name in ("train", "validation", "test") if (folder / name).is_dir()]
        classes = _class_names(folder / "train")
        files = {name: _files(folder / name, classes) for name in names}
        return classes, _read(files, size, channels)
    classes = _class_names(folder)
    paths, labels = _files(folder, classes)
    return classes, _read(_split(folder, classes, paths, labels, validation, seed), size, channels)


def _class_names(folder: Path) -> tuple[str, ...]:
    classes = tuple(
        sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    )
    if not classes:
        raise ActlabError(
            say(
                f"expected a sub-folder of images for each class in '{folder}'; there is none",
                f"“{folder}”中应为每个类别建一个图像子文件夹，实际一个也没有",
            )
        )
    if len(classes) == 1:
        raise ActlabError(
            say(
                f"expected two or more classes in '{folder}'; there is only '{classes[0]}'",
                f"“{folder}”中应有两个以上类别，实际只有“{classes[0]}”",
            )
        )
    return classes


def _files(folder: Path, classes: tuple[str, ...]) -> tuple[list[Path], Tensor]:
    if unknown := [entry for entry in _class_names(folder) if entry not in classes]:
        raise ActlabError(
            say(
                f"'{folder / unknown[0]}' is a class without training images; add them or remove it",
                f"“{folder / unknown[0]}”这一类没有训练图像；请补充或删除",
            )
        )
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        directory = folder / name
        entries = sorted(directory.iterdir()) if directory.is_dir() else []
        found = [entry for entry in entries if entry.suffix.lower() in ENDINGS and not entry.name.startswith(".")]
        if not found:
            raise ActlabError(
                say(
                    f"expected images ({' '.join(ENDINGS)}) of class '{name}' in '{directory}'; there are none",
                    f"“{directory}”中应有类别“{name}”的图像（{' '.join(ENDINGS)}），实际没有",
                )
            )
        paths += found
        labels += [label] * len(found)
    return paths, torch.tensor(labels)


def _split(
    folder: Path, classes: tuple[str, ...], paths: list[Path], labels: Tensor, validation: int, seed: int
) -> dict[str, tuple[list[Path], Tensor]]:
    needed = 3 if validation else 2
    counts = torch.bincount(labels, minlength=len(classes))
    if int(counts.min()) < needed:
        name = classes[int(counts.argmin())]
        raise ActlabError(
            say(
                f"expected at least {needed} images of each class in '{folder}', one for each part; '{name}' has {int(counts.min())}",
                f"“{folder}”中每类至少要有 {needed} 张图像（各部分一张），“{name}”只有 {int(counts.min())} 张",
            )
        )
    place, count = place_in_class(labels, seed)
    tenth = (count / 10).round().clamp(min=1)
    test, candidates = (
        (place < tenth).nonzero().squeeze(1),
        ((place >= tenth) & (place < 2 * tenth)).nonzero().squeeze(1),
    )
    held_out = candidates[draw(labels[candidates], validation, seed)]
    part = {"train": without(len(paths), torch.cat([test, held_out])), "validation": held_out, "test": test}
    return {name: ([paths[index] for index in indices.tolist()], labels[indices]) for name, indices in part.items()}


def _read(parts: dict[str, tuple[list[Path], Tensor]], size: int, channels: int | None) -> dict[str, Part]:
    with strict_pillow(), ThreadPoolExecutor() as pool:
        images = {
            name: list(pool.map(lambda path: convert(path, channels, (size, size)), paths))
            for name, (paths, _) in parts.items()
        }
    most = max((len(image) for part in images.values() for image in part), default=1)
    return {
        name: (
            torch.stack([image.expand(most, -1, -1) for image in images[name]]) if images[name] else _none(most, size),
            labels,
        )
        for name, (_, labels) in parts.items()
    }


def _none(channels: int, size: int) -> Tensor:
    return torch.empty((0, channels, size, size), dtype=torch.uint8)
