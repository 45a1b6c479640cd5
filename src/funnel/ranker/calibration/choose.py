"""Which calibration it is: the one whose log loss is least on users that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from funnel.distinct import distinct
from funnel.errors import DataError
from funnel.ranker.calibration.isotonic import Isotonic, fit_isotonic
from funnel.ranker.calibration.sigmoid import Seen, Sigmoid, fit_beta, fit_platt
from funnel.settings import Settings
from funnel.types import MOST_KINDS, Bool, Int64

Calibration = Annotated[Isotonic | Sigmoid, Field(discriminator="method")]

_Fit = Callable[[NDArray[Any], Bool], Isotonic | Sigmoid]

#: What is tried. Where two do equally well, the first.
METHODS: dict[str, _Fit] = {
    "platt": fit_platt,
    "beta": fit_beta,
    "isotonic": fit_isotonic,
}

#: What is tried where not every row was looked at: a step function has no such likelihood in closed form.
_OF_SEEN: dict[str, Callable[[NDArray[Any], Bool, Seen], Sigmoid]] = {"platt": fit_platt, "beta": fit_beta}

#: With fewer rows that happened the figures of a fold are chance.
FEWEST = 30


class Head(Settings):
    """The probability of one kind of event, as a function of the ranker's score.

    calibration: the function. log_loss: by method, in nats a row, on users that it was not fitted on.
    rows, positives: candidates that it was fitted on, and those of them that happened. kind: the code of its
    events in `Examples.target_kinds`; None where it is of all that are to be found, or of shown lists.
    """

    calibration: Calibration
    log_loss: dict[str, float]
    rows: int = Field(ge=1)
    positives: int = Field(ge=0)
    kind: int | None = Field(default=None, ge=0, lt=MOST_KINDS)

    def __call__(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """The probability at each of the ranker's scores: float64, of the same shape; it never falls as the
        score rises."""
        return self.calibration(scores)

    @property
    def base_rate(self) -> float:
        """The share of the candidates that happened."""
        return self.positives / self.rows


def calibrate(scores: NDArray[Any], labels: Bool, folds: Int64, seen: Seen | None = None) -> Head:
    """The method whose log loss is least when each fold is held out, fitted on all.

    scores: [N], of rows that the scoring trees did not see. labels: bool [N], what happened. folds: int64
    [N], by user: rows of a user are in one fold. seen: how far each row was looked at, and how many it stands
    for; the probability is then that of a row that is looked at.

    Raises: DataError where too little happened for a choice: fewer than FEWEST, or in fewer than two folds.
    """
    numbers = distinct(folds)
    if labels.sum() < FEWEST or min(labels[folds == number].sum() for number in numbers) == 0:
        raise DataError(
            f"{int(labels.sum())} of {len(labels):,} candidates happened; it takes {FEWEST} or more, and "
            "some in each fold, to say how probable one is"
        )
    if len(numbers) < 2 or labels.all():
        raise DataError("two folds or more are needed, and a candidate that did not happen")
    data = _Rows(scores, labels, folds, seen)
    losses = {name: data.held_out(name, numbers) for name in (METHODS if seen is None else _OF_SEEN)}
    best = min(losses, key=lambda name: losses[name])
    return Head(
        calibration=data.fit(best, np.ones(len(labels), dtype=np.bool_)),
        log_loss=losses,
        rows=len(labels),
        positives=int(labels.sum()),
    )


def base_rate(labels: Bool, seen: Seen) -> Head:
    """A head that says the same of every row, for too few that happened to tell them apart: by Laplace's rule
    never 0 or 1. seen: how far each row was looked at, and how many rows it stands for."""
    happened = float(seen.weights @ labels) + 1
    looked = float(seen.weights @ seen.examined) + 2
    odds = float(np.log(happened) - np.log(max(looked - happened, 1.0)))
    flat = Sigmoid(method="platt", centre=0.0, scale=1.0, a=0.0, b=0.0, c=odds)
    return Head(calibration=flat, log_loss={}, rows=max(1, len(labels)), positives=int(labels.sum()))


class _Rows(NamedTuple):
    """What a curve is fitted on."""

    scores: NDArray[Any]
    labels: Bool
    folds: Int64
    seen: Seen | None

    def fit(self, method: str, rows: Bool) -> Isotonic | Sigmoid:
        """The curve of some of the rows."""
        if self.seen is None:
            return METHODS[method](self.scores[rows], self.labels[rows])
        return _OF_SEEN[method](self.scores[rows], self.labels[rows], self.seen.take(rows))

    def held_out(self, method: str, numbers: NDArray[Any]) -> float:
        """Log loss of each row by a curve that was fitted on the other folds, as a mean over all rows."""
        total = 0.0
        for number in numbers:
            inside = self.folds == number
            total += self._loss(self.fit(method, ~inside)(self.scores[inside]), inside)
        return total / (len(self.labels) if self.seen is None else float(self.seen.weights.sum()))

    def _loss(self, probabilities: NDArray[np.float64], rows: Bool) -> float:
        """The sum of −ln of what was given to what came; certainties are kept off 0 and 1."""
        labels, tiny = self.labels[rows], np.finfo(np.float64).eps
        if self.seen is None:
            given = np.clip(probabilities, tiny, 1 - tiny)
            return -float(np.log(given[labels]).sum() + np.log1p(-given[~labels]).sum())
        seen = self.seen.take(rows)
        given = np.clip(seen.examined * probabilities, tiny, 1 - tiny)
        return -float(seen.weights @ np.where(labels, np.log(given), np.log1p(-given)))
