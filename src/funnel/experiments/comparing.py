"""How two lists for the same requests differ, by item id: of two bundles, or of an answer and its shadow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.settings import Settings


class Answers(Settings):
    """The first k of both on the same requests, by item id.

    overlap: mean share of a's list that is in b's. same_first, same_list: shares of requests. score: mean
    absolute difference of the scores of items that both lists have; None where there are none.
    """

    requests: int
    k: int
    overlap: float
    same_first: float
    same_list: float
    score: float | None


def compare(
    before: NDArray[Any], before_scores: NDArray[Any], after: NDArray[Any], after_scores: NDArray[Any]
) -> Answers:
    """Compare lists [B, k] of item codes, the same code for the same item, and -1 where a list has ended."""
    both = (before[:, :, None] == after[:, None, :]) & (before >= 0)[:, :, None]
    with np.errstate(invalid="ignore"):  # scores of positions behind a list's end
        apart = np.abs(before_scores[:, :, None] - after_scores[:, None, :])[both]
    return Answers(
        requests=len(before),
        k=before.shape[1],
        overlap=float(np.mean(both.any(axis=2).sum(axis=1) / np.maximum((before >= 0).sum(axis=1), 1))),
        same_first=float(np.mean(both[:, 0, 0])),
        same_list=float(np.mean((before == after).all(axis=1))),
        score=float(np.mean(apart)) if len(apart) else None,
    )
