"""What torch lacks or hides: tapped delay lines, recurrent steps as the papers write them, peephole and Jordan layers."""

from .delay import TappedDelay as TappedDelay
from .delay import delayed as delayed
from .memory import gradient_by_lag as gradient_by_lag
from .recurrent import CELLS as CELLS
from .recurrent import Recurrent as Recurrent
