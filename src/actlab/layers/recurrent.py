"""`Recurrent`: Elman, Jordan, LSTM, LSTM with peepholes and GRU behind one interface, fast where their equations allow it.

With the usual activations the standard cells are torch's own nn.RNN, nn.LSTM and nn.GRU, and the peephole and Jordan steps run as one
node over all steps; any other activation runs through the explicit steps. Tests hold the three to the same numbers.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .._language import say
from ..activations import get, layer
from ..errors import UnknownName, UsageError
from . import _scans, _steps

Cell = Literal["elman", "jordan", "lstm", "peephole", "gru"]
CELLS: tuple[Cell, ...] = get_args(Cell)
State = tuple[Tensor, ...]
_GATES = {"elman": 1, "jordan": 1, "lstm": 4, "peephole": 4, "gru": 3}
_SUFFIXES = ("", "_reverse")


class Recurrent(nn.Module):
    """A recurrent layer over (batch, time, inputs); `lengths` says how many steps of each sequence count.

    Outputs behind the end of a sequence are zero, and the state returned is that of its last step that counts. `bidirectional` puts
    the outputs of a second layer, which reads backwards from each sequence's own end, beside those of the first. `learn_start` learns
    the state before the first step, which is zero otherwise. `truncate` cuts the gradient after so many steps, the state goes on
    (Williams & Peng 1990). `dropout` acts between layers. Parameters bear torch's names: `weight_ih_l0` to `bias_hh_l0_reverse`.

    `forget_bias` is where the forget gates of an LSTM start (Jozefowicz, Zaremba & Sutskever 2015): torch's 0 forgets half at every
    step, 1 is a common choice, log(T) keeps about T steps.

    Jordan layers remember their `outputs` numbers (`hidden` of them by default) through `output_activation`, and give them before it;
    `peephole` has three diagonal weights more, `weight_peep_l0`. Without `bias` there is none. Weights start as torch's do: uniform in
    +-1/sqrt(hidden).
    """

    def __init__(
        self,
        cell: Cell,
        inputs: int,
        hidden: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        outputs: int | None = None,
        activation: str | Callable[[], nn.Module] = "tanh",
        output_activation: str | Callable[[], nn.Module] = "identity",
        gate: str | Callable[[], nn.Module] = "sigmoid",
        bias: bool = True,
        dropout: float = 0.0,
        learn_start: bool = False,
        truncate: int | None = None,
        forget_bias: float | None = None,
    ):
        super().__init__()
        if cell not in CELLS:
            raise UnknownName(say("cell", "循环单元"), cell, CELLS)
        _check(inputs=inputs, hidden=hidden, layers=layers, **({} if truncate is None else {"truncate": truncate}))
        if truncate is not None and bidirectional:
            raise UsageError(
                say(
                    "truncate cuts a network that reads forwards; with bidirectional leave it out",
                    "truncate 只适用于单向网络；双向时请去掉",
                )
            )
        self.cell, self.inputs, self.hidden, self.layers, self.bidirectional = (
            cell,
            inputs,
            hidden,
            layers,
            bidirectional,
        )
        self.remembered = (outputs or hidden) if cell == "jordan" else hidden  # units of the state
        self.bias, self.dropout, self.truncate = bias, dropout, truncate
        self.activation = layer(activation)()
        self.gate = layer(gate)()
        # of the whole output vector, so that softmax may be one
        self.output_activation = (
            get(output_activation).module() if isinstance(output_activation, str) else output_activation()
        )
        names = (activation, gate, output_activation)
        self._names = tuple(name if isinstance(name, str) else None for name in names)
        self.fused = self._torch_module()
        if self.fused is None:
            self._make_weights()
        if forget_bias is not None:
            self._open_forget_gates(forget_bias)
        self.start = (
            nn.ParameterList(nn.Parameter(torch.zeros(self._rows, 1, self.remembered)) for _ in range(self._parts))
            if learn_start
            else None
        )

    @property
    def output_size(self) -> int:
        """Features of the outputs."""
        return self.remembered * self._directions

    @property
    def _directions(self) -> int:
        return 1 + self.bidirectional

    @property
    def _rows(self) -> int:
        return self.layers * self._directions

    @property
    def _parts(self) -> int:
        """Tensors of a state."""
        return 2 if self.cell in ("lstm", "peephole") else 1

    def _torch_module(self) -> nn.RNNBase | None:
        """torch's own module, where its equations are these."""
        activation, gate, _ = self._names
        common: dict[str, Any] = {
            "num_layers": self.layers, "bias": self.bias, "batch_first": True,
            "dropout": self.dropout if self.layers > 1 else 0.0, "bidirectional": self.bidirectional,
        }  # fmt: skip
        if self.cell == "elman" and activation in ("tanh", "relu"):
            return nn.RNN(self.inputs, self.hidden, nonlinearity=activation, **common)
        if (activation, gate) == ("tanh", "sigmoid") and self.cell in ("lstm", "gru"):
            return {"lstm": nn.LSTM, "gru": nn.GRU}[self.cell](self.inputs, self.hidden, **common)
        return None

    def _make_weights(self) -> None:
        gates, bound = _GATES[self.cell], self.hidden**-0.5

        def make(name: str, *shape: int) -> None:
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))

        for number in range(self.layers):
            size = self.inputs if number == 0 else self.output_size
            for suffix in _SUFFIXES[: self._directions]:
                end = f"_l{number}{suffix}"
                make("weight_ih" + end, gates * self.hidden, size)
                make("weight_hh" + end, gates * self.hidden, self.remembered)
                if self.bias:
                    make("bias_ih" + end, gates * self.hidden)
                    make("bias_hh" + end, gates * self.hidden)
                if self.cell == "peephole":
                    make("weight_peep" + end, 3, self.hidden)
                if self.cell == "jordan":
                    make("weight_ho" + end, self.remembered, self.hidden)
                    if self.bias:
                        make("bias_o" + end, self.remembered)

    def _open_forget_gates(self, value: float) -> None:
        if self.cell not in ("lstm", "peephole") or not self.bias:
            raise UsageError(
                say(
                    f"forget_bias is for LSTM cells with biases; got {self.cell}{'' if self.bias else ' without'}",
                    f"forget_bias 只适用于带偏置的 LSTM 单元；得到 {self.cell}{'' if self.bias else '（无偏置）'}",
                )
            )
        gate = slice(self.hidden, 2 * self.hidden)
        with torch.no_grad():
            for number in range(self.layers):
                for backwards in range(self._directions):
                    weights = self._weights(number, bool(backwards))
                    weights["bias_ih"][gate] = value
                    weights["bias_hh"][gate] = 0

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """Outputs (batch, time, output_size) and the state after each sequence: tensors (layers * directions, batch, units).

        `lengths` are at least 1. `state` is that of an earlier call, to go on from.
        """
        lengths = self._lengths(x, lengths)
        state = self._start(x) if state is None else tuple(state)
        if self.truncate is None:
            return self._run(x, lengths, state)
        outputs: list[Tensor] = []
        for begin in range(0, x.shape[1], self.truncate):
            piece = x[:, begin : begin + self.truncate]
            if lengths is None:
                out, state = self._run(piece, None, state)
            else:
                out, state = self._run_active(piece, lengths - begin, state)
            state = tuple(one.detach() for one in state)
            outputs.append(out)
        return torch.cat(outputs, 1), state

    def explicit(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """As forward, by the steps as the papers write them, without truncation: slow, and what everything else is tested against."""
        lengths = self._lengths(x, lengths)
        return self._through_layers(x, lengths, self._start(x) if state is None else tuple(state), self._explicit_one)

    def trace(self, x: Tensor, *, number: int = 0, backwards: bool = False) -> dict[str, Tensor]:
        """Gates, cell and output (batch, time, units) of every step of one layer, by name; for layers after the first, `x` is their input."""
        gates: dict[str, list[Tensor]] = {}
        x = x.flip(1) if backwards else x
        rows = [one[number * self._directions + backwards] for one in self._start(x)]
        weights = self._weights(number, backwards)
        state: State = tuple(rows)
        for z in self._contribution(x, weights).unbind(1):
            step = self._step(z, state, weights)
            state = step.state
            for name, value in {**step.gates, "state": state[0]}.items():
                gates.setdefault(name, []).append(value)
        stacked = {name: torch.stack(values, 1) for name, values in gates.items()}
        return {name: value.flip(1) for name, value in stacked.items()} if backwards else stacked

    def _run(self, x: Tensor, lengths: Tensor | None, state: State) -> tuple[Tensor, State]:
        if self.fused is None:
            one = self._scan_one if self._scannable else self._explicit_one
            return self._through_layers(x, lengths, state, one)
        given: Any = state if self._parts == 2 else state[0]
        if lengths is None:
            out, after = self.fused(x, given)
        else:
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            out, after = self.fused(packed, given)
            out, _ = pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])
        return out, after if self._parts == 2 else (after,)

    def _run_active(self, x: Tensor, left: Tensor, state: State) -> tuple[Tensor, State]:
        """A piece of which some sequences have ended already: those keep their state and give zeros."""
        rows = (left > 0).nonzero().flatten()
        if not len(rows):
            return x.new_zeros(*x.shape[:2], self.output_size), state
        out, after = self._run(x[rows], left[rows].clamp(max=x.shape[1]), tuple(one[:, rows] for one in state))
        whole = out.new_zeros(*x.shape[:2], out.shape[-1]).index_copy(0, rows, out)
        return whole, tuple(one.index_copy(1, rows, new) for one, new in zip(state, after, strict=True))

    def _through_layers(self, x: Tensor, lengths: Tensor | None, state: State, one_way: Any) -> tuple[Tensor, State]:
        after: list[list[Tensor]] = [[] for _ in state]
        for number in range(self.layers):
            sides = []
            for backwards in range(self._directions):
                row = number * self._directions + backwards
                signal = _reversed(x, lengths) if backwards else x
                weights = self._weights(number, bool(backwards))
                out, states = one_way(signal, tuple(part[row] for part in state), weights)
                for kept, part in zip(after, states, strict=True):
                    kept.append(_last(part, lengths))
                sides.append(_reversed(out, lengths) if backwards else out)
            x = torch.cat(sides, -1)
            if lengths is not None:
                x = x * (torch.arange(x.shape[1], device=x.device) < lengths.to(x.device)[:, None])[..., None]
            if number + 1 < self.layers:
                x = nn.functional.dropout(x, self.dropout, self.training)
        return x, tuple(torch.stack(rows) for rows in after)

    def _explicit_one(self, x: Tensor, state: State, weights: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One layer in one direction; outputs and every state (batch, time, units)."""
        outputs, states = [], []
        for z in self._contribution(x, weights).unbind(1):
            step = self._step(z, state, weights)
            state = step.state
            outputs.append(step.output)
            states.append(state)
        return torch.stack(outputs, 1), [torch.stack(part, 1) for part in zip(*states, strict=True)]

    def _scan_one(self, x: Tensor, state: State, weights: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        z = self._contribution(x.transpose(0, 1), weights)
        if self.cell == "peephole":
            h, c = _scans.peephole(z, state, weights["weight_hh"], weights["weight_peep"])
            return h.transpose(0, 1), [h.transpose(0, 1), c.transpose(0, 1)]
        f, _, g = self._names
        assert f is not None and g is not None
        u, _, y = _scans.jordan(z, state, weights["weight_hh"], weights["weight_ho"], weights.get("bias_o"), f, g)
        return u.transpose(0, 1), [y.transpose(0, 1)]

    @property
    def _scannable(self) -> bool:
        f, gate, g = self._names
        if self.cell == "peephole":
            return (f, gate) == ("tanh", "sigmoid")
        return self.cell == "jordan" and f in _scans.VALUES and g in _scans.VALUES

    def _weights(self, number: int, backwards: bool) -> dict[str, Tensor]:
        end, owner = f"_l{number}{_SUFFIXES[backwards]}", self.fused or self
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_peep", "weight_ho", "bias_o")
        return {name: getattr(owner, name + end) for name in names if hasattr(owner, name + end)}

    def _contribution(self, x: Tensor, weights: dict[str, Tensor]) -> Tensor:
        """W x and the biases, for all steps at once. GRU's second bias belongs inside its reset gate."""
        bias = weights.get("bias_ih")
        if bias is not None and self.cell != "gru":
            bias = bias + weights["bias_hh"]
        return nn.functional.linear(x, weights["weight_ih"], bias)

    def _step(self, z: Tensor, state: State, weights: dict[str, Tensor]) -> _steps.Step:
        weight, f, gate = weights["weight_hh"], self.activation, self.gate
        if self.cell == "elman":
            return _steps.elman(z, state, weight, f)
        if self.cell == "jordan":
            return _steps.jordan(
                z, state, weight, weights["weight_ho"], weights.get("bias_o"), f, self.output_activation
            )
        if self.cell == "gru":
            return _steps.gru(z, state, weight, weights.get("bias_hh"), f, gate)
        if self.cell == "peephole":
            return _steps.peephole(z, state, weight, weights["weight_peep"], f, gate)
        return _steps.lstm(z, state, weight, f, gate)

    def _start(self, x: Tensor) -> State:
        if self.start is not None:
            return tuple(one.expand(-1, len(x), -1) for one in self.start)
        dtype = next(self.parameters()).dtype
        return tuple(x.new_zeros(self._rows, len(x), self.remembered, dtype=dtype) for _ in range(self._parts))

    def _lengths(self, x: Tensor, lengths: Tensor | None) -> Tensor | None:
        if x.dim() != 3 or x.shape[-1] != self.inputs or x.shape[1] < 1:
            raise UsageError(
                say(
                    f"expected a signal (batch, time, {self.inputs}) of at least one step; got {tuple(x.shape)}",
                    f"输入应为 (批, 时间, {self.inputs})，至少一步；得到 {tuple(x.shape)}",
                )
            )
        if lengths is not None and len(lengths) and (lengths.min() < 1 or lengths.max() > x.shape[1]):
            raise UsageError(
                say(
                    f"expected lengths from 1 to {x.shape[1]}; got {int(lengths.min())} to {int(lengths.max())}",
                    f"长度应在 1 到 {x.shape[1]} 之间；得到 {int(lengths.min())} 到 {int(lengths.max())}",
                )
            )
        return lengths

    def extra_repr(self) -> str:
        """For print(model)."""
        words = [self.cell, str(self.inputs), str(self.hidden), f"layers={self.layers}"]
        return ", ".join(words + (["bidirectional"] if self.bidirectional else []))


def _reversed(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Every sequence backwards from its own end; what lies behind the end stays there."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    ends = lengths.to(x.device)[:, None]
    order = torch.where(steps < ends, ends - 1 - steps, steps)
    return x.gather(1, order[..., None].expand_as(x))


def _last(states: Tensor, lengths: Tensor | None) -> Tensor:
    """The state (batch, units) of each sequence's last step, of all states (batch, time, units)."""
    if lengths is None:
        return states[:, -1]
    return states[torch.arange(len(states), device=states.device), lengths.to(states.device) - 1]


def _check(**sizes: Any) -> None:
    for name, value in sizes.items():
        if type(value) is not int or value < 1:
            raise UsageError(
                say(
                    f"{name} must be a whole number of at least 1; got {value!r}",
                    f"{name} 应为至少 1 的整数；得到 {value!r}",
                )
            )
