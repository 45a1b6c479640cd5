"""Small made-up logs, requests and candidates, and slow readings of what the fast code says."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.features import Spec
from funnel.types import Candidates, Clock, Log, Ragged, Requests

DAY = 86_400


def make_log(
    seed: int = 0, users: int = 40, items: int = 60, events: int = 800, clock: Clock = "time", days: int = 100
) -> Log:
    """Popular items first; times in order, some of them equal."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, days * 24, events)) * 3_600
    if clock != "time":
        times = np.zeros(events, dtype=np.int64)
    return Log(
        rng.integers(0, users, events).astype(np.int32),
        (items * rng.random(events) ** 2).astype(np.int32),
        times.astype(np.int64),
        users,
        items,
        clock,
    )


def event_requests(log: Log, rows: np.ndarray) -> Requests:
    """One request an event: what its user met strictly before."""
    users, times = log.users[rows], log.times[rows]
    before = [(log.users == user) & (log.times < time) for user, time in zip(users, times, strict=True)]
    history = Ragged.from_lists([log.items[mask] for mask in before])
    history_times = Ragged(np.concatenate([log.times[mask] for mask in before]), history.offsets)
    return Requests(users, times, history, history_times)


def make_candidates(n: int, items: int, k: int, seed: int = 0) -> Candidates:
    """Random distinct items, the second source without some, the last places of some rows empty."""
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(items)[:k] for _ in range(n)]).astype(np.int32)
    for row in range(0, n, 3):
        rows[row, k - 1 - row % max(k // 2, 1) :] = -1
    scores = -np.sort(-rng.random((n, k)).astype(np.float32), axis=1)
    source_scores = rng.random((n, k, 2)).astype(np.float32)
    source_ranks = np.broadcast_to(np.arange(k, dtype=np.int32)[:, None], (n, k, 2)).copy()
    source_scores[:, ::3, 1], source_ranks[:, ::3, 1] = np.nan, -1
    empty = rows < 0
    scores[empty], source_scores[empty], source_ranks[empty] = -np.inf, np.nan, -1
    return Candidates(rows, scores, ("towers", "popular"), source_scores, source_ranks)


SPECS = {
    "shop": Spec("category", 6, 1),
    "tags": Spec("multi_category", 9, 3),
    "price": Spec("number", 2, 2),
    "look": Spec("vector", 4, 4),
}

USER_SPECS = {"country": Spec("category", 4, 1), "age": Spec("number", 2, 2)}


def item_columns(n: int, seed: int = 0) -> dict[str, Any]:
    """Encoded columns in which values are missing here and there."""
    rng = np.random.default_rng(seed)
    missing = rng.random(n) < 0.2
    tags = np.stack([rng.permutation(9)[:3] for _ in range(n)]).astype(np.int32)
    tags[rng.random(n) < 0.2] = 0
    return {
        "shop": rng.integers(0, 6, n).astype(np.int32),
        "tags": tags,
        "price": np.stack([np.where(missing, 0, rng.normal(size=n)), missing], axis=1).astype(np.float32),
        "look": rng.normal(size=(n, 4)).astype(np.float32),
    }


def slow_scores(neighbours: Any, history: np.ndarray, decay: float) -> np.ndarray:
    """Decayed sums over the history, newest first, for every item: float64 [n_items]."""
    out = np.zeros(neighbours.n_items)
    known = [item for item in history[::-1] if 0 <= item < neighbours.n_items][: neighbours.reach]
    for step, item in enumerate(known):
        items, weights = neighbours.of(item)
        out[items] += weights.astype(np.float64) * decay**step
    return out
