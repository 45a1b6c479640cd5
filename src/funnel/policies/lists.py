"""Lists from columns of candidates, and two batches of lists as one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.types import Candidates, Float32, Float64, Int32, Int64, RulesOutcome


def at_columns(
    candidates: Candidates,
    columns: Int64,
    propensities: Float64,
    scores: Float32 | None = None,
    outcomes: tuple[RulesOutcome, ...] = (),
) -> Candidates:
    """The candidates at these columns; none where a column is negative. scores: in place of their own.

    Made at once, since to make them by parts costs as much as to draw a list.
    """
    shape, sources = columns.shape, candidates.source_ranks.shape[2]
    items, own = np.empty(shape, np.int32), np.empty(shape, np.float32)
    source_scores = np.empty((*shape, sources), np.float32)
    source_ranks = np.empty((*shape, sources), np.int32)
    _take(
        columns, frozen(candidates.items, np.int32), frozen(candidates.scores, np.float32),
        frozen(candidates.source_scores, np.float32), frozen(candidates.source_ranks, np.int32),
        items, own, source_scores, source_ranks,
    )  # fmt: skip
    if scores is not None:
        own = np.where(columns < 0, np.float32(-np.inf), scores)
    at = np.maximum(columns, 0) if candidates.tiers is not None or candidates.head_scores else columns
    heads = {name: np.take_along_axis(of, at, axis=1) for name, of in candidates.head_scores.items()}
    tiers = None if candidates.tiers is None else np.take_along_axis(candidates.tiers, at, axis=1)
    return Candidates(
        items, own, candidates.sources, source_scores, source_ranks, outcomes, candidates.source_bests, heads,
        tiers, propensities,
    )  # fmt: skip


@compiled
def _take(
    columns: Int64, items: Int32, scores: Float32, source_scores: Float32, source_ranks: Int32,
    out_items: Int32, out_scores: Float32, out_source_scores: Float32, out_source_ranks: Int32,
) -> None:  # fmt: skip
    for b in range(columns.shape[0]):
        for position in range(columns.shape[1]):
            at = columns[b, position]
            there = at >= 0
            out_items[b, position] = items[b, at] if there else -1
            out_scores[b, position] = scores[b, at] if there and items[b, at] >= 0 else -np.inf
            for s in range(source_scores.shape[2]):
                out_source_scores[b, position, s] = source_scores[b, at, s] if there else np.nan
                out_source_ranks[b, position, s] = source_ranks[b, at, s] if there else -1


def columns_of(candidates: Candidates, lists: Int32) -> Int64:
    """Where the items of lists [B, k] stand among the candidates: int64 [B, k], −1 where nowhere."""
    same = (lists[:, :, None] == candidates.items[:, None, :]) & (lists[:, :, None] >= 0)
    if not same.shape[2]:
        return np.full(lists.shape, -1, dtype=np.int64)
    return np.where(same.any(axis=2), same.argmax(axis=2), -1)


def interleaved(a: Candidates, rows_a: NDArray[Any], b: Candidates, rows_b: NDArray[Any]) -> Candidates:
    """Two batches as one, in which they have these rows. Of what a list may have beside it, rules' outcomes
    and propensities are kept."""
    n, width = len(a) + len(b), max(a.items.shape[1], b.items.shape[1])

    def joined(name: str, fill: float) -> NDArray[Any]:
        parts = getattr(a, name), getattr(b, name)
        out = np.full((n, width, *parts[0].shape[2:]), fill, dtype=parts[0].dtype)
        for part, rows in zip(parts, (rows_a, rows_b), strict=True):
            out[rows, : part.shape[1]] = part
        return out

    propensities = np.ones((n, width))
    for part, rows in ((a, rows_a), (b, rows_b)):
        if part.propensities is not None:
            propensities[rows, : part.items.shape[1]] = part.propensities
    return Candidates(
        joined("items", -1), joined("scores", -np.inf), a.sources, joined("source_scores", np.nan),
        joined("source_ranks", -1), _outcomes(n, (a, rows_a), (b, rows_b)), propensities=propensities,
    )  # fmt: skip


def _outcomes(n: int, *parts: tuple[Candidates, NDArray[Any]]) -> tuple[RulesOutcome, ...]:
    out = [RulesOutcome()] * n
    for part, rows in parts:
        for row, outcome in zip(rows.tolist(), part.outcomes, strict=False):
            out[row] = outcome
    return tuple(out) if any(part.outcomes for part, _ in parts) else ()
