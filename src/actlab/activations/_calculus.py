"""Differentiation: a function, its slope and its curvature tied together, so that every way of differentiating takes the stated ones.

torch's own derivative of a formula is wrong or NaN at kinks, infinities and where branches meet. Here each function is one
autograd node whose derivative is given; jvp, vmap, double backward and torch.compile go through it too.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

Body = Callable[..., Tensor]
_HALF = (torch.float16, torch.bfloat16)


Widen = Callable[[Any], Any]


def wide(x: Any) -> Any:
    """float32 for tensors of half types, which are too narrow to compute in; everything else as it is."""
    return x.float() if torch.is_tensor(x) and x.dtype in _HALF else x


def widest(x: Any) -> Any:
    """float64 for tensors, where their device has it: for functions whose terms cancel."""
    if not torch.is_tensor(x):
        return x
    narrow = x.device.type == "mps" or torch.onnx.is_in_onnx_export()  # ONNX Runtime has no erf in float64
    return x.float() if narrow and x.dtype != torch.float64 else x.double()


def tied(body: Body, slope: Body, partials: tuple[Body | None, ...], widen: Widen, *, rounds: bool) -> Body:
    """`body(x, *parameters)` as an autograd node with d/dx `slope` and d/dparameter `partials`.

    `body` and `partials` get x in the type of `widen`; `slope` gets it as it came, answers in the wide type, and must be
    differentiable itself where second derivatives are wanted. With `rounds` the result has the type of x, else the wide one.
    """

    class Tied(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Tensor, *parameters: Any) -> Tensor:
            result = body(*map(widen, (x, *parameters)))
            result = result.to(x.dtype) if rounds else result
            return x.clone() if result is x else result

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
            tensors = tuple(value for value in inputs if torch.is_tensor(value))
            ctx.save_for_backward(*tensors)
            ctx.save_for_forward(*tensors)
            ctx.fixed = tuple(None if torch.is_tensor(value) else value for value in inputs)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            x, *parameters = _inputs(ctx)
            gradient = widen(gradients[0])
            found: list[Tensor | None] = []
            if ctx.needs_input_grad[0]:
                found.append(_reduced(gradient * slope(x, *parameters), x))
            else:
                found.append(None)
            for needed, partial, value in zip(ctx.needs_input_grad[1:], partials, parameters, strict=True):
                if needed and partial is not None:
                    found.append(_reduced(gradient * partial(*map(widen, (x, *parameters))), value))
                else:
                    found.append(None)
            return tuple(found)

    class Forward(Tied):
        """The same with forward-mode derivatives, which torch.compile does not trace."""

        @staticmethod
        def jvp(ctx: Any, *tangents: Tensor | None) -> Any:
            x, *parameters = _inputs(ctx)
            result = None if tangents[0] is None else widen(tangents[0]) * slope(x, *parameters)
            for tangent, partial in zip(tangents[1:], partials, strict=True):
                if torch.is_tensor(tangent) and partial is not None:
                    more = widen(tangent) * partial(*map(widen, (x, *parameters)))
                    result = more if result is None else result + more
            return result.to(x.dtype) if rounds and result is not None else result

    def apply(x: Tensor, *parameters: Any) -> Tensor:
        differentiable = any(torch.is_tensor(value) and value.requires_grad for value in (x, *parameters))
        if not torch.compiler.is_dynamo_compiling():
            if (differentiable and torch.is_grad_enabled()) or transforming():
                return Forward.apply(x, *parameters)
        elif differentiable:
            return Tied.apply(x, *parameters)
        # A node takes 30 microseconds to make, and without gradients torch.compile mistakes *parameters for a context.
        return Tied.forward(x, *parameters)

    return apply


_level: Callable[[], int | None] = torch._C._functorch.maybe_current_level  # pyright: ignore[reportAttributeAccessIssue]


def transforming() -> bool:
    """Whether vmap, jvp or another transformation of torch is at work."""
    return _level() is not None or forward_ad._current_level >= 0


def _inputs(ctx: Any) -> list[Any]:
    saved = list(ctx.saved_tensors)
    return [saved.pop(0) if value is None else value for value in ctx.fixed]


def _reduced(gradient: Tensor, like: Tensor) -> Tensor:
    """Summed over what broadcasting has repeated, in the type of `like`."""
    if gradient.shape != like.shape:
        gradient = gradient.sum_to_size(like.shape)
    return gradient.to(like.dtype)


def slope_of(slope: Body, curve: Body | None, widen: Widen, count: int) -> Body:
    """The slope as backward passes use it: of x as it came, in the wide type, with `curve` as its own derivative.

    `count` is the number of parameters. Those that learn get their second derivatives from torch, through the body of the slope.
    """

    def plain(x: Tensor, *parameters: Any) -> Tensor:
        return slope(*map(widen, (x, *parameters)))

    if curve is None:
        return plain

    def bent(x: Tensor, *parameters: Any) -> Tensor:
        return curve(*map(widen, (x, *parameters)))

    node = tied(slope, bent, (None,) * count, widen, rounds=False)

    def taken(x: Tensor, *parameters: Any) -> Tensor:
        if torch.compiler.is_dynamo_compiling():  # it has no second derivatives, and traces no node within a node
            return plain(x, *parameters)
        fixed = [value.detach() if torch.is_tensor(value) else value for value in parameters]
        result = node(x, *fixed)
        if any(torch.is_tensor(value) and value.requires_grad for value in parameters) and torch.is_grad_enabled():
            through = plain(x.detach(), *parameters)  # adds nothing but the derivative by the parameters
            result = result + (through - through.detach())
        return result

    return taken
