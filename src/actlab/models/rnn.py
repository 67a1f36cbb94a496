"""The simple recurrent networks: Elman's, which remembers its hidden units, and Jordan's, which remembers its outputs."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from ..errors import UnknownName
from ..layers import Recurrent
from ._reading import Sequences, Summary, check, summarised, unpacked


class RNN(nn.Module):
    """h_t = f(W x_t + U m_{t-1} + b), y_t = V h_t + c, with m the hidden units (Elman) or the outputs (Jordan).

    Elman 1990, Cognitive Science 14(2); Jordan 1986, ICS report 8604. The outputs are before any softmax; Jordan's memory is
    `output_activation` of them. With `summary` there is one output for each sequence: of the mean or the last step.
    """

    def __init__(
        self,
        inputs: int = 2,
        hidden: int = 2,
        classes: int = 2,
        *,
        memory: Literal["elman", "jordan"] = "elman",
        activation: str | Callable[[], nn.Module] = "tanh",
        output_activation: str = "identity",
        bidirectional: bool = False,
        summary: Summary = "none",
        bias: bool = True,
    ):
        super().__init__()
        if memory not in ("elman", "jordan"):
            raise UnknownName("memory", memory, ("elman", "jordan"))
        check(summary)
        jordan = memory == "jordan"
        self.recurrent = Recurrent(
            memory, inputs, hidden, activation=activation, bidirectional=bidirectional, bias=bias,
            **({"outputs": classes, "output_activation": output_activation} if jordan else {}),
        )  # fmt: skip
        whole = jordan and not bidirectional
        self.output = nn.Identity() if whole else nn.Linear(self.recurrent.output_size, classes, bias=bias)
        self.summary = summary

    def forward(self, sequences: Sequences) -> Tensor:
        """Outputs (batch, time, classes), or (batch, classes), for (batch, time, inputs) or these with their lengths."""
        values, lengths = unpacked(sequences)
        steps, _ = self.recurrent(values, lengths)
        return self.output(summarised(steps, lengths, self.summary))
