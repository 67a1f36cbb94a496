"""Starting Lightning Fabric from settings, and agreeing on things between processes."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from .._language import say
from ..errors import ActlabError, UsageError
from . import sharding
from .settings import Settings

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
Result = TypeVar("Result")


def start(settings: Settings) -> Any:
    """A launched Fabric; with several devices this starts the other processes, which run the same command up to here."""
    import torch
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(settings.device, True):
        raise UsageError(
            say(
                f"device {settings.device} is not available here; use --device cpu",
                f"这里没有 {settings.device} 设备；请用 --device cpu",
            )
        )
    on_cpu = settings.device == "cpu" or (settings.device == "auto" and not any(available.values()))
    strategy: Any = settings.strategy
    if strategy == "auto" and settings.devices > 1:
        strategy = "ddp"
    if strategy == "fsdp":
        strategy = sharding.strategy(settings.devices) if settings.devices > 1 else "auto"  # alone: nothing to cut
    try:
        fabric = Fabric(
            accelerator="cpu" if on_cpu else settings.device,
            devices=settings.devices,
            strategy=strategy,
            **_precision(settings.precision, on_cpu),
        )
    except Exception as error:  # Fabric raises its own kinds for devices that are not there
        raise UsageError(
            say(f"cannot use {settings.devices} device(s): {error}", f"无法使用 {settings.devices} 个设备：{error}")
        ) from error
    fabric.launch()
    return fabric


def anywhere(fabric: Any, condition: bool) -> bool:
    """Whether it holds in any of the processes, each of which must ask."""
    if fabric.world_size == 1:
        return condition
    import torch

    return bool(fabric.all_reduce(torch.tensor(float(condition), device=fabric.device), reduce_op="sum") > 0)


def on_first(fabric: Any, act: Callable[[], Result]) -> Result:
    """`act()` in the first process, its result in all of them; an ActlabError is raised in all of them, so that none waits in vain."""
    if fabric.world_size == 1:
        return act()
    result: Any = None
    error: ActlabError | None = None
    if fabric.is_global_zero:
        try:
            result = act()
        except ActlabError as raised:
            error = raised
            error.agreed = True
    result, error = fabric.broadcast((result, error))
    if error is not None:
        raise error
    return result


def _precision(precision: str, on_cpu: bool) -> dict[str, Any]:
    """Fabric's arguments; it would quietly use bf16 for fp16 on a CPU, where torch has both."""
    if precision == "fp16" and on_cpu:
        from lightning_fabric.plugins.precision import MixedPrecision

        return {"plugins": [MixedPrecision("16-mixed", device="cpu")]}
    return {"precision": _PRECISIONS[precision]}
