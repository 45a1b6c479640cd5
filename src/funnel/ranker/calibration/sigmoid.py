"""Parametric calibration: a logistic curve of the score (Platt) or of its two tails (beta)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from funnel.compiling import compiled
from funnel.settings import Settings
from funnel.types import Bool

Float64 = NDArray[np.float64]

#: Newton's method ends after so many steps, or when the mean log loss falls by less than LEAST_GAIN.
_MOST_STEPS, _LEAST_GAIN = 50, 1e-12


#: Lower bound of 1 − p: keeps divisions finite.
LEAST = 1e-12


class Seen(NamedTuple):
    """Of rows that were not all looked at: P(happened) = examined · probability.

    examined: float64 [N], above 0, 1 at most. weights: float64 [N], how many rows of the log each stands for.
    """

    examined: Float64
    weights: Float64

    @classmethod
    def all(cls, n: int) -> Seen:
        """Each of n rows was looked at, and counts once."""
        return cls(np.ones(n), np.ones(n))

    def take(self, rows: NDArray[Any]) -> Seen:
        """Some of the rows."""
        return Seen(self.examined[rows], self.weights[rows])


class Sigmoid(Settings):
    """log odds = a · ln σ(z) − b · ln(1 − σ(z)) + c with z = (score − centre) / scale and σ the logistic
    function: beta calibration (Kull, Silva Filho & Flach 2017, AISTATS) of σ(z).

    a, b: not below 0, so that the probability never falls: the slope for low scores and that for high ones.
    Where they are equal, the log odds are a · z + c: Platt's.
    """

    method: Literal["beta", "platt"]
    centre: float
    scale: float = Field(gt=0)
    a: float = Field(ge=0)
    b: float = Field(ge=0)
    c: float

    def __call__(self, scores: NDArray[Any]) -> Float64:
        """The probability at each score: float64, of the same shape."""
        values: Float64 = np.array(scores, dtype=np.float64, order="C")
        _curve(values, self.centre, self.scale, self.a, self.b, self.c)
        return values


def fit_beta(scores: NDArray[Any], labels: Bool, seen: Seen | None = None) -> Sigmoid:
    """The beta curve of the least log loss. scores: [N]. labels: bool [N].

    seen: how far each row was looked at; None where every row was, and counts once.
    A slope that comes out below zero is set to zero and the others are fitted again, as in the paper.
    """
    centre, scale, z = _standard(scores)
    targets, free = (*_targets(labels), seen or Seen.all(len(z))), [True, True]
    slopes = _newton(z, targets, _of_beta(free))
    while (slopes[:2] < 0).any():
        free[int(np.argmin(slopes[:2]))] = False
        slopes = _newton(z, targets, _of_beta(free))
    a, b, c = slopes.tolist()
    return Sigmoid(method="beta", centre=centre, scale=scale, a=a, b=b, c=c)


def fit_platt(scores: NDArray[Any], labels: Bool, seen: Seen | None = None) -> Sigmoid:
    """The logistic curve of the least log loss (Platt 1999), constant where it would fall.

    scores: [N]. labels: bool [N]. seen: as of `fit_beta`.
    """
    centre, scale, z = _standard(scores)
    targets = (*_targets(labels), seen or Seen.all(len(z)))
    slopes = _newton(z, targets, np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    if slopes[0] < 0:
        slopes = _newton(z, targets, _of_beta([False, False]))
    a, b, c = slopes.tolist()
    return Sigmoid(method="platt", centre=centre, scale=scale, a=a, b=b, c=c)


def _standard(scores: NDArray[Any]) -> tuple[float, float, Float64]:
    """Centre, scale, and the scores in these: any ranker's scores are then of the same size."""
    values = np.asarray(scores, dtype=np.float64)
    centre, scale = float(values.mean()), float(values.std())
    scale = scale if scale > 0 else 1.0
    return centre, scale, (values - centre) / scale


def _targets(labels: Bool) -> tuple[float, float, Bool]:
    """What stands for "not" and "happened": Platt's (N + 1) / (N + 2), so that separated rows have a best
    curve too."""
    happened = int(labels.sum())
    return 1 / (len(labels) - happened + 2), (happened + 1) / (happened + 2), labels


def _of_beta(free: list[bool]) -> Float64:
    """The columns of a, b and c that are fitted; the rest stay 0."""
    return np.eye(3)[:, [*np.flatnonzero(free).tolist(), 2]]


def _newton(z: Float64, targets: tuple[float, float, Bool, Seen], basis: Float64) -> Float64:
    """a, b and c of the least log loss among basis @ x, by Newton's method with halved steps; where not all
    was looked at, with Fisher's information in place of the Hessian, which is positive everywhere."""
    low, high, labels, seen = targets
    rows = (_tails(z), labels, seen.examined, seen.weights, low, high)
    x = np.zeros(basis.shape[1])
    loss, gradient, hessian = _derivatives(*rows, basis @ x)
    for _ in range(_MOST_STEPS):
        curvature = basis.T @ hessian @ basis + 1e-12 * np.eye(len(x))
        step = np.linalg.lstsq(curvature, basis.T @ gradient, rcond=None)[0]
        while True:
            at = _derivatives(*rows, basis @ (x - step))
            if at[0] <= loss or np.abs(step).max() < 1e-12:
                break
            step = step / 2
        gain = loss - at[0]
        x, (loss, gradient, hessian) = x - step, at
        if gain < _LEAST_GAIN:
            break
    return basis @ x


@compiled
def _curve(values: Any, centre: Any, scale: Any, a: Any, b: Any, c: Any) -> None:
    """Scores become probabilities, in place, of an array of any shape."""
    flat = values.reshape(values.size)
    for i in range(len(flat)):
        z = (flat[i] - centre) / scale
        tail = np.log1p(np.exp(-abs(z)))
        against = a * (max(-z, 0.0) + tail) - b * (max(z, 0.0) + tail) - c  # log odds of not
        flat[i] = np.exp(-(max(against, 0.0) + np.log1p(np.exp(-abs(against)))))


@compiled
def _tails(z: Any) -> Any:
    """ln σ(z) and −ln(1 − σ(z)), which a and b are the slopes of: float64 [N, 2]."""
    tails = np.empty((len(z), 2))
    for row in range(len(z)):
        tail = np.log1p(np.exp(-abs(z[row])))
        tails[row, 0] = -(max(-z[row], 0.0) + tail)
        tails[row, 1] = max(z[row], 0.0) + tail
    return tails


@compiled
def _derivatives(
    tails: Any, labels: Any, examined: Any, weights: Any, low: Any, high: Any, slopes: Any
) -> Any:
    """The mean log loss with its gradient [3] and Hessian [3, 3] in a, b and c."""
    loss, gradient, hessian, total = 0.0, np.zeros(3), np.zeros((3, 3)), 0.0
    for row in range(len(tails)):
        odds = slopes[0] * tails[row, 0] + slopes[1] * tails[row, 1] + slopes[2]
        target = high if labels[row] else low
        small = np.exp(-abs(odds))
        chance = 1 / (1 + small) if odds >= 0 else small / (1 + small)
        weight, looked = weights[row], examined[row]
        total += weight
        if looked >= 1:
            lost = max(odds, 0.0) + np.log1p(small) - target * odds
            slope, curve = chance - target, chance * (1 - chance)
        else:  # the row happened with looked * chance
            missed = max(1 - looked * chance, LEAST)
            lost = -target * (np.log(looked) + min(odds, 0.0) - np.log1p(small)) - (1 - target) * np.log(
                missed
            )
            slope = (1 - chance) * (looked * chance - target) / missed
            curve = looked * chance * (1 - chance) ** 2 / missed
        loss += weight * lost
        columns = (tails[row, 0], tails[row, 1], 1.0)
        for i in range(3):
            gradient[i] += weight * slope * columns[i]
            for j in range(3):
                hessian[i, j] += weight * curve * columns[i] * columns[j]
    return loss / total, gradient / total, hessian / total
