"""Declaring a comparison: how many seeds and rates, and which plan they are for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ..records import Declaration
from ..train.settings import complaint
from .planning import Plan


@dataclass(frozen=True)
class Size:
    """How much is trained."""

    tuning: int  # seeds of each stage
    screening: int
    confirmation: int
    rates: int  # learning rates, half a decade apart around the plan's
    finalists: int


FULL = Size(tuning=2, screening=5, confirmation=10, rates=7, finalists=3)
QUICK = Size(tuning=1, screening=3, confirmation=8, rates=5, finalists=1)
MARGINS = {"accuracy": 0.005, "loss": 0.02}  # smallest differences of interest
STEPS = 300


def declare(target: str, plan: Plan, candidates: Sequence[str], size: Size = FULL, **fields: Any) -> Declaration:
    """A declaration with the seeds and rates of that size; `fields` are those of Declaration, and go before.

    Raises UsageError or UnknownName in one sentence for a field that is wrong or unknown.
    """
    middle, reach = plan.settings.learning_rate, size.rates // 2
    given = {name: value for name, value in fields.items() if value is not None}
    values: dict[str, Any] = {
        "baseline": (*candidates, "")[0],
        "margin": MARGINS.get(given.get("metric", "accuracy"), 0.005),
        "steps": STEPS,
        "finalists": size.finalists,
        "rates": tuple(middle * 10 ** (step / 2) for step in range(-reach, reach + 1)),
        "tuning_seeds": tuple(range(1001, 1001 + size.tuning)),
        "screening_seeds": tuple(range(2001, 2001 + size.screening)),
        "confirmation_seeds": tuple(range(3001, 3001 + size.confirmation)),
        **given,
    }
    try:
        return Declaration(target=target, candidates=tuple(candidates), plan=plan.model_dump(mode="json"), **values)
    except ValidationError as error:
        raise complaint(error) from None
