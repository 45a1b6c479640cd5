"""What approximate search loses against exact search, by item id and never by score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funnel.evaluation.metrics import compute
from funnel.evaluation.walk import Recommend
from funnel.types import Int32, Ragged, Requests

_REQUESTS, _BATCH = 2000, 256


def search_recall(
    exact: Recommend | None, approximate: Recommend | None, requests: Requests, ks: Sequence[int], seed: int
) -> dict[int, float] | None:
    """The mean share of exact search's first k items among approximate search's first k, for each k.

    Both get the same seeded sample of at most 2,000 requests. A k beyond what exact search returns is
    left out; None where either is missing.
    """
    if exact is None or approximate is None:
        return None
    sample = np.sort(np.random.default_rng(seed).permutation(len(requests))[:_REQUESTS])
    shares: dict[int, list[float]] = {k: [] for k in ks}
    for start in range(0, len(sample), _BATCH):
        batch = requests.take(sample[start : start + _BATCH])
        wanted, approximated = exact(batch).items, approximate(batch).items
        for k in ks:
            if k <= wanted.shape[1]:
                shares[k].extend(compute(f"recall@{k}", approximated, _as_targets(wanted[:, :k])))
    return {k: float(np.mean(share)) for k, share in shares.items() if share}


def _as_targets(items: Int32) -> Ragged:
    """The items of lists [B, K] without the empty positions, a list each."""
    return Ragged.from_lengths(items[items >= 0], (items >= 0).sum(axis=1))
