"""Looking into any network while it runs: hooks on its modules and on the functions it calls. Nothing it computes is changed."""

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .._exchanging import known_as
from ..layers import Attention
from . import _attention
from ._functions import (
    ACTIVATIONS,
    ATTENTION,
    NORMS,
    RANDOM,
    WEIGHTED,
    curve,
    is_weighted,
    normalises,
    slope,
    unit_axis,
)
from ._streams import LayerStream, SiteStream, kept

_MOST = 400  # sites, and layers, that are followed; a network that calls one cell for every step has no end of them


class Probe:
    """Attached to a network, it fills streams while `looking`; `close` takes every hook away.

    `first_bad` names the first call whose output is not finite though its inputs are, forward; `bad_gradient` the layer with weights at whose
    output the gradient is not finite first; `bad_input` the first pass whose inputs are not. What fails to look goes to `unseen`: nothing is
    ever raised into the pass.
    """

    def __init__(self, model: nn.Module, *, again: bool = False):
        self.model, self.again = model, again
        self.looking = True
        self.by_lag = False  # make inputs of recurrent layers ask for gradients; only on a copy of the user's network
        self.sites: dict[str, SiteStream] = {}
        self.layers: dict[str, LayerStream] = {}
        self.heads: dict[str, list[list[float]]] = {}
        # share of the weights that lies on padding, for queries that are none
        self.padding: dict[str, list[float]] = {}
        self.unseen: dict[str, None] = {}
        self.first_bad: tuple[str, int] | None = None
        self.bad_gradient: str | None = None
        self.bad_input: int | None = None
        self.passes = 0
        self._ran: tuple[str, str] = ("", "")  # name and kind of the layer with weights that ran last in this pass
        self._normed = False  # whether a normalisation has run since
        self._stack: list[str] = []
        self._inside = 0  # depth within an activation or an attention module, whose own calls are not looked at
        self._calls: Counter[str] = Counter()
        self._pads: list[Tensor] = []  # of a pass: where the tokens that were embedded are padding
        self._pending: list[bool] = []  # whether a module that runs is one whose own calls are not looked at
        self._mode = _Functions(self)
        self._open = False
        self._names = {module: name for name, module in model.named_modules()}
        self._handles: list[Any] = []
        if not again:
            self.attach()

    def attach(self) -> None:
        """Put the hooks on."""
        for module, name in self._names.items():
            try:
                self._handles.append(module.register_forward_pre_hook(self._enter, with_kwargs=True))
                self._handles.append(module.register_forward_hook(self._leave, with_kwargs=True, always_call=True))
            except RuntimeError:  # a ScriptModule
                self.unseen[name] = None

    def close(self) -> None:
        """Take all hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._stop()

    # what the hooks do

    def _enter(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if module is self.model:
            self._stop()
            self._stack, self._pending, self._pads, self._inside = [], [], [], 0
            self._ran, self._normed = ("", ""), False
            self._calls.clear()
            if self.looking:
                self.passes += 1
                if self.bad_input is None and not _finite((given, named)):
                    self.bad_input = self.passes
                self._mode.__enter__()
                self._open = True
        if not self._open:
            return None
        self._stack.append(self._names[module])
        x = given[0] if given else named.get("input")
        found = known_as(module) if torch.is_tensor(x) else None
        whole = found is not None or isinstance(module, nn.MultiheadAttention | Attention | nn.RNNBase)
        if (
            found is not None and torch.is_tensor(x) and not self._inside
        ):  # before it runs, for it may write into its input
            pointwise = all(one.numel() == 1 for one in module.parameters())
            with torch._C.DisableTorchFunction():
                self._site(self._call(self._names[module]), found[0], partial(type(module).forward, module), x, pointwise)  # fmt: skip
        self._pending.append(whole)
        self._inside += whole
        if self.by_lag and isinstance(module, nn.RNNBase) and torch.is_tensor(x) and x.is_floating_point():
            free = x if x.requires_grad else x.detach().requires_grad_()
            self._by_lag(module, free)
            return ((free, *given[1:]), named) if given else (given, {**named, "input": free})
        return None

    def _leave(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], out: Any) -> None:
        if not self._open:
            return
        if module is self.model:
            self._stop()
            self._look_for_bad(module, (given, named), out)
            return
        if not self._pending:  # a pass within a pass, as checkpointing makes them
            return
        name = self._stack.pop()
        self._inside -= self._pending.pop()
        with torch._C.DisableTorchFunction():
            try:
                self._look(name, module, given, named, out)
            except (RuntimeError, ValueError, IndexError, TypeError, AttributeError):
                self.unseen[name] = None

    def _look(self, name: str, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], out: Any) -> None:
        """At a module that has run."""
        self._normed |= normalises(module)
        if not self._inside and is_weighted(module):
            self._layer(self._call(name), type(module).__name__, out)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None and given and given[0].dim() == 2:
            self._pads.append(given[0] == module.padding_idx)
        if isinstance(module, nn.MultiheadAttention | Attention):
            self._attend(name, lambda: _attention.of_module(module, given, named))
        self._look_for_bad(module, (given, named), out)

    def function(self, kind: str, function: Any, given: tuple[Any, ...], named: dict[str, Any], run: Any) -> Any:
        """A call of an activation, a layer or attention that is no module; `run` does it."""
        where = self._stack[-1] if self._stack else ""
        name = f"{where}.{kind}" if where else kind
        if kind == "norm":
            self._normed = True
            return run()
        if kind == "attention":
            self._attend(name, lambda: _attention.of_call(*given, **named))
            return run()
        if function in WEIGHTED:
            out = run()
            if not self._within_layer():
                try:
                    self._layer(self._call(name), kind, out)
                except (RuntimeError, ValueError, IndexError, TypeError):
                    self.unseen[name] = None
            return out
        rest, others = given[1:], {**named, **({"inplace": False} if "inplace" in named else {})}
        pointwise = all(one.numel() == 1 for one in (*rest, *named.values()) if torch.is_tensor(one))
        self._site(self._call(name), kind, lambda one: function(one, *rest, **others), given[0], pointwise)
        return run()

    # what is kept

    def _site(self, name: str, activation: str, function: Any, z: Tensor, pointwise: bool) -> None:
        z = z.detach()
        if z.numel() == 0 or not z.is_floating_point() or (name not in self.sites and len(self.sites) >= _MOST):
            return
        state = torch.get_rng_state() if activation in RANDOM else None
        try:
            if name not in self.sites:
                shown, largest = curve(_not_in_place(function), z)
                one_sided = bool(len(shown)) and float(shown[-1, 1]) > 3 and abs(float(shown[0, 1])) < 0.5
                self.sites[name] = SiteStream(name, activation, self._turn(), largest, shown, self._ran[0], self.again, one_sided)  # fmt: skip
            axis = unit_axis(z, self._ran[1] if z.dim() != 2 else "")
            slopes = partial(slope, _not_in_place(function))
            self.sites[name].take(z, slopes, axis, pointwise=pointwise, turn=self.passes)
        except (RuntimeError, ValueError, IndexError, TypeError):
            self.unseen[name] = None
        finally:
            if state is not None:
                torch.set_rng_state(state)

    def _layer(self, name: str, kind: str, out: Any) -> None:
        while isinstance(out, tuple) and out:  # a state beside it; the data of a packed sequence
            out = out[0]
        self._ran, normed, self._normed = (name, kind), self._normed, False
        if not torch.is_tensor(out) or not out.is_floating_point() or out.numel() == 0:
            return
        if name not in self.layers and len(self.layers) >= _MOST:
            return
        stream = self.layers.setdefault(name, LayerStream(name, kind, self._turn(), normed=normed))
        stream.take(out, unit_axis(out, kind))
        if out.requires_grad:
            passes = self.passes

            def arrived(gradient: Tensor) -> None:
                norm = float(gradient.detach().float().norm())
                if not math.isfinite(norm) and self.bad_gradient is None:
                    self.bad_gradient = name
                if stream.passes < passes:
                    stream.passes = passes
                    kept(stream.gradients, norm)

            out.register_hook(arrived)

    def _by_lag(self, module: nn.RNNBase, free: Tensor) -> None:
        name = self._names[module]
        axis = 1 if module.batch_first and free.dim() == 3 else 0

        def arrived(gradient: Tensor) -> None:
            if name in self.layers:
                others = [one for one in range(gradient.dim()) if one != axis]
                kept(self.layers[name].lags, gradient.detach().float().pow(2).sum(others).sqrt().tolist())

        free.register_hook(arrived)

    def _attend(self, name: str, find: Callable[[], Tensor | None]) -> None:
        if len(self.heads.get(name, ())) >= 8 and self.passes % 8:
            return
        try:
            weights = find()
        except (RuntimeError, TypeError, ValueError, IndexError, ZeroDivisionError):
            weights = None
        if weights is None:
            self.unseen[name] = None
        else:
            mass = [one for pads in self._pads if (one := _attention.on_padding(weights, pads)) is not None]
            for kept_of, new in ((self.heads, [_attention.entropies(weights)]), (self.padding, mass[:1])):
                kept_of[name] = [*kept_of.get(name, []), *new][-8:]  # type: ignore[assignment]

    def _look_for_bad(self, module: nn.Module, given: Any, out: Any) -> None:
        if self.first_bad is None and not _finite(out) and _finite(given):
            self.first_bad = (self._names[module], self.passes)

    def _call(self, name: str) -> str:
        self._calls[name] += 1
        return name if self._calls[name] == 1 else f"{name}:{self._calls[name]}"

    def _turn(self) -> int:
        """The place of a new site or layer among all of them."""
        return len(self.sites) + len(self.layers)

    def _within_layer(self) -> bool:
        """Whether the call is that of a module with weights, which is looked at as a module."""
        return bool(self._stack) and is_weighted(self.model.get_submodule(self._stack[-1]))

    def _stop(self) -> None:
        if self._open:
            self._open = False
            self._mode.__exit__(None, None, None)


class _Functions(TorchFunctionMode):
    """Shows the probe every call of an activation, a layer or attention."""

    def __init__(self, probe: Probe):
        super().__init__()
        self.probe = probe

    def __torch_function__(self, function: Any, types: Any, given: tuple[Any, ...] = (), named: Any = None) -> Any:
        named = named or {}
        kind = ACTIVATIONS.get(function) or WEIGHTED.get(function) or ("attention" if function is ATTENTION else "norm" if function in NORMS else None)  # fmt: skip
        if kind is None or self.probe._inside:
            return function(*given, **named)
        if not given and "input" in named:
            given, named = (named["input"],), {key: value for key, value in named.items() if key != "input"}
        if not given or not torch.is_tensor(given[0]):
            return function(*given, **named)
        return self.probe.function(kind, function, given, named, lambda: function(*given, **named))


def _not_in_place(function: Any) -> Any:
    """The function on a copy, for one that writes into its input."""

    def run(z: Tensor) -> Tensor:
        return function(z.clone())

    return run


def _finite(values: Any) -> bool:
    if torch.is_tensor(values):
        try:
            if not values.is_floating_point() or bool(values.detach().sum(dtype=torch.float32).isfinite()):
                return True  # one pass; a sum that is not finite may still be one of large numbers
            return bool(values.detach().isfinite().all())
        except RuntimeError:  # inside vmap numbers cannot be read
            return True
    if isinstance(values, dict):
        return all(map(_finite, values.values()))
    if isinstance(values, tuple | list):
        return all(map(_finite, values))
    return True
