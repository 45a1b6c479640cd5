"""The ranker: gradient-boosted trees over candidate features, learned from lists (LightGBM)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.distinct import distinct
from funnel.errors import BundleError, ConfigError, DataError
from funnel.ranker.config import RankerConfig
from funnel.ranker.group import GroupFolds
from funnel.ranker.lists import TrainingLists
from funnel.ranker.rounds import Progress
from funnel.ranker.training import Folds, grow, plain_names
from funnel.ranker.trees import Forest, are_within
from funnel.types import Float32, Int64

_MODEL, _SIDE = "model.txt", "ranker.json"


class Ranker:
    """A fitted ranker. Immutable; `Ranker.fit` or `Ranker.load` makes one.

        ranker = Ranker.fit(train, valid, RankerConfig())
        scores = ranker.predict(valid.matrix)

    Scores come from the compiled trees; LightGBM itself is loaded only to train and to explain.

    names: the F features, in the order of the columns that `predict` takes.
    config: what it was trained with. history: NDCG@10 of the validation lists after each tree. begin: the
    feature that scores begin with, which the trees were grown to correct; None where they begin with 0.
    """

    def __init__(
        self,
        model: str,
        names: Sequence[str],
        config: RankerConfig,
        history: Sequence[float] = (),
        begin: str | None = None,
    ) -> None:
        self.names = tuple(names)
        self.begin = begin
        self.config = config
        self.history = tuple(history)
        self._model = model
        self._forest = Forest(model)
        if list(self._forest.names) != plain_names(self.names):
            raise BundleError(
                f"the ranker's model has {len(self._forest.names)} features, its side file names "
                f"{len(self.names)} or other ones; {_MODEL} and {_SIDE} are not of the same ranker"
            )
        if begin is not None and begin not in self.names:
            raise BundleError(f"the ranker's scores begin with {begin!r}, which is none of its features")

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which compiles the trees again."""
        return Ranker, (self._model, self.names, self.config, self.history, self.begin)

    @classmethod
    def fit(
        cls,
        train: TrainingLists,
        valid: TrainingLists | None,
        config: RankerConfig,
        *,
        progress: Progress | None = None,
    ) -> Ranker:
        """Grow trees on `train`; keep the objective and the number of trees with the best NDCG@10 on `valid`.

        Where `valid` is None all trees are kept, with the first objective. progress: called after each tree.

        The same lists, config and seed give the same model, whatever the number of threads.

        Raises: DataError when `train` is empty or `valid` has other features.
        """
        if len(train) == 0:
            raise DataError(
                "no training lists: not one request of the ranker's window has a retrieved positive"
            )
        if valid is not None and valid.names != train.names:
            raise DataError(f"validation lists have other features: {_difference(train.names, valid.names)}")
        tried = config.each_objective() if valid else config.each_objective()[:1]
        fitted = [(setting, *grow(train, valid, setting, progress)) for setting in tried]
        chosen, model, history = max(fitted, key=lambda candidate: max(candidate[2], default=0.0))
        return cls(model, train.names, chosen, history)

    @classmethod
    def cross_fit(
        cls, lists: TrainingLists, folds: Int64, config: RankerConfig, *, progress: Progress | None = None
    ) -> list[Ranker]:
        """A ranker for each fold, trained on the other folds, so that each list can be ranked by trees that
        never saw it.

        folds: int64 [L], the fold of each list. All rankers have one objective and as many trees, chosen by
        the mean NDCG@10 over the folds: a single fold's best is most often that of a lucky early tree.

        Raises: DataError when there are not two folds, or not one number a list.
        """
        return CrossFit(lists, folds, config).rankers(progress)

    @property
    def text(self) -> str:
        """The model as LightGBM writes it."""
        return self._model

    @property
    def trees(self) -> int:
        """The number of trees."""
        return self._forest.trees

    def check(self, names: Sequence[str]) -> None:
        """Raises: ConfigError when these are not the features that it was trained on, in their order."""
        if tuple(names) != self.names:
            raise ConfigError(
                f"the ranker was trained on other features: {_difference(self.names, tuple(names))}"
            )

    def predict(self, matrix: Float32, *, threads: int = 1) -> NDArray[np.float64]:
        """Raw scores, higher is better (log odds with objective binary): float64 [N].

        matrix: float32 [N, F]; NaN = missing. Raises: ConfigError for another number of columns.
        """
        self._columns(matrix)
        return self._from(matrix, self._forest.rows(matrix, threads=threads))

    def predict_lists(self, matrix: Float32, lengths: Int64, *, threads: int = 1) -> NDArray[np.float64]:
        """`predict` for a list of candidates a request: float64 [B, K], −inf behind a list's end.

        matrix: float32 [B, K, F]. lengths: int64 [B], rows of each list, the first of its K. Faster than row
        by row: what is the same in all rows of a list is evaluated once.

        Raises: ConfigError for another number of columns, or lists longer than K.
        """
        self._columns(matrix, ndim=3)
        if lengths.shape != matrix.shape[:1] or not are_within(lengths, matrix.shape[1]):
            raise ConfigError(f"lengths of {len(matrix)} lists are needed, each 0 to {matrix.shape[1]}")
        return self._from(matrix, self._forest.lists(matrix, lengths, threads=threads))

    def _from(self, matrix: Float32, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The trees' scores behind what scores begin with."""
        return scores if self.begin is None else scores + beginning(matrix, self.names, self.begin)

    def explain(self, row: Float32) -> dict[str, float]:
        """SHAP contributions to one item's raw score, largest first, and `base`; they add up to the score.

        row: [F] or [1, F]. Exact for trees (Lundberg et al. 2020, TreeSHAP).
        """
        matrix = np.atleast_2d(row)
        self._columns(matrix)
        if len(matrix) != 1:
            raise ConfigError(f"explain takes one row, not {len(matrix)}")
        values = self._booster.predict(matrix, pred_contrib=True, num_threads=1)[0]
        if self.begin is not None:
            values[self.names.index(self.begin)] += beginning(matrix, self.names, self.begin)[0]
        order = np.argsort(-np.abs(values[:-1]), kind="stable")
        return {self.names[i]: float(values[i]) for i in order} | {"base": float(values[-1])}

    @cached_property
    def _booster(self) -> Any:
        import lightgbm  # a second or more, and memory, that scoring does without

        try:
            return lightgbm.Booster(model_str=self._model)
        except lightgbm.basic.LightGBMError as error:
            raise BundleError(f"the ranker's model is not LightGBM text: {error}") from error

    def importance(self) -> pd.DataFrame:
        """The use of each feature in training, largest gain first: columns feature, gain, splits."""
        frame = pd.DataFrame(
            {
                "feature": self.names,
                "gain": self._booster.feature_importance("gain"),
                "splits": self._booster.feature_importance("split"),
            }
        )
        return frame.sort_values("gain", ascending=False, kind="stable", ignore_index=True)

    def save(self, folder: Path) -> None:
        """Write model.txt (LightGBM's text) and ranker.json (names, config, history) into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MODEL).write_text(self._model)
        side = {"names": self.names, "config": self.config.model_dump(mode="json"), "history": self.history}
        if self.begin is not None:
            side["begin"] = self.begin
        (folder / _SIDE).write_text(json.dumps(side, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Ranker:
        """What `save` wrote. Raises: BundleError when a file is missing, damaged or of another ranker."""
        try:
            model = (folder / _MODEL).read_text()
            side: Mapping[str, Any] = json.loads((folder / _SIDE).read_text())
            config = RankerConfig.model_validate(side["config"])
            names, history, begin = side["names"], side["history"], side.get("begin")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{folder}: not a saved ranker ({error})") from error
        return cls(model, names, config, history, begin)

    def _columns(self, matrix: Float32, ndim: int = 2) -> None:
        if matrix.ndim != ndim or matrix.shape[-1] != len(self.names):
            first = "N" if ndim == 2 else "B, K"
            raise ConfigError(
                f"the ranker takes [{first}, {len(self.names)}] features, not {list(matrix.shape)}; "
                f"it was trained on: {', '.join(self.names)}"
            )


class CrossFit:
    """Training lists in folds: rankers that are each grown without one of them, then one of all.

    The lists are binned when it is made, and not held where one process grows the trees.

    folds: int64 [L], the fold of each list. processes: of a cluster that grow the trees, see `GroupFolds`.
    Raises: DataError when there are not two folds, or not one number a list; see also `GroupFolds`.
    """

    def __init__(self, lists: TrainingLists, folds: Int64, config: RankerConfig, processes: int = 1) -> None:
        if len(folds) != len(lists) or len(distinct(folds)) < 2:
            raise DataError(
                f"{len(folds)} fold numbers for {len(lists)} training lists: one a list is needed, "
                "and at least two folds"
            )
        self._names, self._config = lists.names, config
        self._folds = Folds(lists, folds, config) if processes == 1 else GroupFolds(lists, folds, processes)

    def rankers(self, progress: Progress | None = None) -> list[Ranker]:
        """`Ranker.cross_fit`: one for each fold."""
        config, models, history = self._folds.grow(self._config, progress)
        return [Ranker(model, self._names, config, history) for model in models]

    def whole(self, config: RankerConfig) -> Ranker:
        """The ranker of all lists, with the config's first objective and all its trees: that of
        `Ranker.fit`."""
        config = config.each_objective()[0]
        return Ranker(self._folds.grow_whole(config), self._names, config)


def beginning(matrix: Float32, names: Sequence[str], feature: str | None) -> NDArray[np.float64]:
    """What scores begin with: the values of a feature, 0 where it is missing or None: float64, a row each.

    matrix: float32 [..., F]. names: the F features.
    """
    if feature is None:
        return np.zeros(matrix.shape[:-1])
    values = matrix[..., tuple(names).index(feature)].astype(np.float64)
    return np.nan_to_num(values, nan=0.0)


def _difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """The difference between two lists of names, for an error message."""
    missing, extra = [n for n in ours if n not in theirs], [n for n in theirs if n not in ours]
    if missing or extra:
        return f"missing {missing}, unknown {extra}"
    return "the same names in another order"
