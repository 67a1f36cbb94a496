"""Back-propagation in words: every sum of `backpropagate` written out with its numbers, in the language in force."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch

from .._language import say
from .backpropagation import LOSSES, BackPropagation, LayerTerms

_TERMS = 4  # of a sum; what is longer is cut


def steps(found: BackPropagation) -> list[str]:
    """One line for each step; headings begin at the margin."""
    name, sizes = say(*LOSSES[found.loss]), "-".join(map(str, found.sizes))
    symbols = "1/2 Σ (a - y)²" if found.loss == "squared" else "-Σ (y ln a + (1 - y) ln(1 - a))"
    lines = [
        say(f"network {sizes}, {name} C = {symbols} = {_n(found.cost)}", f"网络 {sizes}，{name} C = {symbols} = {_n(found.cost)}"),
        say(f"  inputs a0 = {_row(found.inputs)}   targets y = {_row(found.targets)}", f"  输入 a0 = {_row(found.inputs)}   目标 y = {_row(found.targets)}"),
        say("forward: each unit sums its inputs times its weights, adds its bias, and bends the sum;  z = W a + b,  a = f(z)",
            "前向：每个单元将输入乘以权重后求和，加上偏置，再经激活函数；z = W a + b，a = f(z)"),
    ]  # fmt: skip
    for number, layer in enumerate(found.layers, 1):
        lines += _forward(number, layer)
    lines.append(say("backward: the error terms δ = dC/dz, from the last layer to the first", "反向：误差项 δ = dC/dz，从最后一层到第一层"))  # fmt: skip
    for number in range(len(found.layers), 0, -1):
        lines += _backward(number, found)
    lines.append(say("gradients:  BP3  dC/db = δ   BP4  dC/dW = δ aᵀ, the error term times what came in", "梯度：BP3  dC/db = δ   BP4  dC/dW = δ aᵀ，即误差项乘以该层的输入"))  # fmt: skip
    for number, layer in enumerate(found.layers, 1):
        lines.append(f"  {_layer(number, layer)}")
        lines += [
            f"    dC/dW{unit} = {_n(delta)} · {_row(layer.before)} = {_row(row)}   dC/db{unit} = {_n(delta)}"
            for unit, (delta, row) in enumerate(zip(layer.delta.tolist(), layer.weight_gradient, strict=True), 1)
        ]
    return [*lines, *_compared(found)]


def as_lists(found: BackPropagation) -> dict[str, Any]:
    """The same as plain numbers and lists, for JSON."""
    plain = {one.name: _plain(getattr(found, one.name)) for one in fields(found) if one.name != "layers"}
    listed = [{one.name: _plain(getattr(layer, one.name)) for one in fields(layer)} for layer in found.layers]
    return {"sizes": list(found.sizes), **plain, "layers": listed}


def _plain(value: Any) -> Any:
    return value.tolist() if torch.is_tensor(value) else value


def _forward(number: int, layer: LayerTerms) -> list[str]:
    lines = [f"  {_layer(number, layer)}"]
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), layer.z.tolist(), layer.a.tolist(), layer.slope.tolist(), strict=True)  # fmt: skip
    for unit, (weights, bias, z, a, slope) in enumerate(rows, 1):
        total = f"{_sum(weights, layer.before.tolist())} {_signed(bias)}"
        lines.append(f"    z{unit} = {total} = {_n(z)}   a{unit} = f(z{unit}) = {_n(a)}   f'(z{unit}) = {_n(slope)}")
    return lines


def _backward(number: int, found: BackPropagation) -> list[str]:
    layer = found.layers[number - 1]
    rows = list(zip(layer.back.tolist(), layer.slope.tolist(), layer.delta.tolist(), strict=True))
    if number == len(found.layers):
        return _last(number, found, rows)
    after = found.layers[number]
    lines = [
        f"  {_layer(number, layer)}   BP2  δ({number}) = (W({number + 1})ᵀ δ({number + 1})) * f'(z({number}))",
        say("    the error terms of the next layer, carried back through its weights, times the slope", "    后一层的误差项经其权重传回，再乘以斜率"),
    ]  # fmt: skip
    for unit, (_, slope, delta) in enumerate(rows, 1):
        carried = _sum(after.weight[:, unit - 1].tolist(), after.delta.tolist())
        lines.append(f"    δ{unit} = ({carried}) · {_n(slope)} = {_n(delta)}")
    return lines


def _last(number: int, found: BackPropagation, rows: Sequence[tuple[float, float, float]]) -> list[str]:
    layer = found.layers[-1]
    lines = [
        f"  {_layer(number, layer)}   BP1  δ({number}) = dC/da * f'(z({number}))",
        say("    how the cost changes with the output, times the slope of the activation", "    代价随输出的变化，乘以激活函数的斜率"),
    ]  # fmt: skip
    if found.loss == "cross-entropy":
        lines.append(say("    dC/da = (a - y) / (a (1 - a)) and f' = a (1 - a): together a - y", "    dC/da = (a - y) / (a (1 - a))，f' = a (1 - a)：相乘即 a - y"))  # fmt: skip
    for unit, ((_, slope, delta), a, y) in enumerate(zip(rows, layer.a.tolist(), found.targets.tolist(), strict=True), 1):  # fmt: skip
        times = f" · {_n(slope)}" if found.loss == "squared" else ""
        lines.append(f"    δ{unit} = ({_n(a)} - {_n(y, signed=True)}){times} = {_n(delta)}")
    return lines


def _compared(found: BackPropagation) -> list[str]:
    return [
        say("compared, the largest difference of any gradient", "比较：各梯度的最大差"),
        say(f"  from autograd                {found.autograd_difference:.1e}", f"  与自动微分  {found.autograd_difference:.1e}"),
        say(f"  from numerical differences   {found.numerical_difference:.1e}", f"  与数值差分  {found.numerical_difference:.1e}"),
    ]  # fmt: skip


def _layer(number: int, layer: LayerTerms) -> str:
    return say(f"layer {number} ({layer.activation})", f"第 {number} 层（{layer.activation}）")


def _n(value: float, *, signed: bool = False) -> str:
    """Four digits; with `signed` a negative number stands in brackets."""
    text = f"{value:.4g}"
    return f"({text})" if signed and value < 0 else text


def _signed(value: float) -> str:
    return f"- {_n(-value)}" if value < 0 else f"+ {_n(value)}"


def _sum(weights: Sequence[float], values: Sequence[float]) -> str:
    terms = [f"{_n(w)}·{_n(v, signed=True)}" for w, v in zip(weights[:_TERMS], values, strict=False)]
    joined = terms[0] + "".join(f" - {one[1:]}" if one[0] == "-" else f" + {one}" for one in terms[1:])
    return joined + (" + …" if len(weights) > _TERMS else "")


def _row(values: torch.Tensor) -> str:
    return f"({', '.join(_n(one) for one in values.tolist())})"
