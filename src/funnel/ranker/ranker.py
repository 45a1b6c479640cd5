"""The ranker: gradient-boosted trees over candidate features, learned from lists (LightGBM)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.errors import BundleError, ConfigError, DataError
from funnel.ranker.config import RankerConfig
from funnel.ranker.lists import TrainingLists
from funnel.ranker.training import Progress, grow, plain_names
from funnel.types import Float32

_MODEL, _SIDE = "model.txt", "ranker.json"


class Ranker:
    """A fitted ranker. Immutable; `Ranker.fit` or `Ranker.load` makes one.

    names: the F features, in the order of the columns that `predict` takes.
    config: what it was trained with. history: NDCG@10 of the validation lists after each tree.
    """

    def __init__(
        self, model: str, names: Sequence[str], config: RankerConfig, history: Sequence[float] = ()
    ) -> None:
        self.names = tuple(names)
        self.config = config
        self.history = tuple(history)
        self._model = model
        try:
            self._booster = lightgbm.Booster(model_str=model)
        except lightgbm.basic.LightGBMError as error:
            raise BundleError(f"the ranker's model is not LightGBM text: {error}") from error
        if self._booster.feature_name() != plain_names(self.names):
            raise BundleError(
                f"the ranker's model has {self._booster.num_feature()} features, its side file names "
                f"{len(self.names)} or other ones; {_MODEL} and {_SIDE} are not of the same ranker"
            )

    @classmethod
    def fit(
        cls,
        train: TrainingLists,
        valid: TrainingLists | None,
        config: RankerConfig,
        *,
        progress: Progress | None = None,
    ) -> Ranker:
        """Grow trees on `train`; keep as many as give the best NDCG@10 on `valid` (all of them when None).

        The same lists, config and seed give the same model, whatever the number of threads.

        Raises: DataError when `train` is empty or `valid` has other features.
        """
        if len(train) == 0:
            raise DataError(
                "no training lists: not one request of the ranker's window has a retrieved positive"
            )
        if valid is not None and valid.names != train.names:
            raise DataError(f"validation lists have other features: {_difference(train.names, valid.names)}")
        model, history = grow(train, valid, config, progress)
        return cls(model, train.names, config, history)

    @property
    def trees(self) -> int:
        """Trees that are kept."""
        return self._booster.num_trees()

    def check(self, names: Sequence[str]) -> None:
        """Raises: ConfigError when these are not the features that it was trained on, in their order."""
        if tuple(names) != self.names:
            raise ConfigError(
                f"the ranker was trained on other features: {_difference(self.names, tuple(names))}"
            )

    def predict(self, matrix: Float32, *, threads: int = 1) -> NDArray[np.float64]:
        """Raw scores, higher is better (log odds with objective binary): float64 [N].

        matrix: [N, F]; NaN = missing. Raises: ConfigError for another number of columns.
        """
        self._columns(matrix)
        if len(matrix) == 0:
            return np.empty(0, dtype=np.float64)
        return self._booster.predict(matrix, raw_score=True, num_threads=threads)

    def explain(self, row: Float32) -> dict[str, float]:
        """SHAP contributions to one item's raw score, largest first, and `base`; they add up to the score.

        row: [F] or [1, F]. Exact for trees (Lundberg et al. 2020, TreeSHAP).
        """
        matrix = np.atleast_2d(row)
        self._columns(matrix)
        if len(matrix) != 1:
            raise ConfigError(f"explain takes one row, not {len(matrix)}")
        values = self._booster.predict(matrix, pred_contrib=True, num_threads=1)[0]
        order = np.argsort(-np.abs(values[:-1]), kind="stable")
        return {self.names[i]: float(values[i]) for i in order} | {"base": float(values[-1])}

    def importance(self) -> pd.DataFrame:
        """What each feature did in training, most gain first: columns feature, gain, splits."""
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
        (folder / _SIDE).write_text(json.dumps(side, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Ranker:
        """What `save` wrote. Raises: BundleError when a file is missing, damaged or of another ranker."""
        try:
            model = (folder / _MODEL).read_text()
            side: Mapping[str, Any] = json.loads((folder / _SIDE).read_text())
            config = RankerConfig.model_validate(side["config"])
            names, history = side["names"], side["history"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{folder}: not a saved ranker ({error})") from error
        return cls(model, names, config, history)

    def _columns(self, matrix: Float32) -> None:
        if matrix.ndim != 2 or matrix.shape[1] != len(self.names):
            raise ConfigError(
                f"the ranker takes [N, {len(self.names)}] features, not {list(matrix.shape)}; "
                f"it was trained on: {', '.join(self.names)}"
            )


def _difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """What differs between two lists of names, for an error message."""
    missing, extra = [n for n in ours if n not in theirs], [n for n in theirs if n not in ours]
    if missing or extra:
        return f"missing {missing}, unknown {extra}"
    return "the same names in another order"
