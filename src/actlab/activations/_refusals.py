"""What entries of both kinds refuse, in the same words."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from .._language import say


def floating(owner: str, x: Any) -> None:
    """Raises TypeError unless x is a tensor of floating-point numbers."""
    if not torch.is_tensor(x) or not x.is_floating_point():
        kind = str(x.dtype) if torch.is_tensor(x) else type(x).__name__
        raise TypeError(
            say(
                f"{owner}: expected a tensor of floating-point numbers; got {kind}",
                f"{owner}：应为浮点张量；得到 {kind}",
            )
        )


def known(owner: str, given: Iterable[str], names: Sequence[str]) -> None:
    """Raises TypeError for a parameter that is not among `names`."""
    for name in given:
        if name not in names:
            listed = ", ".join(names) or say("none", "无")
            raise TypeError(
                say(
                    f"{owner}: no parameter '{name}'; it has: {listed}",
                    f"{owner}：没有参数“{name}”；可用的有：{listed}",
                )
            )
