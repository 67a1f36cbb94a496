"""Backward passes that keep the output instead of the input: which activations have one, and whether it is good enough.

When the next layer keeps its input anyway, which is this activation's output, keeping that costs nothing.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..activations._calculus import wide
from ._fitting import fit
from ._fitting_pieces import fit as fit_pieces
from ._shared import stand_ins, standing_in
from ._variant import Variant

INPUT, OUTPUT, OUTPUT_AND_SIDE, NOTHING, CHOICE = range(5)  # what is kept, as the operators count it
TOLERANCE = 3.0  # "auto" keeps the output where the slope's error is at most so many times what rounding the slope itself would cost


class Lean(NamedTuple):
    """`slope(y)`, or `slope(y, rising)` with `side(x)`, on float32."""

    keep: int
    slope: Callable[..., Tensor]
    side: Callable[[Tensor], Tensor] | None = None


@cache
def lean(variant: Variant, dtype: torch.dtype = torch.float32) -> Lean | None:
    """How to get the slope from an output of this type; None where that cannot be, or where parameters learn."""
    with torch.device("cpu"):
        return _found(variant, dtype)


def _found(variant: Variant, dtype: torch.dtype) -> Lean | None:
    way = _way(variant, dtype)
    if way is None:
        return None
    if dtype in (torch.float16, torch.bfloat16):
        value, exact = (partial(variant.entry.evaluate, order=order, **dict(variant.fixed)) for order in (0, 1))
        shared = stand_ins(value, exact, way.slope, way.side, dtype)
        way = way._replace(slope=standing_in(way.slope, shared)) if shared else way
    nowhere = torch.full((1,), torch.nan)
    there = variant.entry.evaluate(nowhere.double(), 1, **dict(variant.fixed))
    plain = way.slope
    if there.isnan() and not plain(nowhere, *[nowhere > 0] * (way.side is not None)).isnan():
        return way._replace(slope=lambda y, *side: torch.where(y.isnan(), y, plain(y, *side)))
    return way


def _way(variant: Variant, dtype: torch.dtype) -> Lean | None:
    entry, named = variant.entry, dict(variant.fixed)
    if variant.learnt:
        return None
    values = tuple(variant.values(()))
    bodies = entry.bodies
    if "from_output" in bodies:
        if not all(named[name] > 0 for name in entry.output_needs):
            return None
        return Lean(OUTPUT, lambda y: bodies["from_output"](y, *values))
    if "side" in bodies:
        return Lean(
            OUTPUT_AND_SIDE,
            lambda y, rising: bodies["from_output_and_side"](y, rising, *values),
            lambda x: bodies["side"](x, *values),
        )
    found = fit_pieces(entry, values, dtype) or fit(entry, values)
    return None if found is None else Lean(OUTPUT_AND_SIDE, found.slope, lambda x: x > found.at)


@cache
def is_good(variant: Variant, dtype: torch.dtype) -> bool:
    """Whether the slope recovered from outputs of this type is nearly as good as the exact one rounded to it, for normal input."""
    way = lean(variant, dtype)
    if way is None:
        return False
    x = (
        torch.randn(40_000, dtype=torch.float64, device="cpu", generator=torch.Generator().manual_seed(0))
        .to(dtype)
        .double()
    )
    named = dict(variant.fixed)
    slope = variant.entry.evaluate(x, 1, **named)
    y = wide(variant.entry.evaluate(x, 0, **named).to(dtype))
    found = way.slope(y) if way.side is None else way.slope(y, way.side(x))
    error = (found.double() - slope).square().mean().sqrt()
    rounding = (slope.to(dtype).double() - slope).square().mean().sqrt()
    return bool(error <= TOLERANCE * rounding + 1e-9)
