"""`optimize(model)`: the same network with fused, memory-lean activations, and the proof that it is the same."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from . import activations, kernels
from ._exchanging import Found, Fresh, exchange
from ._gated_blocks import exchange_gated
from ._language import say
from .activations import Pointwise
from .errors import UsageError

ROUNDS = 7  # of timing, the two networks in turn
# What a network's outputs may differ by, of their largest one: both round differently, at every activation.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True)
class Measured:
    """One network on the sample: bytes that its forward pass keeps for the backward pass, and seconds of both together."""

    bytes_kept: int
    seconds: float


@dataclass(frozen=True)
class Optimized:
    """The network with its new activations, what was exchanged as (place, old, new), what was left and why, and what it brought.

    Without a sample nothing is measured, and `difference`, `before` and `after` are None.
    """

    model: nn.Module
    exchanged: tuple[tuple[str, str, str], ...]
    left: tuple[tuple[str, str], ...]
    difference: float | None = None  # largest, of the largest output
    before: Measured | None = None
    after: Measured | None = None

    def __str__(self) -> str:
        lines = [f"  {place}: {old} -> {new}" for place, old, new in self.exchanged]
        lines += [f"  {place}: {why}" for place, why in self.left]
        if self.difference is None or self.before is None or self.after is None:
            more = [say("no sample was given: nothing was measured", "未给出样本：没有测量")]
        else:
            saved = 1 - self.after.bytes_kept / max(1, self.before.bytes_kept)
            more = [
                say(
                    f"outputs differ by at most {self.difference:.1e} of the largest",
                    f"输出之差至多为最大值的 {self.difference:.1e}",
                ),
                say(
                    f"kept for the backward pass: {_megabytes(self.before)} before, {_megabytes(self.after)} after ({saved:.0%} less)",
                    f"为反向传播保留：之前 {_megabytes(self.before)}，之后 {_megabytes(self.after)}（减少 {saved:.0%}）",
                ),
                say(
                    f"forward and backward: {1e3 * self.before.seconds:.2f} ms before, {1e3 * self.after.seconds:.2f} ms after "
                    f"(medians of {ROUNDS}, in turn)",
                    f"前向加反向：之前 {1e3 * self.before.seconds:.2f} 毫秒，之后 {1e3 * self.after.seconds:.2f} 毫秒"
                    f"（交替 {ROUNDS} 次的中位数）",
                ),
            ]
        count = len(self.exchanged)
        title = say(f"{count} activation{'s' * (count != 1)} exchanged", f"替换了 {count} 个激活函数")
        return "\n".join([title, *lines, *more])


def _megabytes(measured: Measured) -> str:
    return f"{measured.bytes_kept / 1e6:.2f} MB"


def optimize(model: nn.Module, sample: Any = None, *, save: str = "auto") -> Optimized:
    """Put fused activations in the places of a network's own: the same functions with the same parameters, in one pass each.

    `sample` is an input, or a tuple of inputs, for which the outputs are compared, and memory and time measured; the network is left
    in its mode and without new gradients. `save` is as for `module(save=...)`: what is kept for the backward pass.

    Modules are replaced in place; calls of functions where torch.fx can trace the network, which then comes back as a GraphModule.
    GLU and products with an activation, such as `act(gate(x)) * up(x)`, become one pass each, without a second derivative; a block
    that computes such a product is traced by itself and becomes a GraphModule over the same parts.
    Raises UsageError where nothing could be exchanged, or where the outputs differ by more than rounding explains.
    """
    inputs = sample if isinstance(sample, tuple) else (sample,)
    original = None if sample is None else _copy(model)
    before = {module: dict(module._modules) for module in model.modules()}
    try:
        return _optimized(model, original, inputs, save)
    except BaseException:
        for module, children in before.items():
            module._modules = children  # as it was
        raise


def _optimized(model: nn.Module, original: nn.Module | None, inputs: tuple[Any, ...], save: str) -> Optimized:
    """The network changed, compared and measured."""
    done, gated = exchange_gated(model) if _type_of(model) in kernels.PRECISIONS.values() else (model, [])
    done, exchanged, left = exchange(done, lambda found: _fused(model, found, save))
    exchanged = gated + exchanged
    if not exchanged:
        why = "".join(f"; {place}: {reason}" for place, reason in left)
        raise UsageError(
            say(f"found no activation that a fused one could replace{why}", f"没有可由融合激活替换的激活函数{why}")
        )
    if original is None:
        return Optimized(done, tuple(exchanged), tuple(left))
    with _untouched(model):
        difference = _difference(original, done, inputs)
        measured = _measure(original, done, inputs)
    return Optimized(done, tuple(exchanged), tuple(left), difference, *measured)


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Run passes in training mode without leaving anything: statistics and random numbers are put back."""
    kept = [(one, one.clone()) for one in model.buffers()]
    with torch.random.fork_rng():
        try:
            yield
        finally:
            with torch.no_grad():
                for one, value in kept:
                    one.copy_(value)


def _fresh(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copies, so that a network that writes into its input does not change the sample."""
    return tuple(one.clone() if torch.is_tensor(one) else one for one in inputs)


def _copy(model: nn.Module) -> nn.Module:
    """The network as it is, over the same parameters: only its modules are new, so that no memory is spent on weights."""
    from copy import deepcopy

    shared = {id(one): one for one in (*model.parameters(), *model.buffers())}
    return deepcopy(model, shared)


def _fused(model: nn.Module, found: Found, save: str) -> Fresh | None:
    """The fused layer that computes what was found; None where there is none or it would draw other random numbers."""
    module = found.module
    if _type_of(model) not in kernels.PRECISIONS.values():
        return None
    if found.parameters is None or (isinstance(module, Pointwise) and module.fused):
        return None
    entry = module.activation if isinstance(module, Pointwise) else activations.get(found.name)
    if entry.name == "identity" or (entry.random and not isinstance(module, Pointwise)):
        return None
    known = {one.name for one in entry.parameters}
    given = {name: value for name, value in found.parameters.items() if name in known}
    weights = _weights(module, set(entry.learnt))
    numbers = {name: value for name, value in given.items() if name not in weights}
    if save == "output" and (weights or not kernels.tells_slope(entry, {**entry.values(), **numbers})):
        save = "input"
    layer = entry.module(fused=True, save=save, learn=bool(weights), **numbers)
    for name, value in weights.items():  # the same parameter, so that an optimiser goes on with it
        setattr(layer, name, value)
        layer.size = value.numel() if value.numel() > 1 else None
    if isinstance(module, Pointwise):
        layer.axis, layer.size = module.axis, module.size
    return Fresh(f"fused {entry.name}", layer)


def _type_of(model: nn.Module) -> torch.dtype:
    return next((one.dtype for one in model.parameters() if one.is_floating_point()), torch.float32)


def _weights(module: nn.Module | None, learnt: set[str]) -> dict[str, nn.Parameter]:
    """Parameters of the module that learn, by our names."""
    if isinstance(module, nn.PReLU):
        return {"a": module.weight}
    if isinstance(module, Pointwise):
        return {name: value for name in learnt if isinstance(value := getattr(module, name), nn.Parameter)}
    return {}


def _difference(original: nn.Module, done: nn.Module, inputs: tuple[Any, ...]) -> float:
    """Largest difference of outputs in evaluation mode, of the largest output; raises UsageError above the tolerance."""
    modes = [(module, module.training) for network in (original, done) for module in network.modules()]
    try:
        with torch.no_grad():
            expected, found = (_tensors(network.eval()(*_fresh(inputs))) for network in (original, done))
    finally:
        for module, training in modes:
            module.training = training
    worst, difference, limit = 0.0, 0.0, 1e-5
    for a, b in zip(expected, found, strict=True):
        one = (
            float((b.double() - a.double()).abs().max() / a.double().abs().max().clamp(min=1e-30)) if a.numel() else 0.0
        )
        share = one / TOLERANCE.get(a.dtype, 1e-5)
        if not share <= worst:  # a NaN counts as the worst
            worst, difference, limit = share, one, TOLERANCE.get(a.dtype, 1e-5)
    if not worst <= 1:
        raise UsageError(
            say(
                f"the outputs differ by {difference:.1e} of the largest, more than {limit:.0e}: the network was changed in more than rounding; keep the original",
                f"输出相差最大值的 {difference:.1e}，超过 {limit:.0e}：网络的改变超出舍入误差；请保留原网络",
            )
        )
    return difference


def _measure(original: nn.Module, done: nn.Module, inputs: tuple[Any, ...]) -> tuple[Measured, Measured]:
    networks = (original, done)
    given = [_fresh(inputs) for _ in networks]
    kept = [bytes_kept(partial(one, *own), one) for one, own in zip(networks, given, strict=True)]
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        for network, found in zip(networks, times, strict=True):
            sample = _fresh(inputs)
            parameters = [one for one in network.parameters() if one.requires_grad]
            start = time.perf_counter()
            output = _tensors(network(*sample))[0]
            if output.requires_grad and parameters:
                torch.autograd.grad(output.sum(), parameters, allow_unused=True)
            found.append(time.perf_counter() - start)
    seconds = [median(found[1:]) for found in times]  # the first call builds and warms
    return Measured(kept[0], seconds[0]), Measured(kept[1], seconds[1])


def bytes_kept(call: Callable[[], Any], model: nn.Module) -> int:
    """Bytes of distinct storages that `call` keeps for a backward pass, without those of the model's own weights."""
    storages: dict[int, int] = {}

    def seen(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(seen, lambda tensor: tensor):
        result = call()
    for one in (*model.parameters(), *model.buffers()):
        storages.pop(one.untyped_storage().data_ptr(), None)
    del result
    return sum(storages.values())


def _tensors(output: Any) -> list[Tensor]:
    """The tensors in what a network returns: itself, or within tuples, dicts and records."""
    if torch.is_tensor(output):
        return [output]
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else ()
    return [one for part in parts for one in _tensors(part)]
