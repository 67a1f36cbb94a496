"""Training: `fit` and what it takes and gives."""

from .guards import Diverged as Diverged
from .guards import Interrupted as Interrupted
from .loop import fit as fit
from .origin import Origin as Origin
from .parts import Part as Part
from .parts import Parts as Parts
from .parts import TensorPart as TensorPart
from .parts import as_part as as_part
from .settings import Settings as Settings
from .settings import change as change
