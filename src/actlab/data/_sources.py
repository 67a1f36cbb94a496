"""Named data sets beside the images: where their files lie, and how they come from their public source, checked."""

import csv
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actlab._language import say
from actlab.errors import ActlabError, first_line

from ._download import cache, filling, retrieve

_SHIPPED = Path(__file__).parent / "sample"
_SNIPS = "https://raw.githubusercontent.com/sonos/nlu-benchmark/master/2017-06-custom-intent-engines/"


@dataclass(frozen=True)
class Source:
    """A data set: its files by path with their SHA-256, or one zip archive whose members are checked together."""

    name: str
    folder: str  # within ACTLAB_DATA
    summary: tuple[str, str]
    licence: str
    attribution: str
    url: str
    files: dict[str, str]
    archive: bool = False
    shipped: bool = False  # with Actlab
    by_hand: bool = False  # its source keeps no version, so that no checksum holds: to be fetched by a person
    size_bytes: int = 0

    def path(self, folder: Path) -> Path:
        """One file that is there where the data are."""
        return folder / next(iter(self.files))

    def find(self) -> Path | None:
        """The folder that holds the data, if it is on this machine."""
        places = [cache() / self.name, *([_SHIPPED] if self.shipped else [])]
        if chosen := os.environ.get("ACTLAB_DATA"):
            home = Path(chosen).expanduser()
            places[:0] = [home / self.folder, home]
        return next((place for place in places if any((place / name).exists() for name in self.files)), None)

    def locate(self) -> Path:
        """The folder with the data, fetched if need be; raises ActlabError where that fails."""
        if found := self.find():
            return found
        if self.by_hand:
            name = next(iter(self.files))
            raise ActlabError(
                say(
                    f"{self.name} is not on this machine: fetch {self.url}, put its {name} into '{self.folder}' in a folder and name that by ACTLAB_DATA",
                    f"本机没有 {self.name}：请下载 {self.url}，把其中的 {name} 放入某文件夹的“{self.folder}”中，并用 ACTLAB_DATA 指明该文件夹",
                )
            )
        target = cache() / self.name
        with filling(target) as filled:
            self._fetch(filled)
            if not target.exists():
                filled.rename(target)
        return target

    def _fetch(self, folder: Path) -> None:
        if self.archive:
            self._download(self.url, "archive.zip", None, folder)
            _unpack(folder / "archive.zip", folder)
            (folder / "archive.zip").unlink()
            (wanted,) = self.files.values()
            if digest(folder / next(iter(self.files))) != wanted:
                raise ActlabError(
                    say(
                        f"{self.name}: the files in {self.url} are not those that were expected; fetch the data by hand and set ACTLAB_DATA",
                        f"{self.name}：{self.url} 中的文件与预期不符；请手动获取数据并设置 ACTLAB_DATA",
                    )
                )
            return
        for name, known in self.files.items():
            self._download(self.url + name, name, known, folder)

    def _download(self, url: str, name: str, known: str | None, folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if failed := retrieve(url, path, known):
            raise ActlabError(
                say(
                    f"{self.name} is not on this machine, and the download from {url} failed ({failed}); put its files into '{self.folder}' in a folder and name that by ACTLAB_DATA",
                    f"本机没有 {self.name}，从 {url} 下载也失败（{failed}）；请把文件放入某文件夹的“{self.folder}”中，并用 ACTLAB_DATA 指明该文件夹",
                )
            )


def digest(folder: Path) -> str:
    """A hash of the names and bytes of all files in a folder."""
    found = hashlib.sha256()
    for file in sorted(folder.glob("*.wav")):
        found.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _unpack(archive: Path, folder: Path) -> None:
    """The recordings of a zip archive into `folder/recordings`, by their bare names."""
    target = folder / "recordings"
    target.mkdir()
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                path = Path(member.filename)
                if path.suffix == ".wav" and path.parent.name == "recordings":
                    (target / path.name).write_bytes(opened.read(member))
    except zipfile.BadZipFile as error:
        raise ActlabError(
            say(f"the archive is damaged: {first_line(error)}", f"压缩包已损坏：{first_line(error)}")
        ) from error


def read(path: Path, reader: Callable[[Path], Any]) -> Any:
    """`reader(path)`; a file that is missing or cannot be read is one sentence with its name."""
    try:
        return reader(path)
    except ActlabError:
        raise
    except (OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, csv.Error, zlib.error) as error:
        raise ActlabError(
            say(f"'{path}' cannot be read: {first_line(error)}", f"无法读取“{path}”：{first_line(error)}")
        ) from error


SNIPS = Source(
    name="snips",
    folder="snips",
    summary=("14,484 spoken commands, 7 intents, 39 kinds of slots", "14,484 条语音指令，7 种意图，39 种槽位"),
    licence="CC0 1.0",
    attribution="Snips custom intents 2017, Coucke et al., arXiv:1805.10190, github.com/sonos/nlu-benchmark",
    url=_SNIPS,
    size_bytes=6_200_000,
    files={
        "AddToPlaylist/train_AddToPlaylist_full.json": "fee1b4645352e70ed8a40f1f87c3b53fc3bf75f8ebc82252a22b82c107e75b01",
        "AddToPlaylist/validate_AddToPlaylist.json": "14cc9ee49ae477b1452632a6e835498cf4c32da397b16967c82abb3e50403e83",
        "BookRestaurant/train_BookRestaurant_full.json": "7677e82cd6e9a8191f0a4502568c786278c984900b4796d3628e46f1abf73ef4",
        "BookRestaurant/validate_BookRestaurant.json": "4f7258ccc768b777b2eb8916532db9aa50dbd058ddf1ffb0dc59218963e7442a",
        "GetWeather/train_GetWeather_full.json": "86f414b2ad8a993134d85d16e25e5d337beae47cef993c0af2a5f440405c60f6",
        "GetWeather/validate_GetWeather.json": "60c095e193655d6ca92be220fed3926ca25e18cd70c85664145efe25d80993af",
        "PlayMusic/train_PlayMusic_full.json": "901ddbe9781d1fdb8196e789c543f80df3d29ca6e237da64947905adcc0312e4",
        "PlayMusic/validate_PlayMusic.json": "922212775e26259d5bffeaf79b6048d070ca017d229df00b2cc9800f71c75d20",
        "RateBook/train_RateBook_full.json": "bb43e4b74134300d5766f6b420d0357a63402987a225f6dc92c806c9c040ce04",
        "RateBook/validate_RateBook.json": "c1f8b4114da0bb5e8afd78a8062766e18b2eabb0e717539598db01b09d04619b",
        "SearchCreativeWork/train_SearchCreativeWork_full.json": "87b3432de48c71c205aa5238b41d9e3f2d70bdfcd0bea2427544fb9e4bd5e5bb",
        "SearchCreativeWork/validate_SearchCreativeWork.json": "8a5e830eddb185d3e4a9d27ded140a145d04766bdce0e58834676ede32d13e77",
        "SearchScreeningEvent/train_SearchScreeningEvent_full.json": "5447e9440c02e2fb08c3ae16b9f58a4d1332b4bc77fd34691402b02aa4399765",
        "SearchScreeningEvent/validate_SearchScreeningEvent.json": "81e1445713e03c7c3e615353c5f3fee05f369fe9834100b9b9735900a96b9498",
    },
)
FSDD = Source(
    name="fsdd",
    folder="fsdd",
    summary=("3,000 spoken digits by 6 speakers, 8 kHz", "6 位说话人的 3,000 段数字语音，8 kHz"),
    licence="CC BY-SA 4.0",
    attribution="Free Spoken Digit Dataset, Zohar Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset",
    url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip",
    size_bytes=15_800_000,
    files={"recordings": "0fbe6612aaa20a80ef4371894a46e060038337a518fe3d4728cb7eee7caa013c"},
    archive=True,
)
SUNSPOTS = Source(
    name="sunspots",
    folder="series",
    summary=("yearly sunspot numbers, 1700 to 2008", "1700 至 2008 年的年均太阳黑子数"),
    licence="public domain",
    attribution="SIDC, Royal Observatory of Belgium; NOAA; through statsmodels",
    url="https://raw.githubusercontent.com/statsmodels/statsmodels/main/statsmodels/datasets/sunspots/",
    size_bytes=3_000,
    shipped=True,
    files={"sunspots.csv": "f67889b1d9002cd5227f0e0ef54e35b419cdd85a31279adef6f73fb41e5c0a9b"},
)
GLUCOSE = Source(
    name="glucose",
    folder="series",
    summary=("blood glucose and sensor current every 5 minutes, 52,281 rows", "每 5 分钟的血糖与传感器电流，52,281 行"),
    licence="public domain",
    attribution="continuous glucose monitor, sample data of Bokeh, github.com/bokeh/bokeh_sampledata",
    url="https://raw.githubusercontent.com/bokeh/bokeh_sampledata/main/src/bokeh_sampledata/_data/",
    size_bytes=316_000,
    files={"CGM.csv.gz": "91fdad8325541a4487d88cb59b2fc9f6ed821c7c01eaabed0606bbb7089be8de"},
)
CMUDICT = Source(
    name="cmudict",
    folder="cmudict",
    summary=("how 126,052 English words are spoken, in phonemes", "126,052 个英语单词的音素读音"),
    licence="BSD style, Carnegie Mellon University",
    attribution="The CMU Pronouncing Dictionary, github.com/cmusphinx/cmudict",
    url="https://raw.githubusercontent.com/cmusphinx/cmudict/master/",
    size_bytes=3_600_000,
    files={"cmudict.dict": "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22"},
)
TATOEBA = Source(
    name="tatoeba",
    folder="tatoeba",
    summary=("21,116 English sentences and their Chinese translations", "21,116 条英文句子及其中文翻译"),
    licence="CC BY 2.0 FR",
    attribution="Tatoeba contributors, tatoeba.org, through manythings.org/anki",
    url="https://www.manythings.org/anki/cmn-eng.zip",
    size_bytes=1_300_000,
    files={"cmn.txt": "f81798986021a75cbbcdd7521e627d87031e1b74e5601cfb3604cf1637ac62dd"},
    by_hand=True,
)
SOURCES = {one.name: one for one in (SNIPS, FSDD, SUNSPOTS, GLUCOSE, CMUDICT, TATOEBA)}
