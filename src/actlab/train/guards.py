"""What stops a training: a loss that is not finite or runs away, Ctrl-C, SIGTERM."""

import math
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import ActlabError
from . import sharding


class Diverged(ActlabError):
    """The loss is not finite, or many times what it was at the start."""

    agreed = True


class Interrupted(ActlabError):
    """Stopped from outside, with a checkpoint to go on from."""

    agreed = True


class StopSignals:
    """Within this context Ctrl-C and SIGTERM only set `received`; the loop stops at the end of its step.

    A second signal acts as it would without the context. Outside the main thread, where Python allows no handlers, nothing changes.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore()
        if sys.stderr.isatty() and os.environ.get("LOCAL_RANK", "0") == "0":
            text = say("stopping after this step; once more to stop at once", "将在这一步之后停止；再按一次立即停止")
            with suppress(OSError):
                os.write(2, f"actlab: {text}\n".encode())  # print is not safe in a signal handler

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()


def finite(model: nn.Module) -> bool:
    """Whether every floating-point weight and buffer is finite, as far as this process holds them."""
    tensors = [sharding.local(t.detach()) for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]
    return all(bool(torch.isfinite(t.sum(dtype=torch.float64) if t.device.type != "mps" else t.sum())) for t in tensors)


def no_gradient(model: nn.Module) -> Tensor | None:
    """Whether the gradient of the first weights, those farthest from the loss, is exactly zero: nothing below can learn any more.

    A tensor on their device, so that asking does not wait for it; None if nothing has a gradient.
    """
    gradient = next((p.grad for p in model.parameters() if p.grad is not None and p.dim() > 1), None)
    return None if gradient is None else sharding.local(gradient).any().logical_not()


def died(model: nn.Module, step: int, loss: float, classes: int, rate: float) -> Diverged:
    """The sentence for a network whose units are all dead."""
    name = next((n for n, p in model.named_parameters() if p.requires_grad and p.dim() > 1), "").rpartition(".")[0]
    return Diverged(
        say(
            f"training died by step {step}: no gradient reaches layer '{name}' any more and the loss, {loss:.3g}, is that of guessing among "
            f"{classes} classes; try a smaller rate, --learning-rate {rate / 10:.2g}, or an activation without a flat side, --activation leaky_relu",
            f"训练在第 {step} 步前已失效：没有梯度到达层“{name}”，损失 {loss:.3g} 相当于在 {classes} 类中猜测；"
            f"请试更小的学习率 --learning-rate {rate / 10:.2g}，或没有平坦一侧的激活函数 --activation leaky_relu",
        )
    )


def _finite_weights(module: nn.Module) -> bool:
    """Of the module itself. All are gathered before any is judged: processes with slices must gather the same ones."""
    own = [sharding.gathered(p.detach()) for p in module.parameters(recurse=False) if p.is_floating_point()]
    return all(bool(p.isfinite().all()) for p in own)


def not_finite(inputs: Any) -> bool:
    """Whether a batch, of one tensor or several, holds NaN or Inf."""
    tensors = inputs if isinstance(inputs, tuple | list) else [inputs]
    return any(torch.is_tensor(t) and t.is_floating_point() and not bool(t.isfinite().all()) for t in tensors)


def culprit(model: nn.Module, inputs: Any) -> str:
    """The layer at which a forward pass goes wrong, in words: the first with a result that is not finite, else the one that grows most.

    `inputs` is a prepared batch. Weights are looked at first: layers whose own weights are not finite are named before any that only
    passes the damage on.
    """
    broken = [
        f"'{name}' ({sharding.kind(module)})" for name, module in model.named_modules() if not _finite_weights(module)
    ]
    if broken:
        more, rest = (f" and {len(broken) - 1} more", f"等 {len(broken)} 层") if len(broken) > 1 else ("", "")
        return say(
            f"layer {broken[0]}{more}, with weights that are not finite", f"层 {broken[0]}{rest}，其权重已非有限值"
        )
    if inputs is None:
        return say("the first step", "第一步")
    growth: list[tuple[float, str, str]] = []
    names = {module: name for name, module in model.named_modules()}

    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if torch.is_tensor(output) and inputs and torch.is_tensor(inputs[0]):
            before, after = inputs[0].detach().float().abs().mean().item(), output.detach().float().abs().mean().item()
            ratio = after / before if before > 0 else 0.0
            growth.append((ratio if math.isfinite(after) else math.inf, names[module], sharding.kind(module)))

    hooks = [module.register_forward_hook(look) for module in model.modules() if not list(module.children())]
    training = model.training
    try:
        model.eval()
        with torch.no_grad():
            model(inputs)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    if not growth:
        return say("the model as a whole", "整个模型")
    ratio, name, kind = next((one for one in growth if one[0] == math.inf), max(growth))
    if ratio == math.inf:
        return say(
            f"layer '{name}' ({kind}), the first whose result is not finite",
            f"层“{name}”（{kind}），其结果首先变为非有限值",
        )
    return say(
        f"layer '{name}' ({kind}), which enlarges its input {ratio:.3g} times",
        f"层“{name}”（{kind}），它把输入放大了 {ratio:.3g} 倍",
    )


def bad_inputs(step: int) -> Diverged:
    """The sentence for data that hold NaN or Inf."""
    return Diverged(
        say(
            f"the inputs of step {step} are not finite: expected numbers, got NaN or Inf; clean the data, no other learning rate will help",
            f"第 {step} 步的输入含有 NaN 或 Inf，应为有限数；请清理数据，调整学习率没有用",
        )
    )


def diverged(
    step: int, loss: float, first_loss: float | None, where: str, rate: float, clip_norm: float | None
) -> Diverged:
    """The sentence for a run that went wrong."""
    if math.isfinite(loss):
        what = say(f"the loss rose from {first_loss:.3g} to {loss:.3g}", f"损失从 {first_loss:.3g} 升到 {loss:.3g}")
    else:
        what = say(f"the loss became {loss}", f"损失变为 {loss}")
    clip = (
        say("", "")
        if clip_norm is not None
        else say(" or gradient clipping, --set clip_norm=1", "，或梯度裁剪 --set clip_norm=1")
    )
    return Diverged(
        say(
            f"training diverged at step {step}: {what}, at {where}; try a smaller rate, --learning-rate {rate / 10:.2g}{clip}",
            f"训练在第 {step} 步发散：{what}，位于{where}；请试更小的学习率 --learning-rate {rate / 10:.2g}{clip}",
        )
    )
