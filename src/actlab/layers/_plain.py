"""A network whose modules call each other as plain functions: for steps so small that the calls would cost as much as the sums."""

from functools import lru_cache
from inspect import getattr_static
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules import module as torch_module

Module = TypeVar("Module", bound=nn.Module)


def plain(module: Module) -> Module:
    """The same network on the same weights, each of its modules without what `nn.Module` does around `forward` and to find an attribute.

    `module` itself where that would be noticed: while it trains, and where a hook, a compiled call, a script or a forward of its own
    waits at one of its modules. What is done to the modules later (hooks, other weights in place of these) is not seen by it, nor by
    them what its forward writes into `self`: ask anew for every answer.
    """
    everywhere = torch_module._has_any_global_hook()
    noticed = everywhere or any(one.training or _is_called_otherwise(one) for one in module.modules())
    return module if noticed else _bare(module, {})


def _is_called_otherwise(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    own = "forward" in vars(module) or type(module).__call__ is not nn.Module.__call__
    own = own or isinstance(module, torch.jit.ScriptModule)
    return any(hooks) or own or module._compiled_call_impl is not None


def _bare(module: Any, made: dict[int, Any]) -> Any:
    found = made.get(id(module))
    if found is None:
        of = type(module)
        found = made[id(module)] = object.__new__(_bare_class(of, getattr_static(of, "forward")))
        children = {name: None if one is None else _bare(one, made) for name, one in module._modules.items()}
        vars(found).update(vars(module), _modules=children)
        vars(found).update(module._parameters | module._buffers | children)
    return found


@lru_cache(maxsize=256)
def _bare_class(of: type[nn.Module], forward: Any) -> type[nn.Module]:
    own = {"__call__": forward, "__setattr__": object.__setattr__, "__module__": of.__module__}
    return type(of.__name__, (of,), own)
