"""Which finding explains which: causes first, their effects as notes."""

from collections.abc import Callable, Iterator

from ..records import Finding
from . import _rules
from ._facts import Facts

RULES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _rules.not_finite, _rules.wrong_mode, _rules.updates, _rules.signal, _rules.dead_unit, _rules.saturated, _rules.recurrent, _rules.gradients, _rules.attention, _rules.units, _rules.loss, _rules.plateau,
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
    "copies": ("dead-unit", "signal-at-init", "saturated", "exploding", "vanishing", "constant-units", "loss-sanity", "attention"),
}  # fmt: skip
_FIRST = ("update-ratio", "not-finite", "wrong-mode", "copies", "dead-unit", "through time", "saturated", "signal-at-init", "exploding", "vanishing", "recurrent", "attention", "constant-units", "loss-sanity", "plateau")  # fmt: skip


def _kind(finding: Finding) -> str:
    """Its rule, or what of its rule comes earlier: copies of units, gradients that grow through time (those that grow with depth come after the size of the signal)."""
    what = finding.details.get("what")
    return "through time" if what == "time" else "copies" if what == "copies" else finding.rule


def _brings(cause: Finding, effect: Finding) -> bool:
    """Whether one finding explains the other; everything explains a loss that does not move."""
    return effect.rule in _CAUSES.get(_kind(cause), _CAUSES.get(cause.rule, ())) or (
        effect.rule == "plateau" != cause.rule
    )


def judge(facts: Facts) -> tuple[Finding, ...]:
    """All findings, causes first; what another one explains is a note that names it."""
    found = [finding for rule in RULES for finding in rule(facts)]
    found.sort(key=lambda one: _FIRST.index(_kind(one)))
    judged: list[Finding] = []
    for finding in found:
        cause = next((one for one in judged if not one.explained_by and one.severity != "note" and _brings(one, finding)), None)  # fmt: skip
        if cause is not None:
            finding = finding.model_copy(update={"severity": "note", "explained_by": cause.rule})
        judged.append(finding)
    return tuple(judged)
