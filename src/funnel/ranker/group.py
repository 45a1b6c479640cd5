"""Trees that several processes of a cluster grow together, each from whole lists of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from funnel.distinct import distinct
from funnel.errors import ConfigError, FunnelError
from funnel.ranker.config import RankerConfig
from funnel.ranker.lists import TrainingLists
from funnel.ranker.peers import network
from funnel.ranker.rounds import Progress
from funnel.ranker.training import FoldModels, Folds
from funnel.recipes import Member, Recipe, Workers, workers
from funnel.types import Bool, Int64


class GroupFolds:
    """`Folds` by so many processes at the same time, over LightGBM's own sockets.

    Histograms are summed over the processes, so that a tree is one of all lists; bins are found by each for
    some of the features from its own lists, and sums are rounded otherwise: another number of processes gives
    other trees, the same number the same.
    """

    def __init__(self, lists: TrainingLists, folds: Int64, processes: int) -> None:
        """Raises: ConfigError where there is no cluster, or a fold has fewer lists than processes."""
        self._lists, self._folds, self._n = lists, folds, processes
        self._workers = _there(processes)
        fewest = int(np.unique(folds, return_counts=True)[1].min())
        if fewest < processes:
            raise ConfigError(
                f"{processes} processes (scale.list_shards) share the ranker's training lists, and a fold "
                f"has {fewest} of them: each needs one at least"
            )

    def grow(self, config: RankerConfig, progress: Progress | None) -> FoldModels:
        """See `Folds.grow`. progress: is called when all trees are there."""
        fitted = self._together(config, whole=False)
        for number, value in enumerate(fitted.history, 1):
            if progress is not None:
                progress(number, value)
        return fitted

    def grow_whole(self, config: RankerConfig) -> str:
        """See `Folds.grow_whole`."""
        return self._together(config, whole=True).models[0]

    def _together(self, config: RankerConfig, *, whole: bool) -> FoldModels:
        recipe = Recipe(growing_in, self._lists, self._folds, config, whole)
        fitted: list[FoldModels] = self._workers.together(recipe, self._n)
        if any(other != fitted[0] for other in fitted[1:]):
            raise FunnelError(
                f"{self._n} processes that grow the same trees grew different ones: their machines compute "
                "otherwise; run again on machines of one kind, or set scale.list_shards = 1"
            )
        return fitted[0]


def growing_in(
    lists: TrainingLists, folds: Int64, config: RankerConfig, whole: bool
) -> Callable[[Member], FoldModels]:
    """What each process of a group does. whole: grow one model of all lists, and not one a fold."""
    config = config.model_copy(update={"threads": 1})  # a core each; trees do not depend on it

    def grow(member: Member) -> FoldModels:
        import lightgbm

        lightgbm.register_logger(logging.getLogger(__name__), "debug", "debug")  # it tells of each connection
        mine = _part(folds, member)
        with network(member) as peers:
            fitting = Folds(lists.take(mine), folds[mine], config, peers)
            return (
                FoldModels(config, [fitting.grow_whole(config)], []) if whole else fitting.grow(config, None)
            )

    return grow


def check_cluster(processes: int) -> None:
    """Raises: ConfigError where so many processes are to grow trees and there is no cluster."""
    if processes > 1:
        _there(processes)


def _there(processes: int) -> Workers:
    others = workers()
    if others is None:
        raise ConfigError(
            f"scale.list_shards is {processes}, processes of a cluster that grow the ranker's trees, and no "
            "cluster is named: give --ray local, or set scale.list_shards = 1"
        )
    return others


def _part(folds: Int64, member: Member) -> Bool:
    """The lists of a process: of each fold one after the other in turn."""
    mine = np.zeros(len(folds), dtype=np.bool_)
    for fold in distinct(folds):
        mine[np.flatnonzero(folds == fold)[member.number :: member.of]] = True
    return mine
