"""From symptom to cause: what is wrong with a network, in which layer, and by which number."""

from ._limits import Thresholds as Thresholds
from .diagnosing import diagnose as diagnose
from .fixing import fix as fix
from .watching import Watch as Watch
from .watching import watch as watch
