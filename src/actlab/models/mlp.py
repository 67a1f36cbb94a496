"""The fully connected network (multi-layer perceptron)."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ..activations import layer


class MLP(nn.Module):
    """Linear layers with an activation between them; with `activation="identity"` the whole is one linear map."""

    input_size = 28

    def __init__(
        self,
        classes: int = 10,
        *,
        inputs: int = 28 * 28,
        hidden: Sequence[int] = (256, 128),
        activation: str | nn.Module | Callable[[], nn.Module] = "relu",
        dropout: float = 0.0,
    ):
        super().__init__()
        act = layer(activation)
        parts: list[nn.Module] = [nn.Flatten()]
        for width_in, width_out in zip((inputs, *hidden), hidden, strict=False):
            parts += [nn.Linear(width_in, width_out), act()]
            if dropout:
                parts.append(nn.Dropout(dropout))
        parts.append(nn.Linear((inputs, *hidden)[-1], classes))
        self.layers = nn.Sequential(*parts)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (batch, classes) for inputs (batch, ...), flattened."""
        return self.layers(inputs)
