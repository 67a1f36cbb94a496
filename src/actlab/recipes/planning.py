"""A plan: all that decides a training, in one record. `config.toml` holds it; the command line changes it before the start."""

from typing import Any

from pydantic import Field, ValidationError

from ..errors import UnknownName
from ..models.initialise import Initialisation
from ..records import Record
from ..train.settings import Settings, change, complaint


class DataPlan(Record):
    """Which data, and how they are cut and changed."""

    source: str = "fashion-mnist"  # a name, a folder, or file.py:callable
    validation: int = Field(default=5000, ge=0)  # training images held out to choose by
    limit: int | None = Field(default=None, ge=1)  # at most so many images of each part
    normalise: bool = (
        True  # subtract the mean and divide by the deviation of the training pixels; else pixels in [0, 1]
    )
    flip: float = Field(default=0.0, ge=0, le=1)  # probability of mirroring
    crop: int = Field(default=0, ge=0)  # pixels by which an image may move, at its own resolution
    erase: float = Field(default=0.0, ge=0, le=1)  # probability of blacking out a rectangle
    colour: float = Field(default=0.0, ge=0, le=1)  # change of brightness and contrast


class ModelPlan(Record):
    """Which network, and how its weights start."""

    name: str  # of `actlab models`, or file.py:callable
    activation: str = "relu"
    arguments: dict[str, Any] = Field(default_factory=dict)
    initialise: Initialisation = "default"
    fused: bool = True  # activations by compiled kernels, where there is a compiler


class Plan(Record):
    """Data, model and settings under the name of a recipe."""

    recipe: str
    preset: str = ""
    data: DataPlan = DataPlan()
    model: ModelPlan
    settings: Settings = Settings()

    def with_changes(
        self,
        *,
        data: dict[str, Any] | None = None,
        model: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> "Plan":
        """The plan with some values replaced, all of them checked."""
        return self.model_copy(
            update={
                "data": _changed(self.data, data or {}),
                "model": _changed(self.model, model or {}),
                "settings": change(self.settings, settings or {}),
            }
        )


def read(content: dict[str, Any]) -> Plan:
    """A plan from the content of a `config.toml`; raises UsageError naming the value that is wrong."""
    try:
        return Plan.model_validate(content)
    except ValidationError as error:
        raise complaint(error) from None


def _changed(part: Any, changes: dict[str, Any]) -> Any:
    for name in changes:
        if name not in type(part).model_fields:
            raise UnknownName("setting", name, type(part).model_fields)
    try:
        return type(part).model_validate({**part.model_dump(), **changes})
    except ValidationError as error:
        raise complaint(error) from None
