"""AlexNet, as the study notes give it and as it was published.

Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 25.
"""

from collections.abc import Callable

from torch import Tensor, nn

from ..activations import layer


class AlexNet(nn.Module):
    """The notes' form: one stream, no local response normalisation, 46,764,746 parameters for one channel and ten classes.

    Differs from the paper: one channel (`channels`), twice 4096 hidden units over 5x5 maps, no split over two devices.
    With `pool_first` max-pooling comes before the activation, which for a non-decreasing activation is the same function
    (maximum and a monotone map commute) at a ninth to a quarter of the activations to compute.
    """

    input_size = 224

    def __init__(
        self,
        classes: int = 10,
        *,
        channels: int = 1,
        activation: str | nn.Module | Callable[[], nn.Module] = "relu",
        dropout: float = 0.5,
        pool_first: bool = False,
    ):
        super().__init__()
        act = layer(activation)

        def pooled() -> list[nn.Module]:
            pool = nn.MaxPool2d(kernel_size=3, stride=2)
            return [pool, act()] if pool_first else [act(), pool]

        self.features = nn.Sequential(
            nn.Conv2d(channels, 96, kernel_size=11, stride=4, padding=1),
            *pooled(),
            nn.Conv2d(96, 256, kernel_size=5, padding=2),
            *pooled(),
            nn.Conv2d(256, 384, kernel_size=3, padding=1),
            act(),
            nn.Conv2d(384, 384, kernel_size=3, padding=1),
            act(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            *pooled(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(256 * 5 * 5, 4096),
            act(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            act(),
            nn.Dropout(dropout),
            nn.Linear(4096, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) for images (batch, channels, 224, 224)."""
        return self.classifier(self.features(images))


class TwoStreamAlexNet(nn.Module):
    """The published form: two streams that meet in the third convolution and in the fully connected layers.

    The streams, then on two devices, are groups of one convolution here. Input 3x224x224, padded by 2 so that the first maps are the
    paper's 55x55. Local response normalisation with the paper's k = 2, n = 5, alpha = 1e-4, beta = 0.75 (section 3.3; torch divides
    alpha by n, so 5e-4 is passed).
    """

    input_size = 224

    def __init__(
        self,
        classes: int = 1000,
        *,
        channels: int = 3,
        activation: str | nn.Module | Callable[[], nn.Module] = "relu",
        dropout: float = 0.5,
    ):
        super().__init__()
        act = layer(activation)

        def normalise() -> nn.Module:
            return nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)

        self.features = nn.Sequential(
            nn.Conv2d(channels, 96, kernel_size=11, stride=4, padding=2),
            act(),
            normalise(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2),
            act(),
            normalise(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(256, 384, kernel_size=3, padding=1),
            act(),
            nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2),
            act(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2),
            act(),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            act(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            act(),
            nn.Linear(4096, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) for images (batch, channels, 224, 224)."""
        return self.classifier(self.features(images))
