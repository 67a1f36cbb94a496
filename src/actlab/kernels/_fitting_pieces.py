"""The slope of GELU and its like from their outputs, by pieces of polynomials of q instead of one for each side: fewer steps, for half types."""

import math
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..activations import Activation
from ..activations._pieces import COUNT, Pieces, asked, in_one_step
from ._fitting import WORST, Samples, Valley, valley

_STEPS = tuple(2.0**-power for power in range(2, 8))  # lengths of an interval
_DEGREES = range(2, 6)
# Root mean square of what is off, by inputs as they are distributed: a fraction of what rounding the slope costs.
_ENOUGH = {torch.bfloat16: 1.5e-4, torch.float16: 2e-5}
_SETTLED = {torch.bfloat16: 5e-4, torch.float16: 5e-5}  # so far from what the slope comes to it is taken for that
_LARGEST = torch.finfo(torch.float32).max
_LEAST = 1e-30  # of q squared: its root is taken by its inverse


class ByPieces(NamedTuple):
    """Where the minimum lies, its value, and the slope by q: right of it, and left."""

    at: float
    least: float
    most: float  # q squared, from where on the slope is what it is there
    table: Pieces

    def slope(self, y: Tensor, rising: Tensor) -> Tensor:
        """f' from outputs in float32."""
        return asked(*self._place(y, rising), self.table)

    def tried(self, y: Tensor, rising: Tensor) -> Tensor:
        """The same without keeping the table for kernels."""
        return self.table.at(*self._place(y.float(), rising)).double()

    def _place(self, y: Tensor, rising: Tensor) -> tuple[Tensor, Tensor]:
        square = (y - self.least).clamp(_LEAST, self.most)
        q = square * torch.rsqrt(square)
        return q, torch.where(rising, q, -q)


@cache
@torch.no_grad()
def fit(entry: Activation, values: tuple[float, ...], dtype: torch.dtype) -> ByPieces | None:
    """That with the fewest steps of those good enough for outputs of a half type; None if there is none, or if lookups take longer here."""
    of = valley(entry, values) if dtype in _ENOUGH and in_one_step() else None
    if of is None:
        return None
    left, right = of.sides[0], of.sides[1].within(_SETTLED[dtype])
    if left.q[-1] > right.q[-1]:
        return None
    ways = [
        (degree, steps)
        for degree, steps in product(_DEGREES, product(_STEPS, repeat=2))
        if _count(right, steps[0]) + _count(left, steps[1]) <= COUNT
    ]
    for degree, steps in sorted(ways, key=lambda way: (way[0] + 0.75 * (way[1][0] != way[1][1]), -sum(way[1]))):
        found = ByPieces(of.at, of.least, float(right.q[-1]) ** 2, _table(right, left, steps, degree))
        if _off(found, of) < _ENOUGH[dtype] and of.worst(found.tried) < WORST:
            return found
    return None


def _count(side: Samples, step: float) -> int:
    """Intervals of a side: those around the whole numbers of steps up to its last q."""
    return round(float(side.q[-1]) / step) + 1


def _table(right: Samples, left: Samples, steps: tuple[float, ...], degree: int) -> Pieces:
    rows = np.concatenate([_rows(side, step, degree) for side, step in zip((right, left), steps, strict=True)])
    rows = np.concatenate([rows, np.zeros((COUNT - len(rows), degree + 1))])
    scales = (1 / steps[0], 1 / steps[1])
    columns = tuple(tuple(map(float, row)) for row in rows.T.astype(np.float32))
    return Pieces(scales, _count(right, steps[0]), (_LARGEST, _LARGEST), columns)


def _rows(side: Samples, step: float, degree: int) -> np.ndarray:
    """The coefficients of each interval, by what q is beyond its middle; the slope is 0 at q = 0."""
    places, weight = np.rint(side.q / step), side.weight
    rows = np.zeros((_count(side, step), degree + 1))
    for place in range(len(rows)):
        here, first = places == place, int(place == 0)
        powers = (side.q[here] - place * step)[:, None] ** np.arange(first, degree + 1)
        rows[place, first:] = np.linalg.lstsq(powers * weight[here, None], side.slope[here] * weight[here], rcond=None)[
            0
        ]
    return rows


def _off(found: ByPieces, of: Valley) -> float:
    """Root mean square of what the slope is off, for normal inputs."""
    total = 0.0
    for side, rising in zip(of.sides, (False, True), strict=True):
        y = torch.from_numpy(side.q**2 + of.least).float()
        slope = found.tried(y, torch.full(y.shape, rising)).numpy()
        share = np.abs(np.gradient(side.x)) * np.exp(-0.5 * side.x**2) / math.sqrt(2 * math.pi)
        total += float((share * (slope - side.slope) ** 2).sum())
    return math.sqrt(total)
