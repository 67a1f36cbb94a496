"""Initial weights: which spread a layer starts from."""

from typing import Literal, get_args

from torch import nn

from ..errors import UnknownName

Initialisation = Literal["default", "xavier", "he"]


def initialise(model: nn.Module, how: Initialisation = "default") -> nn.Module:
    """Draw the weights of every linear and convolutional layer anew, from torch's global generator.

    "xavier": uniform with gain 1, biases left as they are (Glorot & Bengio 2010). "he": normal with the gain of ReLU, fan-in, biases
    zero (He et al. 2015, arXiv:1502.01852). "default": torch's own, untouched.
    """
    if how not in get_args(Initialisation):
        raise UnknownName("initialisation", how, get_args(Initialisation))
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            if how == "xavier":
                nn.init.xavier_uniform_(module.weight)
            elif how == "he":
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return model
