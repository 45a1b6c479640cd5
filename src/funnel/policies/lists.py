"""Where lists stand among candidates, and two batches of lists as one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.types import Candidates, Int32, Int64, RulesOutcome


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
