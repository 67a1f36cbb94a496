"""Modules that write into their input, such as nn.ReLU(inplace=True), and whether anything but their result shows it."""

import operator
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn

_FRESH_MODULES = (
    nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.Embedding
)  # fmt: skip
_FRESH_FUNCTIONS = {
    operator.add,
    operator.sub,
    operator.mul,
    operator.matmul,
    torch.add,
    torch.mul,
    torch.matmul,
    torch.cat,
}
_WRITING_FUNCTIONS = {operator.iadd, operator.isub, operator.imul}
_OTHER_WRITING_FUNCTIONS = {operator.itruediv, operator.ipow, operator.setitem}


class WritesBack(nn.Module):
    """An activation that leaves its result in its input too, as one with inplace=True does."""

    def __init__(self, activation: nn.Module):
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """x, overwritten; what the backward pass needs of the old x is a copy."""
        return x.copy_(self.activation(x.clone()))


def after(node: fx.Node) -> Iterator[fx.Node]:
    """What runs after `node`."""
    following = False
    for one in node.graph.nodes:
        if following:
            yield one
        following = following or one is node


def writes(node: fx.Node) -> bool:
    """Whether a call of a function or method says that it writes into what it gets."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name.endswith("_") or bool(node.kwargs.get("inplace", False))


def written_between(graph: fx.GraphModule, first: fx.Node, last: fx.Node) -> bool:
    """Whether anything from one call to another may write into a tensor: what is computed at `last` must be as it was at `first`."""
    read = {*first.all_input_nodes, *first.users}
    for one in after(first):
        if one is last:
            return False
        if one.op == "call_module":
            module = graph.get_submodule(str(one.target))
            own = not type(module).__module__.startswith("torch.")  # a module of the user's that gets what is read
            if (own and read & set(one.all_input_nodes)) or any(
                getattr(part, "inplace", False) for part in module.modules()
            ):
                return True
        elif (
            writes(one)
            or one.target in _WRITING_FUNCTIONS | _OTHER_WRITING_FUNCTIONS
            or one.kwargs.get("out") is not None
            or any(given is True for given in one.args)
        ):
            return True
    return True


def seen_by_others(module: nn.Module, graph: fx.GraphModule | None) -> bool:
    """Whether anything but the result of `module` may show that it writes into its input; True where that is not known."""
    if not getattr(module, "inplace", False):
        return False
    if graph is None:
        return True
    calls = [
        node
        for node in graph.graph.nodes
        if node.op == "call_module" and graph.get_submodule(str(node.target)) is module
    ]
    return not all(node.users and _only_reader(node, node.args[0], graph) for node in calls)


def _only_reader(node: fx.Node, source: object, graph: fx.GraphModule) -> bool:
    """Whether nothing after `node` reads the memory of `source`, as far as that can be told."""
    if not isinstance(source, fx.Node) or any(one in source.users for one in after(node)):
        return False
    if source.op == "call_module":
        return isinstance(graph.get_submodule(str(source.target)), _FRESH_MODULES)
    if source.op == "call_function" and source.target in _WRITING_FUNCTIONS:
        return _only_reader(node, source.args[0], graph)
    return source.op == "call_function" and source.target in _FRESH_FUNCTIONS
