"""Weights cut over the processes (strategy fsdp): torch's FSDP2, through Fabric.

Every process keeps a slice of each weight, of its gradient and of the optimizer's state; whole weights exist only while a layer works.
What is written to disk is always whole, in the same form as without cutting.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def strategy(devices: int) -> Any:
    """Fabric's strategy for it."""
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

    return ModelParallelStrategy(shard, data_parallel_size=devices, tensor_parallel_size=1)


def shard(model: nn.Module, mesh: Any) -> nn.Module:
    """Cut the weights of `model` in place, over all processes of `mesh`; raises UsageError for layers that cannot be cut.

    The members of its containers (nn.Sequential, nn.ModuleList, nn.ModuleDict) are gathered one by one as they are called, all other
    weights with the model as a whole.
    """
    from torch.distributed.fsdp import fully_shard

    _refuse_recurrent(model)
    for member in list(_members(model)):
        if any(True for _ in member.parameters()) and not _shares(model, member):
            fully_shard(member, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)  # a pass without a backward must not leave it whole
    return model


def whole(tree: Any, keep: bool) -> Any:
    """`tree` with every cut tensor gathered, on the CPU; None in its place unless `keep`. All processes must call this together."""
    if isinstance(tree, dict):
        return {key: whole(value, keep) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(whole(value, keep) for value in tree)
    if _is_cut(tree):
        gathered = tree.full_tensor()
        return gathered.cpu() if keep else None
    return tree


def cut_like(tree: Any, like: Any) -> Any:
    """`tree` with its whole tensors cut as those in the same places of `like` are."""
    if isinstance(tree, dict):
        return {key: cut_like(value, like.get(key)) for key, value in tree.items()} if isinstance(like, dict) else tree
    if _is_cut(like) and torch.is_tensor(tree) and tree.shape == like.shape:
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(tree.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
    return tree


def optimizer_state(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """A whole `state` of `optimizer`, cut as the parameters it belongs to."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    cut = {
        number: {name: cut_like(value, parameters[number].data) for name, value in values.items()}
        for number, values in state["state"].items()
    }
    return {**state, "state": cut}


def _is_cut(tensor: Any) -> bool:
    """Whether it is a DTensor, told without importing what most trainings never need."""
    return hasattr(tensor, "full_tensor")


def local(tensor: Any) -> Tensor:
    """The slice that this process holds; a tensor that is not cut as it is."""
    return tensor.to_local() if _is_cut(tensor) else tensor


def gathered(tensor: Any) -> Tensor:
    """The whole of a tensor that may be cut; then all processes must call this together."""
    return tensor.full_tensor() if _is_cut(tensor) else tensor


def kind(module: nn.Module) -> str:
    """Name of its class, without the prefix that torch gives to one whose weights are cut."""
    return type(module).__name__.removeprefix("FSDP")


def _members(module: nn.Module) -> Iterator[nn.Module]:
    """The members of the outermost containers."""
    for child in module.children():
        if not isinstance(module, _CONTAINERS) or isinstance(child, _CONTAINERS):
            yield from _members(child)
        else:
            yield child


def _shares(model: nn.Module, member: nn.Module) -> bool:
    """Whether a weight of `member` is one of another part of `model` too; then both are gathered with the whole."""
    own, inside = set(member.parameters()), set(member.modules())
    others = (module for module in model.modules() if module not in inside)
    return any(parameter in own for module in others for parameter in module.parameters(recurse=False))


def _refuse_recurrent(model: nn.Module) -> None:
    """A torch.nn.RNN, LSTM or GRU keeps a list of its weights of its own, which would go stale."""
    for name, module in model.named_modules():
        if isinstance(module, nn.RNNBase):
            kind = type(module).__name__
            raise UsageError(
                say(
                    f"strategy fsdp cannot cut layer '{name}' ({kind}); use --strategy ddp",
                    f"fsdp 无法切分层“{name}”（{kind}）；请用 --strategy ddp",
                )
            )
