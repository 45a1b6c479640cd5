"""Trains the trees with LightGBM."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from funnel.distinct import distinct
from funnel.ranker.config import RankerConfig
from funnel.ranker.lists import TrainingLists
from funnel.ranker.objective import Graded, gradients
from funnel.ranker.peers import ALONE, Peers
from funnel.ranker.rounds import Progress, Rounds, side_by_side
from funnel.types import Float32, Int64

if TYPE_CHECKING:  # its import takes a second or more, and serving does without it
    import lightgbm

#: One thread for so many training rows: with fewer, threads wait longer than they compute.
ROWS_A_THREAD = 100_000


def grow(
    train: TrainingLists, valid: TrainingLists | None, config: RankerConfig, progress: Progress | None
) -> tuple[str, list[float]]:
    """The model as LightGBM's text, cut after its best tree, and the validation NDCG@10 after each tree."""
    share = _share(train, ALONE)
    data, watched = _dataset(train, config, share, ALONE), None
    if valid is not None and len(valid):
        watched = _dataset(valid, config, _share(valid, ALONE), ALONE, data), Graded.of(valid)
    parameters = _parameters(config, share, _threads(config, train.labels), ALONE)
    return _trained(
        partial(_Growing, parameters, data, Graded.of(train), watched, config, ALONE), config, progress
    )


def _trained(
    make: Callable[[], _Growing], config: RankerConfig, progress: Progress | None, peers: Peers = ALONE
) -> tuple[str, list[float]]:
    with side_by_side([make], config, progress, peers) as rounds:
        rounds.grow()
    return rounds.models[0].text(rounds.history), rounds.history


class FoldModels(NamedTuple):
    """A model for each fold as LightGBM's text, the config with their objective, and the folds' mean NDCG@10
    after each tree."""

    config: RankerConfig
    models: list[str]
    history: list[float]


class Folds:
    """Training lists cut into folds, each to be judged by trees grown on the other folds.

    Features are binned once, for all folds, all objectives and the trees of all lists; the lists themselves
    are not held. peers: processes with other lists of the same folds, which grow the same trees.
    """

    def __init__(
        self, lists: TrainingLists, folds: Int64, config: RankerConfig, peers: Peers = ALONE
    ) -> None:
        self._peers, self._share = peers, _share(lists, peers)
        self._lists, data = Graded.of(lists), _dataset(lists, config, self._share, peers)
        self._data = data
        rows = np.repeat(folds, lists.sizes)
        self._parts = [
            [
                (data.subset(np.flatnonzero(chosen)).construct(), Graded.of(lists, kept))
                for chosen, kept in ((rows != fold, folds != fold), (rows == fold, folds == fold))
            ]
            for fold in distinct(folds)
        ]

    def grow(self, config: RankerConfig, progress: Progress | None) -> FoldModels:
        """A model for each fold, grown on the others, with one of the objectives that the config tries.

        Each grows `stop_after` trees, and the one with the better mean NDCG@10 of the folds is grown to its
        end, from its first tree again: models of two objectives at once would take their memory twice. All
        models are cut after the tree with the best mean.
        """
        tried = config.each_objective()
        ahead = max(tried, key=lambda setting: self._after_some(setting, progress)) if tried[1:] else tried[0]
        with self._rounds(ahead, progress) as rounds:
            rounds.grow()
        return FoldModels(ahead, [model.text(rounds.history) for model in rounds.models], rounds.history)

    def _after_some(self, config: RankerConfig, progress: Progress | None) -> float:
        """The best mean after `stop_after` trees."""
        with self._rounds(config, progress) as rounds:
            rounds.grow(config.stop_after)
            return max(rounds.history, default=0.0)

    def _rounds(
        self, config: RankerConfig, progress: Progress | None
    ) -> AbstractContextManager[Rounds[_Growing]]:
        threads = max(1, _threads(config, self._lists.labels) // len(self._parts))
        parameters = _parameters(config, self._share, threads, self._peers)
        makers = [
            partial(_Growing, parameters, *train, watched, config, self._peers)
            for train, watched in self._parts
        ]
        return side_by_side(makers, config, progress, self._peers)

    def grow_whole(self, config: RankerConfig) -> str:
        """A model of all lists with all trees, as LightGBM's text: that of `grow`."""
        parameters = _parameters(config, self._share, _threads(config, self._lists.labels), self._peers)
        make = partial(_Growing, parameters, self._data, self._lists, None, config, self._peers)
        return _trained(make, config, None, self._peers)[0]


class _Growing:
    """A model in training. watched: validation lists, which it is not trained on."""

    def __init__(
        self,
        parameters: dict[str, Any],
        data: lightgbm.Dataset,
        lists: Graded,
        watched: tuple[lightgbm.Dataset, Graded] | None,
        config: RankerConfig,
        peers: Peers,
    ) -> None:
        import lightgbm

        self._watched, self._peers = watched, peers
        if "bagging_fraction" in parameters:  # LightGBM refuses a share of few rows that is less than one
            least = min(1.0, 1.5 / data.num_data())
            share = max(least, parameters["bagging_fraction"])
            parameters = {**parameters, "bagging_fraction": share}
        self._booster = lightgbm.Booster(parameters, data)
        # Where no column has two values LightGBM takes no gradients, and adds trees of one leaf.
        columns = any(data.feature_num_bin(column) > 1 for column in range(data.num_feature()))
        uneven = peers.any(lists.uneven)
        self._gradients = gradients(config, lists, uneven) if columns else None
        if watched is not None:
            self._booster.add_valid(watched[0], "valid")

    def add(self) -> float:
        """Grow a tree. Returns the watched lists' NDCG@10 after it, NaN without such lists."""
        self._booster.update(fobj=self._gradients)
        if self._watched is None:
            return float("nan")
        mean = float(self._booster.eval_valid(self._watched[1].ndcg)[0][2])
        return self._peers.mean(mean, self._watched[1].watched)

    def text(self, history: Sequence[float]) -> str:
        """The model as LightGBM's text, cut after the best tree of the history."""
        return self._booster.model_to_string(num_iteration=int(np.argmax(history)) + 1 if history else None)


def _threads(config: RankerConfig, labels: Float32) -> int:
    # On few rows threads wait for each other longer than they work, and far longer on a busy machine.
    return config.threads or min(1 + len(labels) // ROWS_A_THREAD, os.cpu_count() or 1)


def _share(lists: TrainingLists, peers: Peers) -> float:
    """Rows of all lists, of which these may be a part, by rows that they stand for."""
    rows, weight = peers.total(len(lists.labels), float(lists.weights.sum()))
    return rows / max(1.0, weight)


def _parameters(config: RankerConfig, share: float, threads: int, peers: Peers) -> dict[str, Any]:
    """The config as LightGBM's parameters."""
    parameters: dict[str, Any] = {
        **_binning(config, share, peers),
        "objective": config.objective,
        "metric": "None",
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "feature_fraction": config.feature_fraction,
        "lambda_l2": config.l2,
        "lambdarank_truncation_level": config.truncation,
        "num_threads": threads,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
    }
    if config.bagging_fraction < 1:
        by_list = {"bagging_fraction": config.bagging_fraction, "bagging_freq": 1, "bagging_by_query": True}
        parameters |= by_list
    return parameters


def _binning(config: RankerConfig, share: float, peers: Peers) -> dict[str, Any]:
    """The parameters that LightGBM's binning of features depends on. share: see `_share`."""
    return {
        "max_bin": 63,  # half the time of 255, for figures that differ by less than their noise
        # LightGBM counts rows, and not what they stand for.
        "min_data_in_leaf": max(1, round(config.min_data_in_leaf * share)),
        "verbosity": -1,
        **peers.parameters,
    }


def _dataset(
    lists: TrainingLists,
    config: RankerConfig,
    share: float,
    peers: Peers,
    reference: lightgbm.Dataset | None = None,
) -> lightgbm.Dataset:
    import lightgbm

    return lightgbm.Dataset(
        lists.matrix,
        label=lists.labels,
        group=lists.sizes,
        weight=lists.weights * np.repeat(lists.importance, lists.sizes),
        feature_name=plain_names(lists.names),
        reference=reference,
        params=_binning(config, share, peers) | {"seed": config.seed},
    ).construct()


def plain_names(names: Sequence[str]) -> list[str]:
    """Names that LightGBM's text format can hold: numbered, so that they stay different."""
    return [f"{number}_{re.sub(r'[^0-9A-Za-z_.-]', '_', name)}" for number, name in enumerate(names)]
