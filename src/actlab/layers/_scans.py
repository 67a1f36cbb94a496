"""Peephole and Jordan steps over a whole sequence in one autograd node: what nn.LSTM's kernel is for the plain LSTM.

Forward keeps the gates after their activation, so that backward needs no exponential; gradients of weights are one product over all
steps at the end. Against explicit steps, each an autograd node of ten, this is 1.1 to 2.3 times as fast (benchmarks/recurrent.py): most where
units and batch are few. The loops of the peephole scan are compiled where there is a compiler.
"""

from typing import Any

import torch
from torch import Tensor

from .._language import say
from ..errors import UsageError
from ._compiled import loops


def _softmax_slope(y: Tensor, dy: Tensor) -> Tensor:
    return y * (dy - (dy * y).sum(-1, keepdim=True))


VALUES: dict[str, Any] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "identity": lambda x: x,
    "softmax": lambda x: x.softmax(-1),
}
# The gradient of the input from the output y and its gradient dy.
SLOPES: dict[str, Any] = {
    "tanh": torch.ops.aten.tanh_backward,
    "sigmoid": torch.ops.aten.sigmoid_backward,
    "relu": lambda dy, y: dy * (y > 0),
    "identity": lambda dy, y: dy,
    "softmax": lambda dy, y: _softmax_slope(y, dy),
}


def _refuse_second() -> None:
    if torch.is_grad_enabled():
        raise UsageError(
            say(
                "second derivatives of a peephole or Jordan layer go through its explicit steps: call layer.explicit(x)",
                "窥视孔或 Jordan 层的二阶导数需用显式步骤：请调用 layer.explicit(x)",
            )
        )


def _peephole_forward(gates: Tensor, h: Tensor, c: Tensor, t: Tensor, weight: Tensor, peeps: Tensor) -> None:
    """Fill gates, outputs, cells and tanh of the cells, step by step; the same as in scan.cpp."""
    units = t.shape[1]
    p_if, p_o = peeps[:2, :, None], peeps[2, :, None]
    cs, hs = c.unbind(), h.unbind()
    pair = gates[:, : 2 * units].unflatten(1, (2, units))
    views = (gates, pair, *gates.chunk(4, 1), t)  # all views at once cost less than one by one
    for now, (a, i_f, i, f, g, o, tanh) in enumerate(zip(*(one.unbind() for one in views), strict=True)):
        before, new = cs[now], cs[now + 1]
        torch.addmm(a, weight, hs[now], out=a)
        i_f.addcmul_(before, p_if).sigmoid_()
        g.tanh_()
        torch.mul(f, before, out=new).addcmul_(i, g)
        o.addcmul_(new, p_o).sigmoid_()
        torch.mul(torch.tanh(new, out=tanh), o, out=hs[now + 1])


def _peephole_backward(
    da: Tensor, dh: Tensor, dc: Tensor, to_cell: Tensor, through: Tensor, before: Tensor, cells: Tensor, turned: Tensor
) -> None:
    """Turn the slopes in `da` into gradients, from the last step to the first; the same as in scan.cpp."""
    units = dh.shape[0]
    views = (da, da[:, : 3 * units].unflatten(1, (3, units)), da[:, 3 * units :], to_cell, through, before)
    rows = list(zip(*(one.unbind() for one in views), strict=True))
    incoming = dh
    for now in range(len(rows) - 1, -1, -1):
        a, three, do, by_output, by_cell, dh_before = rows[now]
        if len(cells):
            dc += cells[now]
        dc.addcmul_(incoming, by_output)
        do *= incoming
        three *= dc
        dc *= by_cell
        incoming = dh_before.addmm_(turned, a)
    dh.copy_(incoming)


class _Peephole(torch.autograd.Function):
    """Works on (units, batch), in which the four gates of a step lie one after the other and every pass over one is contiguous."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, h0: Tensor, c0: Tensor, weight: Tensor, peeps: Tensor) -> Any:
        steps, batch, units = z.shape[0], z.shape[1], h0.shape[-1]
        gates = z.transpose(1, 2).clone(memory_format=torch.contiguous_format)
        h, c = z.new_empty(steps + 1, units, batch), z.new_empty(steps + 1, units, batch)
        t = z.new_empty(steps, units, batch)  # tanh of the cell
        h[0], c[0] = h0.T, c0.T
        compiled = loops() if z.device.type == "cpu" else None
        (compiled.forward if compiled else _peephole_forward)(gates, h, c, t, weight, peeps)
        ctx.save_for_backward(gates, h, c, t, weight, peeps)
        return h[1:].transpose(1, 2), c[1:].transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        _refuse_second()
        dh_all, dc_all = gradients
        gates, h, c, t, weight, peeps = ctx.saved_tensors
        units = t.shape[1]
        p_i, p_f, p_o = peeps[..., None].unbind()
        i, f, g, o = gates.chunk(4, 1)
        # What does not depend on what comes back through time, for all steps at once; only five operations are left for each step.
        da = torch.empty_like(gates)
        slope_i, slope_f, slope_g, slope_o = da.chunk(4, 1)
        torch.mul(g, i - i * i, out=slope_i)
        torch.mul(c[:-1], f - f * f, out=slope_f)
        torch.mul(i, 1 - g * g, out=slope_g)
        torch.mul(t, o - o * o, out=slope_o)
        to_cell = torch.addcmul(o * (1 - t * t), slope_o, p_o)  # d cell / d output, its own gate included
        through = torch.addcmul(f, slope_i, p_i).addcmul_(
            slope_f, p_f
        )  # d cell / d cell before, through both gates too
        dh_all, dc_all = dh_all.transpose(1, 2).contiguous(), dc_all.transpose(1, 2)
        # Most losses do not look at the cells; asking a GPU whether this one does would wait for it.
        cells = dc_all if dc_all.device.type != "cpu" or dc_all.any() else dc_all[:0]
        before = torch.cat([torch.zeros_like(dh_all[:1]), dh_all[:-1]])
        dh, dc = dh_all[-1].clone(), torch.zeros_like(h[0])
        compiled = loops() if dh.device.type == "cpu" else None
        run = compiled.backward if compiled else _peephole_backward
        run(da, dh, dc, to_cell, through, before, cells, weight.T.contiguous())
        together = da.transpose(0, 1).flatten(1)
        dpeeps = torch.stack(
            [
                (da[:, gate * units : (gate + 1) * units] * cells).sum((0, 2))
                for gate, cells in ((0, c[:-1]), (1, c[:-1]), (3, c[1:]))
            ]
        )
        dweight = together @ h[:-1].transpose(0, 1).flatten(1).T
        return da.transpose(1, 2), dh.T, dc.T, dweight, dpeeps


class _Jordan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, y0: Tensor, weight: Tensor, out: Tensor, bias: Tensor, f: str, g: str) -> Any:
        value, squash = VALUES[f], VALUES[g]
        h, y, u, now_y = [], [y0], [], y0
        turned, back = weight.T, out.T
        for part in z.unbind():
            h.append(value(torch.addmm(part, now_y, turned)))
            u.append(torch.addmm(bias, h[-1], back))
            now_y = squash(u[-1])
            y.append(now_y)
        hs, ys = torch.stack(h), torch.stack(y)
        ctx.save_for_backward(hs, ys, weight, out)
        ctx.names = f, g
        return torch.stack(u), hs, ys[1:].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        _refuse_second()
        du_all, dh_all, dy_all = gradients
        h, y, weight, out = ctx.saved_tensors
        f, g = (SLOPES[name] for name in ctx.names)
        dz, du = torch.empty_like(h), torch.empty_like(du_all)
        dy = torch.zeros_like(y[0])
        for now in range(len(h) - 1, -1, -1):
            du[now] = g(dy + dy_all[now], y[now + 1]) + du_all[now]
            dz[now] = f(torch.addmm(dh_all[now], du[now], out), h[now])
            dy = dz[now] @ weight
        flat_u = du.flatten(0, 1)
        return dz, dy, dz.flatten(0, 1).T @ y[:-1].flatten(0, 1), flat_u.T @ h.flatten(0, 1), flat_u.sum(0), None, None


def peephole(z: Tensor, state: tuple[Tensor, ...], weight: Tensor, peeps: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs and cells (time, batch, units) of every step, for `z` (time, batch, 4 * units). Tanh and sigmoid."""
    with torch.autocast(z.device.type, enabled=False):
        return _Peephole.apply(z.to(weight.dtype), *(one.to(weight.dtype) for one in state), weight, peeps)  # pyright: ignore[reportReturnType]


def jordan(
    z: Tensor, state: tuple[Tensor, ...], weight: Tensor, out: Tensor, bias: Tensor | None, f: str, g: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs before g, hidden units and remembered outputs (time, batch, ...) of every step, for `z` (time, batch, hidden)."""
    with torch.autocast(z.device.type, enabled=False):
        bias = out.new_zeros(len(out)) if bias is None else bias
        return _Jordan.apply(z.to(weight.dtype), state[0].to(weight.dtype), weight, out, bias, f, g)  # pyright: ignore[reportReturnType]
