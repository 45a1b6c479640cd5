"""Growing the trees: LightGBM, told once what it is to do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funnel.ranker.config import RankerConfig
from funnel.ranker.lists import TrainingLists
from funnel.types import Int64

if TYPE_CHECKING:  # its import takes a second or more, which who serves need not wait for
    import lightgbm

#: Called after each tree with its number from 1 and the validation lists' NDCG@10 (NaN without such lists).
Progress = Callable[[int, float], None]

#: Training rows that make another thread worth its waiting.
ROWS_A_THREAD = 100_000


def grow(
    train: TrainingLists, valid: TrainingLists | None, config: RankerConfig, progress: Progress | None
) -> tuple[str, list[float]]:
    """The model as LightGBM's text, cut after its best tree, and the validation NDCG@10 after each tree."""
    import lightgbm

    history: list[float] = []
    callbacks = [_record(history, progress)]
    data, watched = _dataset(train), []
    if valid is not None and len(valid):
        watched = [_dataset(valid, reference=data)]
        callbacks.append(lightgbm.early_stopping(config.stop_after, first_metric_only=True, verbose=False))
    booster = lightgbm.train(
        _parameters(config, len(train.labels)), data, config.trees,
        valid_sets=watched, valid_names=["valid"] * len(watched), callbacks=callbacks,
    )  # fmt: skip
    kept = booster.best_iteration if watched and booster.best_iteration > 0 else None
    return booster.model_to_string(num_iteration=kept), history


def grow_folds(
    lists: TrainingLists, folds: Int64, config: RankerConfig, progress: Progress | None
) -> tuple[list[str], list[float]]:
    """For each fold the model grown on the others, all cut after the tree that is best over all folds; the
    folds' mean NDCG@10 after each tree."""
    import lightgbm

    history: list[float] = []
    fold_of = np.repeat(folds, lists.sizes)
    stop = lightgbm.early_stopping(config.stop_after, first_metric_only=True, verbose=False)
    found = lightgbm.cv(
        _parameters(config, len(lists.labels)), _dataset(lists), config.trees,
        folds=[(np.flatnonzero(fold_of != one), np.flatnonzero(fold_of == one)) for one in np.unique(folds)],
        callbacks=[_record(history, progress), stop],
        return_cvbooster=True,
    )  # fmt: skip
    grown: Any = found["cvbooster"]
    return [one.model_to_string(num_iteration=grown.best_iteration) for one in grown.boosters], history


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
        "max_bin": 63,  # half the time of 255, for figures that differ by less than their noise
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
    import lightgbm

    return lightgbm.Dataset(
        lists.matrix,
        label=lists.labels,
        group=lists.sizes,
        feature_name=plain_names(lists.names),
        reference=reference,
    )


def plain_names(names: Sequence[str]) -> list[str]:
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
