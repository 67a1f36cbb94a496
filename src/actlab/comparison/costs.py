"""What trainings cost: a forecast before the start, and time and memory of every candidate beside the verdict."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ..optimizing import bytes_kept
from ..records import Costs, Declaration
from ..train import Diverged, change, fit
from ..train.fabric import start
from .batched import train_batched
from .running import TOGETHER, Subject

_STEPS, _ROUNDS = 10, 5  # of a measurement: steps in a row, rounds over the candidates
_SECONDS = 30.0  # after which no further round begins


@dataclass(frozen=True)
class Expected:
    """What a comparison will cost from here on."""

    least: int  # trainings, those not done yet
    most: int  # where every grid is extended twice
    steps: int
    seconds: float  # of one training, on one thread
    workers: int
    folder: Path
    part: str  # on which the confirmation is scored


def forecast(subject: Subject, declared: Declaration, together: Callable[[str], bool]) -> float:
    """Seconds of one training on one thread, or its share of a batch.

    From two short trainings of the baseline: their difference is what steps take, the rest what everything else takes.
    """
    count = TOGETHER if together(declared.baseline) else 1
    short, long = min(2, declared.steps), min(2 + _STEPS, declared.steps)
    _timed(subject, declared, 1, 1)  # kernels are compiled, memory is fetched
    few = _timed(subject, declared, count, short)
    many = _timed(subject, declared, count, long) if long > short else few
    step = max(0.0, many - few) / max(1, long - short)
    return (few + step * (declared.steps - short)) / count


def _timed(subject: Subject, declared: Declaration, count: int, steps: int) -> float:
    """Seconds of one training, or of so many at once, of so many steps."""
    rate, seeds = declared.rates[0], [declared.tuning_seeds[0] + number for number in range(count)]
    settings = [change(subject.settings(declared.baseline, rate, seed), {"steps": steps}) for seed in seeds]
    models = [subject.model(declared.baseline, seed) for seed in seeds]
    parts = replace(subject.parts(seeds[0]), test=None)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.perf_counter()
    try:
        if count > 1:
            train_batched(models, parts, settings=settings, loss=subject.loss)
        else:
            fit(models[0], parts, settings=settings[0], loss=subject.loss)
    except Diverged:
        pass
    finally:
        torch.set_num_threads(before)
    return time.perf_counter() - began


def measure(subject: Subject, declared: Declaration) -> Costs:
    """Seconds of a step, in turn over the candidates on one thread, and bytes kept for the backward pass of one batch.

    Medians of five rounds of ten steps of `fit` at the lowest rate; fewer rounds where they take longer than half a minute.
    """
    times: dict[str, list[float]] = {name: [] for name in declared.candidates}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.perf_counter()
    try:
        for number in range(_ROUNDS + 1):
            for name, found in times.items():
                seconds = _step(subject, declared, name, _STEPS if number else 1)
                if number:  # the first round compiles and warms
                    found.append(seconds)
            if number and time.perf_counter() - began > _SECONDS:
                break
    finally:
        torch.set_num_threads(before)
    kept = {name: _kept(subject, declared, name) for name in declared.candidates}
    seconds = {name: median(found) for name, found in times.items()}
    return Costs(seconds_per_step={name: one for name, one in seconds.items() if isfinite(one)}, bytes_kept=kept)


def _step(subject: Subject, declared: Declaration, name: str, steps: int) -> float:
    seed = declared.tuning_seeds[0]
    parts = subject.parts(seed)
    settings = change(subject.settings(name, declared.rates[0], seed), {"steps": steps, "patience": None})
    try:
        run = fit(
            subject.model(name, seed), replace(parts, validation=None, test=None, scores=None), settings=settings, loss=subject.loss
        )  # fmt: skip
    except Diverged:
        return float("nan")
    return run.clock.training / steps


def _kept(subject: Subject, declared: Declaration, name: str) -> int:
    seed = declared.tuning_seeds[0]
    parts, settings = subject.parts(seed), subject.settings(name, declared.rates[0], seed)
    fabric = start(settings)
    model = subject.model(name, seed).train().to(fabric.device)
    inputs = parts.prepare(parts.train[torch.arange(min(len(parts.train), settings.batch_size))][0], True)

    def call() -> Any:
        with fabric.autocast():
            return model(fabric.to_device(inputs))

    return bytes_kept(call, model)
