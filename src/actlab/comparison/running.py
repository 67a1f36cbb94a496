"""Doing the jobs of a comparison: in this process, in several or on a cluster, batched where that is exact and sooner, every finished trial on disk at once."""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from random import Random
from typing import Any, Protocol

import torch
from torch import nn

from .._files import write_whole
from .._language import say
from ..errors import ActlabError
from ..records import Declaration, Epoch, Evaluation, Trial
from ..train import Diverged, Parts, Settings, fit
from .backends import HERE, Place, Workers
from .batched import NotBatched, train_batched, why_not, worth
from .protocol import Job

TOGETHER = 16  # trainings of one batch, whatever the number of workers, so that these do not show in the numbers
_READ = 256  # examples read at once


class Subject(Protocol):
    """What is compared: a network and data for every candidate and seed."""

    fixed: bool  # whether the data are the same for every seed
    loss: Callable[[Any, Any], Any] | None

    def model(self, candidate: str, seed: int) -> nn.Module:
        """The network as its training begins."""
        ...

    def parts(self, seed: int) -> Parts:
        """Data, split as the seed says."""
        ...

    def settings(self, candidate: str, rate: float, seed: int) -> Settings:
        """Of one training."""
        ...


Opener = Callable[[Declaration], Subject]  # a function of a module, for other processes import it


class Runner:
    """Trains what `compare` asks for. What stands in `folder` already is read, not trained again."""

    def __init__(
        self, declared: Declaration, opener: Opener, folder: Path, *, place: Place = HERE,
        show: Callable[[Trial, int], None] = lambda trial, left: None,
    ):  # fmt: skip
        self.declared, self.opener, self.folder = declared, opener, folder
        self.place, self.show = place, show
        self._workers = Workers(place)
        self.subject = _open(opener, declared.model_dump_json())

    @property
    def workers(self) -> int:
        """How many processes of this machine train."""
        return self.place.workers

    @property
    def part(self) -> Any:
        """On which the confirmation is scored."""
        return "validation" if self.subject.parts(self.declared.confirmation_seeds[0]).test is None else "test"

    @property
    def guessing(self) -> float | None:
        """What the metric is on that part without looking at the inputs."""
        parts = self.subject.parts(self.declared.confirmation_seeds[0])
        return chance(getattr(parts, self.part), self.declared.metric)

    def __call__(self, jobs: Sequence[Job]) -> list[Trial]:
        """A trial for every job, in their order."""
        known = {job: _read(_file(self.folder, job)) for job in jobs}
        left = sum(one is None for one in known.values())
        groups = [group for group in self._groups(list(jobs)) if any(known[job] is None for job in group)]
        work = [(self.opener, self.declared.model_dump_json(), group) for group in groups]
        with closing(self._workers.results(_work, work)) as done:
            for job, trial in done:
                # a batch that was cut off is trained as it was, for others are rounded otherwise
                if known[job] is not None:
                    continue
                known[job] = _write(_file(self.folder, job), trial)
                left -= 1
                self.show(trial, left)
        return [trial for job in jobs if (trial := known[job]) is not None]

    def close(self) -> None:
        """End the processes, leave the cluster."""
        self._workers.close()

    def _groups(self, jobs: list[Job]) -> list[list[Job]]:
        """Jobs that are trained together: of one candidate and stage where they can be one batch, else one by one."""
        groups: dict[Any, list[list[Job]]] = {}
        for job in sorted(jobs, key=lambda one: (one.candidate, one.stage, one.rate, one.seed)):
            found = groups.setdefault((job.candidate, job.stage), [[]])
            if found[-1] and (len(found[-1]) == TOGETHER or not self.together(job.candidate)):
                found.append([])
            found[-1].append(job)
        made = [group for found in groups.values() for group in found]
        Random(0).shuffle(made)  # so that no candidate has the machine's quiet hours for itself
        return made

    @cache  # noqa: B019  (a runner lives as long as its comparison)
    def together(self, candidate: str) -> bool:
        """Whether trainings of this candidate can be one batch, and are sooner done so."""
        if not self.subject.fixed:
            return False
        seeds = self.declared.tuning_seeds[:2]
        models = [self.subject.model(candidate, seed) for seed in seeds]
        settings = [self.subject.settings(candidate, self.declared.rates[0], seed) for seed in seeds]
        parts = self.subject.parts(seeds[0])
        return worth(models * 2) and why_not(models, settings, parts=parts, loss=self.subject.loss) is None


@lru_cache(maxsize=4)
def _open(opener: Opener, declared: str) -> Subject:
    return opener(Declaration.model_validate_json(declared))


def _work(opener: Opener, declared: str, jobs: list[Job]) -> Iterator[tuple[Job, Trial]]:
    """Train these jobs, together or one after another. Nothing is written: the process may be on a machine without the folder.

    One thread always: sums of several threads are rounded differently, and the number of processes must not show in the numbers.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        subject, found = _open(opener, declared), Declaration.model_validate_json(declared)
        yield from _trained(subject, found, jobs)
    finally:
        torch.set_num_threads(before)


def _trained(subject: Subject, declared: Declaration, jobs: list[Job]) -> Iterator[tuple[Job, Trial]]:
    if len(jobs) > 1:
        models = [subject.model(job.candidate, job.seed) for job in jobs]
        settings = [subject.settings(job.candidate, job.rate, job.seed) for job in jobs]
        try:
            outcomes = train_batched(models, _parts(subject, jobs[0]), settings=settings, loss=subject.loss)
        except NotBatched:  # its first batch showed what the two networks that were asked did not
            outcomes = None
        if outcomes is not None:
            for job, one in zip(jobs, outcomes, strict=True):
                yield job, _trial(subject, declared, job, one.epochs, one.test, one.diverged, None)
            return
    for job in jobs:
        yield job, _alone(subject, declared, job)


def _alone(subject: Subject, declared: Declaration, job: Job) -> Trial:
    settings = subject.settings(job.candidate, job.rate, job.seed)
    try:
        run = fit(subject.model(job.candidate, job.seed), _parts(subject, job), settings=settings, loss=subject.loss)
    except Diverged:
        return _trial(subject, declared, job, (), None, True, None)
    return _trial(subject, declared, job, run.epochs, run.test, False, run.clock.training / max(1, run.steps))


def _parts(subject: Subject, job: Job) -> Parts:
    """Only the confirmation sees the test part."""
    parts = subject.parts(job.seed)
    if job.stage == "confirmation":
        return parts
    return Parts(parts.train, parts.validation, None, parts.prepare, parts.facts, parts.scores)


def _trial(
    subject: Subject, declared: Declaration, job: Job, epochs: Sequence[Epoch], test: Evaluation | None, diverged: bool, seconds: float | None,
) -> Trial:  # fmt: skip
    value = None
    if not diverged:
        last = epochs[-1]
        shown = test if test is not None else last
        value = getattr(shown, declared.metric if test is not None else f"validation_{declared.metric}")
        assert value is not None, "asked before the first training"
        diverged = not math.isfinite(value)
    if diverged:
        value = _lost(subject, declared, job, subject.parts(job.seed))
    assert value is not None
    validation = None
    if diverged and job.stage == "confirmation":
        validation = _lost(subject, declared, replace(job, stage="screening"), subject.parts(job.seed))
    elif test is not None:
        validation = getattr(epochs[-1], f"validation_{declared.metric}")
    curve = tuple((one.step, one.train_loss) for one in epochs)
    return Trial(
        candidate=job.candidate, rate=job.rate, seed=job.seed, stage=job.stage, value=value, validation=validation, diverged=diverged, curve=curve, seconds_per_step=seconds,
    )  # fmt: skip


def chance(part: Any, metric: str) -> float | None:
    """What a guess gets: accuracy of the most frequent class, or the loss of knowing the frequencies; of numbers their variance.

    None where targets are no tensor, so that a guess has no simple form.
    """
    found = [part[indices][1] for indices in torch.arange(len(part)).split(_READ)]
    if not all(map(torch.is_tensor, found)):
        return None
    if found[0].is_floating_point():
        return float(torch.cat(found).flatten(1 if found[0].dim() > 1 else 0).double().var(0, correction=0).mean())
    targets = torch.cat([one.flatten() for one in found])
    share = torch.bincount(targets[targets >= 0]).double()
    share = share[share > 0] / share.sum()
    return float(share.max()) if metric == "accuracy" else float(-(share * share.log()).sum())


def _lost(subject: Subject, declared: Declaration, job: Job, parts: Parts) -> float:
    """The value of a training that diverged: that of a guess, or where this has no simple form the loss of the untrained network."""
    part = parts.test if job.stage == "confirmation" and parts.test is not None else parts.validation
    assert part is not None
    guess = chance(part, declared.metric)
    if guess is not None:
        return guess
    model, loss = subject.model(job.candidate, job.seed).eval(), getattr(subject.loss, "plain", subject.loss)
    assert loss is not None
    total = 0.0
    with torch.no_grad():
        for indices in torch.arange(len(part)).split(_READ):
            inputs, targets = part[indices]
            total += float(loss(model(parts.prepare(inputs, False)), targets)) * len(indices)
    return total / len(part)


def _file(folder: Path, job: Job) -> Path:
    name = re.sub(r"[^\w.-]", "_", job.candidate)
    return folder / "trials" / f"{name}-{job.rate:.9g}-{job.seed}.json"


def _write(file: Path, trial: Trial) -> Trial:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ActlabError(
            say(f"cannot write '{file}' ({error.strerror})", f"无法写入“{file}”（{error.strerror}）")
        ) from error
    text = json.dumps({"trial": trial.model_dump(mode="json"), "seconds_per_step": trial.seconds_per_step}) + "\n"
    write_whole(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return trial


def _read(file: Path) -> Trial | None:
    """A finished trial; None where there is none. Raises ActlabError for a file that is damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Trial.model_validate({**found["trial"], "seconds_per_step": found["seconds_per_step"]})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ActlabError(
            say(f"the trial '{file}' cannot be read ({type(error).__name__}); remove it, and it is trained again", f"无法读取试验“{file}”（{type(error).__name__}）；删除后将重新训练")
        ) from error  # fmt: skip
