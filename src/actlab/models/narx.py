"""The NARX network: the next value from the last inputs and the last outputs, whose own it may be."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .._language import say
from ..activations import layer
from ..errors import UsageError


class NARX(nn.Module):
    """y_t = y_{t-1} + f(x_t .. x_{t-Kx}, y_{t-1} .. y_{t-Ky}) with one hidden layer; without inputs it is a NAR network.

    In training the true past outputs are given (open loop); in forecasting its own come back (closed loop). With `residual=False` it is
    f alone, as in the papers; the change since the last value is easier to learn where a series is smooth. `linear=True` adds a direct
    linear path around the hidden layer. Source: Lin, Horne, Tino & Giles 1996, IEEE Trans. Neural Networks 7(6).
    """

    def __init__(
        self,
        inputs: int = 1,
        hidden: int = 16,
        *,
        input_delays: int = 3,
        output_delays: int = 3,
        activation: str | Callable[[], nn.Module] = "tanh",
        residual: bool = True,
        linear: bool = True,
    ):
        super().__init__()
        for name, value, least in (("inputs", inputs, 0), ("hidden", hidden, 1), ("input_delays", input_delays, 0), ("output_delays", output_delays, 1)):  # fmt: skip
            if type(value) is not int or value < least:
                raise UsageError(
                    say(
                        f"{name} must be a whole number of at least {least}; got {value!r}",
                        f"{name} 应为至少 {least} 的整数；得到 {value!r}",
                    )
                )
        self.inputs, self.input_delays, self.output_delays = inputs, input_delays, output_delays
        self.residual = residual
        width = inputs * (input_delays + 1) + output_delays
        self.hidden = nn.Linear(width, hidden)
        self.activation = layer(activation)()
        self.output = nn.Linear(hidden, 1)
        self.linear = nn.Linear(width, 1, bias=False) if linear else None

    @property
    def memory(self) -> int:
        """Steps of the past that one prediction needs."""
        return max(self.input_delays if self.inputs else 0, self.output_delays)

    def forward(self, window: Tensor) -> Tensor:
        """The next output (batch) from a window (batch, memory + 1, inputs + 1) whose last column is the output.

        The last row is the step to be predicted; its output is not looked at.
        """
        now = window.shape[1] - 1
        x = window[:, now - self.input_delays :, : self.inputs].flatten(1)
        y = window[:, now - self.output_delays : now, self.inputs]
        seen = torch.cat([x, y], 1)
        change = self.output(self.activation(self.hidden(seen)))
        if self.linear is not None:
            change = change + self.linear(seen)
        return change[:, 0] + (y[:, -1] if self.residual else 0)

    def closed_loop(self, past: Tensor, inputs: Tensor | None, steps: int, *, fed: Tensor | None = None) -> Tensor:
        """Its own forecast (batch, steps) after `past` (batch, memory or more, inputs + 1), each output fed back.

        `inputs` (batch, steps, inputs) are those of the steps to come. `fed` (batch, steps) are fed back in place of its own outputs:
        with the true ones that is the open loop.
        """
        if past.shape[1] < self.memory or (self.inputs and (inputs is None or inputs.shape[1] < steps)):
            given = 0 if inputs is None else inputs.shape[1]
            raise UsageError(
                say(
                    f"expected {self.memory} past steps and the inputs of {steps} steps to come; got {past.shape[1]} and {given}",
                    f"需要过去 {self.memory} 步和未来 {steps} 步的输入；得到 {past.shape[1]} 步和 {given} 步",
                )
            )
        window = past[:, past.shape[1] - self.memory :]
        found: list[Tensor] = []
        for step in range(steps):
            empty = past.new_zeros(len(past), 1)
            row = empty if inputs is None or not self.inputs else torch.cat([inputs[:, step], empty], 1)
            y = self(torch.cat([window, row[:, None]], 1))
            found.append(y)
            row = torch.cat([row[:, : self.inputs], (y if fed is None else fed[:, step])[:, None]], 1)
            window = torch.cat([window, row[:, None]], 1)[:, 1:]
        return torch.stack(found, 1)
