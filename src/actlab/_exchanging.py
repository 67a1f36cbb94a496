"""Walking a network for its activations, as modules and as calls of functions, and putting others in their places."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from ._in_place import WritesBack, after, seen_by_others, writes
from ._language import say
from .activations import Gated, Pointwise
from .activations._torch_modules import twin_of
from .activations._vector_spec import Vectorwise
from .errors import first_line

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


# What a module holds of hooks, in the order of torch.nn.Module.
_HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks", "_is_full_backward_hook",
)  # fmt: skip


def take_hooks(fresh: nn.Module, module: nn.Module) -> None:
    """Give what takes a module's place its hooks."""
    for hooks in _HOOKS:
        setattr(fresh, hooks, getattr(module, hooks))


def is_watched(module: nn.Module) -> bool:
    """Whether a module has hooks."""
    return any(getattr(module, hooks) for hooks in _HOOKS)


@dataclass(frozen=True)
class Found:
    """An activation of a network: its name in the catalogue and its parameters, None where a call has arguments not read here."""

    name: str
    parameters: dict[str, float] | None
    module: nn.Module | None = None


@dataclass(frozen=True)
class Fresh:
    """What takes its place: a name to report, the layer, and what to do to the modules that are called after it."""

    name: str
    layer: nn.Module
    then: Callable[[list[nn.Module]], None] = lambda _: None


Choose = Callable[[Found], Fresh | None]


def exchange(model: nn.Module, choose: Choose) -> tuple[nn.Module, list[tuple[str, str, str]], list[tuple[str, str]]]:
    """The model with what `choose` answers in the places of its activations; (place, old, new), and (place, why) of what was left.

    Modules are replaced in place. Calls of functions are replaced where torch.fx can trace the model, which then comes back as a
    GraphModule over the same weights.
    """
    exchanged = list(_modules(model, choose))
    left: list[tuple[str, str]] = []
    graph = traced(model, left)
    if graph is not None and any(function_of(node) for node in graph.graph.nodes):
        found = list(_calls(model, graph, choose))
        exchanged += found
        model = finished(graph, model) if found else model
    return model, exchanged, left


def known_as(module: nn.Module) -> tuple[str, dict[str, float]] | None:
    """Name and parameters of the catalogue's entry that this module computes; None if it is no activation known here."""
    if isinstance(module, Pointwise):
        values = {name: _number(getattr(module, name)) for name in module.names}
        return module.activation.name, {
            name: value for name, value in values.items() if name not in module.activation.preset
        }
    if twin := twin_of(module):
        return None if twin[0] == "identity" else twin
    if (foreign := type(module).__name__) in _FOREIGN and not list(module.children()) and not list(module.parameters()):
        return _FOREIGN[foreign], {}
    return None


def _number(value: Any) -> float:
    """A parameter as a number; the mean of one that is learnt for each channel."""
    return float(value.detach().float().mean()) if torch.is_tensor(value) else float(value)


def _modules(model: nn.Module, choose: Choose) -> Iterator[tuple[str, str, str]]:
    """Exchange modules in place; one that stands in several places is exchanged in all of them."""
    order = list(dict.fromkeys(model.modules()))
    graph = traced(model, []) if any(getattr(module, "inplace", False) for module in order) else None
    made: dict[nn.Module, tuple[str, nn.Module]] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        found = known_as(module)
        if found is None or not name:
            continue
        if module not in made:
            fresh = choose(Found(*found, module))
            if fresh is None:
                continue
            layer = _fitting(model, fresh.layer).train(module.training)
            layer = WritesBack(layer) if seen_by_others(module, graph) else layer
            take_hooks(layer, module)
            made[module] = fresh.name, layer
            fresh.then(order[order.index(module) + 1 :])
        replacement, layer = made[module]
        parent, _, child = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, child, layer)
        if isinstance(owner, nn.TransformerEncoderLayer):  # torch's fast path asks this number, not the module
            owner.activation_relu_or_gelu = {"relu": 1, "gelu": 2}.get(replacement, 0)
        yield name, found[0], replacement


def _fitting(model: nn.Module, layer: nn.Module) -> nn.Module:
    """The layer on the device and in the type of the model."""
    own = {id(one) for one in model.parameters()}
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    if like is None or any(id(one) in own for one in layer.parameters()):  # the model's own weights stay as they are
        return layer
    return layer.to(like.device, like.dtype)


class _Tracer(fx.Tracer):
    """Looks inside everything but torch's own layers and activations."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            known_as(m) is not None
            or isinstance(m, Gated | Vectorwise)
            or super().is_leaf_module(m, module_qualified_name)
        )


def traced(model: nn.Module, left: list[tuple[str, str]], tracer: type[fx.Tracer] = _Tracer) -> fx.GraphModule | None:
    """The model as a graph, if it can be one and is the same in training and evaluation; if not, `left` is told why."""
    if isinstance(model, nn.ModuleDict | nn.ModuleList):
        return None
    modes = [(module, module.training) for module in model.modules()]
    try:
        # Left out, an argument is None: as a proxy it would be taken for one that is there.
        left_out = {name: None for name, one in signature(model.forward).parameters.items() if one.default is None}
        name = type(model).__name__
        graphs = [fx.GraphModule(model, tracer().trace(model.train(mode), left_out), name) for mode in (True, False)]
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


def function_of(node: fx.Node) -> str | None:
    """The name of the entry that a call of a function or method computes; None for any other."""
    if node.op == "call_function":
        if node.target is F.gelu and node.kwargs.get("approximate", "none") == "tanh":
            return "gelu_tanh"
        return _FUNCTIONS.get(node.target)
    return _METHODS.get(str(node.target)) if node.op == "call_method" else None


def is_alone(node: fx.Node) -> bool:
    """Whether a call of an activation is told nothing but its input, so that its parameters are the usual ones."""
    return len(node.args) + len(node.kwargs.keys() - {"inplace", "approximate"}) == 1


def source_of(node: fx.Node) -> Any:
    """What an activation is called with."""
    return node.args[0] if node.args else node.kwargs.get("input")


def _calls(model: nn.Module, traced: fx.GraphModule, choose: Choose) -> Iterator[tuple[str, str, str]]:
    """Exchange calls of functions by modules named exchanged_0, exchanged_1, ..."""
    count = sum(name.startswith("exchanged_") for name, _ in model.named_children())
    found: list[tuple[str, str, str]] = []
    for node in list(traced.graph.nodes):
        old = function_of(node)
        fresh = choose(Found(old, {} if is_alone(node) else None)) if old else None
        if old is None or fresh is None:
            continue
        name = f"exchanged_{count + len(found)}"
        traced.add_submodule(name, _fitting(model, fresh.layer).train(model.training))
        source = source_of(node)
        fresh.then(_later(traced, node))
        later = set(after(node))
        with traced.graph.inserting_after(node):
            call = traced.graph.call_module(name, (source,))
        if writes(node):  # what comes later reads the changed input
            source.replace_all_uses_with(call, delete_user_cb=lambda user, later=later: user in later)
        node.replace_all_uses_with(call)
        traced.graph.erase_node(node)
        found.append((node.name, old, fresh.name))
    traced.recompile()
    yield from found


def _later(traced: fx.GraphModule, node: fx.Node) -> list[nn.Module]:
    """The modules that are called after `node`."""
    return [traced.get_submodule(str(one.target)) for one in after(node) if one.op == "call_module"]


def finished(traced: fx.GraphModule, model: nn.Module, without: Collection[str] = ()) -> nn.Module:
    """Give the traced model what tracing leaves out: its mode, its hooks, and the parts that its forward pass does not use, `without` some."""
    for name, child in model.named_children():
        if name in without:
            traced.delete_submodule(name)
        elif not hasattr(traced, name):
            traced.add_module(name, child)
    take_hooks(traced, model)
    traced.training = model.training  # its parts keep their own modes
    return traced
