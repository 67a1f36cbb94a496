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
