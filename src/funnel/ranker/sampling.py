"""Which of the retrieved candidates the ranker is trained on."""

from __future__ import annotations

import numpy as np

from funnel.distinct import distinct, is_in
from funnel.types import Bool, Candidates, Float32, Ragged


def kept_negatives(negative: Bool, cap: int | None, seed: int) -> Float32:
    """The weight of each negative: float32 [B, K], 0 where it is left out.

    negative: bool [B, K]. At most `cap` of each list are kept: half of them from the top (the hard ones), of
    weight 1, and the others drawn by the seed from the rest, each weighted by an equal share of that rest.
    None keeps all, with weight 1.
    """
    if cap is None:
        return negative.astype(np.float32)
    hard = negative & (np.cumsum(negative, axis=1) <= (cap + 1) // 2)
    draw = np.random.default_rng(seed).random(negative.shape, dtype=np.float32)
    draw[~(negative & ~hard)] = np.inf
    order = np.argsort(draw, axis=1)[:, : cap // 2]
    drawn = np.zeros_like(negative)
    np.put_along_axis(drawn, order, np.isfinite(np.take_along_axis(draw, order, axis=1)), axis=1)
    rest = (negative & ~hard).sum(axis=1, keepdims=True) / np.maximum(1, drawn.sum(axis=1, keepdims=True))
    return (hard + drawn * rest).astype(np.float32)


def missed_targets(targets: Ragged, candidates: Candidates) -> Ragged:
    """The targets that are not among the candidates, each once."""
    wanted = np.unique(np.stack([targets.list_of, targets.values.astype(np.int64)]), axis=1)
    returned = (np.arange(len(candidates), dtype=np.int64)[:, None] << 32) + candidates.items
    keys = (wanted[0] << 32) + wanted[1]
    lost = (wanted[1] >= 0) & ~is_in(keys, distinct(returned))
    lengths = np.bincount(wanted[0][lost], minlength=len(targets))
    return Ragged.from_lengths(wanted[1][lost].astype(np.int32), lengths)


def append(candidates: Candidates, extra: Ragged) -> Candidates:
    """The candidates with further items at the end of each list: score 0, ranked by no source."""
    width = int(extra.lengths.max(initial=0))
    items = extra.last(width)
    sources = (*items.shape, len(candidates.sources))
    joined = Candidates(
        items=np.concatenate([candidates.items, items], axis=1),
        scores=np.concatenate(
            [candidates.scores, np.where(items >= 0, 0, -np.inf).astype(np.float32)], axis=1
        ),
        sources=candidates.sources,
        source_scores=np.concatenate(
            [candidates.source_scores, np.full(sources, np.nan, np.float32)], axis=1
        ),
        source_ranks=np.concatenate([candidates.source_ranks, np.full(sources, -1, np.int32)], axis=1),
    )
    return joined.keep(joined.filled)
