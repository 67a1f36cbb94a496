"""One step of each recurrent network, as its paper writes it. They are the definitions; what runs fast is tested against them.

`z` is what the input contributes, biases included: W x + b, for all gates side by side. Every function returns the output, the new
state and the gates by name; the state is a tuple whose first tensor is what the network remembers of its output.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

Function = Callable[[Tensor], Tensor]


class Step(NamedTuple):
    """What one step gives: tensors (batch, units)."""

    output: Tensor
    state: tuple[Tensor, ...]
    gates: dict[str, Tensor]


def elman(z: Tensor, state: tuple[Tensor, ...], weight: Tensor, f: Function) -> Step:
    """h_t = f(W x_t + U h_{t-1} + b): the hidden state is remembered. Source: Elman 1990, Cognitive Science 14(2)."""
    h = f(z + state[0] @ weight.T)
    return Step(h, (h,), {})


def jordan(
    z: Tensor, state: tuple[Tensor, ...], weight: Tensor, out: Tensor, bias: Tensor | None, f: Function, g: Function
) -> Step:
    """h_t = f(W x_t + U y_{t-1} + b), y_t = g(V h_t + c): the output is remembered.

    The step's output is V h_t + c, before g; its hidden units are under "hidden". Source: Jordan 1986, ICS report 8604.
    """
    h = f(z + state[0] @ weight.T)
    u = h @ out.T if bias is None else h @ out.T + bias
    return Step(u, (g(u),), {"hidden": h})


def lstm(z: Tensor, state: tuple[Tensor, ...], weight: Tensor, f: Function, gate: Function) -> Step:
    """c_t = gate(f_t) c_{t-1} + gate(i_t) f(g_t), h_t = gate(o_t) f(c_t).

    Source: Hochreiter & Schmidhuber 1997, Neural Computation 9(8); forget gate: Gers, Schmidhuber & Cummins 2000, same journal 12(10).
    """
    h, c = state
    i, f_, g, o = (z + h @ weight.T).chunk(4, -1)
    i, f_, g, o = gate(i), gate(f_), f(g), gate(o)
    c = f_ * c + i * g
    h = o * f(c)
    return Step(h, (h, c), {"input": i, "forget": f_, "candidate": g, "output": o, "cell": c})


def peephole(z: Tensor, state: tuple[Tensor, ...], weight: Tensor, peeps: Tensor, f: Function, gate: Function) -> Step:
    """The LSTM whose gates also see the cell: input and forget gate the one before, the output gate the new one.

    `peeps` (3, units) are the diagonal weights of input, forget and output gate. Source: Gers, Schraudolph & Schmidhuber 2002, JMLR 3.
    """
    h, c = state
    i, f_, g, o = (z + h @ weight.T).chunk(4, -1)
    i, f_, g = gate(i + peeps[0] * c), gate(f_ + peeps[1] * c), f(g)
    c = f_ * c + i * g
    o = gate(o + peeps[2] * c)
    h = o * f(c)
    return Step(h, (h, c), {"input": i, "forget": f_, "candidate": g, "output": o, "cell": c})


def gru(z: Tensor, state: tuple[Tensor, ...], weight: Tensor, bias: Tensor | None, f: Function, gate: Function) -> Step:
    """h_t = (1 - u_t) n_t + u_t h_{t-1}, n_t = f(W x_t + r_t (U h_{t-1} + b)): torch's form, whose reset gate comes after the matrix.

    `bias` is that of the matrix U alone. Source: Cho et al. 2014, arXiv:1406.1078, version 1.
    """
    (h,) = state
    past = h @ weight.T if bias is None else h @ weight.T + bias
    r, u, n = z.chunk(3, -1)
    past_r, past_u, past_n = past.chunk(3, -1)
    r, u = gate(r + past_r), gate(u + past_u)
    n = f(n + r * past_n)
    h = (1 - u) * n + u * h
    return Step(h, (h,), {"reset": r, "update": u, "candidate": n})
