"""How results are rounded to bfloat16: the processor's own step takes the smallest numbers, below 2^-126, for 0.

So the numbers to be rounded are looked at first, unless it is known that none of them is so small. Of most functions that follows from
their inputs, which are half as many vectors: where none of those is below 2^-63, no product of two numbers as large is too small.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ._half import every

_SMALL = 2.0**-63  # of an input; the same number is in elementary.h
_LEAST = 2.0**-126  # of a result

_LOAD = r"auto (tmp\d+) = at::vec::Vectorized<at::BFloat16>::loadu\({} \+ [^\n]*\n"
_ROUNDED = re.compile(r"actlab::narrowed\((tmp\d+)\)")


@torch.no_grad()
def inputs_to_ask(function: Callable[..., Any], count: int) -> tuple[int, ...] | None:
    """Which of the inputs of bfloat16 tell that a result is not too small, if none of them is; None if they do not.

    With more inputs than one, the first is a factor of what comes of the others: of the second, and of sides that are 0 or 1.
    """
    x = every(torch.bfloat16).float()
    before, sides = [torch.ones_like(x)] * (count > 1), [torch.zeros_like(x), torch.ones_like(x)]
    given = [[*before, x, side] for side in sides] if count > 2 else [[*before, x]]
    found = [function(*one) for one in given]
    sizes = torch.stack([one[0] if isinstance(one, tuple) else one for one in found]).abs()
    safe = (sizes == 0) | ~(sizes < (_SMALL if count > 1 else _LEAST))
    if safe.all():
        return tuple(range(count > 1))
    return tuple(range(min(count, 2))) if safe[:, x.abs() >= _SMALL].all() else None


def rounded_by_inputs(text: str, names: Sequence[str]) -> str:
    """A loop that looks at the inputs of these names, not at its results, before it rounds these."""

    def rounded(found: re.Match[str]) -> str:
        loads = [re.findall(_LOAD.format(one), text[: found.start()]) for one in names]
        if not all(loads):
            return found[0]
        return f"actlab::narrowed_by_inputs({', '.join([found[1], *[one[-1] for one in loads]])})"

    return _ROUNDED.sub(rounded, text)
