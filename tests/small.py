"""Small data of every kind, written for the tests: sentences, spoken digits (tones), a series with inputs and gaps, a text."""

import json
import math
import random
import wave
from pathlib import Path

import torch

MUSIC = ("jazz", "blues", "fado", "techno", "folk")
PEOPLE = ("nina rolle", "miles davenport", "ada king", "otto", "mei lin")
SWEEPS = ((400.0, 1.5), (1500.0, -0.7), (900.0, 2.5))  # pitch in Hz and its rise
CITIES = ("Oslo", "Lima", "Kyoto", "São Paulo", "Accra")


def sentences(count: int, seed: int) -> dict[str, list[dict]]:
    """Two intents in SNIPS' form."""
    draw = random.Random(seed)
    found: dict[str, list[dict]] = {"PlayMusic": [], "GetWeather": []}
    for _ in range(count):
        music = [
            {"text": "Play "},
            {"text": draw.choice(MUSIC), "entity": "genre"},
            {"text": " by "},
            {"text": draw.choice(PEOPLE), "entity": "artist"},
        ]
        weather = [
            {"text": draw.choice(("will it rain in ", "what is the weather in "))},
            {"text": draw.choice(CITIES), "entity": "city"},
            {"text": "?"},
        ]
        found["PlayMusic"].append({"data": music})
        found["GetWeather"].append({"data": weather})
    return found


def snips(folder: Path, train: int = 30, test: int = 8) -> Path:
    """A folder as SNIPS has it; one file has a byte of latin-1 in it."""
    for part, count, seed in (("train_{}_full", train, 0), ("validate_{}", test, 1)):
        for intent, data in sentences(count, seed).items():
            file = folder / intent / f"{part.format(intent)}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({intent: data}, ensure_ascii=False)
            file.write_bytes(text.encode().replace("São".encode(), b"S\xe3o", 1))
    return folder


def tone(
    path: Path,
    pitch: float,
    rise: float = 0.0,
    *,
    seconds: float = 0.3,
    rate: int = 8000,
    channels: int = 1,
    width: int = 2,
    seed: int = 0,
) -> Path:
    """A wave file with a tone that rises by that share of its pitch, and a little noise."""
    time = torch.arange(int(seconds * rate)) / rate
    noise = torch.randn(len(time), generator=torch.Generator().manual_seed(seed)) * 0.01
    phase = 2 * math.pi * pitch * (time + rise * time**2 / (2 * seconds))
    sound = (0.5 * torch.sin(phase) + noise).clamp(-1, 1)
    scale, dtype = {1: (127, torch.uint8), 2: (32767, torch.int16), 4: (2147483000, torch.int32)}[width]
    samples = (sound.double() * scale + (128 if width == 1 else 0)).to(dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples[:, None].expand(-1, channels).contiguous().numpy().tobytes())
    return path


def digits(folder: Path, takes: int = 12) -> Path:
    """Sweeps in place of digits: 0 to 2 by two speakers, in files DIGIT_SPEAKER_INDEX.wav."""
    for digit in range(3):
        for speaker, shift in (("ann", 1.0), ("bo", 1.1)):
            for take in range(takes):
                pitch, rise = SWEEPS[digit]
                tone(
                    folder / f"{digit}_{speaker}_{take}.wav",
                    pitch * shift,
                    rise,
                    seconds=0.15 + 0.02 * (take % 5),
                    seed=take,
                )
    return folder


def series(path: Path, rows: int = 240) -> Path:
    """y follows x with a delay; every 5 minutes, one gap of an hour and one missing value."""
    lines, y, minute = ["time,x,y"], 0.0, 0
    for row in range(rows):
        x = math.sin(row / 7) + 0.3 * math.sin(row / 3)
        y = 0.8 * y + 0.2 * math.tanh(2 * x)
        minute += 65 if row == 100 else 5
        shown = "nil" if row == 60 else f"{x:.6f}"
        lines.append(f"2024-01-{1 + minute // 1440:02d} {minute % 1440 // 60:02d}:{minute % 60:02d}:00,{shown},{y:.6f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def text(path: Path, copies: int = 120) -> Path:
    """A text of some thousand characters."""
    path.write_text("the cat sat on the mat; the dog ran in the fog.\n" * copies, encoding="utf-8")
    return path


def dictionary(path: Path, words: int = 400) -> Path:
    """Words of six letters' sounds, one letter one phoneme, but for `c` before `a`; some with a second variant."""
    draw, sounds, found = random.Random(0), {"a": "AA1", "b": "B", "c": "S", "d": "D", "e": "EH1", "k": "K"}, {}
    while len(found) < words:
        word = "".join(draw.choice("abcdek") for _ in range(draw.randint(2, 5)))
        found[word] = [
            "K" if one == "c" and word[place + 1 : place + 2] == "a" else sounds[one] for place, one in enumerate(word)
        ]
    lines = [f"{word} {' '.join(spoken)}" for word, spoken in found.items()]
    lines += [f"{word}(2) {' '.join(spoken)} T # a comment" for word, spoken in list(found.items())[::10]]
    path.write_text("\n".join(lines) + "\n")
    return path


def translations(path: Path, count: int = 120) -> Path:
    """Sentences of three words and the same in other words, with a third column that nobody reads."""
    words = {
        "red": "红",
        "big": "大",
        "old": "旧",
        "cat": "猫",
        "dog": "狗",
        "car": "车",
        "runs": "跑",
        "stops": "停",
        "waits": "等",
    }
    names, lines = list(words), []
    for number in range(count):
        chosen = [names[number % 3], names[3 + number // 3 % 3], names[6 + number // 9 % 3]]
        tail = "!" * (number // 27)
        lines.append(f"{' '.join(chosen)}{tail}\t{''.join(words[one] for one in chosen)}{tail}\tCC-BY")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def data_for(recipe: str, folder: Path) -> list[str]:
    """Options that let a recipe train on small data made in `folder`."""
    make = {"slot-filling": snips, "spoken-digits": digits}
    if recipe in make:
        return ["--data", str(make[recipe](folder / "data"))]
    if recipe == "forecasting":
        inputs = [
            "--set",
            'data.inputs=["x"]',
            "--set",
            "data.test_from=0.8",
            "--set",
            "data.transform=identity",
            "--set",
            "data.memory=6",
            "--set",
            "data.horizons=[3]",
        ]
        return ["--data", str(series(folder / "series.csv")), *inputs]
    if recipe == "graph":
        return []
    if recipe == "translation":
        small = ["width=32", "hidden=64", "layers=1"]
        options = [part for one in small for part in ("--set", f"model.{one}")]
        return ["--data", str(translations(folder / "pairs.tsv")), *options, "--set", "ema=null"]
    if recipe == "pronunciation":
        small = ["width=32", "hidden=64", "layers=1", "decoder_layers=1", "dropout=0.1"]
        options = [part for one in small for part in ("--set", f"model.{one}")]
        return ["--data", str(dictionary(folder / "words.dict")), *options, "--set", "ema=null"]
    if recipe == "character-lm":
        return ["--data", str(text(folder / "text.txt")), "--set", "data.length=20"]
    return ["--data", "sample"]
