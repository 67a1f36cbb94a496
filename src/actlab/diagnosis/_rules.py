"""The rules: each is one small function from what was collected to findings."""

import itertools
import math
from collections.abc import Iterator
from statistics import mean, median, stdev

import torch
from torch import nn

from ..records import Checkpoint, Finding, Severity
from ._facts import Facts
from ._functions import is_weighted
from ._streams import SiteStream

_ENOUGH = 384  # examples below which learning nothing that holds for others says little


def not_finite(facts: Facts) -> Iterator[Finding]:
    """The first module whose output is not finite though its inputs are."""
    for name, parameter in facts.model.named_parameters():
        if not bool(parameter.detach().isfinite().all()):
            yield facts.found(
                "not-finite", "error", name.rpartition(".")[0], math.nan, "mode", what="weight", name=name
            )
            return
    probe = facts.probe
    if probe.bad_input is not None:
        yield facts.found("not-finite", "error", "", math.nan, "mode", what="input", batch=probe.bad_input)
    elif probe.first_bad is not None:
        yield facts.found("not-finite", "error", probe.first_bad[0], math.nan, "mode", what="forward", batch=probe.first_bad[1])  # fmt: skip
    elif probe.bad_gradient is not None:
        yield facts.found("not-finite", "error", probe.bad_gradient, math.nan, "mode", what="backward")
    elif any(not math.isfinite(one) for one in facts.losses):
        yield facts.found("not-finite", "error", "", math.nan, "mode", what="loss")


def wrong_mode(facts: Facts) -> Iterator[Finding]:
    """Normalisation and dropout in another mode than the network; weights that are frozen or not used."""
    model = facts.model
    layers = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    kinds = [(name, one) for name, one in model.named_modules() if isinstance(one, layers)]
    wrong = [(name, one) for name, one in kinds if one.training != model.training and _matters(one)]
    if facts.stepped and not model.training:
        wrong = [(name, one) for name, one in kinds if _matters(one)]
    for name, one in wrong:
        yield facts.found(
            "wrong-mode", "warning", name, float(one.training), "mode", what="mode", kind=type(one).__name__
        )
    frozen: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            frozen[name.rpartition(".")[0]] = frozen.get(name.rpartition(".")[0], 0) + parameter.numel()
    if frozen and sum(frozen.values()) == sum(one.numel() for one in model.parameters()):
        frozen = {"": sum(frozen.values())}
    for name, count in frozen.items():
        yield facts.found("wrong-mode", "warning", name, float(count), "mode", what="frozen", count=count)
    for name in dict.fromkeys(one.rpartition(".")[0] for one in facts.unused):
        yield facts.found("wrong-mode", "warning", name, 0.0, "mode", what="unused")


def _matters(one: nn.Module) -> bool:
    return getattr(one, "p", 1.0) > 0 and getattr(one, "track_running_stats", True)


def dead_unit(facts: Facts) -> Iterator[Finding]:
    """Units with zero output and zero slope on every sample; those after a layer that is dead as a whole are its doing."""
    above = ""
    for site in facts.probe.sites.values():
        share = site.dead / site.units if site.units else 0.0
        if not site.dead or facts.samples < 32:
            continue
        started = share <= 0.8 and _as_torch_starts(facts.model, site.after)
        severity: Severity = (
            "note" if share < facts.limits.dead_share or started else "error" if share > 0.8 else "warning"
        )
        found = facts.found("dead-unit", severity, site.name, share, "dead_share", dead=site.dead, units=site.units, activation=site.activation, **_before(facts.earlier, site))  # fmt: skip
        yield found.model_copy(update={"severity": "note", "explained_by": "dead-unit"}) if above else found
        above = above or (site.name if share > 0.8 else "")


def _as_torch_starts(model: nn.Module, name: str) -> bool:
    """Whether no weight of a layer lies outside of where torch starts it: up to 60 % of a deep network's ReLUs are off there, and it still learns."""
    try:
        layer = model.get_submodule(name.split(":")[0])
    except AttributeError:
        return False
    own = dict(layer.named_parameters(recurse=False))
    if set(own) - {"weight", "bias"} or "weight" not in own or own["weight"].dim() < 2:
        return False
    limit = (own["weight"].numel() / len(own["weight"])) ** -0.5
    return all(float(one.detach().abs().max()) <= limit * (1 + 1e-6) for one in own.values())


def _before(earlier: tuple[Checkpoint, ...], site: SiteStream) -> dict[str, int]:
    """Of the dead units how many were dead at every earlier moment; of the others how many were dead at one and came back."""
    masks = [set(one.silent[site.name]) for one in earlier if one.units.get(site.name) == site.units]
    if not masks:
        return {}
    now = set(site.silent)
    return {"always": len(now.intersection(*masks)), "revived": len(set().union(*masks) - now)}


def saturated(facts: Facts) -> Iterator[Finding]:
    """Inputs on the flat part of an activation; the one that ends the network is left out, for it is to decide."""
    end = max((one.order for one in facts.probe.layers.values()), default=-1)
    for site in facts.probe.sites.values():
        share = site.flat / site.looked if site.looked else 0.0
        last = site.order > end and site.activation in ("sigmoid", "tanh")
        if share > facts.limits.flat_share and not last:
            yield facts.found("saturated", "error" if share > 0.9 else "warning", site.name, share, "flat_share", activation=site.activation)  # fmt: skip


def signal(facts: Facts) -> Iterator[Finding]:
    """Size of what comes out of the layers with weights, one after the other; the weights themselves. Growth from call to call of one layer is through time."""
    every = list(facts.probe.layers.values())
    layers = [one for one in every if ":" not in one.name]
    sizes = [(one.name.split(":")[0], one) for one in every if one.rms > 0 and math.isfinite(one.rms)]
    gains = [(one.name, gain) for one in layers if (gain := _gain(facts.model, one.name)) is not None]
    runs: list[list[tuple[str, float]]] = [[]]
    for (a, x), (b, y) in itertools.pairwise(sizes):
        if y.normed:  # a normalisation between two layers sets the size anew
            runs.append([])
        elif a != b:
            runs[-1].append((b, math.log(y.rms / x.rms)))
    if runs[-1] and runs[-1][-1][0] == sizes[-1][0] and runs[-1][-1][1] < 0:
        runs[-1].pop()  # a last layer that starts small is good practice
    every_step = [step for run in runs for step in run]
    if not every_step:
        return
    steps = max(runs, key=lambda run: abs(sum(step for _, step in run)))
    total = sum(step for _, step in steps)
    name, largest = max(every_step, key=lambda one: abs(one[1]))
    small = median(gain for _, gain in gains) if len(gains) >= 3 else 1.0
    first, last = layers[0].gradient, layers[-1].gradient
    if abs(largest) > math.log(facts.limits.signal_step):
        yield facts.found(
            "signal-at-init",
            "warning",
            name,
            math.exp(largest),
            "signal_step",
            threshold=facts.limits.signal_step ** math.copysign(1, largest),
            what="step",
        )
    elif abs(total) > math.log(facts.limits.signal_total) and len(steps) >= 3:
        sums = itertools.accumulate(step for _, step in steps)
        at = next(one for (one, _), run in zip(steps, sums, strict=True) if abs(run) > abs(total) / 2)
        yield facts.found("signal-at-init", "warning", at, math.exp(total), "signal_total", threshold=facts.limits.signal_total ** math.copysign(1, total), what="total", layers=len(steps) + 1, step=math.exp(total / len(steps)))  # fmt: skip
    elif small < facts.limits.weight_gain and first < facts.limits.gradient_ratio * last:
        name, _ = min(gains, key=lambda one: one[1])
        yield facts.found("signal-at-init", "warning", name, small, "weight_gain", what="gain", layers=len(gains))


def _gain(model: nn.Module, name: str) -> float | None:
    """Root of fan-in times the deviation of the weights: by how much a layer changes the size of independent inputs."""
    try:
        weight = getattr(model.get_submodule(name), "weight", None)
    except AttributeError:
        return None
    if not isinstance(weight, nn.Parameter) or weight.dim() < 2 or not bool(weight.isfinite().all()):
        return None
    return float(weight.detach().float().pow(2).mean() * (weight.numel() / weight.shape[0])) ** 0.5


def gradients(facts: Facts) -> Iterator[Finding]:
    """Norm of the gradient at the layers' outputs: how it changes with depth, with an interval over the batches."""
    layers = [one for one in facts.probe.layers.values() if one.gradients and one.kind != "MultiheadAttention"]
    if len(layers) < 3:
        return
    batches = min(len(one.gradients) for one in layers)
    slopes = [_slope([one.gradients[number] for one in layers]) for number in range(batches)]
    slopes = [one for one in slopes if one is not None]
    first, last = layers[0].gradient, layers[-1].gradient
    if not slopes or not last or not math.isfinite(first) or not math.isfinite(last):
        return
    middle = mean(slopes)
    error = 2 * stdev(slopes) / len(slopes) ** 0.5 if len(slopes) > 1 else 0.0
    ratio, limit = first / last, facts.limits.gradient_ratio
    details = {
        "factor": 10**middle,
        "low": 10 ** (middle - error),
        "high": 10 ** (middle + error),
        "layers": len(layers),
    }
    if (ratio < limit and middle + error < 0) or (first == 0 and last > 0):
        yield facts.found("vanishing", "error" if ratio < limit**2 else "warning", layers[0].name, ratio, "gradient_ratio", **details)  # fmt: skip
    elif ratio > 1 / limit and middle - error > 0:
        yield facts.found("exploding", "error" if ratio > limit**-2 else "warning", layers[0].name, ratio, "gradient_ratio", threshold=1 / limit, **details)  # fmt: skip


def _slope(norms: list[float]) -> float | None:
    """Least-squares slope of log10 of the norm from the last layer back to the first: how it changes per layer."""
    logs = [(number, math.log10(one)) for number, one in enumerate(reversed(norms)) if one > 0 and math.isfinite(one)]
    if len(logs) < 3:
        return None
    x, y = mean(one for one, _ in logs), mean(one for _, one in logs)
    return sum((a - x) * (b - y) for a, b in logs) / sum((a - x) ** 2 for a, _ in logs)


def recurrent(facts: Facts) -> Iterator[Finding]:
    """Gradient at the input of a recurrent layer, step by step; the forget gates of an LSTM."""
    for one in facts.probe.layers.values():
        if one.lags:
            ratios = [lags[0] / lags[-1] for lags in one.lags if len(lags) > 3 and lags[-1] > 0]
            if ratios and (ratio := median(ratios)) > facts.limits.lag_ratio:
                yield facts.found(
                    "exploding", "error", one.name, ratio, "lag_ratio", what="time", steps=len(one.lags[0])
                )
    for name, opening in facts.forget.items():
        if opening < facts.limits.forget:
            yield facts.found("recurrent", "warning", name, opening, "forget", what="forget")


def updates(facts: Facts) -> Iterator[Finding]:
    """Size of a step against the size of the weights: the largest that was seen, for a wild rate soon makes the weights wild too."""
    found = [(one.name, max(one.updates)) for one in facts.probe.layers.values() if one.updates]
    if not found:
        return
    middle = median(ratio for _, ratio in found)
    if middle > facts.limits.update_high:
        name, value = max(found, key=lambda one: one[1])
        yield facts.found("update-ratio", "error" if middle > 1 else "warning", name, value, "update_high", what="high", middle=middle)  # fmt: skip
    elif middle < facts.limits.update_low:
        name, value = min(found, key=lambda one: one[1])
        yield facts.found("update-ratio", "warning", name, value, "update_low", what="low", middle=middle)


def units(facts: Facts) -> Iterator[Finding]:
    """Layers whose outputs are the same for every sample, or whose units are copies of each other."""
    for name, module in facts.model.named_modules():
        weight = getattr(module, "weight", None)
        if is_weighted(module) and isinstance(weight, nn.Parameter) and weight.dim() >= 2:
            copies, count = _copies(module, weight)
            if copies > 0.5 * count:
                yield facts.found("constant-units", "warning", name, copies / count, "duplicates", what="copies", threshold=0.5, copies=copies, units=count)  # fmt: skip
    last = max((one.order for one in facts.probe.layers.values()), default=-1)
    for one in facts.probe.layers.values():
        ranks = [rank for rank in one.ranks if math.isfinite(rank)]
        if ranks and max(ranks) < facts.limits.rank and one.units > 1:
            # a last layer that starts at zero is a practice that works (Goyal et al. 2017, arXiv:1706.02677)
            severity: Severity = "note" if one.order == last and _gain(facts.model, one.name) == 0.0 else "warning"
            yield facts.found("constant-units", severity, one.name, max(ranks), "rank", units=one.units)


def _copies(module: nn.Module, weight: nn.Parameter) -> tuple[int, int]:
    """Units whose weights and bias are those of an earlier unit, and the number of units; rows of zeros, with which some start, are left out."""
    if isinstance(module, nn.modules.conv._ConvTransposeNd):  # (in, out, ...)
        weight = weight.transpose(0, 1)  # type: ignore[assignment]
    rows = weight.detach().flatten(1)
    bias = getattr(module, "bias", None)
    if isinstance(bias, nn.Parameter) and len(bias) == len(rows):
        rows = torch.cat([rows, bias.detach()[:, None]], 1)
    rows, count = rows[weight.detach().flatten(1).any(1)], len(rows)
    return (len(rows) - len(torch.unique(rows, dim=0)) if count >= 8 else 0), count


def plateau(facts: Facts) -> Iterator[Finding]:
    """A loss that stayed where it began, and which change would make the first steps as large as is usual."""
    past, limits = facts.past, facts.limits
    if past is None or not past.losses:
        return
    level = past.begins if facts.guess is None else facts.guess
    steps = past.flat(level, limits.plateau_width)
    if steps < limits.plateau_steps:
        return
    usual = limits.update_usual
    cures = {name: one for name, one in past.tries.items() if past.update is not None and 2 * past.update < one}
    enough = sorted(
        cures, key=lambda name: abs(math.log(max(cures[name], usual) / usual)) if cures[name] < usual else 0.0
    )
    slow = past.update is not None and past.update < usual
    what = "slow" if slow and enough else "steps" if slow else None
    yield facts.found(
        "plateau", "warning", "", float(steps), "plateau_steps", what=what, level=level, guessing=facts.guess is not None, update=past.update,
        usual=usual, signal=past.signal, cures={name: cures[name] for name in enough}, **past.inputs,
    )  # fmt: skip


def loss(facts: Facts) -> Iterator[Finding]:
    """The loss against guessing, and what can be learnt."""
    limits, finite = facts.limits, [one for one in facts.losses if math.isfinite(one)]
    if facts.guess and finite and mean(finite) > (most := limits.loss_factor * max(facts.guess, 0.5)):
        yield facts.found("loss-sanity", "warning", "", mean(finite), "loss_factor", threshold=most, what="start", guess=facts.guess)  # fmt: skip
    before, after = facts.one_batch or (math.inf, -math.inf)
    if facts.guess and before < 0.5 * facts.guess:
        after = -math.inf  # learnt already: what is left may be the floor of the loss
    if after > (most := limits.one_batch * before):
        yield facts.found("loss-sanity", "warning", "", after, "one_batch", threshold=most, what="batch", before=before)
    elif facts.held_out is not None:
        value, error, guess = facts.held_out
        severity: Severity = "warning" if facts.samples >= _ENOUGH else "note"
        if value > (most := guess - 2 * error):
            yield facts.found("loss-sanity", severity, "", value, "loss_factor", threshold=most, what="labels", guess=guess, error=error)  # fmt: skip


def attention(facts: Facts) -> Iterator[Finding]:
    """Heads that look everywhere alike, or at one key always."""
    for name, rows in facts.probe.heads.items():
        mass = facts.probe.padding.get(name, [])
        if mass and mean(mass) > facts.limits.padding:
            yield facts.found("attention", "warning", name, mean(mass), "padding", what="padding")
            continue
        heads = [mean(column) for column in zip(*rows, strict=True)]
        heads = [one for one in heads if math.isfinite(one)]
        if not heads:
            continue
        if min(heads) > facts.limits.uniform:
            yield facts.found("attention", "warning", name, mean(heads), "uniform", what="uniform", heads=len(heads))
        elif max(heads) < facts.limits.collapsed:
            yield facts.found(
                "attention", "warning", name, mean(heads), "collapsed", what="collapsed", heads=len(heads)
            )
