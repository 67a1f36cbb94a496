"""`diagnose(model, batches, loss)`: what is wrong with a network, where, and why. Nothing of the user's is changed."""

import copy
import inspect
import math
from collections.abc import Callable, Iterable
from itertools import islice
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import __version__
from .._language import say
from ..errors import ActlabError, OwnCodeError, UsageError, first_line
from ..records import Checkpoint, Diagnosis, Layer, Site
from ._facts import Facts
from ._judging import judge
from ._limits import Thresholds
from ._probe import Probe
from ._streams import edges
from ._trial import held_out, learn_one_batch
from .past import Past

LossFunction = Callable[[Any, Any], Tensor]


def diagnose(
    model: nn.Module,
    batches: Iterable[tuple[Any, Any]],
    loss: LossFunction | None = None,
    *,
    limits: Thresholds | None = None,
    most: int = 64,
    trials: bool = True,
    past: Past | None = None,
    earlier: tuple[Checkpoint, ...] = (),
) -> Diagnosis:
    """Look at `model` over one pass of `batches` of (inputs, targets), at most `most` of them, and name what is wrong.

    `loss(outputs, targets)` is a number; by default cross-entropy for class numbers and the mean squared error for others. All of it
    happens on a copy, in the mode in which the network is. `trials` also learns one batch by heart and checks that something can be
    learnt at all, with Adam and some hundred steps. `past` is how its training went, `earlier` which units were dead at earlier moments of it,
    on the same batches. Memory: some kilobytes for every layer and a bit for every unit, whatever the data.

    Raises UsageError for batches that are none, OwnCodeError where the network, the loss or the loader fails.
    """
    with torch.random.fork_rng():  # dropout and trials draw; what the user draws next stays the same
        return _looked(model, read(batches, most), loss or default_loss, limits or Thresholds(), trials, past, earlier)


def _looked(
    model: nn.Module, every: list[tuple[Any, Any]], loss: LossFunction, limits: Thresholds, trials: bool,
    past: Past | None, earlier: tuple[Checkpoint, ...],
) -> Diagnosis:  # fmt: skip
    own = _usable(copied(eager(model)))
    device = next((one.device for one in own.parameters()), torch.device("cpu"))
    every = [(moved(x, device), moved(y, device)) for x, y in every]
    probe = Probe(own)
    probe.by_lag = True
    learning = any(one.requires_grad for one in own.parameters())
    facts = Facts(probe, own, limits=limits, past=past, earlier=earlier)
    try:
        for inputs, targets in every:
            own.zero_grad(set_to_none=True)
            value = loss_of(own, loss, inputs, targets)
            facts.losses.append(float(value.detach()))
            facts.samples += size_of(inputs)
            if not value.requires_grad and learning:
                raise UsageError(
                    say("the loss does not depend on the weights: it was detached, or computed under no_grad", "损失与权重无关：它被 detach，或在 no_grad 下计算")
                )  # fmt: skip
            if value.requires_grad:
                _guarded(value.backward, say("the backward pass failed", "反向传播出错"))
            unused = {name for name, one in own.named_parameters() if one.requires_grad and one.grad is None}
            facts.unused = [name for name in (facts.unused if facts.losses[1:] else unused) if name in unused]
    finally:
        probe.close()
    guesses = guessing(own, loss, every)
    facts.guess = None if guesses is None else mean(guesses)
    facts.forget = forget_gates(own, probe, every)
    if trials and all(map(math.isfinite, facts.losses)) and learning:
        try:
            facts.one_batch = learn_one_batch(copied(eager(model)), loss, every[0])
            if guesses is not None and len(every) >= 4:
                facts.held_out = held_out(copied(eager(model)), loss, every, guesses)
        except (RuntimeError, ValueError, TypeError, AssertionError):  # as Adam does of sparse gradients
            probe.unseen[say("whether it can learn (the trial failed)", "能否学习（试训失败）")] = None
    return record(facts, model)


def _usable(model: nn.Module) -> nn.Module:
    """Refuse a network whose weights have no values."""
    for name, one in model.named_parameters():
        if torch.nn.parameter.is_lazy(one):
            raise UsageError(say(f"'{name}' has no values yet: run the network on one batch first", f"“{name}”尚未初始化：请先用一批数据运行网络"))  # fmt: skip
        if one.is_meta:
            raise UsageError(say(f"'{name}' lies on the device 'meta', which holds no values: put the network on a real one", f"“{name}”在没有数值的“meta”设备上：请把网络放到真实设备"))  # fmt: skip
    return model


def record(facts: Facts, model: nn.Module) -> Diagnosis:
    """What was collected, judged."""
    probe = facts.probe
    borders = tuple(edges())
    sites = [
        Site(
            name=one.name, activation=one.activation, order=one.order, count=one.count, units=one.units, dead=one.dead, silent=one.silent,
            flat=one.flat / max(1, one.looked), off=one.off / max(1, one.looked), mean=one.total / max(1, one.looked),
            deviation=max(0.0, one.squares / max(1, one.looked) - (one.total / max(1, one.looked)) ** 2) ** 0.5,
            edges=borders, counts=tuple(one.histogram.tolist()), curve=tuple(map(tuple, one.curve.tolist())),
        )
        for one in probe.sites.values()
    ]  # fmt: skip
    layers = [
        Layer(
            name=one.name, kind=one.kind, order=one.order, rms=one.rms, gradient=one.gradient,
            rank=max((r for r in one.ranks if math.isfinite(r)), default=math.nan), units=one.units,
            update=sorted(one.updates)[len(one.updates) // 2] if one.updates else None,
        )
        for one in probe.layers.values()
    ]  # fmt: skip
    heads = {
        name: tuple(sum(c) / len(c) for c in zip(*rows, strict=True)) for name, rows in probe.heads.items() if rows
    }
    return Diagnosis(
        model=type(model).__name__, parameters=sum(one.numel() for one in model.parameters()), batches=probe.passes,
        samples=facts.samples, training=model.training, losses=tuple(facts.losses), findings=judge(facts), sites=tuple(sites),
        layers=tuple(layers), attention=heads, checkpoints=facts.earlier, unseen=tuple(probe.unseen), versions={"actlab": __version__, "torch": torch.__version__},
    )  # fmt: skip


def call(model: nn.Module, inputs: Any) -> Any:
    """The outputs: a dictionary of inputs goes by name, several tensors as several arguments where forward takes so many."""
    if isinstance(inputs, dict):
        return model(**inputs)
    if isinstance(inputs, tuple | list):
        takes = [
            one for one in inspect.signature(model.forward).parameters.values()
            if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty
        ]  # fmt: skip
        return model(*inputs) if len(takes) > 1 or len(inputs) == 1 else model(inputs)
    return model(inputs)


def default_loss(outputs: Any, targets: Any) -> Tensor:
    """Cross-entropy for class numbers, mean squared error for anything else."""
    outputs = getattr(outputs, "logits", outputs)
    if not torch.is_tensor(outputs) or not torch.is_tensor(targets):
        raise UsageError(
            say(
                "expected a loss for outputs or targets that are not one tensor",
                "输出或目标不是单个张量，请给出损失函数",
            )
        )
    if targets.is_floating_point():
        return F.mse_loss(outputs, targets.reshape(outputs.shape))
    if outputs.dim() == targets.dim() + 1 and outputs.dim() > 2 and outputs.shape[1:-1] == targets.shape[1:]:
        return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())  # (batch, time, classes)
    return F.cross_entropy(outputs, targets)


def size_of(inputs: Any) -> int:
    """Examples in a batch."""
    if torch.is_tensor(inputs):
        return len(inputs) if inputs.dim() else 1
    values = list(inputs.values()) if isinstance(inputs, dict) else inputs
    return next((size_of(one) for one in values if torch.is_tensor(one) or isinstance(one, tuple | list)), 1)


def moved(values: Any, device: torch.device) -> Any:
    """The same on that device."""
    if torch.is_tensor(values):
        return values.to(device)
    if isinstance(values, dict):
        return {name: moved(one, device) for name, one in values.items()}
    if hasattr(values, "_fields") and hasattr(values, "to"):  # a packed sequence
        return values.to(device)
    if not isinstance(values, tuple | list):
        return values
    parts = [moved(one, device) for one in values]
    return type(values)(*parts) if hasattr(values, "_fields") else type(values)(parts)


def guessing(model: nn.Module, loss: LossFunction, batches: list[tuple[Any, Any]]) -> list[float] | None:
    """The loss of each batch, in its own unit, of an answer that knows only how frequent each class is; None where targets are not class numbers.

    The answer has the form of what the network gives for the first batch, with the logarithms of the frequencies along its class axis.
    """
    targets = [one for _, one in batches]
    if not all(torch.is_tensor(one) and not one.is_floating_point() and one.dtype != torch.bool for one in targets):
        return None
    every = torch.cat([one.flatten() for one in targets])
    every = every[every >= 0]
    with torch.no_grad():
        outputs = call(model, batches[0][0])
    outputs = getattr(outputs, "logits", outputs)
    if not every.numel() or not torch.is_tensor(outputs) or outputs.dim() != targets[0].dim() + 1:
        return None
    last = outputs.dim() > 2 and outputs.shape[1:-1] == targets[0].shape[1:]  # (batch, time, classes)
    axis = outputs.dim() - 1 if last else 1
    if outputs.shape[axis] <= int(every.max()):
        return None
    share = torch.bincount(every, minlength=outputs.shape[axis]).double() / every.numel()
    said = share.log().clamp(min=-30.0).to(outputs.dtype)
    said = said.view([-1 if one == axis else 1 for one in range(outputs.dim())])
    found = []
    for one in targets:
        shape = [*one.shape, outputs.shape[axis]] if last else [len(one), outputs.shape[axis], *one.shape[1:]]
        try:
            found.append(float(loss(said.expand(shape).contiguous(), one)))
        except (RuntimeError, ValueError, TypeError, IndexError):
            return None  # a loss that wants more than the outputs
    return found if all(map(math.isfinite, found)) else None


def forget_gates(model: nn.Module, probe: Probe, batches: list[tuple[Any, Any]]) -> dict[str, float]:
    """Mean opening of the forget gates of every LSTM in its first step from rest, from its own weights: it has no modules inside."""
    found = {}
    for name, one in model.named_modules():
        if isinstance(one, nn.LSTM):
            seen: list[Any] = []
            handle = one.register_forward_pre_hook(_keeping(seen), with_kwargs=True)
            try:
                with torch.no_grad():
                    call(model, batches[0][0])
            finally:
                handle.remove()
            if seen and torch.is_tensor(seen[0]):
                forget = slice(one.hidden_size, 2 * one.hidden_size)
                weights = {key: value.detach().float()[forget] for key, value in one.named_parameters()}
                gate = F.linear(seen[0].detach().float(), weights["weight_ih_l0"])
                if one.bias:
                    gate = gate + weights["bias_ih_l0"] + weights["bias_hh_l0"]
                found[name] = float(gate.sigmoid().mean())
    return found


def _keeping(seen: list[Any]) -> Any:
    def keep(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        x = given[0] if given else named.get("input")
        seen.append(getattr(x, "data", x) if isinstance(x, tuple) else x)  # of a packed sequence its numbers

    return keep


def eager(model: nn.Module) -> nn.Module:
    """The network itself, of one that is compiled or data-parallel; raises UsageError for anything else."""
    if not isinstance(model, nn.Module):
        raise UsageError(
            say(f"expected a network (nn.Module); got {type(model).__name__}", f"需要网络（nn.Module）；得到 {type(model).__name__}")
        )  # fmt: skip
    model = getattr(model, "_orig_mod", model)  # compiled
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel) else model


def copied(model: nn.Module) -> nn.Module:
    """A copy; raises ActlabError where there can be none."""
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise ActlabError(
            say(
                f"the network cannot be copied ({type(error).__name__}: {first_line(error)}), and it is not to be changed; give one that can",
                f"网络无法复制（{type(error).__name__}：{first_line(error)}），而它不应被改动；请给出可复制的网络",
            )
        ) from error


def read(batches: Iterable[tuple[Any, Any]], most: int) -> list[tuple[Any, Any]]:
    """At most so many batches, each (inputs, targets); raises UsageError where there are none or others, OwnCodeError where reading fails."""
    try:
        every = list(islice(iter(batches), most))
    except ActlabError:
        raise
    except Exception as error:
        raise OwnCodeError(
            say(f"the data failed: {type(error).__name__}: {error}", f"数据出错：{type(error).__name__}：{error}")
        ) from error
    if not every:
        raise UsageError(say("expected at least one batch; the loader gave none", "至少需要一批数据；加载器没有给出"))
    for one in every:
        if not isinstance(one, tuple | list) or len(one) != 2:
            kind = f"{len(one)} values" if isinstance(one, tuple | list) else type(one).__name__
            raise UsageError(
                say(f"expected batches (inputs, targets); got {kind}", f"每批应为（输入，目标）；得到 {kind}")
            )
    return [(one[0], one[1]) for one in every]


def loss_of(model: nn.Module, loss: LossFunction, inputs: Any, targets: Any) -> Tensor:
    """The loss of a batch, one number; raises OwnCodeError where network or loss fail, UsageError for a loss of another form."""
    outputs = _guarded(lambda: call(model, inputs), say("the network failed", "网络的前向计算出错"))
    value = _guarded(lambda: loss(outputs, targets), say("the loss failed", "损失函数出错"))
    if not torch.is_tensor(value) or value.numel() != 1:
        got = f"{tuple(value.shape)}" if torch.is_tensor(value) else type(value).__name__
        raise UsageError(
            say(
                f"expected the loss to be one number; got {got}: take its mean", f"损失应为一个数；得到 {got}：请取平均"
            )
        )
    return value.reshape(())


def _guarded(act: Callable[[], Any], said: str) -> Any:
    try:
        return act()
    except ActlabError:
        raise
    except Exception as error:
        raise OwnCodeError(f"{said}: {type(error).__name__}: {error}".splitlines()[0]) from error
