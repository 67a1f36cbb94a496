"""What carrying out a plan ends with, whatever the task: the training under the plan's name, in the place that is asked for once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from ..records import Run
from ..train import Origin, Parts, fit
from ..train.evaluation import Loss
from ..train.show import Quiet, Show
from .planning import Plan, read

Place = str | Path | Callable[[], Path]


def train(
    plan: Plan,
    model: nn.Module,
    parts: Parts,
    *,
    place: Place,
    resume: bool,
    show: Show | None,
    loss: Loss | None = None,
    **known: Any,
) -> tuple[Run, Path | None]:
    """The record, and the run directory: None in all but the first of several processes, as the first alone is asked for it.

    `known` are further fields of the run's Origin.
    """
    origin = Origin(
        recipe=plan.recipe,
        preset=plan.preset,
        plan=plan.model_dump(mode="json"),
        completed=lambda earlier: read(earlier).model_dump(mode="json"),
        model=plan.model.name,
        arguments={"activation": plan.model.activation, **plan.model.arguments},
        **known,
    )
    where: list[Path] = []

    def noted() -> Path:
        where.append(Path(place() if callable(place) else place))
        return where[-1]

    done = fit(
        model,
        parts,
        settings=plan.settings,
        loss=loss,
        run_dir=noted,
        resume=resume,
        origin=origin,
        show=show or Quiet(),
    )
    return done, where[-1] if where else None
