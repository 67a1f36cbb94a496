"""`with watch(model) as w:` around a training loop of one's own: what the network does while it learns."""

import math
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from .._language import say
from ..errors import UsageError
from ..records import Diagnosis
from ._facts import Facts
from ._limits import Thresholds
from ._probe import Probe
from ._streams import kept, thinned
from .diagnosing import record, size_of
from .past import Past

_SAMPLE = 4096  # weights of a layer that are followed
_RECENT = 8  # looks: units that have not worked in the last of them are dead, or in the second half of all looks where these are fewer
_EARLY = 500  # losses of the first steps that are never forgotten
_FIRST = 10  # steps whose updates are all measured: a wild rate may leave nothing to measure after them


class Watch:
    """Looks at every `every`-th training step; `diagnosis()` says at any time what it has found.

    The network computes what it would compute without it, bit for bit. `loss(value)` tells it the loss, where it is to judge that too.
    """

    def __init__(self, model: nn.Module, *, every: int = 20, limits: Thresholds | None = None):
        if not isinstance(model, nn.Module):
            raise UsageError(say(f"expected a network (nn.Module); got {type(model).__name__}", f"需要网络（nn.Module）；得到 {type(model).__name__}"))  # fmt: skip
        if hasattr(model, "_orig_mod"):
            raise UsageError(
                say(
                    "watch the network before it is compiled: watch(model._orig_mod), trained without torch.compile",
                    "请在编译之前观察网络：watch(model._orig_mod)，训练时不用 torch.compile",
                )
            )
        if every < 1:
            raise UsageError(say(f"every must be at least 1; got {every}", f"every 至少为 1；得到 {every}"))
        self.model, self.every = model, every
        self.facts = Facts(Probe(model, again=True), model, limits=limits or Thresholds())
        self._over = False
        self._step, self._before, self._looked = 0, dict[str, Tensor](), False
        self._noted: list[tuple[int, float]] = []  # steps and their losses
        self._handles: list[Any] = []

    def __enter__(self) -> "Watch":
        if self._over:
            raise UsageError(say("this watch is over: make a new one by actlab.watch(model)", "此次观察已结束：请用 actlab.watch(model) 新建"))  # fmt: skip
        self.facts.probe.attach()
        hook = self.model.register_forward_pre_hook(self._begin, prepend=True, with_kwargs=True)
        self._handles.append(hook)
        self.facts.probe.looking = False
        return self

    def __exit__(self, *_: object) -> None:
        self._compare()
        self._over = True
        self.facts.probe.close()
        for handle in self._handles:
            handle.remove()

    def loss(self, value: Any) -> None:
        """The loss of a step."""
        number = float(value.detach()) if torch.is_tensor(value) else float(value)
        kept(self.facts.losses, number)
        kept(self._noted, (self._step, number), _EARLY)

    def diagnosis(self) -> Diagnosis:
        """What was found so far."""
        self._compare()
        firsts = [one.updates[0] for one in self.facts.probe.layers.values() if one.updates]
        if self._noted:
            steps, losses = zip(*self._noted, strict=True)
            self.facts.past = Past(steps, losses, median(firsts) if firsts else None)
        probe = self.facts.probe
        if not probe.passes and self._over:
            probe.unseen[say("the network itself: its forward was never called with gradients", "网络本身：从未在有梯度时调用 forward")] = None  # fmt: skip
        recent = min(_RECENT, probe.passes // 2)
        for site in probe.sites.values():
            site.since = max(1, probe.passes - recent + 1) if recent > 1 else 1
        return record(self.facts, self.model)

    def _begin(self, _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Before every forward pass."""
        if not torch.is_grad_enabled():
            self.facts.probe.looking = False
            return
        self._compare()
        looking = self._step % self.every == 0
        self.facts.probe.looking = looking
        if looking:
            self.facts.samples += size_of(given[0] if given else named)
        if (looking or self._step < _FIRST) and not self._before:
            self._before = {name: thinned(weight, _SAMPLE).clone() for name, weight in self._weights().items()}
        self._step += 1

    def _weights(self) -> dict[str, Tensor]:
        found = {}
        for name, one in self.model.named_modules():
            weight = getattr(one, "weight", None)
            weight = getattr(one, "weight_hh_l0", getattr(one, "in_proj_weight", weight))
            if isinstance(weight, nn.Parameter) and weight.dim() >= 2 and weight.requires_grad:
                found[name] = weight
        return found

    def _compare(self) -> None:
        """How far the weights have moved since the step that was looked at."""
        if not self._before:
            return
        before, moved = self._before, False
        for name, weight in self._weights().items():
            stream = self.facts.probe.layers.get(name)
            if stream is not None and name in before:
                size = float(before[name].float().norm())
                change = float((thinned(weight, _SAMPLE) - before[name]).float().norm())
                moved |= change != 0
                if size > 0 and 0 < change < math.inf:
                    kept(stream.updates, change / size, _FIRST)
                    self.facts.stepped = True
        if moved:  # else gradients are being accumulated: the step is still to come
            self._before = {}


def watch(model: nn.Module, *, every: int = 20, limits: Thresholds | None = None) -> Watch:
    """Watch a network in a training loop: `with watch(model) as w: ...; print(w.diagnosis())`.

    `every=1` looks at each step. Memory: for each activation 20 kB and 4 bytes for each unit, for each layer 50 kB, for the losses 100 kB,
    however long it trains.
    """
    return Watch(model, every=every, limits=limits)
