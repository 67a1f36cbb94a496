"""The catalogue of activation functions."""

from ._torch_modules import NON_DECREASING as NON_DECREASING
from ._torch_modules import Activation as Activation
from ._torch_modules import get as get
from ._torch_modules import layer as layer
from ._torch_modules import names as names
