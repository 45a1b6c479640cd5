"""Which calibration it is: the one whose log loss is least on users that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from funnel.errors import DataError
from funnel.ranker.calibration.isotonic import Isotonic, fit_isotonic
from funnel.ranker.calibration.sigmoid import Sigmoid, fit_beta, fit_platt
from funnel.settings import Settings
from funnel.types import Bool, Int64

Calibration = Annotated[Isotonic | Sigmoid, Field(discriminator="method")]

#: What is tried. Where two do equally well, the first.
METHODS: dict[str, Callable[[NDArray[Any], Bool], Isotonic | Sigmoid]] = {
    "platt": fit_platt,
    "beta": fit_beta,
    "isotonic": fit_isotonic,
}

#: With fewer rows that happened the figures of a fold are chance.
FEWEST = 30


class Head(Settings):
    """The probability of one kind of event, as a function of the ranker's score.

    calibration: the function. log_loss: by method, in nats a row, on users that it was not fitted on.
    rows, positives: candidates that it was fitted on, and those of them that happened.
    """

    calibration: Calibration
    log_loss: dict[str, float]
    rows: int = Field(ge=1)
    positives: int = Field(ge=0)

    def __call__(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """The probability at each of the ranker's scores: float64, of the same shape; it never falls as the
        score rises."""
        return self.calibration(scores)

    @property
    def base_rate(self) -> float:
        """The share of the candidates that happened."""
        return self.positives / self.rows


def calibrate(scores: NDArray[Any], labels: Bool, folds: Int64) -> Head:
    """The method whose log loss is least when each fold is held out, fitted on all.

    scores: [N], of rows that the scoring trees did not see. labels: bool [N], what happened. folds: int64
    [N], by user: rows of a user are in one fold.

    Raises: DataError where too little happened for a choice: fewer than FEWEST, or in fewer than two folds.
    """
    numbers = np.unique(folds)
    if labels.sum() < FEWEST or min(labels[folds == number].sum() for number in numbers) == 0:
        raise DataError(
            f"{int(labels.sum())} of {len(labels):,} candidates happened; it takes {FEWEST} or more, and "
            "some in each fold, to say how probable one is"
        )
    if len(numbers) < 2 or labels.all():
        raise DataError("two folds or more are needed, and a candidate that did not happen")
    losses = {name: _held_out(fit, scores, labels, folds, numbers) for name, fit in METHODS.items()}
    best = min(losses, key=lambda name: losses[name])
    return Head(
        calibration=METHODS[best](scores, labels),
        log_loss=losses,
        rows=len(labels),
        positives=int(labels.sum()),
    )


def _held_out(
    fit: Callable[[NDArray[Any], Bool], Isotonic | Sigmoid],
    scores: NDArray[Any],
    labels: Bool,
    folds: Int64,
    numbers: NDArray[Any],
) -> float:
    """Log loss of each row by a curve that was fitted on the other folds, as a mean over all rows."""
    total = 0.0
    for number in numbers:
        inside = folds == number
        total += _loss(fit(scores[~inside], labels[~inside])(scores[inside]), labels[inside])
    return total / len(labels)


def _loss(probabilities: NDArray[np.float64], labels: Bool) -> float:
    """The sum of −ln of what was given to what came; certainties are kept off 0 and 1."""
    tiny = np.finfo(np.float64).eps
    given = np.clip(probabilities, tiny, 1 - tiny)
    return -float(np.log(given[labels]).sum() + np.log1p(-given[~labels]).sum())
