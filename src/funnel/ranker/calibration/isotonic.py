"""Isotonic calibration: the rising step function that is nearest to what happened."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from funnel.compiling import compiled
from funnel.settings import Settings
from funnel.types import Bool

Float64 = NDArray[np.float64]


class Isotonic(Settings):
    """A probability for each score, which never falls as the score rises.

    scores: rising, each once. probabilities: at these scores, never falling, within 0 and 1. Between two
    scores it is the straight line, outside of them it stays as at the nearest.
    """

    method: Literal["isotonic"] = "isotonic"
    scores: tuple[float, ...] = Field(min_length=1)
    probabilities: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.scores) != len(self.probabilities):
            raise ValueError(f"{len(self.scores)} scores and {len(self.probabilities)} probabilities")
        if any(later <= sooner for sooner, later in pairwise(self.scores)):
            raise ValueError("the scores do not rise")
        if any(later < sooner for sooner, later in pairwise((0.0, *self.probabilities, 1.0))):
            raise ValueError("the probabilities fall, or are not within 0 and 1")
        return self

    @cached_property
    def _curve(self) -> tuple[Float64, Float64]:
        return np.array(self.scores), np.array(self.probabilities)

    def __call__(self, scores: NDArray[Any]) -> Float64:
        """The probability at each score: float64, of the same shape."""
        return np.interp(scores, *self._curve)


def fit_isotonic(scores: NDArray[Any], labels: Bool) -> Isotonic:
    """The non-falling function of the score with the least squared error (and the most likely one: Robertson,
    Wright & Dykstra 1988, ch. 1), by pooling adjacent violators (Ayer et al. 1955).

    scores: [N]. labels: bool [N]. Equal scores are one point. A block at an end in which all or none
    happened gets (happened + 1) / (rows + 2), Laplace's rule, so that nothing is impossible or sure.
    """
    levels, group = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    rows = np.bincount(group).astype(np.float64)
    happened = np.bincount(group, weights=labels)
    starts = pooled(happened, rows)
    stops = np.append(starts[1:], len(levels))
    rates = _off_the_ends(np.add.reduceat(happened, starts), np.add.reduceat(rows, starts))
    edges = np.unique(np.concatenate([starts, stops - 1]))
    block = np.searchsorted(starts, edges, side="right") - 1
    return Isotonic(scores=tuple(levels[edges].tolist()), probabilities=tuple(rates[block].tolist()))


def _off_the_ends(happened: Float64, rows: Float64) -> Float64:
    """The blocks' rates; those of the first and the last by Laplace's rule where they are 0 and 1."""
    rates = happened / rows
    careful = (happened + 1) / (rows + 2)
    if rates[0] == 0:
        rates[0] = min(careful[0], rates[1]) if len(rates) > 1 else careful[0]
    if rates[-1] == 1:
        rates[-1] = max(careful[-1], rates[-2]) if len(rates) > 1 else careful[-1]
    return rates


@compiled
def pooled(happened: Any, rows: Any) -> Any:
    """Where the blocks of equal value begin: int64, rising, the first 0.

    happened, rows: float64 [N], sums at each level of the score. A level whose mean is not above that of
    the block before is pooled with it.
    """
    n = len(rows)
    starts = np.empty(n, dtype=np.int64)
    hits = np.empty(n)
    sizes = np.empty(n)
    blocks = 0
    for level in range(n):
        starts[blocks], hits[blocks], sizes[blocks] = level, happened[level], rows[level]
        while blocks > 0 and hits[blocks] * sizes[blocks - 1] <= hits[blocks - 1] * sizes[blocks]:
            hits[blocks - 1] += hits[blocks]
            sizes[blocks - 1] += sizes[blocks]
            blocks -= 1
        blocks += 1
    return starts[:blocks].copy()
