"""What torch lacks or hides: attention and its masks, positions, tapped delay lines, recurrent steps as the papers write them."""

from . import masks as masks
from .attention import Attention as Attention
from .attention import Cache as Cache
from .delay import TappedDelay as TappedDelay
from .delay import delayed as delayed
from .dropout import Dropout as Dropout
from .dropout import dropout as dropout
from .memory import gradient_by_lag as gradient_by_lag
from .neighbourhood import Neighbourhood as Neighbourhood
from .position import Positions as Positions
from .position import rotated as rotated
from .position import sinusoids as sinusoids
from .recurrent import CELLS as CELLS
from .recurrent import Recurrent as Recurrent
