"""Rows with an outcome each, and the log loss of its probability, where it is known how far each row was
looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.ranker.ranker import beginning
from funnel.ranker.target_trees import tells
from funnel.types import Bool, Float32, Int64

Float64 = NDArray[np.float64]

#: Keeps logarithms and divisions finite.
_TINY = 1e-12

#: Of Newton's method, for one number.
_STEPS = 20


@dataclass(frozen=True, slots=True)
class OutcomeRows:
    """Rows with one outcome each, N in all.

    matrix: float32 [N, F]. names: the F features. happened: bool [N]. examined: float64 [N], the chance that
    the row was looked at at all, above 0 and 1 at most: what was not seen could not happen. weights:
    float64 [N], how many rows of the log each stands for. folds: int64 [N], by user. begin: the feature that
    scores begin with, log odds that trees correct; None where they begin with 0.
    """

    matrix: Float32
    names: tuple[str, ...]
    happened: Bool
    examined: Float64
    weights: Float64
    folds: Int64
    begin: str | None = None

    def __len__(self) -> int:
        return len(self.happened)

    @property
    def target(self) -> Bool:
        """Whether it happened: bool [N]."""
        return self.happened

    @property
    def says_something(self) -> bool:
        """Whether trees can tell rows apart: enough of each fold's rows happened, and a feature varies."""
        return tells(self.matrix, self.happened, self.folds)

    def take(self, rows: NDArray[Any]) -> OutcomeRows:
        """The rows that a boolean mask or an index array picks."""
        return OutcomeRows(
            self.matrix[rows], self.names, self.happened[rows], self.examined[rows],
            self.weights[rows], self.folds[rows], self.begin,
        )  # fmt: skip

    def loss(self, start: float | None = None) -> Examined:
        """The log loss of these rows. start: log odds of score 0."""
        return Examined(self, start)


class Examined:
    """The log loss of P(happened) = examined · σ(start + score), its gradient and its expected curvature.

    This is the likelihood of the position-based model (Richardson, Dominowska and Ragno, Predicting Clicks,
    WWW 2007) with known examination: what was hardly looked at says hardly anything where nothing happened,
    and no row has a weight that grows without bound. start: log odds where scores are 0 and begin with 0;
    default those of the rate, and, where scores begin with something, those of the greatest likelihood.
    """

    def __init__(self, rows: OutcomeRows, start: float | None = None) -> None:
        self._rows = rows
        self._begin = beginning(rows.matrix, rows.names, rows.begin)
        self.start = 0.0
        self.start = self._best_start() if start is None else start

    def _best_start(self) -> float:
        """By Newton's method with Fisher's information, where scores do not begin with 0."""
        rows = self._rows
        rate = (rows.weights @ rows.happened + 1) / (rows.weights @ rows.examined + 2)
        at = float(np.log(rate / (1 - rate)))
        if rows.begin is None:
            return at
        at -= float(rows.weights @ self._begin / rows.weights.sum())
        for _ in range(_STEPS):
            gradient, curvature = self(np.full(len(rows), at))
            at -= float(np.clip(gradient.sum() / curvature.sum(), -1, 1))
        return at

    def __call__(self, scores: Any, _: Any = None) -> tuple[Any, Any]:
        """Gradient and curvature: float64 [N] each. The curvature is Fisher's, which is never below 0."""
        rows, chance = self._rows, self._chance(scores)
        unseen = np.maximum(1 - rows.examined * chance, _TINY)
        slope = rows.examined * chance * (1 - chance) / unseen
        gradient = np.where(rows.happened, chance - 1, slope)
        return gradient * rows.weights, np.maximum(slope * (1 - chance) * rows.weights, _TINY)

    def gain(self, scores: Any, _: Any = None) -> tuple[str, float, bool]:
        """The mean log-likelihood, as LightGBM takes a metric: name, value, and that more is better."""
        rows = self._rows
        chance = np.clip(rows.examined * self._chance(scores), _TINY, 1 - _TINY)
        values = np.where(rows.happened, np.log(chance), np.log1p(-chance))
        return "likelihood", float(rows.weights @ values / rows.weights.sum()), True

    def _chance(self, scores: Any) -> Float64:
        values: Float64 = 1 / (
            1 + np.exp(-np.clip(np.asarray(scores, dtype=np.float64) + self._begin + self.start, -50, 50))
        )
        return values
