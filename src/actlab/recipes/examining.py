"""Diagnosis of a run: its network as it is now, how its loss has gone, and which units died or came back since the start."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from .._plot_events import read_steps
from ..diagnosis import diagnose
from ..diagnosis._probe import Probe
from ..diagnosis._streams import SiteStream
from ..diagnosis.diagnosing import call
from ..diagnosis.past import Past, past
from ..records import Checkpoint, Diagnosis, Run, Site
from .subject import Subject, subject

_MOST = 100  # checkpoints of which dead units are remembered


def examine(
    directory: str | Path,
    *,
    batches: int = 64,
    initial: bool = False,
    trials: bool = True,
    earlier: tuple[Checkpoint, ...] = (),
) -> tuple[Diagnosis, Subject]:
    """What is wrong with a run, finished or under way; `initial` looks at the weights it began with.

    `earlier`: checkpoints of which dead units are known, of an examination of as many batches. Without them the start is looked at
    too. Raises ActlabError where the run has no weights yet.
    """
    one = subject(directory, batches=batches, initial=initial)
    history = _past(Path(directory), one)
    if not earlier and not initial:
        earlier = (silent_units(one.beginning(), one, 0),)
    # a run whose loss has fallen has shown what the trials are to show
    trials = trials and not (history is not None and min(history.losses) < 0.8 * history.begins)
    found = diagnose(one.model, one.batches, one.loss, most=batches, trials=trials, past=history, earlier=earlier)
    now = checkpoint(found.sites, one.step)
    return found.model_copy(update={"model": one.plan.model.name, "checkpoints": (*earlier, now)}), one


def follow(directory: str | Path, *, batches: int = 64, pause: float = 1.0) -> Iterator[tuple[Diagnosis, int]]:
    """A diagnosis and its step for every checkpoint of a run under way, until the run has ended; `pause` is in seconds.

    Without the trials, which would take the run's time. Raises ActlabError where there is no run.
    """
    path, earlier, seen = Path(directory), (), None
    while True:
        ended = Run.read(path).status != "running"
        stamp = _stamp(path)
        if stamp is not None and stamp != seen:
            seen = stamp
            found, one = examine(path, batches=batches, trials=False, earlier=earlier)
            if earlier and earlier[-1].step == one.step:
                continue  # the weights of the last checkpoint, written once more as those of a finished run
            earlier = (*found.checkpoints[:1], *found.checkpoints[1:][-_MOST:])
            yield found, one.step
        elif ended:
            return
        else:
            time.sleep(pause)


def _stamp(path: Path) -> int | None:
    """When the weights that `subject` reads were written; None where there are none yet."""
    for file in (path / "model.safetensors", path / "checkpoints" / "last.pt"):
        with suppress(FileNotFoundError):
            return file.stat().st_mtime_ns
    return None


def checkpoint(sites: Iterable[Site | SiteStream], step: int) -> Checkpoint:
    """The dead units of a diagnosis, or of a probe."""
    sites = list(sites)
    return Checkpoint(
        step=step, silent={one.name: one.silent for one in sites}, units={one.name: one.units for one in sites}
    )


def silent_units(model: nn.Module, one: Subject, step: int) -> Checkpoint:
    """The dead units of a network on the batches of a subject, by forward passes alone."""
    probe = Probe(model)
    try:
        with torch.no_grad(), torch.random.fork_rng():
            for inputs, _ in one.batches:
                call(model, inputs)
    finally:
        probe.close()
    return checkpoint(probe.sites.values(), step)


def _past(directory: Path, one: Subject) -> Past | None:
    """How the loss has gone, and what the first step was; None where no loss was noted."""
    noted = read_steps(directory)
    losses = noted.values.get("loss", [])
    known = [(int(step), float(loss)) for step, loss in zip(noted.steps, losses, strict=True) if loss == loss]
    if not known:
        return None
    steps, values = zip(*known, strict=True)
    return past(one.beginning(), one.batches, one.loss, one.optimizers, steps=steps, losses=values)
