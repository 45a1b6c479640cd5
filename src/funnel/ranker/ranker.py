"""The ranker: gradient-boosted trees over candidate features, learned from lists (LightGBM)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.errors import BundleError, ConfigError, DataError
from funnel.ranker.config import RankerConfig
from funnel.ranker.lists import TrainingLists
from funnel.types import Float32

#: Called after each tree with its number from 1 and the validation lists' NDCG@10 (NaN without such lists).
Progress = Callable[[int, float], None]

#: Training rows that make another thread worth its waiting.
ROWS_A_THREAD = 100_000

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
        if self._booster.feature_name() != _plain(self.names):
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
        history: list[float] = []
        callbacks = [_record(history, progress)]
        data = _dataset(train)
        watched = []
        if valid is not None and len(valid):
            watched = [_dataset(valid, reference=data)]
            callbacks.append(
                lightgbm.early_stopping(config.stop_after, first_metric_only=True, verbose=False)
            )
        booster = lightgbm.train(
            _parameters(config, len(train.labels)), data, config.trees,
            valid_sets=watched, valid_names=["valid"] * len(watched), callbacks=callbacks,
        )  # fmt: skip
        kept = booster.best_iteration if watched and booster.best_iteration > 0 else None
        return cls(booster.model_to_string(num_iteration=kept), train.names, config, history)

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


def _parameters(config: RankerConfig, rows: int) -> dict[str, Any]:
    """LightGBM's names for ours."""
    # On few rows threads wait for each other longer than they work, and far longer on a busy machine.
    worth = min(1 + rows // ROWS_A_THREAD, os.cpu_count() or 1)
    parameters: dict[str, Any] = {
        "objective": config.objective,
        "metric": "ndcg",
        "eval_at": [10],
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.min_data_in_leaf,
        "feature_fraction": config.feature_fraction,
        "lambda_l2": config.l2,
        "lambdarank_truncation_level": config.truncation,
        "num_threads": config.threads or worth,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    if config.bagging_fraction < 1:
        by_list = {"bagging_fraction": config.bagging_fraction, "bagging_freq": 1, "bagging_by_query": True}
        parameters |= by_list
    return parameters


def _dataset(lists: TrainingLists, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
    return lightgbm.Dataset(
        lists.matrix,
        label=lists.labels,
        group=lists.sizes,
        feature_name=_plain(lists.names),
        reference=reference,
    )


def _plain(names: Sequence[str]) -> list[str]:
    """Names that LightGBM's text format can hold: numbered, so that they stay different."""
    return [f"{place}_{re.sub(r'[^0-9A-Za-z_.-]', '_', name)}" for place, name in enumerate(names)]


def _record(history: list[float], progress: Progress | None) -> Callable[[Any], None]:
    """A LightGBM callback that keeps the validation NDCG and reports it."""

    def callback(env: Any) -> None:
        results = env.evaluation_result_list
        value = float(results[0][2]) if results else float("nan")
        if results:
            history.append(value)
        if progress is not None:
            progress(env.iteration + 1, value)

    return callback


def _difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """What differs between two lists of names, for an error message."""
    missing, extra = [n for n in ours if n not in theirs], [n for n in theirs if n not in ours]
    if missing or extra:
        return f"missing {missing}, unknown {extra}"
    return "the same names in another order"
