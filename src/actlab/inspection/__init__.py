"""Looking into a network: what a unit sees, what a layer finds, how the loss lies around the weights, how errors flow back."""

from .attention import Heads as Heads
from .attention import attention_layers as attention_layers
from .attention import heads as heads
from .backpropagation import BackPropagation as BackPropagation
from .backpropagation import LayerTerms as LayerTerms
from .backpropagation import backpropagate as backpropagate
from .features import Features as Features
from .features import features as features
from .filters import Filters as Filters
from .filters import filters as filters
from .receptive import Receptive as Receptive
from .receptive import receptive as receptive
from .surface import Surface as Surface
from .surface import loss_surface as loss_surface
from .two_weights import TwoWeights as TwoWeights
from .two_weights import two_weights as two_weights
