"""Distributions: χ² against a least effect, two windows in a row.

Two samples in the same bins differ by Cohen's w; χ² of both has a non-central distribution, whose centre is
moved by n·w². A difference counts where χ² is improbable even if w were the least effect: so the threshold
goes by how much was seen, and a difference that does not matter is none, however sure it is. Answers come in
sessions, so that χ² is divided by how much windows that follow each other differ more than by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, chndtr

from funnel.monitoring.counts import Variable


class Divergence(NamedTuple):
    """effect: Cohen's w, without what chance adds. chance: that χ² is so high, were w the least effect."""

    effect: float
    chance: float


def difference(
    seen: NDArray[np.float64],
    others: NDArray[np.float64],
    least: float | NDArray[np.float64],
    dispersion: float = 1.0,
) -> Divergence:
    """Between what is seen and the nearest of the others: it must differ from each of them.

    seen: float64 [B], values in each bin. others: float64 [R, B]. least: the effect that is none yet, one or
    one for each of the others. dispersion: of the variance, beside that of chance.
    """
    squares, free = chi_squares(seen, others)
    n, m = seen.sum(), others.sum(axis=1)
    squares, size = squares / dispersion, n * m / (n + m) / dispersion
    effects = np.sqrt(np.maximum(0.0, squares - free) / size)
    beyond = effects - np.broadcast_to(np.asarray(least, dtype=np.float64), effects.shape)
    nearest = int(beyond.argmin())
    if beyond[nearest] <= 0:  # the common case, and the non-central distribution is slow
        return Divergence(float(effects[nearest]), 1.0)
    least_of = np.broadcast_to(np.asarray(least), effects.shape)
    return Divergence(float(effects[nearest]), max(_chances(squares, free, size * least_of**2)))


def chi_squares(
    seen: NDArray[np.float64], others: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """χ² of two samples, and its degrees of freedom: of one beside each of the others, [R]."""
    n, m = seen.sum(), others.sum(axis=1)
    both = seen + others
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = (seen * np.sqrt(m / n)[:, None] - others * np.sqrt(n / m)[:, None]) ** 2 / both
    squares = np.where(both > 0, parts, 0.0).sum(axis=1)
    return squares, np.maximum((both > 0).sum(axis=1) - 1, 1)


def _chances(squares: Any, free: Any, moved: Any) -> list[float]:
    """Upper tails of the non-central χ². Far out SciPy's own may be no number; there a bound is taken."""
    tails = []
    for value, degrees, centre in zip(squares.tolist(), free.tolist(), moved.tolist(), strict=True):
        tail = 1.0 - float(chndtr(value, degrees, centre))
        if not 1e-12 <= tail <= 1:  # what is left of 1 has no more digits
            root = max(0.0, np.sqrt(value) - np.sqrt(centre)) ** 2  # |Z + √centre|² ≤ (|Z| + √centre)²
            tail = float(chdtrc(degrees, root))
        tails.append(max(tail, 1e-300))
    return tails


class InARow:
    """Which metrics differ in two windows in a row, and since when."""

    def __init__(self) -> None:
        self._since: dict[Variable, float] = {}

    def look(self, off: set[Variable], looked: Sequence[Variable], begin: float) -> dict[Variable, float]:
        """Since when metrics differ that did so before, too. off: those of this window, of those that were
        looked at; begin: of the window."""
        twice = {metric: self._since[metric] for metric in off if metric in self._since}
        for metric in looked:
            if metric in off:
                self._since.setdefault(metric, begin)
            else:
                self._since.pop(metric, None)
        return twice
