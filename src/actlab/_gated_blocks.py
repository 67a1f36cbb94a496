"""Functions of an axis in a network, such as GLU, and products of a tensor with an activation of another; fused ones in their places."""

import operator
import random
from collections.abc import Iterator
from inspect import Parameter, signature
from typing import Any, NamedTuple

import torch
from torch import fx, nn
from torch.nn import functional as F

from ._exchanging import finished, function_of, is_alone, is_watched, known_as, source_of, take_hooks, traced
from ._in_place import writes, written_between
from .activations import Activation, Gated, GatedHalves, Pointwise, get
from .activations._vector_spec import Vectorwise

_PRODUCTS = {operator.mul, torch.mul, torch.multiply}


class _Block(fx.Tracer):
    """Looks at a module's own forward pass, not inside its parts."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


class _Gate(NamedTuple):
    """A product in a graph: its activation with its parameters, the call of that, and the other factor."""

    activation: Activation
    parameters: dict[str, float]
    call: fx.Node
    other: fx.Node


def exchange_gated(model: nn.Module) -> tuple[nn.Module, list[tuple[str, str, str]]]:
    """The model with fused gated units and other functions of an axis, and what was exchanged as (place, old, new).

    nn.GLU and layers of the catalogue are replaced in place. A module that multiplies by an activation in its own forward pass becomes a
    GraphModule over the same parts, if torch.fx can trace it; the model itself, if it is that module, comes back as one.
    """
    exchanged: list[tuple[str, str, str]] = []
    made: dict[nn.Module, tuple[nn.Module, list[tuple[str, str]]]] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module not in made:
            made[module] = _fused(module)
        fresh, found = made[module]
        if fresh is module:
            continue
        exchanged += [(name or type(module).__name__, *one) for one in found]
        if not name:
            model = fresh
            continue
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, fresh)
    return model, exchanged


def _fused(module: nn.Module) -> tuple[nn.Module, list[tuple[str, str]]]:
    """What takes a module's place, itself if nothing does, and (old, new) of what is in it."""
    fresh = _of_axis(module)
    if fresh is not None:
        take_hooks(fresh, module)
        name = fresh.activation.name
        return fresh.train(module.training), [(name, f"fused {name}")]
    graph = _graph_of(module)
    if graph is None:
        return module, []
    before = _used(graph)
    found = list(_exchanged(graph, training=module.training))
    if not found:
        return module, []
    graph.recompile()
    idle = {one for one in before - _used(graph) if known_as(module.get_submodule(one))}
    fresh = finished(graph, module, without=idle)
    if not _holds_the_same(fresh, module):
        return module, []
    for name, value in vars(module).items():  # numbers and the like that others read
        if name not in vars(fresh) and not isinstance(value, nn.Module | torch.Tensor):
            object.__setattr__(fresh, name, value)
    return fresh, found


def _used(graph: fx.GraphModule) -> set[str]:
    """The children that a graph calls or reads."""
    return {str(node.target).partition(".")[0] for node in graph.graph.nodes if node.op in ("call_module", "get_attr")}


def _holds_the_same(fresh: nn.Module, module: nn.Module) -> bool:
    """Whether weights, buffers and all that has any are where they were."""
    if set(fresh.state_dict()) != set(module.state_dict()):
        return False
    names = [dict(one.named_buffers(remove_duplicate=False)).keys() for one in (fresh, module)]
    there = dict(fresh.named_modules(remove_duplicate=False))
    lost = [
        one
        for name, one in module.named_modules(remove_duplicate=False)
        if name and there.get(name) is not one and known_as(one) is None
    ]
    return names[0] == names[1] and not lost


def _of_axis(module: nn.Module) -> Vectorwise | None:
    """The fused layer for a function of an axis; None for any other, and where it is fused or there is no kernel."""
    if type(module) is nn.GLU:
        return Vectorwise(get("glu"), fused=True, dim=module.dim)  # pyright: ignore[reportArgumentType]
    if type(module) is Vectorwise and not module.fused and module.activation.fuses:
        return Vectorwise(module.activation, fused=True, **module.values)
    return None


_EXPECTED = {"forward", "extra_repr", "init_weights", "reset_parameters"}  # methods that nobody calls by then


def _graph_of(module: nn.Module) -> fx.GraphModule | None:
    """A module's own forward pass; None where a graph could not stand in for it.

    That is for torch's layers, where it cannot be traced, takes what may be left out, draws numbers, is watched by hooks, or has other
    methods that may be called.
    """
    if type(module).__module__.startswith("torch.") or not list(module.children()):
        return None
    own = {name for one in type(module).__mro__ if one not in nn.Module.__mro__ for name in vars(one)}
    others = [name for name in own - _EXPECTED if not name.startswith("_") and callable(getattr(module, name, None))]
    if others or is_watched(module):
        return None
    given = signature(module.forward).parameters.values()
    if any(one.default is not Parameter.empty or one.kind is not Parameter.POSITIONAL_OR_KEYWORD for one in given):
        return None
    before = random.getstate(), torch.get_rng_state()
    graph = traced(module, [], _Block)
    drew = random.getstate() != before[0] or not torch.equal(torch.get_rng_state(), before[1])
    return None if drew else graph


def _exchanged(graph: fx.GraphModule, *, training: bool) -> Iterator[tuple[str, str]]:
    count = 0
    for node in list(graph.graph.nodes):
        layer, sources, unused, old = _gated(graph, node) or _glu(node) or (None, (), (), "")
        if layer is None:
            continue
        while hasattr(graph, f"gated_{count}"):
            count += 1
        graph.add_submodule(f"gated_{count}", layer.train(training))
        with graph.graph.inserting_after(node):
            call = graph.graph.call_module(f"gated_{count}", tuple(sources))
        node.replace_all_uses_with(call)
        for one in (node, *unused):
            graph.graph.erase_node(one)
        yield old, f"fused {'glu' if old == 'glu' else f'gated {layer.activation.name}'}"


Change = tuple[Any, tuple[fx.Node, ...], tuple[fx.Node, ...], str]


def _glu(node: fx.Node) -> Change | None:
    """The layer for a call of torch's GLU, what it is called with, what it leaves unused, and what it was."""
    if node.target is not F.glu:
        return None
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", -1)
    source = source_of(node)
    if not isinstance(source, fx.Node) or not isinstance(dim, int):
        return None
    return Vectorwise(get("glu"), fused=True, dim=dim), (source,), (), "glu"  # pyright: ignore[reportArgumentType]


def _gated(graph: fx.GraphModule, node: fx.Node) -> Change | None:
    """The same for a product with an activation."""
    gate = _gate(graph, node)
    if gate is None:
        return None
    old, lever = f"product with {gate.activation.name}", source_of(gate.call)
    halves = _halves(lever, gate.other, (gate.call, node))
    if written_between(graph, gate.call if halves is None else halves[2][-1], node):
        return None
    if halves is None:
        return Gated(gate.activation, fused=True, **gate.parameters), (gate.other, lever), (gate.call,), old
    x, dim, unused = halves
    layer = GatedHalves(gate.activation, dim=dim, gate_first=lever.args[1] == 0, fused=True, **gate.parameters)
    return layer, (x,), (gate.call, *unused), old


def _gate(graph: fx.GraphModule, node: fx.Node) -> _Gate | None:
    """What is multiplied, if one factor is an activation with fixed parameters whose result nothing else reads."""
    product = (node.op == "call_function" and node.target in _PRODUCTS) or (
        node.op == "call_method" and node.target in ("mul", "multiply")
    )
    if not product or len(node.args) != 2 or node.kwargs:
        return None
    for call, other in (node.args, node.args[::-1]):
        if not isinstance(call, fx.Node) or not isinstance(other, fx.Node) or call is other or len(call.users) != 1:
            continue
        known = _activation(graph, call)
        if known is not None and isinstance(source_of(call), fx.Node):
            return _Gate(*known, call, other)
    return None


def _activation(graph: fx.GraphModule, call: fx.Node) -> tuple[Activation, dict[str, float]] | None:
    """The entry that a call computes, and its parameters; None if it is none whose kernel could stand for it."""
    if call.op == "call_module":
        module = graph.get_submodule(str(call.target))
        known = known_as(module)
        if known is None or is_watched(module) or list(module.parameters()) or getattr(module, "inplace", False):
            return None
        name, parameters = known
        entry = module.activation if isinstance(module, Pointwise) else get(name)
    else:
        found = function_of(call)
        if found is None or not is_alone(call) or writes(call):
            return None
        entry, parameters = get(found), {}
    if not isinstance(entry, Activation) or entry.random or entry.learnt or entry.name == "identity":
        return None
    names = {one.name for one in entry.parameters}
    return entry, {name: value for name, value in parameters.items() if name in names}


def _halves(
    lever: fx.Node, other: fx.Node, readers: tuple[fx.Node, fx.Node]
) -> tuple[fx.Node, int, tuple[fx.Node, ...]] | None:
    """What was cut into these two halves, along which axis, and the calls that cut it, if nothing else reads them."""
    places = [(lever, readers[0]), (other, readers[1])]
    if any(half.target is not operator.getitem or set(half.users) != {reader} for half, reader in places):
        return None
    cut = lever.args[0]
    if (
        not isinstance(cut, fx.Node)
        or cut is not other.args[0]
        or sorted(map(str, (lever.args[1], other.args[1]))) != ["0", "1"]
    ):
        return None
    if cut.target not in ("chunk", torch.chunk) or set(cut.users) != {lever, other}:
        return None
    given = dict(zip(("input", "chunks", "dim"), cut.args, strict=False)) | cut.kwargs
    x, dim = given.get("input"), given.get("dim", 0)
    if given.get("chunks") != 2 or not isinstance(x, fx.Node) or not isinstance(dim, int):
        return None
    return x, dim, (lever, other, cut)
