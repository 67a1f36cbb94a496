"""Numbers that follow from a confusion matrix: scores by class, the weakest class, the most confused pair."""

import math
from dataclasses import dataclass

import numpy as np

Confusion = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class; NaN where nothing was predicted or nothing is there to find."""

    precision: float  # of those called so, the share that is so
    recall: float  # of those that are so, the share called so
    f1: float  # harmonic mean of the two
    support: int  # examples of the class


def by_class(confusion: Confusion) -> list[ClassScore]:
    """Scores of every class, in the order of the matrix (rows true, columns predicted)."""
    counts = np.array(confusion, dtype=float)
    scores = []
    for index, row in enumerate(counts):
        hits, predicted, support = row[index], counts[:, index].sum(), row.sum()
        f1 = _share(2 * hits, predicted + support)
        scores.append(ClassScore(_share(hits, predicted), _share(hits, support), f1, int(support)))
    return scores


def weakest(scores: list[ClassScore]) -> int | None:
    """The class with the smallest F1 among those that have examples; None where fewer than two have any."""
    present = [index for index, score in enumerate(scores) if score.support]
    return min(present, key=lambda index: scores[index].f1) if len(present) > 1 else None


def most_confused(confusion: Confusion) -> tuple[int, int] | None:
    """(true, predicted) of the most frequent mistake; None where there was no mistake."""
    counts = np.array(confusion)
    np.fill_diagonal(counts, 0)
    truth, predicted = np.unravel_index(int(counts.argmax()), counts.shape)
    return (int(truth), int(predicted)) if counts[truth, predicted] else None


def shades(confusion: Confusion) -> np.ndarray:
    """How strongly to colour each cell, in [0, 1]: the share of its row, under a square root off the diagonal.

    The root keeps a mistake of one in a hundred visible.
    """
    counts = np.array(confusion, dtype=float)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.where(np.eye(len(counts), dtype=bool), share, np.sqrt(share))


def wilson(accuracy: float, count: int) -> tuple[float, float]:
    """95 % interval of an accuracy measured on `count` examples.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference, JASA 22.
    """
    z = 1.959963984540054
    centre = (accuracy + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(accuracy * (1 - accuracy) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan
