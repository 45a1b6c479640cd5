"""The best possible lists, where the true preferences behind the data are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from funnel.errors import DataError
from funnel.types import Candidates, Float32, Int32, Int64, Requests

#: Requests -> a true number of each item: float32 [B, n_items].
TruthScores = Callable[[Requests], Float32]

_SCORES = 2**24  # true scores held at once: 64 MiB

#: But of so many requests at least: the items' vectors are read once for all of them.
_TOGETHER = 8


def at_once(n: int, n_items: int) -> Iterator[Int64]:
    """The rows of n requests, so many at a time that true numbers of all items fit."""
    rows = max(_TOGETHER, _SCORES // max(n_items, 1))
    for start in range(0, n, rows):
        yield np.arange(start, min(start + rows, n))


def best_by_truth(truth_scores: TruthScores, n_items: int, k: int) -> Callable[[Requests], Candidates]:
    """A recommender of the k items that the world's own preference puts first and that may be returned.

    truth_scores: higher preferred.
    """

    def recommend(requests: Requests) -> Candidates:
        empty = Candidates.empty(0)
        parts = [
            _best(truth_scores(part), part, min(k, n_items))
            for rows in at_once(len(requests), n_items)
            for part in [requests.take(rows)]
        ]
        items = np.concatenate([items for items, _ in parts]) if parts else empty.items
        scores = np.concatenate([scores for _, scores in parts]) if parts else empty.scores
        blank = np.empty((*items.shape, 0))
        return Candidates(items, scores, (), blank.astype(np.float32), blank.astype(np.int32))

    return recommend


def true_gains(truth_scores: TruthScores) -> Callable[[Requests], Float32]:
    """Requests -> the true chance that each item is clicked once it is looked at: float32 [B, n_items].

    That is the sigmoid of the true score. Clicks in a log depend on what was shown; this does not.
    """
    return lambda requests: (1 / (1 + np.exp(-truth_scores(requests)))).astype(np.float32)


def _best(scores: Float32, requests: Requests, k: int) -> tuple[Int32, Float32]:
    """Items and scores [B, k], descending, ties by row; −1 and −inf where fewer may be returned."""
    if scores.ndim != 2 or len(scores) != len(requests):
        raise DataError(f"true scores have shape {scores.shape}; [{len(requests)}, items] is needed")
    scores = scores.astype(np.float32)
    if requests.allow is not None:
        scores[~requests.allow.masks()] = -np.inf
    if requests.exclude is not None:
        known = requests.exclude.values >= 0
        scores[requests.exclude.list_of[known], requests.exclude.values[known]] = -np.inf
    row = np.arange(len(scores))[:, None]
    items = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    items = items[row, np.lexsort((items, -scores[row, items]), axis=1)]
    best = scores[row, items]
    return np.where(np.isfinite(best), items, -1).astype(np.int32), best
