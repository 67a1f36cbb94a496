"""What may be trained as one batch, because the result is that of one training after another; and where that is sooner."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from .._language import say
from ..errors import UsageError, first_line
from ..train import seeds
from ..train.evaluation import Loss
from ..train.fabric import start
from ..train.parts import Parts
from ..train.session import _check as check_parts
from ..train.session import _cross_entropy as cross_entropy
from ..train.settings import Settings
from ._stacked import Stack, batched_loss, frozen_parts, quiet, set_training

_OWN = ("seed", "learning_rate")  # in which settings may differ
_UNKNOWN = ("precision", "ema", "patience", "accumulate", "batch_tokens", "compile", "channels_last", "devices", "report_test")  # fmt: skip
_SAME_LOSS, _SAME_GRADIENT = 1e-3, 1e-2  # rounding stays far below, another function comes out above


class NotBatched(UsageError):
    """These trainings cannot be one batch; `fit` takes them one after another."""


def why_not(
    models: Sequence[nn.Module], settings: Sequence[Settings], *, parts: Parts | None = None, loss: Loss | None = None
) -> str | None:
    """Why `train_batched` cannot give these networks what `fit` would: one sentence, or None where it can.

    With `parts` the first batch goes through every network by itself and through all at once: randomness, state and control flow that
    no list of layers knows show there.
    """
    return (
        _settings_differ(models, settings)
        or _setting_unknown(settings[0])
        or _model_unfit(models[0])
        or _models_differ(models)
        or (None if parts is None else _parts_unfit(parts, settings) or _first_batch(models, settings, parts, loss))
    )


def worth(models: Sequence[nn.Module], device: str = "cpu") -> bool:
    """Whether one batch is expected to be sooner than `fit` one after another, by `benchmarks/results/batched.csv`.

    Not where convolutions run on a CPU: vmap makes them grouped ones, which are slower there.
    """
    convolves = any(isinstance(module, _ConvNd) for module in models[0].modules())
    return len(models) > 1 and not (convolves and device == "cpu")


def fetch(parts: Parts, indices: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Prepared inputs and targets (network, batch, ...) for indices (network, batch)."""
    inputs, targets = (one.to(device) for one in parts.train[indices.flatten()])
    shape = indices.shape
    return parts.prepare(inputs, True).unflatten(0, shape), targets.unflatten(0, shape)


def _settings_differ(models: Sequence[nn.Module], settings: Sequence[Settings]) -> str | None:
    if not models or len(models) != len(settings):
        return say(
            f"expected one settings for each of at least one network; got {len(models)} networks and {len(settings)} settings",
            f"至少需要一个网络，且每个网络应有一份设置；得到 {len(models)} 个网络和 {len(settings)} 份设置",
        )
    first = settings[0].model_dump(exclude=set(_OWN))
    for number, other in enumerate(settings):
        for name, value in other.model_dump(exclude=set(_OWN)).items():
            if value != first[name]:
                return say(
                    f"trainings of one batch differ in seed and learning_rate alone; training {number} has {name}={value}, the first {first[name]}",
                    f"同一批训练只能在 seed 与 learning_rate 上不同；第 {number} 个训练的 {name}={value}，第一个为 {first[name]}",
                )
    return None


def _setting_unknown(settings: Settings) -> str | None:
    usual = Settings()
    changed = [name for name in _UNKNOWN if getattr(settings, name) != getattr(usual, name)]
    if settings.optimizer not in ("sgd", "adamw"):
        changed.insert(0, "optimizer")
    if not changed:
        return None
    what = f"{changed[0]}={getattr(settings, changed[0])}"
    return say(f"a batched training cannot have {what}; train one after another", f"批量训练不支持 {what}；请逐个训练")


def _model_unfit(model: nn.Module) -> str | None:
    if not any(one.requires_grad for one in model.parameters()):
        return say("expected a model with trainable parameters; it has none", "模型没有可训练的参数")
    for name, module in model.named_modules():
        trains = module.training or not model.training  # `fit` leaves parts alone that came in evaluation mode
        if trains and _is_random(module):
            return say(
                f"layer '{name}' ({type(module).__name__}) draws random numbers in training, which differ in a batch; train one after another",
                f"层“{name}”（{type(module).__name__}）在训练时取随机数，批量训练时会不同；请逐个训练",
            )
        if trains and isinstance(module, _NormBase) and module.running_mean is not None:
            return say(
                f"layer '{name}' ({type(module).__name__}) keeps running statistics, which a batched training cannot update; train one after another",
                f"层“{name}”（{type(module).__name__}）保存滑动统计量，批量训练无法更新；请逐个训练",
            )
    return None


def _is_random(module: nn.Module) -> bool:
    if isinstance(module, nn.MultiheadAttention):
        return module.dropout > 0
    draws = "training" in getattr(getattr(module, "activation", None), "bodies", ())  # an entry of the catalogue
    return draws or isinstance(module, nn.RReLU) or (isinstance(module, _DropoutNd) and module.p > 0)


def _models_differ(models: Sequence[nn.Module]) -> str | None:
    if len({id(model) for model in models}) < len(models):
        return say(
            "expected different networks; the same one comes twice in the list",
            "网络应互不相同；列表中同一个网络出现了两次",
        )
    first = _structure(models[0])
    for number, model in enumerate(models[1:], start=1):
        for (what, value), (other_what, other) in zip(first, _structure(model), strict=False):
            if (what, value) != (other_what, other):
                return say(
                    f"networks of one batch differ in the values of their weights alone; network {number} has {other_what}: {other}, the first {what}: {value}",
                    f"同一批网络只能在权重的取值上不同；第 {number} 个网络为 {other_what}: {other}，第一个为 {what}: {value}",
                )
        if len(first) != len(_structure(model)):
            return say(
                f"networks of one batch differ in the values of their weights alone; network {number} has other parts than the first",
                f"同一批网络只能在权重的取值上不同；第 {number} 个网络的组成部分与第一个不同",
            )
    return None


def _structure(model: nn.Module) -> list[tuple[str, str]]:
    """Everything that can be read of a network but the values of its weights."""
    found = [
        (f"parameter '{name}'", f"{tuple(one.shape)}, {one.dtype}, {'trained' if one.requires_grad else 'fixed'}")
        for name, one in model.named_parameters()
    ]
    found += [(f"buffer '{name}'", f"{tuple(one.shape)}, {one.dtype}") for name, one in model.named_buffers()]
    for name, module in model.named_modules():
        found.append((f"layer '{name}'", type(module).__qualname__))
        found += [
            (f"'{name}.{key}'".replace("'.", "'"), text)
            for key, value in sorted(vars(module).items())
            if not key.startswith("_") and (text := _plain(value)) is not None
        ]
    return found


def _plain(value: Any) -> str | None:
    """A setting of a layer in words; None for what has none, whose effect the first batch shows."""
    if isinstance(value, bool | int | float | str | tuple | list | torch.dtype | None):
        return repr(value)
    return repr(value) if hasattr(value, "formula") else None


def _parts_unfit(parts: Parts, settings: Sequence[Settings]) -> str | None:
    check_parts(parts, settings[0])
    if parts.scores is not None:
        return say(
            "a batched training measures loss and accuracy, not scores of a task; train one after another",
            "批量训练只测量损失与准确率，不测量任务指标；请逐个训练",
        )
    if hasattr(parts.train, "sizes") or hasattr(parts.train, "tokens"):
        return say(
            "examples of different sizes cannot lie in one batch of all networks; train one after another",
            "大小不同的样本无法放进所有网络共用的一批；请逐个训练",
        )
    indices = torch.arange(min(len(parts.train), settings[0].batch_size))
    batch = parts.train[indices]
    if not all(torch.is_tensor(one) and len(one) == len(indices) for one in batch):
        return say(
            "a batched training needs inputs and targets of one tensor each; train one after another",
            "批量训练要求输入与目标各为一个张量；请逐个训练",
        )
    before = torch.get_rng_state()
    whole = parts.prepare(batch[0], True)
    random = not torch.equal(before, torch.get_rng_state())
    torch.set_rng_state(before)
    if random or not _alike(parts.prepare(parts.train[indices[:1]][0], True), whole[:1], 1e-4):
        return say(
            "prepare augments, or mixes the examples of a batch, which comes out differently for all networks at once; train one after another",
            "prepare 会做数据增强或混合同批样本，对所有网络同时进行时结果不同；请逐个训练",
        )
    return None


def _alike(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    """By the length of the difference, against that of what is expected; NaN like NaN."""
    if found.shape != expected.shape:
        return False
    found, expected = found.detach().double(), expected.detach().double()
    if not bool(expected.isfinite().all()):
        return bool((found.isfinite() == expected.isfinite()).all())
    return bool((found - expected).norm() <= tolerance * expected.norm() + 1e-30)


def _first_batch(
    models: Sequence[nn.Module], settings: Sequence[Settings], parts: Parts, loss: Loss | None
) -> str | None:
    """Loss and gradients of the first batch, all at once and one by one."""
    device = start(settings[0]).device
    modes = [(module, module.training) for model in models for module in model.to(device).modules()]
    smoothing = settings[0].label_smoothing
    try:
        for model in models:
            set_training(model, frozen_parts(model))
        indices = torch.stack([seeds.order(one.seed, 0, len(parts.train))[: one.batch_size] for one in settings])
        inputs, targets = fetch(parts, indices, device)
        alone: list[tuple[Tensor, Tensor]] = []
        for place, model in enumerate(models):
            found = _alone(model, inputs[place], targets[place], loss or cross_entropy(smoothing))
            if isinstance(found, str):
                return found
            alone.append(found)
        with quiet():
            return _compare(Stack(models), inputs, targets, batched_loss(loss, smoothing), alone)
    finally:
        for module, training in modes:
            module.training = training


def _alone(model: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor] | str:
    """Loss and whole gradient of one network, or the sentence for what must not happen meanwhile."""
    buffers, state = [one.clone() for one in model.buffers()], torch.get_rng_state()
    found = loss(model(inputs), targets)
    weights = [one for one in model.parameters() if one.requires_grad]
    gradients = torch.autograd.grad(found, weights, allow_unused=True, materialize_grads=True)
    if not torch.equal(state, torch.get_rng_state()):
        torch.set_rng_state(state)
        return say(
            "the network draws random numbers in training, which differ in a batch; train one after another",
            "网络在训练时取随机数，批量训练时会不同；请逐个训练",
        )
    changed = [one for one in zip(model.buffers(), buffers, strict=True) if not torch.equal(*one)]
    for buffer, before in changed:
        buffer.copy_(before)
    if changed:
        return say(
            "the network changes its buffers in training, which a batched training cannot do; train one after another",
            "网络在训练时会改变缓冲区，批量训练无法做到；请逐个训练",
        )
    return found.detach(), torch.cat([one.flatten() for one in gradients])


def _compare(
    stack: Stack, inputs: Tensor, targets: Tensor, loss: Loss, alone: Sequence[tuple[Tensor, Tensor]]
) -> str | None:
    try:
        losses = loss(stack.outputs(inputs), targets)
        gradients = stack.gradients(losses)
    except Exception as error:  # whatever vmap cannot follow: control flow by values, operations it does not know
        return say(
            f"the network cannot be computed for all weights at once ({first_line(error)}); train one after another",
            f"无法对所有权重同时计算此网络（{first_line(error)}）；请逐个训练",
        )
    parts = [gradients.get(name, torch.zeros_like(one)).reshape(len(one), -1) for name, one in stack.weights.items()]
    for place, (own, own_gradient) in enumerate(alone):
        gradient = torch.cat([one[place] for one in parts])
        if not (_alike(losses[place], own, _SAME_LOSS) and _alike(gradient, own_gradient, _SAME_GRADIENT)):
            return say(
                f"network {place} computes something else in a batch than by itself; train one after another",
                f"第 {place} 个网络在批量中的计算结果与单独时不同；请逐个训练",
            )
    return None
