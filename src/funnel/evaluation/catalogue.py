"""Coverage and popularity bias: how much of the catalogue lists show, and how popular that is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.evaluation.metrics import Float64
from funnel.settings import Settings
from funnel.types import Int32, Int64


class Popularity(Settings):
    """How popular the shown items are, over all shown positions."""

    percentile: (
        float  #: mean share of the catalogue that is less popular (ties half): .5 is unbiased, 1 the hit list
    )
    average: float  #: mean number of events of a shown item (ARP; Yin et al. 2012)
    gini: float  #: inequality of exposure over the catalogue: 0 all alike, → 1 one item has it all


def exposure(items: Int32, k: int, n_items: int) -> Int64:
    """How often each item stands at one of the first k positions: int64 [n_items].

    items: int32 [B, K], −1 = empty. Exposures of several batches add up.
    """
    shown = items[:, :k]
    return np.bincount(shown[shown >= 0], minlength=n_items)


def coverage(shown: Int64) -> float:
    """The share of the catalogue that appears in someone's list. shown: an `exposure`."""
    return float(np.count_nonzero(shown) / len(shown)) if len(shown) else 0.0


def popularity_bias(shown: Int64, counts: NDArray[Any]) -> Popularity:
    """How popular the shown items are.

    shown: an `exposure`, [n_items]. counts: [n_items], events of each item, known before the requests.
    All figures are 0 where nothing was shown.
    """
    if len(shown) != len(counts):
        raise DataError(f"exposure of {len(shown)} items but popularity of {len(counts)}; one each is needed")
    total = shown.sum()
    if total == 0:
        return Popularity(percentile=0.0, average=0.0, gini=0.0)
    return Popularity(
        percentile=float(shown @ percentiles(counts) / total),
        average=float(shown @ np.asarray(counts, dtype=np.float64) / total),
        gini=gini(shown),
    )


def percentiles(counts: NDArray[Any]) -> Float64:
    """For each item, the share of the catalogue with fewer events, ties counting half: float64 [n]."""
    ordered = np.sort(counts)
    below = np.searchsorted(ordered, counts, side="left")
    upto = np.searchsorted(ordered, counts, side="right")
    return (below + upto) / (2.0 * len(counts))


def gini(values: NDArray[Any]) -> float:
    """Gini coefficient of non-negative values; 0 where all are alike, or all are zero."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n, total = len(ordered), ordered.sum()
    if total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))
