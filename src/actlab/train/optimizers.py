"""Optimizers for a model: who is decayed, and Muon for convolution weights."""

from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError
from .settings import Settings


class ConvolutionMuon(torch.optim.Muon):
    """torch's Muon on convolution weights, each seen as the matrix (out channels, everything else).

    torch takes matrices only, so every weight is shown to it as a view that shares its storage. In channels-last memory the columns of
    that matrix are permuted, which changes nothing: orthogonalisation commutes with a permutation of columns.
    """

    def __init__(self, weights: list[Tensor], *, lr: float, momentum: float, weight_decay: float, ns_steps: int):
        self._weights = weights
        self._matrices = [nn.Parameter(_as_matrix(weight.detach())) for weight in weights]
        super().__init__(
            self._matrices, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=True, ns_steps=ns_steps
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step from the gradients of the convolution weights."""
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.data = _as_matrix(weight.data)  # the weight may have moved to another device or layout since
            if matrix.data_ptr() != weight.data_ptr():
                raise RuntimeError("a convolution weight is neither contiguous nor channels-last")
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad)
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the weights themselves."""
        super().zero_grad(set_to_none)
        for weight in self._weights:
            weight.grad = None


def _as_matrix(weight: Tensor) -> Tensor:
    if weight.dim() == 4 and not weight.is_contiguous():
        weight = weight.permute(0, 2, 3, 1)
    return weight.reshape(weight.shape[0], -1)


_SPARED = (nn.PReLU, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


def decayed(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trainable parameters that weight decay may shrink, and those it must leave alone.

    Left alone: biases, the gains of normalisation, and the parameters of activations (PReLU's slope, Swish's beta), whatever their
    shape. A module says so of its own parameters by a class attribute `decays = False`.
    """
    shrunk: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        spares = isinstance(module, _SPARED) or getattr(module, "decays", True) is False
        for name, parameter in module.named_parameters(recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            plain = parameter.dim() < 2 or name.startswith("bias") or spares
            (spared if plain else shrunk).append(parameter)
    return shrunk, spared


def hidden_convolutions(model: nn.Module) -> list[Tensor]:
    """Weights of every convolution but the first, in order: those that Muon trains."""
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    return [m.weight for m in convolutions[1:] if m.weight.requires_grad]


def build(model: nn.Module, settings: Settings) -> list[torch.optim.Optimizer]:
    """The optimizers of `settings` for `model`, which must already lie where it will be trained."""
    if not any(p.requires_grad for p in model.parameters()):
        raise UsageError(say("expected a model with trainable parameters; it has none", "模型没有可训练的参数"))
    shrunk, spared = decayed(model)
    optimizers: list[torch.optim.Optimizer] = []
    if settings.optimizer == "muon":
        weights = hidden_convolutions(model)
        if not weights:
            raise UsageError(
                say(
                    "optimizer muon trains convolutions after the first one, and this model has none; use sgd or adamw",
                    "优化器 muon 用于第一层之后的卷积，而此模型没有；请用 sgd 或 adamw",
                )
            )
        _refuse_muon_where_it_cannot_work(settings)
        chosen = set(weights)
        shrunk = [p for p in shrunk if p not in chosen]
        optimizers.append(
            ConvolutionMuon(
                list(weights),
                lr=settings.muon_learning_rate,
                momentum=settings.muon_momentum,
                weight_decay=settings.weight_decay,
                ns_steps=settings.muon_steps,
            )
        )
    groups = [{"params": shrunk, "weight_decay": settings.weight_decay}, {"params": spared, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    # torch's fused steps unscale by themselves, which is too late for clipping, and do not know weights that are cut
    fused = settings.precision != "fp16" and not settings.shards
    if settings.optimizer == "adamw":
        optimizers.append(torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused))
    elif groups:
        optimizers.append(
            torch.optim.SGD(
                groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.nesterov, fused=fused
            )
        )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_rate"] = group["lr"]
    return optimizers


def set_rates(optimizers: list[Any], factor: float) -> None:
    """Every group's rate = its base rate times `factor`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_rate"] * factor


def _refuse_muon_where_it_cannot_work(settings: Settings) -> None:
    if settings.strategy == "fsdp":
        raise UsageError(
            say(
                "optimizer muon needs whole weights, and strategy fsdp cuts them; use ddp, or optimizer sgd",
                "优化器 muon 需要完整的权重，而 fsdp 会切分权重；请用 ddp 或优化器 sgd",
            )
        )
    if settings.precision == "fp16":
        raise UsageError(
            say(
                "optimizer muon works in fp32 and bf16; got precision fp16",
                "优化器 muon 只支持 fp32 与 bf16；得到 fp16",
            )
        )
