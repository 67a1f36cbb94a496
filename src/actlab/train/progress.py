"""How far a training is: everything that a checkpoint must hold beside weights and optimizers, and nothing more."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from ..records import Epoch


class _State(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")  # a loss may be infinite, and must come back as it was


class Sums(_State):
    """Totals over all examples so far. A difference of two gives the mean over the examples between them."""

    loss: float = 0.0
    score: float = 0.0
    count: int = 0
    norm: float = 0.0
    clipped: float = 0.0
    steps: int = 0

    def since(self, mark: "Sums") -> "Sums":
        """What has come in since `mark`."""
        return Sums(
            loss=self.loss - mark.loss,
            score=self.score - mark.score,
            count=self.count - mark.count,
            norm=self.norm - mark.norm,
            clipped=self.clipped - mark.clipped,
            steps=self.steps - mark.steps,
        )

    @property
    def mean_loss(self) -> float:
        """Nats per example, for a cross-entropy."""
        return self.loss / max(1, self.count)

    @property
    def mean_score(self) -> float:
        """Share of right answers."""
        return self.score / max(1, self.count)


class Seconds(_State):
    """Clock of this run over all its sessions."""

    fetch: float = 0.0  # waiting for data
    loop: float = 0.0  # the training loop without checkpoints and evaluation
    saving: float = 0.0
    evaluation: float = 0.0
    total: float = 0.0


class Progress(_State):
    """Position, running totals and results of the epochs done."""

    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))  # the run's start
    step: int = 0
    sums: Sums = Sums()
    at_epoch: Sums = Sums()  # the sums when the epoch began
    at_event: Sums = Sums()
    at_check: Sums = Sums()
    first_loss: float | None = None
    dead_checks: int = 0  # checks in a row in which no gradient reached the first weights
    rows: list[Epoch] = []
    best_epoch: int | None = None
    best_value: float | None = None
    seconds: Seconds = Seconds()
    resumed: int = 0

    def mark(self) -> Sums:
        """A copy of the sums as they stand."""
        return self.sums.model_copy()
