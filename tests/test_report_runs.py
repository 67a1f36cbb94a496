"""Synthetic run directories, as a training writes them, for the tests of the report and of its pictures."""

import base64
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from actlab.records import Clock, DataFacts, Epoch, Evaluation, Machine, Mistake, ModelFacts, Run

CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "$a_b$ {0} ’ \\ 中文 🜚")
MACHINE = Machine(
    processor="Intel Xeon Platinum 8375C @ 2.90 GHz",
    cores=2,
    threads=2,
    memory_bytes=8 * 2**30,
    device="cpu",
    processes=1,
    system="Linux 6.1 x86_64",
    python="3.11.2",
    torch="2.13.0",
    actlab="0.1.0",
)


def confusion(count: int, wrong: float, seed: int = 0) -> tuple[tuple[int, ...], ...]:
    """1000 examples a class, `wrong` of them elsewhere, unevenly: some pairs of classes take most."""
    random = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        weights = random.gamma(0.35, size=count)
        weights[index] = 0
        misses = random.multinomial(int(1000 * wrong * random.uniform(0.2, 2.2)), weights / weights.sum())
        misses[index] = 1000 - misses.sum()
        rows.append(tuple(int(n) for n in misses))
    return tuple(rows)


def picture(seed: int, *, colour: bool = False) -> str:
    """A small drawing as base64 PNG."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB" if colour else "L", (28, 28))
    corners = [tuple(int(v) for v in random.integers(2, 26, 2)) for _ in range(5)]
    fill = tuple(int(v) for v in random.integers(60, 255, 3)) if colour else int(random.integers(90, 255))
    ImageDraw.Draw(image).polygon(corners, fill=fill)
    file = io.BytesIO()
    image.save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def evaluation(classes: int, *, wrong: float = 0.11, colour: bool = False) -> Evaluation:
    matrix = confusion(classes, wrong)
    count = sum(map(sum, matrix))
    mistakes = tuple(
        Mistake(
            index=17 * n,
            truth=n % classes,
            predicted=(n + 1) % classes,
            probability=0.999 - n / 90,
            image_png=picture(n, colour=colour),
        )
        for n in range(24)
    )
    accuracy = sum(matrix[n][n] for n in range(classes)) / count
    return Evaluation(part="test", count=count, loss=0.3012, accuracy=accuracy, confusion=matrix, mistakes=mistakes)


def loss_at(examples: float, floor: float = 0.28) -> float:
    return floor + 2.05 * math.exp(-examples / 6000) + 0.35 * math.exp(-examples / 60000)


def events(examples: int, batch: int, every: int, *, clipped: bool, decay: bool) -> list[dict[str, Any]]:
    """Step events of a whole training, every `every` steps."""
    random = np.random.default_rng(1)
    lines = []
    for step in range(every, examples // batch + 1, every):
        seen = step * batch
        loss = loss_at(seen) * float(np.exp(random.normal(0, 0.1)))
        rate = 0.05 * (0.5 + 0.5 * math.cos(math.pi * seen / examples)) if decay else 0.001
        line = {
            "event": "step",
            "step": step,
            "epoch": 1,
            "examples": seen,
            "loss": loss,
            "accuracy": max(0.1, 1 - loss / 2.6),
        }
        line |= {"learning_rate": rate, "examples_per_second": 171.2, "time": 1.7e9 + step}
        lines.append(line | ({"gradient_norm": float(random.lognormal(-0.2, 0.5))} if clipped else {}))
    return lines


def epoch_rows(count: int, size: int, batch: int, *, clipped: bool, tested: bool) -> tuple[Epoch, ...]:
    rows = []
    for epoch in range(1, count + 1):
        seen = epoch * size
        train, held_out = loss_at(seen), loss_at(seen, 0.33) + 0.004 * epoch
        rows.append(
            Epoch(
                epoch=epoch,
                step=seen // batch,
                examples=seen,
                learning_rate=0.05 * (0.5 + 0.5 * math.cos(math.pi * epoch / count)),
                train_loss=train,
                train_accuracy=1 - train / 2.6,
                validation_loss=held_out,
                validation_accuracy=1 - held_out / 2.6,
                test_loss=held_out + 0.01 if tested else None,
                test_accuracy=1 - (held_out + 0.01) / 2.6 if tested else None,
                gradient_norm=0.9 if clipped else None,
                clipped_share=0.45 / epoch if clipped else None,
            )
        )
    return tuple(rows)


def gabors(count: int, channels: int, size: int) -> torch.Tensor:
    """Filters that look like those of a trained first layer."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    filters = []
    for _ in range(count):
        angle, frequency, phase = random.uniform(0, np.pi), random.uniform(1, 7), random.uniform(0, 6)
        wave = np.cos(frequency * (x * np.cos(angle) + y * np.sin(angle)) + phase) * np.exp(-2 * (x * x + y * y))
        tint = random.normal(0.6, 0.5, channels)[:, None, None]
        filters.append(wave * tint + random.normal(0, 0.04, (channels, size, size)))
    return torch.tensor(np.array(filters), dtype=torch.float32)


def run_record(**changes: Any) -> Run:
    base = Run(
        name="fashion-alexnet fast",
        recipe="fashion-alexnet",
        preset="fast",
        status="finished",
        created="2026-07-31T09:14:00+00:00",
        settings={
            "seed": 0,
            "batch_size": 128,
            "optimiser": {"name": "sgd", "momentum": 0.9},
            "precision": "32-true",
            "clip": None,
        },
        model=ModelFacts(
            name="alexnet-28",
            arguments={"activation": "relu", "classes": 10, "widths": [64, 192, 384]},
            parameters=1_683_402,
            multiply_adds=24_600_000,
            input_shape=(1, 28, 28),
        ),
        data=DataFacts(
            name="fashion-mnist",
            classes=CLOTHES,
            sizes={"train": 55_000, "validation": 5_000, "test": 10_000},
            example_shape=(1, 28, 28),
            licence="MIT",
            attribution="Zalando SE, https://github.com/zalandoresearch/fashion-mnist",
        ),
        machine=MACHINE,
        clock=Clock(compute=179.4, training=203.1, evaluation=31.7, total=246.0),
        steps=240,
        examples=30_720,
        epochs=epoch_rows(1, 30_720, 128, clipped=False, tested=False),
        best_epoch=1,
        test=evaluation(10),
    )
    return base.model_copy(update=changes)


def save(directory: Path, run: Run, steps: list[dict[str, Any]], weights: dict[str, torch.Tensor]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run.json").write_text(json.dumps(run.model_dump(mode="python")), encoding="utf-8")
    lines = [json.dumps({"event": "start"}), *map(json.dumps, steps)]
    (directory / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if weights:
        save_file(weights, directory / "model.safetensors")
    return directory


def fast(directory: Path) -> Path:
    """One epoch, one channel."""
    steps = events(30_720, 128, 4, clipped=False, decay=True)
    return save(
        directory,
        run_record(),
        steps,
        {"features.0.weight": gabors(64, 1, 5), "features.10.weight": torch.zeros(8, 1, 3, 3)},
    )


def long(directory: Path) -> Path:
    """Ten epochs, tested after each, with clipping, resumed once."""
    run = run_record(
        name="fashion-alexnet full",
        preset="full",
        steps=4290,
        examples=550_000,
        resumed=1,
        epochs=epoch_rows(10, 55_000, 128, clipped=True, tested=True),
        best_epoch=8,
        clock=Clock(compute=3104.0, training=3421.0, evaluation=402.0, total=3871.0),
    )
    return save(directory, run, events(550_000, 128, 5, clipped=True, decay=True), {"conv1.weight": gabors(96, 1, 11)})


def failed(directory: Path) -> Path:
    """Stopped by a loss that is not finite, in the first epoch."""
    message = "the loss is nan at step 61, first in layer 'features.3'; try a smaller learning rate or --clip 1"
    clock = Clock(compute=44.0, training=51.0, evaluation=0.0, total=58.0)
    run = run_record(
        status="failed", message=message, steps=61, examples=7_808, epochs=(), best_epoch=None, test=None, clock=clock
    )
    steps = events(7_808, 128, 2, clipped=True, decay=False)
    for line in steps[-3:]:
        line["loss"] = math.nan
    return save(directory, run, steps, {"conv1.weight": torch.full((8, 1, 3, 3), math.nan)})


def perceptron(directory: Path) -> Path:
    """An MLP, interrupted after two of its epochs, without step events."""
    model = ModelFacts(name="mlp", arguments={"activation": "tanh"}, parameters=101_770, input_shape=(784,))
    epochs = epoch_rows(2, 55_000, 128, clipped=False, tested=False)
    changes = {
        "status": "interrupted",
        "message": "stopped from the keyboard",
        "recipe": "fashion-mlp",
        "preset": "",
        "name": "",
    }
    run = run_record(model=model, epochs=epochs, steps=859, examples=110_000, test=None, **changes)
    return save(
        directory, run, [], {"net.1.weight": gabors(128, 1, 28).flatten(1), "net.3.weight": torch.zeros(10, 128)}
    )


def hostile(directory: Path) -> Path:
    """Three classes whose names try to break the page; everything else that is free text does, too."""
    bad = HOSTILE[0] + HOSTILE[1]
    data = DataFacts(name=bad, classes=HOSTILE, sizes={bad: 3}, example_shape=(1, 28, 28), licence=bad, attribution=bad)
    model = ModelFacts(name=bad, arguments={bad: bad, "activation": bad}, parameters=7)
    run = run_record(
        name=bad, preset=bad, message=bad, settings={bad: [bad]}, data=data, model=model, test=evaluation(3)
    )
    machine = MACHINE.model_copy(update={"processor": bad, "system": bad})
    run = run.model_copy(update={"machine": machine, "created": bad})
    return save(directory, run, [], {f"{bad}.weight": gabors(8, 1, 5)})


def colour(directory: Path) -> Path:
    """The AlexNet of the paper: 96 filters of 11 x 11 on three channels."""
    data = DataFacts(
        name="cifar-10",
        classes=tuple(f"class {n}" for n in range(10)),
        sizes={"train": 50_000},
        example_shape=(3, 32, 32),
    )
    run = run_record(data=data, test=evaluation(10, colour=True))
    steps = events(30_720, 128, 4, clipped=False, decay=True)
    weights = {"features.0.weight": gabors(96, 3, 11).bfloat16(), "features.11.weight": torch.zeros(8, 1, 3, 3)}
    return save(directory, run, steps, weights)


def bare(directory: Path) -> Path:
    """A task without classes, accuracy and pictures, as a language model is."""
    data = DataFacts(name="hlm", sizes={"train": 900_000})
    rows = tuple(
        row.model_copy(update={"train_accuracy": None, "validation_accuracy": None}) for row in run_record().epochs
    )
    run = run_record(data=data, epochs=rows, test=Evaluation(part="test", count=1000, loss=3.21))
    steps = [
        {key: value for key, value in line.items() if key != "accuracy"}
        for line in events(30_720, 128, 4, clipped=False, decay=True)
    ]
    return save(directory, run, steps, {"embed.weight": torch.zeros(100, 37)})


KINDS: dict[str, Callable[[Path], Path]] = {
    f.__name__: f for f in (fast, long, failed, perceptron, hostile, colour, bare)
}
