"""Where items stand among what the sources found, also those that no source returned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funnel.order import keys
from funnel.stages.sources import RetrievalScore, Source
from funnel.types import Candidates, Float32, Int32, Requests


def retrieval_score(source: Source, requests: Requests, items: Int32) -> Float32:
    """What a source's `find` would give to items: float32 [B, K], −inf where it would not return one."""
    if isinstance(source, RetrievalScore):
        return source.retrieval_score(requests, items)
    return source.score(requests, items)


def ranks_among(retrieved: Candidates, number: int, items: Int32, scores: Float32, k: int) -> Int32:
    """The rank that each item's score gives it in what one source returned: int32 [B, K], −1 behind its k.

    number: of the source in retrieved. scores: float32 [B, K], −inf where the source
    would not return the item.
    """
    ranks = np.full(items.shape, -1, dtype=np.int32)
    own = keys(items, scores)
    for row in range(len(items)):
        there = retrieved.source_ranks[row, :, number] >= 0
        listed = keys(retrieved.items[row, there][None], retrieved.source_scores[row, there, number][None])[0]
        at = np.searchsorted(np.sort(listed), own[row])
        possible = (items[row] >= 0) & (scores[row] > -np.inf) & (at < k)
        ranks[row, possible] = at[possible]
    return ranks


def behind_all(items: Int32, scores: Float32, weights: NDArray[np.float64], behind: float) -> Float32:
    """Fused scores of items that no source has a rank for, at most 0: float32 [B, K].

    Reciprocal rank fusion goes on from the rank `behind` (the constant and all), less what it can give there
    at most. items: −1 for those that have a rank. scores: float32 [S, B, K] of the sources. weights: [S].
    """
    total = np.zeros(items.shape)
    for of_source, weight in zip(scores, weights, strict=True):
        order = np.argsort(np.argsort(keys(items, of_source), axis=1), axis=1)
        total += np.where(of_source > -np.inf, weight / (behind + order), 0)
    return (total - weights.sum() / behind).astype(np.float32)


def copy_retrieved(retrieved: Candidates, placed: Candidates) -> None:
    """Write what was found of an item over what its scores say, in place."""
    for row in range(len(placed)):
        _, at, source = np.intersect1d(placed.items[row], retrieved.items[row], return_indices=True)
        real = placed.items[row, at] >= 0
        at, source = at[real], source[real]
        placed.scores[row, at] = retrieved.scores[row, source]
        placed.source_scores[row, at] = retrieved.source_scores[row, source]
        placed.source_ranks[row, at] = retrieved.source_ranks[row, source]
