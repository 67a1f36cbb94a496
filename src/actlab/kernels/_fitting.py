"""The slope of an activation from its output, fitted: for functions that fall, pass one minimum and rise, such as GELU.

Left and right of the minimum the slope is a smooth function of q = sqrt(y - least y), which is near to linear there. Two polynomials in
q and one bit for the side replace the input. The fit is weighted as inputs are where it matters, by the standard normal density.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..activations import Activation
from ..activations._float32 import polynomial

WORST = 4e-3  # of the slope, over all inputs: what is further off is no fit


class Side(NamedTuple):
    """slope = q polynomial(q), for q up to `last`, in powers of q."""

    coefficients: tuple[float, ...]
    last: float
    beyond: float  # the slope where q is larger


class Fit(NamedTuple):
    """Where the minimum lies, its value, and the slopes on both sides."""

    at: float
    least: float
    left: Side
    right: Side

    def slope(self, y: Tensor, rising: Tensor) -> Tensor:
        """f' from outputs in float32."""
        q = torch.sqrt((y - self.least).clamp(min=0))
        sides = []
        for side in (self.left, self.right):
            inner = q.clamp(max=side.last)
            sides.append(torch.where(q > side.last, side.beyond, inner * polynomial(inner, side.coefficients)))
        return torch.where(rising, sides[1], sides[0])


class Samples(NamedTuple):
    """The slope at inputs of one side, from the minimum outwards, and q of their outputs."""

    x: np.ndarray
    q: np.ndarray
    slope: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """Whose square is how much each counts."""
        return np.sqrt(np.abs(np.gradient(self.x)) * (np.exp(-0.5 * self.x * self.x) + 1e-3))

    @property
    def beyond(self) -> float:
        """What the slope comes to far away."""
        return float(self.slope[-1])

    def within(self, tolerance: float) -> "Samples":
        """Those up to where the slope is no further than that from what it comes to."""
        settled = np.flatnonzero(np.abs(self.slope - self.beyond) > tolerance)
        inside = self.q <= (self.q[settled[-1]] if len(settled) else self.q[-1])
        return Samples(*(one[inside] for one in self))


class Valley(NamedTuple):
    """Where the minimum lies, its value, and what is left and right of it."""

    at: float
    least: float
    sides: tuple[Samples, Samples]
    evaluated: Callable[[np.ndarray, int], np.ndarray]

    def worst(self, slope: Callable[[Tensor, Tensor], Tensor]) -> float:
        """How far a slope from outputs is off, over all inputs."""
        x = np.concatenate([np.linspace(-60, 60, 40001), self.at + np.linspace(-0.1, 0.1, 2001)])
        found = slope(torch.from_numpy(self.evaluated(x, 0)), torch.from_numpy(x >= self.at)).numpy()
        return float(np.abs(found - self.evaluated(x, 1)).max())


@cache
def valley(entry: Activation, values: tuple[float, ...]) -> Valley | None:
    """That of an entry with these parameters, or None if it is not such a function."""
    named = dict(zip(entry.values(), values, strict=True))
    if entry.surrogate:
        return None
    measured = entry.properties(**{name: value for name, value in named.items() if name not in entry.preset})
    at = measured.minimum_at
    if at is None or measured.jumps or measured.kinks or measured.bends:
        return None

    def evaluated(x: np.ndarray, order: int) -> np.ndarray:
        return entry.evaluate(torch.from_numpy(x), order, **named).numpy()

    least = float(evaluated(np.array([at]), 0)[0])
    sides = []
    for direction in (-1.0, 1.0):
        x = at + direction * np.concatenate([np.geomspace(1e-6, 1e-2, 200), np.linspace(1.1e-2, 40.0, 20000)])
        slope = evaluated(x, 1)
        if (direction * slope < -1e-9).any():
            return None
        sides.append(Samples(x, np.sqrt(np.maximum(evaluated(x, 0) - least, 0)), slope))
    return Valley(at, least, (sides[0], sides[1]), evaluated)


@cache
def fit(entry: Activation, values: tuple[float, ...]) -> Fit | None:
    """The fit of an entry with these parameters, or None if it is not such a function or no fit is good enough."""
    of = valley(entry, values)
    if of is None:
        return None
    found = Fit(of.at, of.least, *map(_side, of.sides))
    return found if of.worst(found.slope) < WORST else None


def _side(of: Samples) -> Side:
    """The polynomial of that degree, up to 13, that is best in float32."""
    inside = of.within(2e-5)
    q, slope, weight, last = inside.q, inside.slope, inside.weight, float(inside.q[-1])
    best = None
    for degree in range(5, 14):
        scaled = np.polynomial.chebyshev.chebvander(2 * q / last - 1, degree) * q[:, None]
        solution = np.linalg.lstsq(scaled * weight[:, None], slope * weight, rcond=None)[0]
        series = np.polynomial.chebyshev.Chebyshev(solution, domain=[0, last])
        powers = series.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1]).coef
        coefficients = tuple(float(one) for one in powers)
        single = torch.from_numpy(q).float()
        found = (single * polynomial(single, coefficients)).numpy()
        error = float(np.sqrt(np.mean(((found - slope) * weight) ** 2)))
        if best is None or error < 0.9 * best[0]:
            best = (error, coefficients)
    assert best is not None
    return Side(best[1], last, of.beyond)
