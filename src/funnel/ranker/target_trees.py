"""Trees that are grown by a loss of our own on rows that each have something to be told."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from funnel.distinct import distinct
from funnel.ranker.calibration import FEWEST
from funnel.ranker.config import RankerConfig
from funnel.ranker.ranker import Ranker
from funnel.ranker.rounds import Progress, side_by_side
from funnel.ranker.training import plain_names
from funnel.types import Bool, Float32, Int64

if TYPE_CHECKING:  # its import takes a second or more, and serving does without it
    import lightgbm


class TreeLoss(Protocol):
    """What trees are grown by. start: what a score of 0 stands for, on the loss's own scale."""

    start: float

    def __call__(self, scores: Any, _: Any = None) -> tuple[Any, Any]:
        """Gradient and curvature: float64 [N] each."""

    def gain(self, scores: Any, _: Any = None) -> tuple[str, float, bool]:
        """How good scores are, as LightGBM takes a metric: name, value, and that more is better."""


class TargetRows(Protocol):
    """Rows that trees are grown on, N in all, with F features."""

    @property
    def matrix(self) -> Float32:
        """float32 [N, F]."""

    @property
    def names(self) -> tuple[str, ...]:
        """The F features."""

    @property
    def folds(self) -> Int64:
        """int64 [N], by user."""

    @property
    def target(self) -> NDArray[Any]:
        """What is to be told of each row: [N]."""

    @property
    def says_something(self) -> bool:
        """Whether trees can tell rows apart."""

    def take(self, rows: NDArray[Any]) -> Self:
        """The rows that a boolean mask or an index array picks."""

    def loss(self, start: float | None = None) -> TreeLoss:
        """Of these rows. start: that of the rows that trees are grown on; default these."""


def tells(matrix: Float32, positive: Bool, folds: Int64) -> bool:
    """Whether trees can tell rows apart: enough of each fold's are positive, and a feature varies."""
    of_folds = np.bincount(folds, weights=positive)[distinct(folds)]
    varies = (matrix != matrix[:1]) & ~(np.isnan(matrix) & np.isnan(matrix[:1]))
    return bool(of_folds.sum() >= FEWEST and of_folds.min() > 0 and varies.any())


class Learned(NamedTuple):
    """Trees on all rows, and on those of the other folds of users for each fold, as many in all of them."""

    whole: Ranker
    folds: list[Ranker]


def learned(rows: TargetRows, config: RankerConfig, begin: str | None = None) -> Learned | None:
    """Trees on all rows, and for each fold; None where rows cannot be told apart. begin: the feature that
    scores begin with."""
    if not rows.says_something:
        return None
    texts, trees = cross_fit(rows, config)
    settings = config.model_copy(update={"objective": "binary", "trees": trees})
    whole, *parts = (
        Ranker(text, rows.names, settings, begin=begin) for text in (grow(rows, trees, config), *texts)
    )
    return Learned(whole, parts)


def cross_fit(
    rows: TargetRows, config: RankerConfig, progress: Progress | None = None
) -> tuple[list[str], int]:
    """A model for each fold of users, grown on the others, as LightGBM's text; and the number of trees with
    the least mean loss on the folds left out, which all models have."""
    data, makers = _dataset(rows, config), []
    for fold in distinct(rows.folds):
        # Cut here and not where a model is made: LightGBM crashes where threads cut one data set.
        train, watched = (_Part.of(data, rows, np.flatnonzero(mine)) for mine in _sides(rows.folds, fold))
        makers.append(partial(_GrowingHead, train, watched, config))
    with side_by_side(makers, config, progress) as rounds:
        rounds.grow()
    history = rounds.history
    return [model.text(history) for model in rounds.models], int(np.argmax(history)) + 1


def grow(rows: TargetRows, trees: int, config: RankerConfig) -> str:
    """A model of so many trees, grown on all rows."""
    config = config.model_copy(update={"trees": trees})
    whole = _Part(_dataset(rows, config), rows)
    with side_by_side([partial(_GrowingHead, whole, None, config)], config, None) as rounds:
        rounds.grow()
    return rounds.models[0].text(())


def _sides(folds: Int64, fold: int) -> tuple[Bool, Bool]:
    """The rows of the other folds, and those of this one."""
    return folds != fold, folds == fold


class _Part(NamedTuple):
    """Rows, and the same as LightGBM holds them."""

    data: lightgbm.Dataset
    rows: TargetRows

    @classmethod
    def of(cls, data: lightgbm.Dataset, rows: TargetRows, some: Int64) -> _Part:
        """Some of the rows of a data set."""
        return cls(data.subset(some).construct(), rows.take(some))


class _GrowingHead:
    """A model in training. watched: rows that it is not trained on, whose loss is followed."""

    def __init__(self, train: _Part, watched: _Part | None, config: RankerConfig) -> None:
        import lightgbm

        parameters = {**_parameters(config), "num_threads": config.threads or 1}
        self._booster = lightgbm.Booster(parameters, train.data)
        self._loss = train.rows.loss()
        self._watched: TreeLoss | None = None
        if watched is not None:
            self._watched = watched.rows.loss(self._loss.start)
            self._booster.add_valid(watched.data, "valid")

    def add(self) -> float:
        """Grow a tree. Returns how good the model is on the watched rows after it, NaN without such rows."""
        self._booster.update(fobj=self._loss)
        if self._watched is None:
            return float("nan")
        return float(self._booster.eval_valid(self._watched.gain)[0][2])

    def text(self, history: Sequence[float]) -> str:
        """The model as LightGBM's text, cut after the best tree of the history."""
        return self._booster.model_to_string(
            num_iteration=int(np.argmax(history)) + 1 if len(history) else None
        )


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


def _dataset(rows: TargetRows, config: RankerConfig) -> lightgbm.Dataset:
    import lightgbm

    return lightgbm.Dataset(
        rows.matrix, label=rows.target, feature_name=plain_names(rows.names), params=_parameters(config)
    ).construct()
