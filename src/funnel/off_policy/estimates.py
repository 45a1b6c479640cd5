"""From what lists contribute to an estimate, with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.types import Float64


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the judged policy would have earned a list.

    estimator: its name. holds: under what it is right. value, lo, hi: with the interval of `level`; None
    where it is refused, and why in `refused`. effective: effective sample size (Kish): so many lists of the
    judged policy's own would say as much. clipped: the share of weights that were cut at `clip`, None for no
    clip. lists: how many. change: value less what the log earned, with its interval, which is narrower than
    the two apart.
    """

    estimator: str
    holds: str
    lists: int
    effective: float
    level: float
    value: float | None = None
    lo: float | None = None
    hi: float | None = None
    change: tuple[float, float, float] | None = None
    clip: float | None = None
    clipped: float = 0.0
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Contributions:
    """The value of an estimator, and of each list how much it moves it: float64 [n], of mean 0 (its
    influence)."""

    value: float
    influence: Float64


def of_mean(values: Float64) -> Contributions:
    """Where the estimate is the mean of what lists contribute."""
    mean = float(values.mean())
    return Contributions(mean, values - mean)


def of_ratio(weights: Float64, values: Float64) -> Contributions:
    """Where it is Σ weights · values / Σ weights: by the delta method."""
    whole = float(weights.mean())
    value = float((weights * values).mean()) / whole
    return Contributions(value, weights * (values - value) / whole)


def summed(parts: list[Contributions]) -> Contributions:
    """Where it is a sum of estimates on the same lists."""
    influence = np.sum([part.influence for part in parts], axis=0)
    return Contributions(sum(part.value for part in parts), influence)


def interval(
    value: float, influence: Float64, users: NDArray[Any] | None, level: float
) -> tuple[float, float, float]:
    """value, lo and hi: normal, with a standard error that takes users as a whole where they repeat."""
    half = NormalDist().inv_cdf((1 + level) / 2) * standard_error(influence, users)
    return value, value - half, value + half


def standard_error(influence: Float64, users: NDArray[Any] | None) -> float:
    """Of the mean of contributions; infinite for one user alone."""
    n = len(influence)
    if users is not None:
        group = np.unique(users, return_inverse=True)[1]
        influence = np.bincount(group, weights=influence).astype(np.float64)
    groups = len(influence)
    if groups < 2:
        return float("inf")
    return float(np.sqrt(np.sum(influence**2) * groups / (groups - 1)) / n)


def effective_size(weights: Float64) -> float:
    """Kish's: (Σ w)² / Σ w²; 0 where no list could have been shown by the judged policy."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0
