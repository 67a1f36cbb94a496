"""Exchanging the activations of a network that exists: `swap(model, "gelu")`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from . import activations
from ._in_place import WritesBack, after, seen_by_others
from ._language import say
from .activations import Activation, Pointwise, VectorActivation
from .activations._torch_modules import twin_of
from .errors import UnknownName, UsageError, first_line
from .properties import Properties

# Classes of other packages, known by their names so that the packages need not be there.
_FOREIGN = {
    "GELUActivation": "gelu", "NewGELUActivation": "gelu_tanh", "FastGELUActivation": "gelu_tanh", "QuickGELUActivation": "quick_gelu",
    "PytorchGELUTanh": "gelu_tanh", "GELUTanh": "gelu_tanh", "AccurateGELUActivation": "gelu_tanh", "SiLUActivation": "silu",
    "MishActivation": "mish", "ReLUSquaredActivation": "relu_squared", "LaplaceActivation": "laplace", "QuickGELU": "quick_gelu",
    "Swish": "silu", "HardSwish": "hard_swish", "HardSigmoid": "hardsigmoid", "HardMish": "hard_mish",
}  # fmt: skip
_FUNCTIONS: dict[Any, str] = {
    F.relu: "relu", torch.relu: "relu", F.relu6: "relu6", F.gelu: "gelu", F.silu: "silu", F.mish: "mish", F.elu: "elu", F.selu: "selu",
    F.celu: "celu", F.leaky_relu: "leaky_relu", F.hardswish: "hard_swish", F.hardtanh: "hard_tanh", F.softplus: "softplus",
    F.softsign: "softsign", F.tanhshrink: "tanh_shrink", F.logsigmoid: "log_sigmoid", F.hardsigmoid: "hardsigmoid",
    F.sigmoid: "sigmoid", torch.sigmoid: "sigmoid", F.tanh: "tanh", torch.tanh: "tanh", torch.relu_: "relu", F.elu_: "elu",
    F.leaky_relu_: "leaky_relu", F.hardtanh_: "hard_tanh", torch.selu: "selu", torch.celu: "celu", F.prelu: "prelu", F.rrelu: "rrelu",
}  # fmt: skip
_METHODS = {
    "relu": "relu",
    "relu_": "relu",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
    "tanh": "tanh",
    "tanh_": "tanh",
}
_GATES = {"sigmoid", "hardsigmoid", "hard_sigmoid", "log_sigmoid", "identity"}
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Swapped:
    """The network with its new activations; what was exchanged, as (place, old, new); what was left and why, as (place, reason)."""

    model: nn.Module
    exchanged: tuple[tuple[str, str, str], ...]
    left: tuple[tuple[str, str], ...]


def swap(model: nn.Module, new: str | dict[str, str], *, gain: str = "keep") -> Swapped:
    """Exchange activations of `model`: {"relu": "gelu"} those named, "gelu" all but gates (sigmoids) and softmax.

    Modules are replaced in place. Calls of functions, such as F.relu(x), are replaced where torch.fx can trace the model, which then
    comes back as a GraphModule over the same weights. `gain`: "keep" leaves the weights as they are; "match" scales those of the next
    linear or convolutional layer so that the size of activations stays what it was, for normal input to them.

    Raises UnknownName for a name that is not in the catalogue, and UsageError where nothing could be exchanged.
    """
    if gain not in ("keep", "match"):
        raise UsageError(
            say(f"gain must be 'keep' or 'match'; got {gain!r}", f"gain 应为 'keep' 或 'match'；得到 {gain!r}")
        )
    wanted = _wanted(model, new)
    exchanged = list(_modules(model, wanted, gain))
    left: list[tuple[str, str]] = []
    traced = _traced(model, left)
    if traced is not None and any(_function_of(node) for node in traced.graph.nodes):
        found = list(_calls(model, traced, wanted, gain))
        exchanged += found
        model = _finish(traced, model) if found else model
    left += [(name, _reason(old)) for name, old in _kept(model, wanted)]
    if not exchanged:
        raise UsageError(
            say(
                f"found no activation to exchange for {new!r}"
                + (f" ({'; '.join(f'{n}: {r}' for n, r in left)})" if left else ""),
                f"没有可换成 {new!r} 的激活函数" + (f"（{'；'.join(f'{n}：{r}' for n, r in left)}）" if left else ""),
            )
        )
    return Swapped(model, tuple(exchanged), tuple(left))


def known_as(module: nn.Module) -> tuple[str, dict[str, float]] | None:
    """Name and parameters of the catalogue's entry that this module computes; None if it is no activation known here."""
    if isinstance(module, Pointwise):
        values = {name: _number(getattr(module, name)) for name in module.names}
        return module.activation.name, {
            name: value for name, value in values.items() if name not in module.activation.preset
        }
    if twin := twin_of(module):
        return None if twin[0] == "identity" else twin
    if (foreign := type(module).__name__) in _FOREIGN and not list(module.children()):
        return _FOREIGN[foreign], {}
    return None


def _number(value: Any) -> float:
    """A parameter as a number; the mean of one that is learnt for each channel."""
    return float(value.detach().float().mean()) if torch.is_tensor(value) else float(value)


def _wanted(model: nn.Module, new: str | dict[str, str]) -> Callable[[str], str | None]:
    """The new name for an old one; none where that is the same function."""
    if isinstance(new, str):
        _pointwise(new)
        return lambda old: None if old in _GATES or _canonical(old) == _canonical(new) else new
    own = {found[0] for found in map(known_as, model.modules()) if found}  # names of a user's own activations too
    table = {old if old in own else activations.get(old).name: replacement for old, replacement in new.items()}
    for replacement in table.values():
        _pointwise(replacement)

    def chosen(old: str) -> str | None:
        replacement = table.get(old) or table.get(_canonical(old)) or table.get(_base(old))
        return replacement if replacement and _canonical(replacement) != _canonical(old) else None

    return chosen


def _canonical(name: str) -> str:
    """The entry's own name for an alias; a user's own activation keeps its name."""
    try:
        return activations.get(name).name
    except UnknownName:
        return name


def _base(name: str) -> str:
    """The entry whose parameters an alias such as silu or relu6 fixes."""
    try:
        return activations.get(name).body.__name__
    except UnknownName:
        return name


def _pointwise(name: str) -> Activation:
    entry = activations.get(name)
    if isinstance(entry, VectorActivation):
        raise UsageError(
            say(
                f"{name} is a function of whole vectors; expected a pointwise activation",
                f"{name} 是向量函数；应为逐元素激活函数",
            )
        )
    return entry


def _modules(model: nn.Module, wanted: Callable[[str], str | None], gain: str) -> Iterator[tuple[str, str, str]]:
    """Exchange modules in place; one that stands in several places is exchanged in all of them."""
    order = [module for module in model.modules() if isinstance(module, _WEIGHTED) or known_as(module)]
    graph = _traced(model, []) if any(getattr(module, "inplace", False) for module in order) else None
    made: dict[nn.Module, nn.Module] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        found = known_as(module)
        replacement = wanted(found[0]) if found else None
        if found is None or replacement is None or not name:
            continue
        if module not in made:
            fresh = _like(model, replacement).train(module.training)
            made[module] = WritesBack(fresh) if seen_by_others(module, graph) else fresh
            made[module]._forward_hooks = module._forward_hooks
            made[module]._forward_pre_hooks = module._forward_pre_hooks
            if gain == "match":
                before = module.activation if isinstance(module, Pointwise) else activations.get(found[0])
                _match(order[order.index(module) + 1 :], before.properties(**found[1]), replacement)
        parent, _, child = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, child, made[module])
        if isinstance(owner, nn.TransformerEncoderLayer):  # torch's fast path asks this number, not the module
            owner.activation_relu_or_gelu = {"relu": 1, "gelu": 2}.get(replacement, 0)
        yield name, found[0], replacement


def _like(model: nn.Module, name: str) -> nn.Module:
    """A fresh activation layer on the device and in the type of the model."""
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    layer = activations.layer(name)()
    return layer if like is None else layer.to(like.device, like.dtype)


def _match(after: list[nn.Module], before: Properties, new: str) -> None:
    """Scale the next weights by what the new function changes about its output.

    A network whose weights suit the old one has inputs to it of the deviation of its gain (He et al. 2015, section 2.2).
    """
    following = next((module for module in after if isinstance(module, _WEIGHTED)), None)
    if following is not None:
        now = activations.get(new).properties()
        ratio = before.expected(2, deviation=before.gain) / now.expected(2, deviation=before.gain)
        with torch.no_grad():
            following.weight.mul_(ratio**0.5)


class _Tracer(fx.Tracer):
    """Looks inside everything but torch's own layers and activations."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return known_as(m) is not None or super().is_leaf_module(m, module_qualified_name)


def _traced(model: nn.Module, left: list[tuple[str, str]]) -> fx.GraphModule | None:
    """The model as a graph, if it can be one and is the same in training and evaluation."""
    if isinstance(model, nn.ModuleDict | nn.ModuleList):
        return None
    modes = [(module, module.training) for module in model.modules()]
    try:
        graphs = [fx.GraphModule(model, _Tracer().trace(model.train(mode))) for mode in (True, False)]
        text = (
            ""
            if graphs[0].code == graphs[1].code
            else say(
                "calls of functions were left, because the code differs between training and evaluation",
                "函数调用未替换，因为训练与评估时的代码不同",
            )
        )
    except Exception as error:  # whatever torch.fx makes of a model's code
        graphs, text = (
            [],
            say(
                f"calls of functions, if any, could not be reached: {first_line(error)}",
                f"无法追踪函数调用（若有）：{first_line(error)}",
            ),
        )
    finally:
        for module, training in modes:
            module.training = training
    if text:
        left.append((type(model).__name__, text))
        return None
    return graphs[0]


def _function_of(node: fx.Node) -> str | None:
    if node.op == "call_function":
        if node.target is F.gelu and node.kwargs.get("approximate", "none") == "tanh":
            return "gelu_tanh"
        return _FUNCTIONS.get(node.target)
    return _METHODS.get(str(node.target)) if node.op == "call_method" else None


def _calls(
    model: nn.Module, traced: fx.GraphModule, wanted: Callable[[str], str | None], gain: str
) -> Iterator[tuple[str, str, str]]:
    """Exchange calls of functions by modules named swapped_0, swapped_1, ..."""
    found: list[tuple[str, str, str]] = []
    for node in list(traced.graph.nodes):
        old = _function_of(node)
        replacement = wanted(old) if old else None
        if old is None or replacement is None:
            continue
        name = f"swapped_{len(found)}"
        traced.add_submodule(name, _like(model, replacement).train(model.training))
        source = node.args[0] if node.args else node.kwargs["input"]
        if gain == "match":
            _match(_later(traced, node), activations.get(old).properties(), replacement)
        later = set(after(node))
        with traced.graph.inserting_after(node):
            fresh = traced.graph.call_module(name, (source,))
        if _in_place(node):  # what comes later reads the changed input
            source.replace_all_uses_with(fresh, delete_user_cb=lambda user, later=later: user in later)
        node.replace_all_uses_with(fresh)
        traced.graph.erase_node(node)
        found.append((node.name, old, replacement))
    traced.recompile()
    yield from found


def _in_place(node: fx.Node) -> bool:
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name.endswith("_") or bool(node.kwargs.get("inplace", False))


def _later(traced: fx.GraphModule, node: fx.Node) -> list[nn.Module]:
    """The modules that are called after `node`."""
    return [traced.get_submodule(str(one.target)) for one in after(node) if one.op == "call_module"]


def _finish(traced: fx.GraphModule, model: nn.Module) -> nn.Module:
    """Give the traced model what tracing leaves out: its mode, its hooks, and the parts that its forward pass does not use."""
    for name, child in model.named_children():
        if not hasattr(traced, name):
            traced.add_module(name, child)
    traced._forward_hooks = model._forward_hooks
    traced._forward_pre_hooks = model._forward_pre_hooks
    traced.training = model.training  # its parts keep their own modes
    return traced


def _kept(model: nn.Module, wanted: Callable[[str], str | None]) -> Iterator[tuple[str, str]]:
    for name, module in model.named_modules():
        found = known_as(module)
        if found and found[0] in _GATES and wanted(found[0]) is None:
            yield name, found[0]
        if isinstance(
            module, nn.MultiheadAttention | nn.RNNBase | nn.TransformerEncoderLayer | nn.TransformerDecoderLayer
        ):
            yield name, type(module).__name__


def _reason(old: str) -> str:
    if old in _GATES:
        return say(f"{old} is a gate or an output; name it to exchange it", f"{old} 是门或输出；如需替换请指明")
    return say(f"the activations inside {old} are fixed in its code", f"{old} 内部的激活函数写死在其代码中")
