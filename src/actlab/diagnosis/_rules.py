"""The rules: each is one small function from what was collected to findings."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import mean, median, stdev

from torch import nn

from ..records import Finding, Severity
from ._probe import Probe

_ENOUGH = 384  # examples below which learning nothing that holds for others says little


@dataclass(frozen=True)
class Thresholds:
    """Where a rule speaks; each can be set. `SOURCES` says where they come from."""

    dead_share: float = 0.3  # of the units of a layer
    flat_share: float = 0.5  # of the inputs of an activation
    gradient_ratio: float = 1e-4  # first layer over last, or the reverse
    signal_step: float = 30.0  # from one layer to the next, either way
    signal_total: float = 1e3  # over all layers, either way
    update_low: float = 1e-5
    update_high: float = 0.2
    loss_factor: float = 2.0  # of guessing
    one_batch: float = 0.7  # of the loss on it before it is learnt by heart
    uniform: float = 0.999  # entropy over its largest
    collapsed: float = 0.1
    weight_gain: float = 0.2
    rank: float = 0.5
    lag_ratio: float = 1e4
    forget: float = 0.05


SOURCES = {
    "dead_share": "measured: healthy ReLU networks have fewer than 15 % after a full pass",
    "flat_share": "Glorot & Bengio 2010, AISTATS: half of the inputs on the flat part",
    "gradient_ratio": "Glorot & Bengio 2010, AISTATS; the measured healthy networks stay within a factor of 1000",
    "signal_step": "He et al. 2015, arXiv:1502.01852: a matched start keeps the size from layer to layer",
    "signal_total": "He et al. 2015, arXiv:1502.01852: a matched start keeps the size from layer to layer",
    "update_low": "Karpathy 2015, CS231n: about 1e-3; a hundredth of it",
    "update_high": "Karpathy 2015, CS231n: about 1e-3; two hundred times as much",
    "one_batch": "sixty steps of Adam at the better of two rates",
    "loss_factor": "a network that knows nothing has a loss of log(classes)",
    "weight_gain": "He et al. 2015, arXiv:1502.01852: 1.4 for ReLU, 1 for linear layers, 0.58 as torch starts them",
    "uniform": "entropy of the weights over log(keys): 1 is no choice at all",
    "collapsed": "entropy of the weights over log(keys): 0 is one key for every query",
    "rank": "Roy & Vetterli 2007, EUSIPCO: effective rank; below 1 all samples look alike",
    "lag_ratio": "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063",
    "forget": "Gers, Schmidhuber & Cummins 2000, Neural Computation 12(10)",
    "mode": "as found",
}


@dataclass
class Facts:
    """All that rules read."""

    probe: Probe
    model: nn.Module
    samples: int = 0
    losses: list[float] = field(default_factory=list)
    guess: float | None = None  # loss of a classifier that knows only how frequent the classes are
    unused: list[str] = field(default_factory=list)  # parameters without a gradient after a backward pass
    stepped: bool = False  # an optimizer has stepped while the network was watched
    one_batch: tuple[float, float] | None = None  # loss of one batch before and after trying to learn it by heart
    held_out: tuple[float, float, float] | None = (
        None  # loss on batches not learnt from, its error, and that of guessing
    )
    forget: dict[str, float] = field(default_factory=dict)  # mean opening of the forget gates of an LSTM
    limits: Thresholds = field(default_factory=Thresholds)

    def found(
        self,
        rule: str,
        severity: Severity,
        layer: str,
        value: float,
        limit: str,
        *,
        threshold: float | None = None,
        **details: object,
    ) -> Finding:
        """A finding against one of the limits, or against what follows from it, in the unit of the value."""
        threshold = getattr(self.limits, limit, 0.0) if threshold is None else threshold
        return Finding(
            rule=rule, severity=severity, layer=layer, value=value, threshold=threshold, source=SOURCES[limit],
            samples=self.samples, details=details,
        )  # fmt: skip


def not_finite(facts: Facts) -> Iterator[Finding]:
    """The first module whose output is not finite though its inputs are."""
    for name, parameter in facts.model.named_parameters():
        if not bool(parameter.detach().isfinite().all()):
            yield facts.found(
                "not-finite", "error", name.rpartition(".")[0], math.nan, "mode", what="weight", name=name
            )
            return
    probe = facts.probe
    if probe.first_bad is not None:
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
    if sum(frozen.values()) < sum(one.numel() for one in model.parameters()):
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
        severity: Severity = "note" if share < facts.limits.dead_share else "error" if share > 0.8 else "warning"
        found = facts.found("dead-unit", severity, site.name, share, "dead_share", dead=site.dead, units=site.units, activation=site.activation)  # fmt: skip
        yield found.model_copy(update={"severity": "note", "explained_by": "dead-unit"}) if above else found
        above = above or (site.name if share > 0.8 else "")


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
    sizes = [(one.name.split(":")[0], one.rms) for one in every if one.rms > 0 and math.isfinite(one.rms)]
    gains = [(one.name, gain) for one in layers if (gain := _gain(facts.model, one.name)) is not None]
    steps = [(b, math.log(y / x)) for (a, x), (b, y) in itertools.pairwise(sizes) if a != b]
    if not steps:
        return
    total = sum(step for _, step in steps)
    name, largest = max(steps, key=lambda one: abs(one[1]))
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
    """Layers whose outputs are the same for every sample."""
    for one in facts.probe.layers.values():
        ranks = [rank for rank in one.ranks if math.isfinite(rank)]
        if ranks and max(ranks) < facts.limits.rank and one.units > 1:
            yield facts.found("constant-units", "warning", one.name, max(ranks), "rank", units=one.units)


def loss(facts: Facts) -> Iterator[Finding]:
    """The loss against guessing, and what can be learnt."""
    limits, finite = facts.limits, [one for one in facts.losses if math.isfinite(one)]
    if facts.guess and finite and mean(finite) > (most := limits.loss_factor * max(facts.guess, 0.5)):
        yield facts.found("loss-sanity", "warning", "", mean(finite), "loss_factor", threshold=most, what="start", guess=facts.guess)  # fmt: skip
    before, after = facts.one_batch or (math.inf, -math.inf)
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


RULES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    not_finite, wrong_mode, updates, signal, dead_unit, saturated, recurrent, gradients, attention, units, loss,
)  # fmt: skip

# What a rule's finding brings about in others, which are then only notes.
_CAUSES: dict[str, tuple[str, ...]] = {
    "not-finite": ("wrong-mode", "update-ratio", "signal-at-init", "dead-unit", "saturated", "recurrent", "exploding", "vanishing", "attention", "constant-units", "loss-sanity"),
    "wrong-mode": ("update-ratio", "loss-sanity"),
    "update-ratio": ("not-finite", "signal-at-init", "dead-unit", "saturated", "exploding", "vanishing", "attention", "constant-units", "loss-sanity"),
    "dead-unit": ("signal-at-init", "vanishing", "constant-units", "loss-sanity", "attention", "saturated", "wrong-mode"),
    "exploding": ("signal-at-init", "saturated", "loss-sanity", "constant-units"),
    "signal-at-init": ("exploding", "vanishing", "constant-units", "loss-sanity", "attention"),
    "saturated": ("signal-at-init", "vanishing", "constant-units", "loss-sanity", "attention"),
    "vanishing": ("constant-units", "loss-sanity", "attention"),
    "attention": ("constant-units", "loss-sanity"),
    "constant-units": ("loss-sanity", "attention"),
    "recurrent": ("loss-sanity", "vanishing"),
}  # fmt: skip
_FIRST = ("update-ratio", "not-finite", "wrong-mode", "dead-unit", "recurrent-exploding", "saturated", "signal-at-init", "exploding", "vanishing", "recurrent", "attention", "constant-units", "loss-sanity")  # fmt: skip


def judge(facts: Facts) -> tuple[Finding, ...]:
    """All findings, causes first; what another one explains is a note that names it."""
    found = [finding for rule in RULES for finding in rule(facts)]
    # Gradients that grow through time come before the size of the signal, gradients that grow with depth after it.
    found.sort(key=lambda one: _FIRST.index("recurrent-exploding" if one.details.get("what") == "time" else one.rule))
    judged: list[Finding] = []
    for finding in found:
        cause = next((one for one in judged if not one.explained_by and one.severity != "note" and finding.rule in _CAUSES.get(one.rule, ())), None)  # fmt: skip
        if cause is not None:
            finding = finding.model_copy(update={"severity": "note", "explained_by": cause.rule})
        judged.append(finding)
    return tuple(judged)
