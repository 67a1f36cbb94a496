"""What is compiled of functions that work on parts of an axis, and of gates: results, and gradients by the parts."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..activations._calculus import Widen, wide, widest
from ..activations._numerics import arithmetic
from ..activations._parting import Parted
from ._forms import OnGpu, arithmetic_for, gpu_arithmetic, near_times, split, widening
from ._lowering import Argument, Split, source
from ._near import near
from ._variant import Parting, Variant


def parted_sources(parting: Parting, dtype: torch.dtype) -> dict[str, str]:
    """The C++ of every form, by its name; raises NoKernel."""
    if parting.parted is None:
        return _gate_sources(parting.gate, dtype)
    return _sources(parting.parted, dtype)


def _sources(parted: Parted, dtype: torch.dtype) -> dict[str, str]:
    x, choosing = Argument(dtype, tells=False), parted.keeps == "choice"
    results, kept = parted.made, parted.given if choosing else parted.made

    def rounded(function: Callable[..., tuple[Tensor, ...]], most: int) -> Callable[..., tuple[Tensor, ...]]:
        return lambda *given: tuple([one.to(dtype) for one in function(*map(wide, given))[:most]])

    with arithmetic("plain"):
        found = {
            "parted": source("parted_kernel", rounded(parted.value, results), [x] * parted.given),
            "parted_backward": source(
                "parted_backward_kernel", rounded(parted.gradient, parted.given), [x] * (results + kept)
            ),
        }
        if choosing:
            found["choosing"] = source("choosing_kernel", rounded(parted.value, results + kept), [x] * parted.given)
    return found


def _gate_sources(variant: Variant, dtype: torch.dtype) -> dict[str, str]:
    """Of something times a gate, and of both gradients; the gate is not rounded before it is multiplied."""
    x, each = Argument(dtype), Argument(dtype, tells=False)
    fine = torch.float16 if dtype == torch.bfloat16 else torch.float32  # to multiply before it is rounded
    body, slope, values = variant.entry.body, variant.entry.bodies["slope"], tuple(variant.values(()))
    widen = widest if widest in [widening(variant, torch.float32, kind) for kind in ("value", "slope")] else wide

    backward, both = _gate_backward(lambda b: body(b, *values), lambda b: slope(b, *values), widen), None
    of, of_slope = (near(variant, kind, fine) for kind in ("value", "slope"))
    if of is not None and of_slope is not None:
        short = _gate_backward(of.at, of_slope.at, wide)
        if of.everywhere and of_slope.everywhere:
            backward = short
        else:
            both = Split(short, max(of.low, of_slope.low), min(of.high, of_slope.high), results=2)
    with arithmetic_for(widen, dtype):
        function, by = split(of, near_times, _gate_forward(lambda b: body(b, *values), widen))
        return {
            "parted": source("parted_kernel", function, [x, x], by),
            "parted_backward": source("parted_backward_kernel", backward, [each] * 3, both),
        }


def _gate_forward(value: Callable[[Tensor], Tensor], widen: Widen) -> Callable[[Tensor, Tensor], Tensor]:
    """a f(b) with this f."""
    return lambda a, b: (widen(a) * value(widen(b))).to(a.dtype)


def _gate_backward(
    value: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor], widen: Widen
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Of a f(b) with this value and slope of f: the gradients by a and b."""

    def backward(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        gradient, inner = widen(g), widen(b)
        through = gradient * widen(a) * slope(inner)
        return (gradient * value(inner)).to(g.dtype), through.to(g.dtype)

    return backward


def parted_on_gpu(parting: Parting, dtype: torch.dtype, form: str) -> OnGpu:
    """One of "parted", "choosing" and "parted_backward", of a gate "paired" and "paired_backward" too.

    Those of parts take and make tensors of three axes, the parts along the second; with " flipped" these are in the other order. What is
    kept of a choice is the number of the part chosen: bits would be another kernel.
    """
    if parting.parted is None:
        return _gate_on_gpu(parting.gate, dtype, form)
    parted = parting.parted
    choice = parted.keeps == "choice"

    def value(x: Tensor) -> Tensor:
        return _joined(parted.value(*wide(x).unbind(1))[: parted.made]).to(x.dtype)

    def choosing(x: Tensor) -> tuple[Tensor, Tensor]:
        best, *chosen = parted.value(*wide(x).unbind(1))
        index = torch.zeros_like(best)
        for number, one in enumerate(chosen[1:], 1):
            index = torch.where(one != 0, number * torch.ones_like(best), index)
        return best.unsqueeze(1).to(x.dtype), index.unsqueeze(1).to(torch.uint8)

    def backward(g: Tensor, kept: Tensor) -> Tensor:
        parts = [kept.select(1, 0) == one for one in range(parted.given)] if choice else wide(kept).unbind(1)
        return _joined(parted.gradient(*wide(g).unbind(1), *parts)).to(g.dtype)

    if form == "parted_backward":
        return OnGpu(backward, "library", (parted.made, parted.made))
    return OnGpu(choosing if form == "choosing" else value, "library", (parted.given,))


def _gate_on_gpu(gate: Variant, dtype: torch.dtype, form: str) -> OnGpu:
    values, body, slope = tuple(gate.values(())), gate.entry.body, gate.entry.bodies["slope"]
    form, _, order = form.partition(" ")
    both = [gpu_arithmetic(gate, dtype, kind) for kind in (("value", "slope") if "backward" in form else ("value",))]
    widen, kind = both[0] if all(one[0] is wide for one in both) else (widest, "library")
    step = -1 if order else 1
    pair = _gate_backward(lambda b: body(b, *values), lambda b: slope(b, *values), widen)

    forward = _gate_forward(lambda b: body(b, *values), widen)

    def backward(g: Tensor, x: Tensor) -> Tensor:
        return _joined(pair(g.select(1, 0), *x.unbind(1)[::step])[::step])

    return {
        "paired": OnGpu(forward, kind, (0, 0)),
        "paired_backward": OnGpu(pair, kind, (0, 0, 0)),
        "parted": OnGpu(lambda x: forward(*x.unbind(1)[::step]).unsqueeze(1), kind, (2,)),
        "parted_backward": OnGpu(backward, kind, (1, 2)),
    }[form]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Parts side by side along a new second axis, by choosing: of torch.stack the compiler may make one kernel for each."""
    result, place = parts[0].unsqueeze(1), torch.arange(len(parts), device=parts[0].device).unsqueeze(-1)
    for number, one in enumerate(parts[1:], 1):
        result = torch.where(place < number, result, one.unsqueeze(1))
    return result
