"""Trees for the probability of one outcome: log loss, where it is known how far each row was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.ranker.calibration import FEWEST
from funnel.ranker.config import RankerConfig
from funnel.ranker.training import Progress, plain_names, rounds
from funnel.types import Bool, Float32, Int64

if TYPE_CHECKING:  # its import takes a second or more, and serving does without it
    import lightgbm

Float64 = NDArray[np.float64]

#: Keeps logarithms and divisions finite.
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class OutcomeRows:
    """Rows with one outcome each, N in all.

    matrix: float32 [N, F]. names: the F features. happened: bool [N]. examined: float64 [N], the chance that
    the row was looked at at all, above 0 and 1 at most: what was not seen could not happen. weights:
    float64 [N], how many rows of the log each stands for. folds: int64 [N], by user.
    """

    matrix: Float32
    names: tuple[str, ...]
    happened: Bool
    examined: Float64
    weights: Float64
    folds: Int64

    def __len__(self) -> int:
        return len(self.happened)

    @property
    def says_something(self) -> bool:
        """Whether trees can tell rows apart: enough of each fold's rows happened, and a feature varies."""
        happened = np.bincount(self.folds, weights=self.happened)[np.unique(self.folds)]
        varies = (self.matrix != self.matrix[:1]) & ~(np.isnan(self.matrix) & np.isnan(self.matrix[:1]))
        return bool(happened.sum() >= FEWEST and happened.min() > 0 and varies.any())

    def take(self, rows: NDArray[Any]) -> OutcomeRows:
        """The rows that a boolean mask or an index array picks."""
        return OutcomeRows(
            self.matrix[rows], self.names, self.happened[rows], self.examined[rows],
            self.weights[rows], self.folds[rows],
        )  # fmt: skip


def cross_fit(
    rows: OutcomeRows, config: RankerConfig, progress: Progress | None = None
) -> tuple[list[str], int]:
    """A model for each fold of users, grown on the others, as LightGBM's text; and the number of trees with
    the least mean log loss on the folds left out, which all models have."""
    data, makers = _dataset(rows, config), []
    for fold in np.unique(rows.folds):
        # Cut here and not where a model is made: LightGBM crashes where threads cut one data set.
        train, watched = (_Part.of(data, rows, np.flatnonzero(mine)) for mine in _sides(rows.folds, fold))
        makers.append(partial(_GrowingHead, train, watched, config))
    models, history = rounds(makers, config, progress)
    return [model.text(history) for model in models], int(np.argmax(history)) + 1


def grow(rows: OutcomeRows, trees: int, config: RankerConfig) -> str:
    """A model of so many trees, grown on all rows."""
    config = config.model_copy(update={"trees": trees})
    whole = _Part(_dataset(rows, config), rows)
    (model,), _ = rounds([partial(_GrowingHead, whole, None, config)], config, None)
    return model.text(())


def _sides(folds: Int64, fold: int) -> tuple[Bool, Bool]:
    """The rows of the other folds, and those of this one."""
    return folds != fold, folds == fold


class _Part(NamedTuple):
    """Rows, and the same as LightGBM holds them."""

    data: lightgbm.Dataset
    rows: OutcomeRows

    @classmethod
    def of(cls, data: lightgbm.Dataset, rows: OutcomeRows, some: Int64) -> _Part:
        """Some of the rows of a data set."""
        return cls(data.subset(some).construct(), rows.take(some))


class _GrowingHead:
    """A model in training. watched: rows that it is not trained on, whose log loss is followed."""

    def __init__(self, train: _Part, watched: _Part | None, config: RankerConfig) -> None:
        import lightgbm

        parameters = {**_parameters(config), "num_threads": config.threads or 1}
        self._booster = lightgbm.Booster(parameters, train.data)
        self._loss = Examined(train.rows)
        self._watched: Examined | None = None
        if watched is not None:
            self._watched = Examined(watched.rows, self._loss.start)
            self._booster.add_valid(watched.data, "valid")

    def add(self) -> float:
        """Grow a tree. Returns the watched rows' mean log-likelihood after it, NaN without such rows."""
        self._booster.update(fobj=self._loss)
        if self._watched is None:
            return float("nan")
        return float(self._booster.eval_valid(self._watched.likelihood)[0][2])

    def text(self, history: Sequence[float]) -> str:
        """The model as LightGBM's text, cut after the best tree of the history."""
        return self._booster.model_to_string(
            num_iteration=int(np.argmax(history)) + 1 if len(history) else None
        )


class Examined:
    """The log loss of P(happened) = examined · σ(start + score), its gradient and its expected curvature.

    This is the likelihood of the position-based model (Richardson, Dominowska and Ragno, Predicting Clicks,
    WWW 2007) with known examination: what was hardly looked at says hardly anything where nothing happened,
    and no row has a weight that grows without bound. start: log odds of score 0; default those of the rate.
    """

    def __init__(self, rows: OutcomeRows, start: float | None = None) -> None:
        self._rows = rows
        rate = (rows.weights @ rows.happened + 1) / (rows.weights @ rows.examined + 2)
        self.start = float(np.log(rate / (1 - rate))) if start is None else start

    def __call__(self, scores: Any, _: Any = None) -> tuple[Any, Any]:
        """Gradient and curvature: float64 [N] each. The curvature is Fisher's, which is never below 0."""
        rows, chance = self._rows, self._chance(scores)
        unseen = np.maximum(1 - rows.examined * chance, _TINY)
        slope = rows.examined * chance * (1 - chance) / unseen
        gradient = np.where(rows.happened, chance - 1, slope)
        return gradient * rows.weights, np.maximum(slope * (1 - chance) * rows.weights, _TINY)

    def likelihood(self, scores: Any, _: Any = None) -> tuple[str, float, bool]:
        """The mean log-likelihood, as LightGBM takes a metric: name, value, and that more is better."""
        rows = self._rows
        chance = np.clip(rows.examined * self._chance(scores), _TINY, 1 - _TINY)
        values = np.where(rows.happened, np.log(chance), np.log1p(-chance))
        return "likelihood", float(rows.weights @ values / rows.weights.sum()), True

    def _chance(self, scores: Any) -> Float64:
        values: Float64 = 1 / (
            1 + np.exp(-np.clip(np.asarray(scores, dtype=np.float64) + self.start, -50, 50))
        )
        return values


def _parameters(config: RankerConfig) -> dict[str, Any]:
    return {
        "objective": "none",
        "metric": "None",
        "max_bin": 63,
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "feature_fraction": config.feature_fraction,
        "lambda_l2": config.l2,
        "min_data_in_leaf": config.min_data_in_leaf,
        "min_sum_hessian_in_leaf": 1.0,
        "feature_pre_filter": False,  # else few rows have no feature, and LightGBM takes no gradients
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _dataset(rows: OutcomeRows, config: RankerConfig) -> lightgbm.Dataset:
    import lightgbm

    return lightgbm.Dataset(
        rows.matrix, label=rows.happened, feature_name=plain_names(rows.names), params=_parameters(config)
    ).construct()
