"""Remedies: each changes a copy of a network, says in lines what it did, and gives the code that does the same."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .._exchanging import known_as
from ..errors import UsageError
from ..records import Diagnosis, Finding
from ..swapping import swap
from ._phrases import Pair

_SQUASHING = ("sigmoid", "tanh", "hard_sigmoid", "hardsigmoid", "hard_tanh", "softsign", "log_sigmoid")
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass
class Treated:
    """A network after a remedy."""

    model: nn.Module
    changes: list[str]
    code: list[str]
    clip: float | None = None  # of the gradient's norm, in training


Remedy = Callable[[nn.Module, Finding], Treated | None]


def other_activation(model: nn.Module, finding: Finding) -> Treated | None:
    """Squashing functions become ReLU, ReLU becomes leaky ReLU; the weights start as fits."""
    names = {found[0] for found in map(known_as, model.modules()) if found} | {
        str(finding.details.get("activation", ""))
    }
    table = {one: "relu" for one in names if one in _SQUASHING}
    if finding.rule == "dead-unit":
        table = {one: "leaky_relu" for one in names if one in ("relu", "relu6")}
    if finding.rule == "vanishing" and not table:
        table = {"sigmoid": "relu"}
    try:
        swapped = swap(model, table) if table else None
    except UsageError:
        swapped = None
    if swapped is None:
        return None
    again = matched_start(swapped.model, finding)
    lines = [f"{place}: {old} -> {new}" for place, old, new in swapped.exchanged]
    if again is None:
        return Treated(swapped.model, lines, [f"model = actlab.swap(model, {table!r}).model"])
    return Treated(again.model, lines + again.changes, [f"model = actlab.swap(model, {table!r}).model", *again.code])


def matched_start(model: nn.Module, finding: Finding) -> Treated | None:
    """He's start for layers with weights, zero biases; recurrent weights orthogonal (Saxe, McClelland & Ganguli 2014, arXiv:1312.6120)."""
    changes = []
    with torch.no_grad():
        for name, one in model.named_modules():
            if isinstance(one, _WEIGHTED):
                nn.init.kaiming_normal_(one.weight, nonlinearity="relu")
                if one.bias is not None:
                    nn.init.zeros_(one.bias)
                changes.append(f"{name}: weights by He, bias 0")
            elif isinstance(one, nn.RNNBase | nn.RNNCellBase):
                for key, weight in one.named_parameters():
                    if "weight_hh" in key:
                        for part in weight.split(one.hidden_size):
                            nn.init.orthogonal_(part)
                        changes.append(f"{name}.{key}: orthogonal")
            elif isinstance(one, nn.MultiheadAttention) and one.in_proj_weight is not None:
                nn.init.xavier_uniform_(one.in_proj_weight)
                changes.append(f"{name}.in_proj_weight: Xavier")
    code = [
        "for one in model.modules():",
        "    if isinstance(one, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):",
        '        nn.init.kaiming_normal_(one.weight, nonlinearity="relu")',
        "        if one.bias is not None:",
        "            nn.init.zeros_(one.bias)",
        "    if isinstance(one, (nn.RNNBase, nn.RNNCellBase)):",
        "        for name, weight in one.named_parameters():",
        '            if "weight_hh" in name:',
        "                for part in weight.data.split(one.hidden_size):",
        "                    nn.init.orthogonal_(part)",
        "    if isinstance(one, nn.MultiheadAttention):",
        "        nn.init.xavier_uniform_(one.in_proj_weight)",
    ]
    return Treated(model, changes, code) if changes else None


def attention_start(model: nn.Module, finding: Finding) -> Treated | None:
    """Xavier's start for the queries and keys of that layer; what looks at padding lacks a mask, which no start gives."""
    if finding.details.get("what") == "padding":
        return None
    try:
        layer = model.get_submodule(finding.layer)
    except AttributeError:
        return None
    weights = [getattr(layer, "in_proj_weight", None)] if isinstance(layer, nn.MultiheadAttention) else []
    names = ["in_proj_weight"] if weights else []
    for key in ("query", "key"):
        if isinstance(one := getattr(layer, key, None), nn.Linear):
            weights.append(one.weight)
            names.append(f"{key}.weight")
    found = [(name, one) for name, one in zip(names, weights, strict=True) if isinstance(one, nn.Parameter)]
    for _, weight in found:
        nn.init.xavier_uniform_(weight)
    place = f'model.get_submodule("{finding.layer}")'
    code = [f"nn.init.xavier_uniform_({place}.{name})" for name, _ in found]
    return Treated(model, [f"{finding.layer}.{name}: Xavier" for name, _ in found], code) if found else None


def clipping(model: nn.Module, finding: Finding) -> Treated | None:
    """The gradient's norm is clipped at 1, and recurrent weights start orthogonal."""
    again = matched_start(model, finding)
    code = ["# after loss.backward(), before optimizer.step():", "nn.utils.clip_grad_norm_(model.parameters(), 1.0)"]
    if again is None:
        return Treated(model, ["gradient norm clipped at 1"], code, clip=1.0)
    return Treated(again.model, [*again.changes, "gradient norm clipped at 1"], [*again.code, *code], clip=1.0)


class Normalised(nn.Module):
    """A network whose inputs are shifted and scaled first."""

    def __init__(self, model: nn.Module, mean: float, deviation: float):
        super().__init__()
        self.model, self.mean, self.deviation = model, mean, deviation

    def forward(self, x: Tensor) -> Tensor:
        """What the network gives for (x - mean) / deviation."""
        return self.model((x - self.mean) / self.deviation)


def normalised_inputs(model: nn.Module, finding: Finding) -> Treated | None:
    """Inputs with mean 0 and deviation 1, by the `mean` and `deviation` that the finding gives; none where they have them already."""
    mean, deviation = finding.details.get("mean"), finding.details.get("deviation")
    if not isinstance(mean, float) or not isinstance(deviation, float) or not deviation > 0:
        return None
    if abs(mean) < 0.1 * deviation and 0.9 < deviation < 1.1:
        return None
    change = f"inputs = (inputs - {mean:.4g}) / {deviation:.4g}"
    return Treated(
        Normalised(model, mean, deviation), [change], [f"{change}  # before the network, in training and after it"]
    )


def right_mode(model: nn.Module, finding: Finding) -> Treated | None:
    """Training mode, and all weights learn."""
    model.train()
    model.requires_grad_(True)
    return Treated(model, ["model.train()", "every parameter: requires_grad = True"], ["model.train()", "model.requires_grad_(True)"])  # fmt: skip


REMEDIES: dict[str, tuple[tuple[str, Remedy], ...]] = {
    "dead-unit": (("other activation", other_activation), ("matched start", matched_start)),
    "saturated": (("matched start", matched_start), ("other activation", other_activation)),
    "vanishing": (("other activation", other_activation), ("matched start", matched_start)),
    "exploding": (("clipping", clipping),),
    "signal-at-init": (("matched start", matched_start),),
    "constant-units": (("matched start", matched_start),),
    "attention": (("attention start", attention_start),),
    "wrong-mode": (("right mode", right_mode),),
    "plateau": (("matched start", matched_start), ("normalised inputs", normalised_inputs)),
}
NAMES = {
    "other activation": Pair("another activation, with the start that fits it", "换用其他激活函数并作匹配的初始化"),
    "matched start": Pair("a start of the weights that fits the activation", "与激活函数匹配的权重初始化"),
    "attention start": Pair("Xavier's start for queries and keys", "查询与键采用 Xavier 初始化"),
    "normalised inputs": Pair("inputs with mean 0 and deviation 1", "输入归一化为均值 0、标准差 1"),
    "clipping": Pair("clipping the gradient's norm, orthogonal recurrent weights", "裁剪梯度范数，循环权重正交初始化"),
    "right mode": Pair("training mode, and all weights learning", "训练模式，且所有权重参与学习"),
}


def causes(found: Diagnosis) -> list[Finding]:
    """The gravest findings that nothing else explains, one for each rule, for which there is a remedy to try."""
    chosen: dict[str, Finding] = {}
    for one in found.findings:
        if one.severity != "note" and not one.explained_by and one.rule in REMEDIES and one.rule not in chosen:
            chosen[one.rule] = one
    return list(chosen.values())
