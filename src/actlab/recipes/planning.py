"""A plan: all that decides a training, in one record. `config.toml` holds it; the command line changes it before the start."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError

from ..errors import UnknownName
from ..models.initialise import Initialisation
from ..records import Record
from ..train.settings import Settings, change, complaint


class DataPlan(Record):
    """Which images, and how they are cut and changed."""

    task: Literal["images"] = "images"
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


class SlotPlan(Record):
    """Which sentences."""

    task: Literal["slots"] = "slots"
    source: str = "snips"  # a name, or a folder of SNIPS' or ATIS' form
    validation: int = Field(default=700, ge=0)
    limit: int | None = Field(default=None, ge=1)


class SpeechPlan(Record):
    """Which recordings."""

    task: Literal["speech"] = "speech"
    source: str = "fsdd"  # a name, or a folder of DIGIT_SPEAKER_INDEX.wav
    split: str = "official"  # or a speaker, whom the training never hears
    validation: int = Field(default=300, ge=0)
    limit: int | None = Field(default=None, ge=1)
    mels: int = Field(default=40, ge=4, le=128)
    mask: float = Field(default=0.2, ge=0, lt=1)  # largest share of bands, and of time, hidden in training


class SeriesPlan(Record):
    """Which series, and what of it is forecast from what."""

    task: Literal["series"] = "series"
    source: str = "sunspots"  # a name, or a CSV file
    target: str | None = None  # column; by default the last
    inputs: tuple[str, ...] = ()
    memory: int = Field(default=9, ge=1)  # steps of the past that are seen
    horizons: tuple[Annotated[int, Field(ge=1)], ...] = ()  # steps ahead, closed loop, at which errors are reported
    transform: Literal["identity", "sqrt"] = "identity"
    test_from: str | int | float = 0.85  # the first time to test on, or a share of the rows
    validation: float = Field(default=0.15, ge=0, lt=1)  # share of the rows before it, the last ones
    limit: int | None = Field(default=None, ge=1)  # rows, the last ones


class CharacterPlan(Record):
    """Which text."""

    task: Literal["characters"] = "characters"
    source: str = ""  # a text file in UTF-8
    length: int = Field(default=128, ge=2)  # characters of one example
    validation: int | None = None  # always a twentieth
    limit: int | None = None


class PairPlan(Record):
    """Which pairs of sequences."""

    task: Literal["pairs"] = "pairs"
    source: str = (
        "cmudict"  # a name, a file of words and their phonemes, or of sentences with their translations (.txt, .tsv)
    )
    stress: bool = False  # of phonemes: keep the marks of stress on vowels
    reverse: bool = False  # of translations: from the second language to the first
    autoregressive: bool = True  # token by token; else all places at once
    # all at once: who says where the answer ends; "ctc": the best path through some outputs for each token of the source
    lengths: Literal["classifier", "end", "ctc"] = "classifier"
    ctc: float = Field(
        default=0.0, ge=0
    )  # token by token: weight of the loss over paths from the encoder, beside the decoder's
    pieces: int | None = Field(default=None, ge=8)  # learn so many pieces of words; else characters
    teacher: str | None = None  # a run whose answers take the place of the training targets
    validation: int | None = None  # the published sizes
    limit: int | None = Field(default=None, ge=1)  # words of each part


class GraphPlan(Record):
    """Which graph."""

    task: Literal["graph"] = "graph"
    source: str = "karate"  # a name, or a folder with NAME.content and NAME.cites
    validation: int | None = None  # as the graph has it
    limit: int | None = None


AnyDataPlan = Annotated[
    Annotated[DataPlan, Tag("images")]
    | Annotated[SlotPlan, Tag("slots")]
    | Annotated[SpeechPlan, Tag("speech")]
    | Annotated[SeriesPlan, Tag("series")]
    | Annotated[CharacterPlan, Tag("characters")]
    | Annotated[PairPlan, Tag("pairs")]
    | Annotated[GraphPlan, Tag("graph")],
    Discriminator(lambda plan: plan.get("task", "images") if isinstance(plan, dict) else plan.task),
]


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
    data: AnyDataPlan = DataPlan()
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
