"""LeNet-5, the original nonlinearity and pooling or modern ones.

LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 86(11).
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from ..activations import layer
from ..errors import UnknownName


class LeNet(nn.Module):
    """LeNet-5 as it is taught: sigmoid and average pooling; 61,706 parameters for one channel and ten classes.

    Differs from the paper: every map of the second convolution sees every map below it (the paper drops connections), the subsampling
    has no weights, and the output is linear, not radial basis functions. Images of 28x28 are padded by 2 to the paper's 32x32.
    """

    input_size = 28

    def __init__(
        self,
        classes: int = 10,
        *,
        channels: int = 1,
        activation: str | nn.Module | Callable[[], nn.Module] = "sigmoid",
        pooling: Literal["average", "max"] = "average",
    ):
        super().__init__()
        if pooling not in ("average", "max"):
            raise UnknownName("pooling", pooling, ("average", "max"))
        act = layer(activation)
        pool = nn.AvgPool2d if pooling == "average" else nn.MaxPool2d
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, kernel_size=5, padding=2),
            act(),
            pool(kernel_size=2, stride=2),
            nn.Conv2d(6, 16, kernel_size=5),
            act(),
            pool(kernel_size=2, stride=2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            act(),
            nn.Linear(120, 84),
            act(),
            nn.Linear(84, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) for images (batch, channels, 28, 28)."""
        return self.classifier(self.features(images))
