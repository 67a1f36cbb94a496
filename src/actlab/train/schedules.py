"""Learning-rate schedules: the factor on the base rate at a step. Functions of the step alone, so resuming needs no state."""

import math

from .settings import Schedule

_START_DIVISOR, _END_DIVISOR = 25.0, 1e4  # torch.optim.lr_scheduler.OneCycleLR's defaults


def factor(schedule: Schedule, step: int, steps: int, warmup: float) -> float:
    """What the base rate is multiplied by at `step` of `steps` (counted from 0).

    "triangular" rises from 0 over the share `warmup` and falls to 0; its first and last step are above 0. "cosine" rises linearly over
    `warmup`, then follows half a cosine to 0, as torch's CosineAnnealingLR does (Loshchilov & Hutter 2017, arXiv:1608.03983). "onecycle" is Smith & Topin 2018,
    arXiv:1708.07120, in torch's cosine form, with `warmup` as `pct_start`.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "onecycle":
        return _onecycle(step, steps, warmup)
    rising = warmup * steps
    if step + 1 < rising:
        return (step + 1) / rising
    if schedule == "triangular":
        return max(0.0, 1.0 - (step + 1 - rising) / (steps + 1 - rising))
    return _cosine(1.0, 0.0, max(0.0, step - rising) / max(1.0, steps - rising))


def _onecycle(step: int, steps: int, warmup: float) -> float:
    top = warmup * steps - 1.0
    if step <= top or steps <= 1:
        return _cosine(1.0 / _START_DIVISOR, 1.0, step / top if top > 0 else 1.0)
    return _cosine(1.0, 1.0 / (_START_DIVISOR * _END_DIVISOR), (step - top) / (steps - 1.0 - top))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * share))
