"""Which pixels can reach a unit, whatever the weights are: the gradient of the same network with positive weights.

All weights become positive, all biases zero, the input positive: then nothing cancels and every ReLU lets through. Maxima become means,
since the gradient of a maximum knows one place alone. What is then exactly zero has no path to the unit. Done in double precision, so that
nothing vanishes over many layers, and on the CPU, whose convolutions add products; those by Fourier or Winograd transforms would leave
rounding errors in place of zeros.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from .._language import say
from ..errors import ActlabError, OwnCodeError
from .features import output_of

_SCALES = (1.0, 4.0)  # of the inputs: some activations are flat near zero, some far from it


def reach(net: nn.Module, name: str, index: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    """(height, width), bool: pixels of an input (1, channel, height, width) that unit `index` of the layer can see.

    Changes the weights of `net`. Raises ActlabError where no finite gradient comes out.
    """
    try:
        return _reach(net.cpu().double(), name, index, shape)
    except OwnCodeError:  # some code makes single precision of its own
        return _reach(net.float(), name, index, shape)


def _reach(net: nn.Module, name: str, index: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    _make_positive(net, draw)
    dtype = next((one.dtype for one in net.parameters() if one.is_floating_point() and not is_lazy(one)), torch.float64)
    found: Tensor | None = None
    for scale in _SCALES:
        inputs = (scale * (0.5 + 0.5 * torch.rand(shape, generator=draw, dtype=dtype))).requires_grad_()
        with _MeansForMaxima():
            out = output_of(net, name, inputs.clone())[0]
            (gradient,) = torch.autograd.grad(out[index], inputs, allow_unused=True)
        if gradient is None or not gradient.isfinite().all():
            continue
        seen = (gradient[0] != 0).any(0)
        found = seen if found is None else found | seen
    if found is None:
        raise ActlabError(
            say(
                f"what can reach '{name}' cannot be told: no finite gradient comes back from it; name an earlier layer",
                f"无法判断哪些像素能到达“{name}”：没有有限的梯度传回；请指定更早的层",
            )
        )
    return found


@torch.no_grad()
def _make_positive(net: nn.Module, draw: torch.Generator) -> None:
    """Weights that take means, so that nothing grows or vanishes with depth; normalisation by the identity."""
    for name, one in net.named_parameters():
        if is_lazy(one) or not one.is_floating_point():
            continue
        weights = 0.5 + torch.rand(one.shape, generator=draw, dtype=torch.float64)
        if one.dim() > 1:
            weights /= max(1, one[0].numel())
        elif name.rpartition(".")[2].startswith("bias"):
            weights.zero_()
        one.copy_(weights)
    for module in net.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.zero_()
            module.running_var.fill_(1.0)


class _MeansForMaxima(TorchFunctionMode):
    """While it is open, every maximum or minimum over places is a mean."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        other = _OTHERS.get(func)
        return func(*args, **kwargs) if other is None else other(func, *args, **kwargs)


def _pool(
    func: Any,
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The mean of each window of max-pooling, by a convolution with ones, which knows dilation too."""
    axes = _axes(func)
    given = (x, kernel_size, stride, padding, dilation, ceil_mode)
    largest = func(*given, return_indices) if return_indices else func(*given)
    plain = largest[0] if isinstance(largest, tuple) else largest
    kernel, step, pad, apart = (
        (one,) * axes if isinstance(one, int) else tuple(one) * (axes if len(one) == 1 else 1)
        for one in (kernel_size, kernel_size if stride is None or stride == () or stride == [] else stride, padding, dilation)
    )  # fmt: skip
    sizes, wanted = x.shape[-axes:], plain.shape[-axes:]
    edges: list[int] = []
    for k, s, p, d, size, out in reversed(list(zip(kernel, step, pad, apart, sizes, wanted, strict=True))):
        edges += [p, max(0, (out - 1) * s + d * (k - 1) + 1 - size - p)]  # ceil_mode goes beyond the padding
    flat = F.pad(x.reshape(-1, 1, *sizes), edges)
    ones = torch.ones(1, 1, *kernel, dtype=x.dtype) / torch.Size(kernel).numel()
    means = (F.conv1d, F.conv2d, F.conv3d)[axes - 1](flat, ones, stride=step, dilation=apart)
    means = means[(..., *(slice(one) for one in wanted))].reshape(plain.shape)
    return (means, largest[1]) if isinstance(largest, tuple) else means


def _axes(func: Any) -> int:
    return next(number for number, some in enumerate(_POOLS, 1) if func in some)


def _adaptive(func: Any, x: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    axes = next(number for number, some in enumerate(_ADAPTIVE, 1) if func in some)
    means = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[axes - 1](x, output_size)
    found = func(x, output_size, return_indices) if return_indices else None
    return means if found is None else (means, found[1])


def _over_axes(func: Any, x: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return x.mean(keepdim=keepdim, dim=dim if isinstance(dim, int) or dim else tuple(range(x.dim())))


def _largest(func: Any, x: Tensor, *rest: Any, **named: Any) -> Any:
    """torch.max and min in their three forms: of everything, of an axis with the places, of two tensors."""
    if not rest and not named:
        return x.mean()
    other = rest[0] if rest else named.get("other")
    if torch.is_tensor(other):
        return (x + other) / 2
    found = func(x, *rest, **named)
    keep = named.get("keepdim", rest[1] if len(rest) > 1 else False)
    return type(found)((x.mean(other if rest else named["dim"], keepdim=keep), found[1]))


def _mean_of_two(func: Any, x: Tensor, other: Tensor) -> Tensor:
    return (x + other) / 2


_POOLS: tuple[tuple[Any, ...], ...] = (
    (F.max_pool1d, torch.max_pool1d, F.max_pool1d_with_indices),
    (F.max_pool2d, torch.max_pool2d, F.max_pool2d_with_indices),
    (F.max_pool3d, torch.max_pool3d, F.max_pool3d_with_indices),
)
_ADAPTIVE: tuple[tuple[Any, ...], ...] = (
    (F.adaptive_max_pool1d, F.adaptive_max_pool1d_with_indices),
    (F.adaptive_max_pool2d, F.adaptive_max_pool2d_with_indices),
    (F.adaptive_max_pool3d, F.adaptive_max_pool3d_with_indices),
)
_OTHERS: dict[Any, Callable[..., Any]] = {
    **{one: _pool for some in _POOLS for one in some},
    **{one: _adaptive for some in _ADAPTIVE for one in some},
    **dict.fromkeys((torch.amax, torch.amin, Tensor.amax, Tensor.amin), _over_axes),
    **dict.fromkeys((torch.max, torch.min, Tensor.max, Tensor.min), _largest),
    **dict.fromkeys((torch.maximum, torch.minimum, Tensor.maximum, Tensor.minimum), _mean_of_two),
}
