"""Where data sets lie on this machine, and how Fashion-MNIST gets there when it does not."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from actlab._language import say
from actlab.errors import ActlabError, UnknownName

from . import _debian, _fashion
from ._download import cache, download, filling

SAMPLE = Path(__file__).parent / "sample"
NAMES = ("fashion-mnist", "sample")


@dataclass(frozen=True)
class Available:
    """One data set that can be asked for by name."""

    name: str
    summary: str
    licence: str
    attribution: str
    found: Path | None  # None: not on this machine, `locate` would fetch it
    size_bytes: int  # on disk, or to download


def available() -> list[Available]:
    """The image data sets that have a name, found on this machine or not."""
    summaries = {
        "fashion-mnist": say(
            "70,000 gray images of clothing, 28x28, ten classes", "7 万张 28x28 灰度服饰图像，十个类别"
        ),
        "sample": say(
            "4,000 images of Fashion-MNIST, part of Actlab: works offline",
            "Fashion-MNIST 中的 4000 张图像，随 Actlab 提供，可离线使用",
        ),
    }
    rows = []
    for name in NAMES:
        found = _find(name)
        size = sum(path.stat().st_size for path in found.glob("*ubyte*")) if found else _fashion.DOWNLOAD_BYTES
        rows.append(Available(name, summaries[name], _fashion.LICENCE, _fashion.ATTRIBUTION, found, size))
    return rows


def locate(name: str = "fashion-mnist", *, fetch: bool = True) -> Path:
    """The folder with the four files of a data set.

    Looked for in ACTLAB_DATA (the folder or its sub-folder of this name), the user's cache, Debian's package; then, with `fetch`,
    downloaded into the cache from the public source or, failing that, from Debian's archive. A place that holds any of the files
    is the place: damage there is for the reader to report, never a reason to look further.
    """
    if name not in NAMES:
        raise UnknownName(say("data set", "数据集"), name, NAMES)
    if found := _find(name):
        return found
    if not fetch:
        raise ActlabError(
            say(
                f"{name} is not on this machine; allow the download, or use '--data sample', which works offline",
                f"本机没有 {name}；请允许下载，或使用可离线的“--data sample”",
            )
        )
    return _fetch(cache() / name)


def _find(name: str) -> Path | None:
    if name == "sample":
        return SAMPLE
    places = [cache() / name, _debian.INSTALLED]
    if chosen := os.environ.get("ACTLAB_DATA"):
        folder = Path(chosen).expanduser()
        if not folder.is_dir():
            raise ActlabError(
                say(
                    f"expected ACTLAB_DATA to name a folder; there is none at '{chosen}'",
                    f"环境变量 ACTLAB_DATA 应指向文件夹，“{chosen}”不是",
                )
            )
        places[:0] = [folder, folder / name]
    return next((place for place in places if _fashion.holds(place)), None)


def _fetch(target: Path) -> Path:
    """Fill `target` by one rename, so that it is never seen half full, whoever else fetches at the same time."""
    with filling(target) as filled:
        _fill(filled, filled.parent / "debian", target)
        _fashion.read_set(filled, checked=True)
        _move(filled, target)
    return target


def _fill(folder: Path, work: Path, target: Path) -> None:
    failed = download(folder)
    if failed and _debian.can_unpack():
        print(
            say(
                f"{failed}; unpacking Debian's package {_debian.PACKAGE} into {target}, the system stays as it is",
                f"{failed}；改为将 Debian 软件包 {_debian.PACKAGE} 解包到 {target}，不改动系统",
            ),
            file=sys.stderr,
        )
        try:
            work.mkdir()
            _debian.unpack(work, folder)
            return
        except (OSError, subprocess.SubprocessError) as error:
            failed += say(f", and Debian's package did not come ({error})", f"，Debian 软件包也未取得（{error}）")
    if failed:
        raise ActlabError(
            say(
                f"Fashion-MNIST is not on this machine: {failed}; '--data sample' works offline",
                f"本机没有 Fashion-MNIST：{failed}；可离线使用“--data sample”",
            )
        )


def _move(filled: Path, target: Path) -> None:
    try:
        filled.rename(target)
    except OSError:
        if not _fashion.holds(target):  # else another process was faster, with the same files
            raise
