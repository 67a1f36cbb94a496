"""What an activation is: one entry of the catalogue, from which everything else follows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from inspect import getdoc, signature
from itertools import pairwise
from numbers import Real as Real_
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_type_hints

import torch
from torch import Tensor

from .._language import say
from ..errors import UsageError
from ._calculus import Body, Widen, slope_of, tied, wide, widest
from ._drawing import Apply, drawing, seed
from ._fusing import Fixed, Values, engine, fused, run, run_drawn, shortcut
from ._refusals import floating, known
from ._teaching import Teaching

if TYPE_CHECKING:
    from ..formula import Formula
    from ..properties import Properties
    from ._layer import Pointwise


class Domain(NamedTuple):
    """Open interval a parameter must lie in; `learnable` makes a module hold it as nn.Parameter."""

    low: float = -math.inf
    high: float = math.inf
    learnable: bool = False


Real = Annotated[float, Domain()]
Positive = Annotated[float, Domain(low=0.0)]
Learnable = Annotated[float, Domain(learnable=True)]
LearnablePositive = Annotated[float, Domain(low=0.0, learnable=True)]


class Parameter(NamedTuple):
    """A parameter of an activation, read from the signature of its body."""

    name: str
    default: float
    domain: Domain

    def check(self, owner: str, value: Any) -> None:
        """Raises UsageError naming function, parameter, domain and value, unless `value` lies in the domain.

        Tensors are let through unread where they may learn: reading one would wait for the device.
        """
        if torch.is_tensor(value):
            if not self.domain.learnable:
                raise UsageError(
                    say(
                        f"{owner}: {self.name} does not learn; expected a number, got a tensor of shape {tuple(value.shape)}",
                        f"{owner}：{self.name} 不可学习；应为一个数，得到形状为 {tuple(value.shape)} 的张量",
                    )
                )
            return
        low, high, _ = self.domain
        if isinstance(value, bool) or not isinstance(value, Real_) or not low < float(value) < high:
            raise UsageError(
                say(
                    f"{owner}: {self.name} must lie in ({low:g}, {high:g}); got {value!r}",
                    f"{owner}：{self.name} 应在 ({low:g}, {high:g}) 内；得到 {value!r}",
                )
            )


class Bound(NamedTuple):
    """A stated error: so many ulp of the larger of the exact result and `floor`, an expression in x; and why no less."""

    ulp: float
    floor: str
    why: str


@dataclass(eq=False)
class Activation:
    """A pointwise function R -> R with definition, derivatives, origin and parameters.

    Call it as `f(x, **parameters)`. `kinks` and `jumps` are where a derivative or the value is discontinuous, as numbers or as
    expressions in the parameters.
    """

    body: Body
    name: str
    formula: str
    source: str
    kinks: tuple[float | str, ...] = ()
    jumps: tuple[float | str, ...] = ()
    also: tuple[str, ...] = ()
    presets: dict[str, dict[str, float]] = field(default_factory=dict)
    variants: dict[str, dict[str, str]] = field(default_factory=dict)
    ordered: tuple[str, ...] = ()  # parameters that must increase in this order
    double: bool = False  # compute in float64, for terms that cancel
    # but kernels may compute float32 in itself, by the arithmetic of `_float32`: all of it, or the "value" alone
    single: bool | str = False
    # or its "value" or "slope" up to some |x|, a formula in the parameters
    single_up_to: dict[str, str] = field(default_factory=dict)
    # what kernels take by pieces of polynomials not far from 0, being smooth but for 0: "value", "slope", "half value" (of half types alone)
    pieces: tuple[str, ...] = ()
    pieces_of: str = ""  # or takes from another entry, which it is up to its kink
    along: str = ""  # or along bx with this parameter b that learns: it is x q(bx) with q(-t) = 1 - q(t)
    surrogate: bool = False  # the slope is not the derivative, but one to train with
    hands_on: bool = False  # the slope is 1 everywhere: kernels keep nothing and hand the gradient on
    # of "value", "slope" or "curve", where the usual ones cannot hold
    bounds: dict[str, "Bound"] = field(default_factory=dict)
    zh: str = field(default="", repr=False)
    teaching: Teaching | None = field(default=None, repr=False)
    # the call in "torch", "keras", "jax", "huggingface", "timm"; and the same for names with other parameters
    elsewhere: dict[str, str] = field(default_factory=dict, repr=False)
    elsewhere_as: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    preset: dict[str, float] = field(default_factory=dict)
    # by `define`, of what
    made: tuple[str, str, tuple[tuple[str, float], ...]] | None = field(default=None, repr=False)
    # "slope", "curve", and one for each parameter that learns
    bodies: dict[str, Body] = field(default_factory=dict, repr=False)
    output_needs: tuple[str, ...] = field(default=(), repr=False)

    def slope(self, body: Body) -> Body:
        """Decorator: the first derivative of this entry."""
        return self.bodies.setdefault("slope", body)

    def curve(self, body: Body) -> Body:
        """Decorator: the second derivative; without it torch differentiates the slope's body."""
        return self.bodies.setdefault("curve", body)

    def training(self, body: Body) -> Body:
        """Decorator: what x is multiplied by in training, where that is random, from the sign of x and uniform noise in (0, 1).

        For entries without parameters that learn. One with `from_output` has the sign of x in its output.
        """
        return self.bodies.setdefault("training", body)

    def partial(self, parameter: str) -> Callable[[Body], Body]:
        """Decorator: the derivative by a parameter that learns."""
        return lambda body: self.bodies.setdefault(parameter, body)

    def from_output(self, *positive: str) -> Callable[[Body], Body]:
        """Decorator: the first derivative from the output, if the parameters named are positive."""
        self.output_needs = positive
        return lambda body: self.bodies.setdefault("from_output", body)

    def from_output_and_side(self, body: Body) -> Body:
        """Decorator: the first derivative from the output and from `side`, of two to which one output can belong."""
        return self.bodies.setdefault("from_output_and_side", body)

    def side(self, body: Body) -> Body:
        """Decorator: where the input lies on the side of rising outputs."""
        return self.bodies.setdefault("side", body)

    @property
    def summary(self) -> str:
        """One sentence, in the language in force."""
        return say((getdoc(self.body) or "").splitlines()[0], self.zh)

    def __post_init__(self) -> None:
        hints = get_type_hints(self.body, include_extras=True)
        found = list(signature(self.body).parameters.values())[1:]
        self._all = tuple(Parameter(one.name, one.default, hints[one.name].__metadata__[0]) for one in found)
        # those that may still be chosen
        self.parameters = tuple(one for one in self._all if one.name not in self.preset)
        self.learnt = tuple(one.name for one in self.parameters if one.domain.learnable)  # by a module
        self._node: Body | None = None
        self._slope: Body | None = None
        self._drawn: Apply | None = None
        self.usual = Fixed.of(tuple(self.values().values()))
        self._shortcut: Any = (
            None  # of the last call without parameters: `fused.state` then, a function, its arguments after x
        )

    def tie(self) -> "Activation":
        """Join the bodies to what a call uses. Happens by itself at the first call, but not under torch.compile."""
        partials = tuple(self.bodies.get(one.name) for one in self._all)
        self._slope = slope_of(self.bodies["slope"], self.bodies.get("curve"), self._widen, len(self._all))
        self._node = tied(self.body, self._slope, partials, self._widen, rounds=True)
        self._drawn = drawing(self.bodies["training"]) if self.random else None
        return self

    @property
    def random(self) -> bool:
        """Whether it draws in training."""
        return "training" in self.bodies

    @property
    def _widen(self) -> Widen:
        return widest if self.double else wide

    def __call__(self, x: Tensor, *, training: bool = False, **parameters: Any) -> Tensor:
        """f(x), of the shape and type of x, differentiable. With `training`, an entry that is random in training draws.

        Raises TypeError for anything but a floating-point tensor and for an unknown parameter, UsageError for a value outside its domain.
        """
        usual = not parameters and not training and not torch.compiler.is_compiling()
        if usual and (short := self._shortcut) is not None and short[0] == fused.state:
            result = short[1](x, (), *short[2])
            if result is not None:
                return result
        entry, values = self._resolved(x, parameters)
        result = entry.apply(x, values, training=training, fixed=None if parameters else self.usual)
        if usual and fused.on:
            found = shortcut(self, self.usual, None, x.dtype)
            self._shortcut = found and (fused.state, *found)
        return result

    def apply(self, x: Tensor, values: Sequence[Any], *, training: bool = False, fixed: Fixed | None = None) -> Tensor:
        """As a call, with all parameters in order and none of them checked; `fixed` are the same, if they are known to be numbers."""
        if training and self.random:
            return self.draw(x, tuple(values), by_kernel=fused.on, fixed=fixed)
        if fused.on:
            numbers = fixed or tuple(None if torch.is_tensor(value) else value for value in values)
            learnt = [value for value in values if torch.is_tensor(value)]
            result = run(self, x, numbers, learnt, axis=-1)  # as broadcasting places them
            if result is not None:
                return result
        return self.plain(x, values)

    def draw(
        self,
        x: Tensor,
        values: tuple[Any, ...],
        *,
        by_kernel: bool,
        save: str | None = None,
        fixed: Values | None = None,
    ) -> Tensor:
        """f(x) of one that is random, as in training: the same with and without a kernel, of the same state of torch's generator."""
        drawn = seed(x.device)
        result = run_drawn(self, x, drawn, fixed or values, save) if by_kernel else None
        if result is not None:
            return result
        apply = self._drawn or self.tie()._drawn
        assert apply is not None
        return apply(x, drawn, values)

    def plain(self, x: Tensor, values: Sequence[Any]) -> Tensor:
        """f(x) by torch's own operations, whatever `actlab.fused` says."""
        if self._node is None:
            self.tie()
        assert self._node is not None
        return self._node(x, *values)

    def evaluate(self, x: Tensor, order: int = 0, **parameters: float) -> Tensor:
        """The function or a derivative on float64, without autograd and unchecked: for measuring and drawing."""
        values = {**self.values(), **parameters}
        if order == 2 and "curve" not in self.bodies:
            return self._second(x, tuple(values.values()))
        body = (self.body, self.bodies["slope"], self.bodies.get("curve", self.body))[order]
        return body(x, *values.values())

    def derivative(self, x: Tensor, order: int = 1, **parameters: Any) -> Tensor:
        """The first or second derivative at x, of the shape and type of x."""
        entry, values = self._resolved(x, parameters)
        if fused.on and order in (1, 2) and (found := engine().derivative(entry, x, values, order)) is not None:
            return found
        if order == 1:
            slope = entry._slope or entry.tie()._slope
            assert slope is not None
            return slope(x, *values).expand(x.shape).to(x.dtype)
        if order == 2:
            return entry._second(x, values)
        raise UsageError(
            say(f"{self.name}: order must be 1 or 2; got {order!r}", f"{self.name}：order 应为 1 或 2；得到 {order!r}")
        )

    def _second(self, x: Tensor, values: tuple[Any, ...]) -> Tensor:
        if curve := self.bodies.get("curve"):
            return curve(*map(self._widen, (x, *values))).expand(x.shape).to(x.dtype)
        with torch.enable_grad():
            inner = self._widen(x.detach()).clone().requires_grad_()
            slope = self.bodies["slope"](inner, *values)
            if not slope.requires_grad:
                return torch.zeros_like(x)
            (found,) = torch.autograd.grad(slope.sum(), inner, materialize_grads=True)
        return found.to(x.dtype)

    def module(self, **options: Any) -> "Pointwise":
        """The activation as a layer; `options` are parameters, and those of `Pointwise`."""
        from ._layer import Pointwise

        return Pointwise(self, **options)

    def named(self, name: str) -> "Activation":
        """This entry under another of its names, with the parameters that the name stands for."""
        preset = self.presets.get(name, {})
        usual = all(one.default == preset.get(one.name, one.default) for one in self._all)
        elsewhere = self.elsewhere_as.get(name, self.elsewhere if usual else {})
        return replace(self, name=name, preset={**self.preset, **preset}, elsewhere=elsewhere) if preset else self

    def _resolved(self, x: Any, given: dict[str, Any]) -> tuple["Activation", tuple[Any, ...]]:
        """The entry meant, and values for all its parameters in order."""
        floating(self.name, x)
        if self.variants:
            entry, rest = self.variant(given)
            return entry, entry._in_order(rest)
        return self, self._in_order(given)

    def _in_order(self, given: dict[str, Any]) -> tuple[Any, ...]:
        """Values for all parameters, checked where they are given."""
        if given:
            self.check(given)
        return tuple({**self.values(), **given}.values())

    def check(self, given: dict[str, Any]) -> None:
        """Raises TypeError for an unknown parameter and UsageError for a value outside its domain."""
        parameters = {one.name: one for one in self.parameters}
        known(self.name, given, list(parameters))
        for name, value in given.items():
            parameters[name].check(self.name, value)
        values = self.values(given)
        for low, high in pairwise(self.ordered):
            if not values[low] < values[high]:
                raise UsageError(
                    say(
                        f"{self.name}: {low} must be less than {high}; got {values[low]!r} and {values[high]!r}",
                        f"{self.name}：{low} 必须小于 {high}；得到 {values[low]!r} 与 {values[high]!r}",
                    )
                )

    def variant(self, given: dict[str, Any]) -> tuple["Activation", dict[str, Any]]:
        """The entry that a word such as approximate="tanh" stands for, and the parameters left."""
        from ._catalogue import get

        entry, rest = self, dict(given)
        for option, choices in self.variants.items():
            if option in rest:
                value = rest.pop(option)
                chosen = choices.get(str(value).lower())
                if chosen is None:
                    listed = ", ".join(repr(one) for one in choices)
                    raise UsageError(
                        say(
                            f"{self.name}: {option} must be one of {listed}; got {value!r}",
                            f"{self.name}：{option} 应为 {listed} 之一；得到 {value!r}",
                        )
                    )
                entry = get(chosen) if chosen != self.name else self
        return entry, rest

    def values(self, given: dict[str, float] | None = None) -> dict[str, float]:
        """All parameters by name: defaults, what the name stands for, what is given."""
        return {one.name: one.default for one in self._all} | self.preset | (given or {})

    def definition(self) -> "Formula":
        """The formula as an expression, for derivatives, LaTeX, JavaScript and exact values."""
        from ..formula import parse

        return parse(self.formula, tuple(self.values()))

    def latex(self, order: int = 0) -> str:
        """The definition, or its first or second derivative, in LaTeX."""
        return self.definition().latex(order)

    def points(self, places: tuple[float | str, ...], **parameters: float) -> tuple[float, ...]:
        """`kinks` or `jumps` as numbers, for these parameters."""
        from ..formula import parse

        values = self.values(parameters)
        zero = torch.zeros((), dtype=torch.float64)
        return tuple(
            float(parse(place, tuple(values)).torch()(zero, **values)) if isinstance(place, str) else float(place)
            for place in places
        )

    def properties(self, **parameters: float) -> "Properties":
        """What measuring it with these parameters finds."""
        from ..properties import measure

        if parameters:
            self.check(parameters)
        return measure(self, **parameters)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        from ._catalogue import get
        from ._define import again

        return (get, (self.name,)) if self.made is None else (again, self.made)

    def __repr__(self) -> str:
        listed = ", ".join(f"{one.name}={one.default:g}" for one in self.parameters)
        return f"<activation {self.name}({listed}): {self.formula}>"
