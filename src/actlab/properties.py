"""Facts about an activation, measured by evaluating it: range, slopes, bends, moments. Nothing is taken from its entry but the function."""

from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ._language import say
from .errors import UsageError

Array = Any  # of numpy, float64
_SPAN = 40.0
_FAR, _FARTHER = 1e4, 1e8  # what goes on growing from here to there has no bound
_NEARLY = 1e-9


class Measurable(Protocol):
    """A pointwise function with derivatives, such as an entry of the catalogue."""

    def evaluate(self, x: Tensor, order: int = 0, **parameters: float) -> Tensor: ...


class Properties:
    """What is measured, each when it is first asked for. Z is a standard normal variable; infinities stand for no bound."""

    def __init__(self, activation: Measurable, parameters: dict[str, float]):
        self._function = _Function(activation, parameters)
        self._x = _grid()

    @cached_property
    def _y(self) -> Array:
        y = self._function(self._x)
        if np.isnan(y).all():
            raise UsageError(
                say("the function is undefined everywhere: nothing to measure", "函数处处无定义，无从测量")
            )
        return y

    @cached_property
    def _slope(self) -> Array:
        return self._function(self._x, 1)

    @cached_property
    def jumps(self) -> tuple[float, ...]:
        """Where the value jumps."""
        return _breaks(self._function, self._x, self._y)

    @cached_property
    def kinks(self) -> tuple[float, ...]:
        """Where the first derivative jumps, and the value does not."""
        found = _breaks(lambda t: self._function(t, 1), self._x, self._slope)
        return tuple(place for place in found if not _among(place, self.jumps))

    @cached_property
    def bends(self) -> tuple[float, ...]:
        """Where only the second derivative jumps."""
        found = _breaks(lambda t: self._function(t, 2), self._x, self._function(self._x, 2))
        return tuple(place for place in found if not _among(place, (*self.jumps, *self.kinks)))

    @cached_property
    def _lowest(self) -> tuple[float, float | None]:
        return _least(self._function, self._x, self._y, 1, (*self.jumps, *self.kinks))

    @property
    def lower(self) -> float:
        """The infimum."""
        return self._lowest[0]

    @property
    def minimum_at(self) -> float | None:
        """Where the least value is taken, if at one point of the inside; of several the one nearest to zero."""
        return self._lowest[1]

    @cached_property
    def upper(self) -> float:
        """The supremum."""
        return 0.0 - _least(self._function, self._x, -self._y, -1, (*self.jumps, *self.kinks))[0]

    @cached_property
    def increasing(self) -> bool:
        """Nowhere falling."""
        return _rises(self._y)

    @cached_property
    def decreasing(self) -> bool:
        """Nowhere rising."""
        return _rises(-self._y)

    @cached_property
    def convex(self) -> bool:
        """The derivative nowhere falls."""
        return not self.jumps and _rises(self._slope)

    @cached_property
    def odd(self) -> bool:
        """f(-x) = -f(x)."""
        return bool(np.allclose(self._y, -self._y[::-1], rtol=1e-12, atol=1e-12))

    @cached_property
    def even(self) -> bool:
        """f(-x) = f(x)."""
        return bool(np.allclose(self._y, self._y[::-1], rtol=1e-12, atol=1e-12))

    @cached_property
    def at_zero(self) -> float:
        """f(0)."""
        return float(self._function(np.zeros(1))[0])

    @cached_property
    def slope_at_zero(self) -> float:
        """f'(0)."""
        return float(self._function(np.zeros(1), 1)[0])

    @cached_property
    def lipschitz(self) -> float:
        """The Lipschitz constant: the largest |f'|."""
        return _lipschitz(self._function, self._x, self._slope, self._breaks, self.jumps)

    @property
    def _breaks(self) -> tuple[float, ...]:
        return (*self.jumps, *self.kinks, *self.bends)

    @cached_property
    def _saturation(self) -> tuple[float | None, float | None]:
        if not np.isfinite(self.lipschitz) and not self.jumps:
            return None, None
        return _saturation(self._function, self._x, self._slope, self.lipschitz)

    @property
    def saturates_left(self) -> float | None:
        """The largest x below which |f'| stays under a thousandth of its maximum; None where it never does."""
        return self._saturation[0]

    @property
    def saturates_right(self) -> float | None:
        """The smallest x above which |f'| stays under a thousandth of its maximum; None where it never does."""
        return self._saturation[1]

    def expected(self, power: int, order: int = 0, deviation: float = 1.0) -> float:
        """E g(deviation Z)^power, with g the function or a derivative of it."""
        nodes, weights = _quadrature(tuple(place / deviation for place in self._breaks))
        return float(weights @ self._function(deviation * nodes, order) ** power)

    @cached_property
    def mean(self) -> float:
        """E f(Z)."""
        return self.expected(1)

    @cached_property
    def second_moment(self) -> float:
        """E f(Z)^2."""
        return self.expected(2)

    @cached_property
    def slope_second_moment(self) -> float:
        """E f'(Z)^2."""
        return self.expected(2, order=1)

    @property
    def monotone(self) -> bool:
        """Never falling, or never rising."""
        return self.increasing or self.decreasing

    @property
    def bounded(self) -> bool:
        """On both sides."""
        return bool(np.isfinite(self.lower) and np.isfinite(self.upper))

    @property
    def continuous(self) -> bool:
        """Without jumps."""
        return not self.jumps

    @property
    def smooth(self) -> bool:
        """Value and first derivative continuous."""
        return not self.jumps and not self.kinks

    @property
    def zero_centred(self) -> bool:
        """Mean output 0 for normal input."""
        return abs(self.mean) < 1e-3

    @property
    def identity_near_zero(self) -> bool:
        """f(0) = 0 and f'(0) = 1."""
        return abs(self.at_zero) < _NEARLY and abs(self.slope_at_zero - 1) < _NEARLY

    @property
    def gain(self) -> float:
        """Factor on the standard deviation of weights that keeps the second moment of activations from layer to layer."""
        return self.second_moment**-0.5 if self.second_moment > 0 else float("inf")

    @property
    def backward_gain(self) -> float:
        """The same for gradients."""
        return self.slope_second_moment**-0.5 if self.slope_second_moment > 0 else float("inf")


def measure(activation: Measurable, **parameters: float) -> Properties:
    """The properties of `activation` with these parameters, in float64: some 10 ms for all of them, remembered."""
    return _measure(activation, tuple(sorted(parameters.items())))


@lru_cache(maxsize=512)
def _measure(activation: Measurable, parameters: tuple[tuple[str, float], ...]) -> Properties:
    return Properties(activation, dict(parameters))


class _Function:
    """The activation or one of its derivatives on numpy arrays."""

    def __init__(self, activation: Measurable, parameters: dict[str, float]):
        self.activation, self.parameters = activation, parameters

    def __call__(self, x: Array, order: int = 0) -> Array:
        tensor = torch.from_numpy(np.ascontiguousarray(x))
        with torch.no_grad():
            return self.activation.evaluate(tensor, order, **self.parameters).numpy()


@lru_cache(maxsize=1)
def _grid() -> Array:
    """Symmetric about zero; no point of it is a round number, so that kinks lie between points."""
    near = np.linspace(0, _SPAN, 2001)[1:] * 1.00013
    return np.concatenate([-near[::-1], near])


def _among(place: float, places: tuple[float, ...]) -> bool:
    return any(abs(place - one) < 1e-4 for one in places)


def _breaks(f: Any, x: Array, y: Array) -> tuple[float, ...]:
    """Where f jumps: the intervals of the grid whose rise does not shrink when they are cut into eight, again and again."""
    scale = min(float(np.abs(y[np.isfinite(y)]).max(initial=0.0)), 1.0) or 1.0
    with np.errstate(invalid="ignore"):
        rise = np.nan_to_num(np.abs(np.diff(y)), posinf=0.0)
    typical = np.minimum(np.roll(rise, 2), np.roll(rise, -2))
    suspects = np.flatnonzero((rise > 1e-6 * scale) & (rise > 1.2 * typical))
    low, high, first = x[suspects], x[suspects + 1], rise[suspects]
    last = first
    for _ in range(13):
        if not len(low):
            return ()
        cuts = np.linspace(low, high, 9, axis=1)
        rises = np.abs(np.diff(f(cuts.ravel()).reshape(cuts.shape), axis=1))
        steepest, each = rises.argmax(axis=1), np.arange(len(low))
        last = rises[each, steepest]
        stays = (last > 1e-3 * first) & (last > 0.3 * rises.sum(axis=1))  # of a smooth rise an eighth is left
        low, high, first, last = (one[stays] for one in (cuts[each, steepest], cuts[each, steepest + 1], first, last))
    return tuple(
        sorted({round(float(place), 9) + 0.0 for place, step in zip(high, last, strict=True) if step > 1e-7 * scale})
    )


def _rises(y: Array) -> bool:
    """Whether it nowhere falls, but for rounding."""
    finite = y[np.isfinite(y)]
    return bool((np.diff(finite) >= -1e-12 * np.maximum(1, np.abs(finite[1:]))).all())


def _least(function: _Function, x: Array, y: Array, sign: int, breaks: tuple[float, ...]) -> tuple[float, float | None]:
    """The infimum of sign * f, and where it is taken if that is one point of the inside."""
    y = np.where(np.isnan(y), np.inf, y)  # where it is undefined it takes no value
    far, farther = sign * function(np.array([-_FAR, _FAR])), sign * function(np.array([-_FARTHER, _FARTHER]))
    if (farther < np.minimum(3 * far, -50)).any():  # NaN, of a wave that has no limit, is none
        return -np.inf, None
    special = np.array([0.0, *breaks, -np.inf, np.inf])
    fixed = np.concatenate([far, farther, sign * function(special)])
    least = float(min(y.min(), np.nanmin(fixed)))
    at = _lowest(x, y)
    inside = 0 < at < len(x) - 1 and y[at] < np.nanmin(fixed) - 1e-9
    place = _crossing(lambda t: function(t, 1), x[at - 1], x[at + 1]) if inside else None
    if place is None:
        return least + 0.0, None
    return min(least, float(sign * function(np.array([place]))[0])), place


def _lowest(x: Array, y: Array) -> int:
    """The lowest point of the grid; of several that are equally low, as a wave has, the one nearest to zero."""
    if not np.isfinite(y.min()):
        return int(y.argmin())
    low = np.flatnonzero(y <= y.min() + 1e-3 * max(abs(y.min()), 1e-6))
    at = int(low[np.abs(x[low]).argmin()])
    while at > 0 and y[at - 1] < y[at]:
        at -= 1
    while at < len(y) - 1 and y[at + 1] < y[at]:
        at += 1
    return at


def _crossing(f: Any, low: float, high: float) -> float | None:
    """Where f changes its sign between, to the last digits; None if it does not."""
    for _ in range(4):
        x: Array = np.linspace(low, high, 2049)
        negative = f(x) < 0
        changes = np.flatnonzero(negative != negative[0])
        if not len(changes):
            return None
        low, high = x[changes[0] - 1], x[changes[0]]
    return float(high)


def _lipschitz(
    function: _Function, x: Array, slope: Array, breaks: tuple[float, ...], jumps: tuple[float, ...]
) -> float:
    if jumps:
        return float("inf")
    special = np.concatenate([[0.0], *((b - 1e-12, b, b + 1e-12) for b in breaks)])
    far = np.abs(function(np.array([-_FAR, _FAR, -1e6, 1e6]), 1))
    size = np.nan_to_num(np.abs(slope))
    top = float(size.max())
    if not np.isfinite(far).all() or far.max() > 2 * top:
        return float("inf")
    at = int(size.argmax())
    if 0 < at < len(x) - 1:
        low, high = x[at - 1], x[at + 1]
        for _ in range(3):
            fine = np.linspace(low, high, 513)
            sizes = np.abs(function(fine, 1))
            best = int(sizes.argmax())
            low, high = fine[max(best - 1, 0)], fine[min(best + 1, 512)]
            top = max(top, float(sizes[best]))
    return max(top, float(far.max()), float(np.abs(function(special, 1)).max()))


def _saturation(function: _Function, x: Array, slope: Array, steepest: float) -> tuple[float | None, float | None]:
    size = np.nan_to_num(np.abs(slope))
    level = 1e-3 * (steepest if np.isfinite(steepest) else size.max())
    alive = np.flatnonzero(size >= level)
    if not len(alive) or level == 0:
        return None, None

    def edge(quiet: float, loud: float) -> float:
        return round(_crossing(lambda t: np.abs(function(t, 1)) - level, quiet, loud) or loud, 9) + 0.0

    left = None if alive[0] == 0 else edge(x[alive[0] - 1], x[alive[0]])
    right = None if alive[-1] == len(x) - 1 else edge(x[alive[-1] + 1], x[alive[-1]])
    return left, right


@lru_cache(maxsize=64)
def _quadrature(places: tuple[float, ...]) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights for expectations over Z, in panels of at most 1/2 that end where the function breaks."""
    edges = np.unique(np.concatenate([np.linspace(-12, 12, 49), [p for p in places if abs(p) < 12]]))
    node, weight = np.polynomial.legendre.leggauss(16)
    half = 0.5 * np.diff(edges)[:, None]
    x = (0.5 * (edges[1:] + edges[:-1])[:, None] + half * node).ravel()
    w = (half * weight).ravel() * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    return x, w
