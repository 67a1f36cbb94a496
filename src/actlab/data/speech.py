"""Spoken words as pictures of their sound: wave files to log-mel features, and the Free Spoken Digit Dataset.

data = load("fsdd", split="official")
data.train.features[0]  # (frames, mels)
"""

import struct
import wave
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from actlab._language import say
from actlab.errors import ActlabError, UnknownName, UsageError, first_line

from ._sources import FSDD
from ._split import draw, without

RATE = 8000  # samples a second
WINDOW, HOP = 200, 80  # 25 ms and 10 ms
MELS = 40
LONGEST = 10.0  # seconds
_QUIET = 1e-6  # of the power, so that silence has a logarithm
_WIDTHS = {1: (torch.uint8, 128.0), 2: (torch.int16, 32768.0), 4: (torch.int32, 2147483648.0)}


@dataclass(frozen=True, eq=False)
class SpeechPart:
    """One part: features of different lengths, and the number of the word."""

    features: tuple[Tensor, ...]  # each (frames, mels)
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """((batch, time, mels) padded with zeros, lengths), labels."""
        chosen = [self.features[number] for number in indices.tolist()]
        padded = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True)
        return (padded, torch.tensor([len(one) for one in chosen])), self.labels[indices]


@dataclass(frozen=True, eq=False)
class SpeechData:
    """Three parts of a set of recordings."""

    name: str
    classes: tuple[str, ...]
    train: SpeechPart
    validation: SpeechPart
    test: SpeechPart
    licence: str = ""
    attribution: str = ""


def read_wave(path: str | Path) -> Tensor:
    """The sound of a wave file (samples) in [-1, 1] at 8 kHz: stereo is averaged, another rate resampled.

    PCM of 8, 16 or 32 bits. Raises ActlabError for a file that is damaged, empty or longer than ten seconds.
    """
    path = Path(path).expanduser()
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width, count = (
                file.getframerate(),
                file.getnchannels(),
                file.getsampwidth(),
                file.getnframes(),
            )
            content = file.readframes(count)
    except FileNotFoundError:
        raise UsageError(say(f"expected a wave file; there is no '{path}'", f"没有 WAV 文件“{path}”")) from None
    except (wave.Error, EOFError, OSError, ValueError, RuntimeError, struct.error) as error:
        raise ActlabError(
            say(
                f"'{path}' is no wave file of plain PCM, or is damaged: {first_line(error)}",
                f"“{path}”不是普通 PCM 的 WAV 文件，或已损坏：{first_line(error)}",
            )
        ) from error
    if rate < 1 or channels < 1:
        raise ActlabError(
            say(
                f"'{path}' is damaged: {rate} samples a second, {channels} channels",
                f"“{path}”已损坏：采样率 {rate}，{channels} 声道",
            )
        )
    if width not in _WIDTHS:
        raise ActlabError(
            say(
                f"'{path}' has {8 * width} bits a sample; expected 8, 16 or 32",
                f"“{path}”每个采样 {8 * width} 位；应为 8、16 或 32",
            )
        )
    if len(content) < count * channels * width or not content:
        raise ActlabError(
            say(
                f"'{path}' ends too early: {len(content)} of {count * channels * width} bytes",
                f"“{path}”不完整：{count * channels * width} 字节中只有 {len(content)} 字节",
            )
        )
    dtype, scale = _WIDTHS[width]
    sound = torch.frombuffer(bytearray(content), dtype=dtype).to(torch.float32)
    sound = (sound - 128 if width == 1 else sound) / scale
    sound = sound.reshape(-1, channels).mean(1)
    if len(sound) / rate > LONGEST:
        raise ActlabError(
            say(
                f"'{path}' lasts {len(sound) / rate:.1f} s; expected a word of at most {LONGEST:g} s",
                f"“{path}”长 {len(sound) / rate:.1f} 秒；应为不超过 {LONGEST:g} 秒的单词",
            )
        )
    return sound if rate == RATE else _resampled(sound, rate)


def _resampled(sound: Tensor, rate: int) -> Tensor:
    from math import gcd

    try:
        from scipy.signal import resample_poly
    except ImportError:
        raise ActlabError(
            say(
                f"recordings at {rate} Hz are resampled by scipy, which is not installed; run: pip install 'actlab[sequences]'",
                f"{rate} Hz 的录音需要 scipy 重采样，但尚未安装；请运行：pip install 'actlab[sequences]'",
            )
        ) from None

    common = gcd(rate, RATE)
    return torch.from_numpy(resample_poly(sound.double().numpy(), RATE // common, rate // common)).float()


def mel_filters(mels: int = MELS, rate: int = RATE, window: int = 256) -> Tensor:
    """Triangles (window // 2 + 1, mels), equally wide on the mel scale 2595 log10(1 + f / 700), each of height 1."""
    top = 2595 * torch.log10(torch.tensor(1 + rate / 2 / 700, dtype=torch.float64))
    edges = 700 * (10 ** (torch.linspace(0, 1, mels + 2, dtype=torch.float64) * top / 2595) - 1)
    frequencies = torch.linspace(0, rate / 2, window // 2 + 1, dtype=torch.float64)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()


def features(sound: Tensor, mels: int = MELS) -> Tensor:
    """Logarithms of the power in `mels` bands every 10 ms, their mean over time taken away: (frames, mels)."""
    if len(sound) < WINDOW:
        sound = torch.nn.functional.pad(sound, (0, WINDOW - len(sound)))
    frames = sound.unfold(0, WINDOW, HOP) * torch.hann_window(WINDOW)
    power = torch.fft.rfft(frames, n=256).abs().square()
    bands = (power @ mel_filters(mels)).clamp(min=_QUIET).log()
    return bands - bands.mean(0)


def load(
    source: str | Path = "fsdd",
    *,
    split: str = "official",
    validation: int = 300,
    limit: int | None = None,
    seed: int = 0,
    mels: int = MELS,
) -> SpeechData:
    """Spoken digits by name, or from a folder of DIGIT_SPEAKER_INDEX.wav.

    split: "official" tests on the recordings with index 0 to 4 of every speaker; the name of a speaker tests on all of theirs, which
    the training never hears. Validation recordings are drawn from the training ones, class by class in proportion.
    """
    named = str(source) == FSDD.name
    folder = FSDD.locate() / "recordings" if named else Path(source).expanduser()
    if not folder.is_dir():
        if folder.name == str(source):
            raise UnknownName(say("data set or folder", "数据集或文件夹"), str(source), [FSDD.name])
        raise UsageError(say(f"expected a folder of recordings; there is no '{source}'", f"没有录音文件夹“{source}”"))
    files = sorted(folder.glob("*_*_*.wav"))
    if not files:
        raise ActlabError(
            say(
                f"expected files DIGIT_SPEAKER_INDEX.wav in '{folder}'; there are none",
                f"“{folder}”中没有 数字_说话人_序号.wav 文件",
            )
        )
    names = [file.stem.rsplit("_", 2) for file in files]
    speakers = sorted({speaker for _, speaker, _ in names})
    if split != "official" and split not in speakers:
        raise UnknownName(say("split", "划分方式"), split, ["official", *speakers])
    tested = [
        index.isdecimal() and int(index) < 5 if split == "official" else speaker == split for _, speaker, index in names
    ]
    classes = tuple(sorted({word for word, _, _ in names}))
    labels = torch.tensor([classes.index(word) for word, _, _ in names])
    test = torch.tensor(tested)
    if test.all() or not test.any():
        raise ActlabError(
            say(
                f"the split '{split}' leaves nothing to train or to test on in '{folder}'",
                f"“{folder}”按“{split}”划分后训练或测试部分为空",
            )
        )
    kept = (~test).nonzero().flatten()
    held = kept[draw(labels[kept], min(validation, len(kept) // 5), seed)]
    train = kept[without(len(kept), torch.searchsorted(kept, held))]
    parts = {"train": train, "validation": held, "test": test.nonzero().flatten()}
    if limit is not None:
        parts = {name: part[draw(labels[part], limit, seed)] for name, part in parts.items()}
    made = {number: features(read_wave(files[number]), mels) for part in parts.values() for number in part.tolist()}
    split_parts = {
        name: SpeechPart(tuple(made[number] for number in part.tolist()), labels[part]) for name, part in parts.items()
    }
    return SpeechData(
        name=FSDD.name if named else folder.name,
        classes=classes,
        **split_parts,
        licence=FSDD.licence if named else "",
        attribution=FSDD.attribution if named else "",
    )
