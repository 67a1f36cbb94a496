"""Frozen records of what happened. Everything that shows results reads these and nothing else.

A record is JSON on disk (`run.json`) and a pydantic model in memory. Losses are in nats per example, times in seconds, accuracies
in [0, 1].
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["running", "finished", "interrupted", "failed"]


class Record(BaseModel):
    """Immutable, and strict about names, so that a file of another version is noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class DataFacts(Record):
    """Which data a run saw, and under which terms they may be shown."""

    name: str
    classes: tuple[str, ...] = ()
    sizes: dict[str, int]  # examples in "train", "validation", "test"
    example_shape: tuple[int, ...] = ()  # of one raw example, for images (channel, height, width)
    mean: tuple[
        float, ...
    ] = ()  # of the training pixels in [0, 1], per channel: what a network's input was normalised by
    std: tuple[float, ...] = ()
    licence: str = ""
    attribution: str = ""


class ModelFacts(Record):
    """What is needed to build the network again, and its size."""

    name: str  # a name of `actlab models`, or file.py:callable
    arguments: dict[str, Any] = Field(default_factory=dict)
    parameters: int
    multiply_adds: int | None = None  # forward, one example; None where it could not be counted
    input_shape: tuple[int, ...] = ()


class Machine(Record):
    """Where it ran: needed to read any number of seconds."""

    processor: str
    cores: int
    threads: int
    memory_bytes: int
    device: str
    processes: int
    system: str
    python: str
    torch: str
    actlab: str


class Clock(Record):
    """Seconds by kind, summed over all sessions of a resumed run."""

    compute: float  # forward, backward and step alone: the clock of the study notes
    training: float  # the whole training loop, waiting for data and checkpoints included
    evaluation: float
    total: float  # everything from start to report


class Epoch(Record):
    """One row of `metrics.csv`. Holds nothing that depends on the clock, so that a resumed run gives the same file."""

    epoch: int  # counted from 1
    step: int  # optimizer steps done
    examples: int  # examples seen
    learning_rate: float  # at the last step
    train_loss: float
    train_accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    test_loss: float | None = None  # only where a recipe reports it per epoch; never used to choose
    test_accuracy: float | None = None
    gradient_norm: float | None = None  # mean over the epoch, before clipping
    clipped_share: float | None = None  # share of steps in which the gradient was clipped
    scores: dict[str, float] = Field(default_factory=dict)  # of the validation part, by the task: slot_f1, rmse

    def flat(self) -> dict[str, Any]:
        """Its columns: the scores each for itself."""
        plain = self.model_dump(exclude={"scores"})
        return plain | {f"validation_{name}": value for name, value in self.scores.items()}


class Mistake(Record):
    """A test image the network got wrong, with its picture."""

    index: int
    truth: int
    predicted: int
    probability: float  # given to the wrong class
    image_png: str = ""  # base64


class Evaluation(Record):
    """Result on one part of the data."""

    part: Literal["train", "validation", "test"]
    count: int
    loss: float
    accuracy: float | None = None
    scores: dict[str, float] = Field(default_factory=dict)  # by the task: slot_f1, rmse
    confusion: tuple[tuple[int, ...], ...] = ()  # row: true class, column: predicted class
    mistakes: tuple[Mistake, ...] = ()  # the most confident ones first


class Run(Record):
    """One training, from its command to its result."""

    name: str
    recipe: str
    preset: str = ""
    status: Status
    created: str  # when it was started: ISO 8601, UTC
    message: str = ""  # why it stopped, when it did not simply finish
    settings: dict[str, Any]
    model: ModelFacts
    data: DataFacts
    machine: Machine
    clock: Clock
    loss_unit: str = "nats per example"
    steps: int
    examples: int
    resumed: int = 0  # how many times it was taken up again
    epochs: tuple[Epoch, ...] = ()
    best_epoch: int | None = None  # chosen on validation data
    test: Evaluation | None = None

    @classmethod
    def read(cls, directory: str | Path) -> "Run":
        """The record in a run directory."""
        from ._language import say
        from .errors import ActlabError, first_line

        path = Path(directory) / "run.json"
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise ActlabError(
                say(
                    f"expected a run directory with run.json; '{directory}' has none",
                    f"“{directory}”中没有 run.json，不是运行目录",
                )
            ) from None
        except OSError as error:
            raise ActlabError(
                say(f"cannot read '{path}' ({error.strerror})", f"无法读取“{path}”（{error.strerror}）")
            ) from None
        except ValueError as error:
            raise ActlabError(
                say(
                    f"'{path}' is not a run record of this version of Actlab: {first_line(error)}",
                    f"“{path}”不是本版本 Actlab 的运行记录：{first_line(error)}",
                )
            ) from None


Severity = Literal["note", "warning", "error"]


class Finding(Record):
    """One thing that is wrong, where, and by which number it was found."""

    rule: str
    severity: Severity
    layer: str = ""  # as named_modules() names it; ":2" is its second call; "" is the whole network
    value: float  # in the unit that the rule's text gives
    threshold: float
    source: str  # of the threshold
    samples: int  # examples looked at
    details: dict[str, Any] = Field(default_factory=dict)
    explained_by: str = ""  # the rule whose finding explains this one, which is then only a note


class Site(Record):
    """One call of an activation over everything that was looked at."""

    name: str
    activation: str
    order: int  # of the call within a forward pass
    count: int  # numbers seen
    units: int
    dead: int  # units with zero output and zero slope on every sample
    silent: tuple[int, ...] = ()  # which ones
    flat: float  # share of inputs where |f'| is below a thousandth of its largest, without the side where a ReLU is off
    off: float  # share of inputs on that side
    mean: float
    deviation: float
    edges: tuple[float, ...] = ()  # of the histogram of its inputs
    counts: tuple[int, ...] = ()
    curve: tuple[tuple[float, float, float], ...] = ()  # z, f(z), f'(z)


class Layer(Record):
    """One call of a layer with weights: the size of what comes out of it, of the gradient that comes back, and of its updates."""

    name: str
    kind: str
    order: int
    rms: float  # root mean square of its output
    gradient: float  # norm of the loss's gradient at its output, mean over the batches
    rank: float  # effective rank of its outputs over samples, exp of the entropy of the squared singular values
    units: int
    update: float | None = None  # ||change of the weight|| / ||weight|| of one step, median over steps


class Checkpoint(Record):
    """Units that were dead at one moment of a training, on the same samples each time."""

    step: int  # optimizer steps done
    silent: dict[str, tuple[int, ...]] = Field(default_factory=dict)  # by activation
    units: dict[str, int] = Field(default_factory=dict)


class Diagnosis(Record):
    """What was looked at in a network, and what was found."""

    model: str
    parameters: int
    batches: int
    samples: int
    training: bool  # mode of the network while it was looked at
    losses: tuple[float, ...] = ()  # of each batch
    findings: tuple[Finding, ...] = ()
    sites: tuple[Site, ...] = ()
    layers: tuple[Layer, ...] = ()
    attention: dict[str, tuple[float, ...]] = Field(default_factory=dict)  # entropy of each head over its largest
    checkpoints: tuple[Checkpoint, ...] = ()  # of a run: earlier ones, then the one that was looked at
    unseen: tuple[str, ...] = ()  # what could not be looked into
    attempts: tuple["Attempt", ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)

    def worst(self) -> Severity | None:
        """The gravest severity of the findings."""
        order: tuple[Severity, ...] = ("note", "warning", "error")
        found = [one.severity for one in self.findings]
        return next((one for one in reversed(order) if one in found), None)


class Attempt(Record):
    """A remedy, and the network trained with and without it from the same seeds."""

    rule: str  # whose finding it answers
    layer: str
    remedy: str  # a name of `remedies`
    changes: tuple[str, ...]  # what was changed, a line each
    code: str  # the same, to paste
    without: tuple[float, ...]  # loss on batches kept out, a seed each
    with_: tuple[float, ...]
    guess: float | None  # loss of knowing only how frequent the classes are
    difference: float  # mean of with - without
    low: float  # 95 % interval, paired t
    high: float
    verdict: Literal["better", "worse", "practically equal", "undecided"]
    learns: tuple[bool, bool] | None = None  # without, with: clearly better than guessing
    more_seeds: int = 0  # about so many more would decide


# "second rate" are trainings of the confirmation at the one of two rates that was not settled on
Stage = Literal["tuning", "screening", "confirmation", "second rate"]


class Declaration(Record):
    """All that a comparison decides before its first training: `compare.toml`."""

    target: str  # a recipe, or file.py:callable that returns the network
    factor: Literal["activation", "init", "model"] = "activation"  # what the candidates are
    candidates: tuple[str, ...]
    baseline: str
    metric: Literal["loss", "accuracy"] = "accuracy"
    # smallest difference of interest, in the unit of the metric
    margin: float = Field(default=0.005, gt=0, allow_inf_nan=False)
    steps: int = Field(default=300, ge=1)  # of every training
    rates: tuple[float, ...] = ()  # learning rates that every candidate is tried with, ascending
    tuning_seeds: tuple[int, ...] = (1001, 1002)
    screening_seeds: tuple[int, ...] = (2001, 2002, 2003, 2004, 2005)
    confirmation_seeds: tuple[int, ...] = tuple(range(3001, 3011))
    finalists: int = Field(default=3, ge=1)  # confirmed beside the baseline
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    fingerprint: str = ""  # of a network and data of one's own, for a name may come to mean another thing
    plan: dict[str, Any] = Field(
        default_factory=dict
    )  # data, model and settings of the trainings, as `config.toml` has them

    @property
    def higher_is_better(self) -> bool:
        """Of the metric."""
        return self.metric == "accuracy"


class Trial(Record):
    """One training of a comparison."""

    candidate: str
    rate: float
    seed: int
    stage: Stage
    value: float  # of the metric: on validation data in tuning and screening, on the last part in confirmation; chance level where it diverged
    validation: float | None = None  # in the confirmation: the same on validation data, by which rates are settled
    diverged: bool = False
    curve: tuple[tuple[int, float], ...] = ()  # steps, mean training loss since the one before
    # of the training loop, where it was not batched; kept apart, for it is no part of the result
    seconds_per_step: float | None = Field(default=None, exclude=True)


class Tuned(Record):
    """The learning rates a candidate goes on with: two into the confirmation, whose validation data settle which it is."""

    candidate: str
    rate: float  # the best in tuning, with which it is screened; of those confirmed the one settled on
    second: float | None = None  # the other one
    tried: tuple[tuple[float, float], ...]  # rates, mean of the metric over the tuning seeds
    at_edge: bool = False  # best at the end of a grid that was extended twice: it cannot win


class Contrast(Record):
    """A finalist against the baseline, over the same seeds."""

    candidate: str
    mean: float  # of the metric
    difference: float  # candidate minus baseline
    low: float  # paired t interval that shows the verdict
    high: float
    # of the interval, by Holm's step; None: 1 - alpha over the number of finalists, as in the first version
    confidence: float | None = None
    p: float
    p_adjusted: float  # Holm
    p_equal: float  # two one-sided tests against the margin, Holm
    p_sign_flip: float | None
    verdict: Literal["better", "worse", "practically equal", "undecided"]
    more_seeds: int
    diverged: int  # of its trainings
    diverged_low: float  # Wilson interval of the rate
    diverged_high: float


class Costs(Record):
    """What a comparison's candidates cost on one machine: `costs.json`. It is no part of the result."""

    seconds_per_step: dict[str, float] = Field(default_factory=dict)  # of the training loop, one thread, by candidate
    bytes_kept: dict[str, int] = Field(default_factory=dict)  # of one batch, between its forward and its backward pass


class Comparison(Record):
    """A declaration, everything that was trained for it, and what follows."""

    declaration: Declaration
    part: Literal["test", "validation"]  # on which the confirmation was scored
    trials: tuple[Trial, ...]
    tuned: tuple[Tuned, ...]
    screened: tuple[tuple[str, float], ...]  # candidates and their mean, best first: exploratory
    contrasts: tuple[Contrast, ...]
    best: tuple[str, ...]  # the set of best among those confirmed
    guessing: float | None = None  # what the metric is without looking at the inputs
    kept_layers: tuple[str, ...] = ()  # of a network of one's own: those whose weights no seed draws, left as they come
    left: tuple[str, ...] = ()  # places whose activations are fixed in their code, the same for all candidates
    versions: dict[str, str] = Field(default_factory=dict)
