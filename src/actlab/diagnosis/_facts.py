"""What the rules read."""

from dataclasses import dataclass, field

from torch import nn

from ..records import Checkpoint, Finding, Severity
from ._limits import SOURCES, Thresholds
from ._probe import Probe
from .past import Past


@dataclass
class Facts:
    """All that rules read."""

    probe: Probe
    model: nn.Module
    samples: int = 0
    losses: list[float] = field(default_factory=list)
    guess: float | None = None  # loss of a classifier that knows only how frequent the classes are
    unused: list[str] = field(default_factory=list)  # parameters without a gradient after a backward pass
    stepped: bool = False  # an optimizer has stepped while the network was watched
    one_batch: tuple[float, float] | None = None  # loss of one batch before and after trying to learn it by heart
    held_out: tuple[float, float, float] | None = (
        None  # loss on batches not learnt from, its error, and that of guessing
    )
    forget: dict[str, float] = field(default_factory=dict)  # mean opening of the forget gates of an LSTM
    past: Past | None = None  # of a training
    earlier: tuple[Checkpoint, ...] = ()  # dead units at earlier moments of it
    limits: Thresholds = field(default_factory=Thresholds)

    def found(
        self,
        rule: str,
        severity: Severity,
        layer: str,
        value: float,
        limit: str,
        *,
        threshold: float | None = None,
        **details: object,
    ) -> Finding:
        """A finding against one of the limits, or against what follows from it, in the unit of the value."""
        against = float(getattr(self.limits, limit, 0.0)) if threshold is None else threshold
        return Finding(
            rule=rule, severity=severity, layer=layer, value=value, threshold=against, source=SOURCES[limit],
            samples=self.samples, details=details,
        )  # fmt: skip
