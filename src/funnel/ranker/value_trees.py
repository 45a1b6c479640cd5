"""Trees for what an event is worth, such as the revenue of a purchase or the seconds of a view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.ranker.target_trees import tells
from funnel.types import Bool, Float32, Int64

Float64 = NDArray[np.float64]

#: The variance of a value rises with its mean to this power: between counts (1) and amounts of money whose
#: spread is a share of the amount (2). Values of 0 are then possible, and a large one weighs less than in
#: least squares.
POWER = 1.5

#: Scores are cut at ± this, so that no value is infinite.
MOST_SCORE = 30.0


@dataclass(frozen=True, slots=True)
class ValueRows:
    """Rows of events of one kind, N in all: features of the item at its request, and what came of it.

    matrix: float32 [N, F]. names: the F features. values: float64 [N], at least 0. folds: int64 [N], by user.
    """

    matrix: Float32
    names: tuple[str, ...]
    values: Float64
    folds: Int64

    def __len__(self) -> int:
        return len(self.values)

    @property
    def target(self) -> Float64:
        """The values: float64 [N]."""
        return self.values

    @property
    def positive(self) -> Bool:
        """Which events were worth something: bool [N]."""
        return self.values > 0

    @property
    def says_something(self) -> bool:
        """Whether trees can tell rows apart: enough of each fold's are worth something, and a feature
        varies."""
        return len(self) > 0 and tells(self.matrix, self.positive, self.folds)

    def take(self, rows: NDArray[Any]) -> ValueRows:
        """The rows that a boolean mask or an index array picks."""
        return ValueRows(self.matrix[rows], self.names, self.values[rows], self.folds[rows])

    def loss(self, start: float | None = None) -> Tweedie:
        """The deviance of these rows. start: logarithm of the value at score 0."""
        return Tweedie(self.values, start)


class Tweedie:
    """Half the deviance of values with mean μ = exp(start + score) and variance μ ** POWER (Tweedie 1984;
    Jørgensen, Exponential Dispersion Models, JRSS B 1987), its gradient and its expected curvature in the
    score.

    Its least is at the mean, whatever the values' distribution, and it goes by ratios: values in cents give
    the trees that values in euros give. start: logarithm of the value at score 0; default that of the mean.
    """

    def __init__(self, values: Float64, start: float | None = None) -> None:
        self.start = float(np.log(values.mean())) if start is None else start
        self._values = values / np.exp(self.start)

    def __call__(self, scores: Any, _: Any = None) -> tuple[Any, Any]:
        """Gradient and curvature: float64 [N] each. The curvature is Fisher's, which is never below 0."""
        mean = _exp(scores)
        return (mean - self._values) * mean ** (1 - POWER), mean ** (2 - POWER)

    def gain(self, scores: Any, _: Any = None) -> tuple[str, float, bool]:
        """Less the mean of half the deviance, without what no score changes, as LightGBM takes a metric."""
        mean = _exp(scores)
        lost = self._values * mean ** (1 - POWER) / (POWER - 1) + mean ** (2 - POWER) / (2 - POWER)
        return "deviance", -float(lost.mean()), True


def _exp(scores: Any) -> Float64:
    values: Float64 = np.exp(np.clip(np.asarray(scores, dtype=np.float64), -MOST_SCORE, MOST_SCORE))
    return values
