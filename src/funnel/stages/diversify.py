"""The stage that keeps the final list from being ten times the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from funnel.errors import ConfigError
from funnel.plugins import register
from funnel.stages._kernels import mmr
from funnel.stages.dpp import dpp
from funnel.stages.stage import positive
from funnel.types import Candidates, Float32, Int64, Requests
from funnel.vectors import ItemVectors

if TYPE_CHECKING:
    from funnel.stages.parts import Parts


@register("stage", "diversify")
def diversify(parts: Parts) -> Diversify:
    """The options of `[rerank]`."""
    rerank = parts.rerank
    return Diversify(
        parts.vectors, rerank.trade_off, pool=rerank.pool, k=rerank.k, name="rerank", kind=rerank.kind
    )


class Diversify:
    """Maximal marginal relevance over the best `pool` positions (Carbonell & Goldstein, SIGIR 1998), or the
    greedy search of a determinantal point process, see `funnel.stages.dpp`.

    By "mmr" picks k items, each the one with the highest trade_off · relevance − (1 − trade_off) · (its
    highest cosine with those picked before). Relevance is the score, brought to 0…1 over the request's pool.
    The picks' scores become these values (which never rise); at trade_off = 1 order and scores stay as they
    were.

    vectors: [n_items, d], of any length.

    Raises: ConfigError when pool or k is below 1 or trade_off not within 0…1.
    """

    def __init__(
        self, vectors: ItemVectors | Float32, trade_off: float, *, pool: int, k: int, name: str = "diversify",
        kind: Literal["mmr", "dpp"] = "mmr",
    ) -> None:  # fmt: skip
        self.name = name
        self._vectors = ItemVectors.of(vectors).stored
        self._pick = {"mmr": mmr, "dpp": dpp}[kind]
        self._trade_off = float(trade_off)
        self._pool = positive(pool, f"pool of {name}")
        self._k = positive(k, f"k of {name}")
        if not 0 <= self._trade_off <= 1:
            raise ConfigError(f"trade_off of {name} is {trade_off}; it must be within 0 and 1")

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """The k picks in order. Where k is more than the pool, what is behind that stays behind it."""
        if self._trade_off == 1:
            return candidates.top(self._k)
        pool = candidates.top(self._pool)
        shape = (len(pool), min(self._k, pool.items.shape[1]))
        # What is not picked stays an empty position; those come last, so their own columns can stand for
        # them.
        picks = np.broadcast_to(np.arange(shape[1]), shape).copy()
        values = np.full(shape, -np.inf, dtype=np.float32)
        self._pick(self._vectors, pool.items, _relevance(pool), self._trade_off, picks, values)
        return _followed(pool.reorder(picks, values), candidates.top(self._k), picks)

    def skip(self, candidates: Candidates) -> Candidates:
        """The first k positions as they are."""
        return candidates.top(self._k)


def _followed(picked: Candidates, whole: Candidates, picks: Int64) -> Candidates:
    """The picks, and behind them the places of the whole that were not in the pool, below their values."""
    n = picks.shape[1]
    if whole.items.shape[1] <= n:
        return picked
    below = np.minimum(picked.scores[:, -1:], 0) + whole.scores[:, n:] - whole.scores[:, n : n + 1]
    scores = np.where(whole.filled[:, n:], below, -np.inf).astype(np.float32)
    columns = np.concatenate(
        [picks, np.broadcast_to(np.arange(n, whole.items.shape[1]), scores.shape)], axis=1
    )
    return whole.reorder(columns, np.concatenate([picked.scores, scores], axis=1))


def _relevance(candidates: Candidates) -> Float32:
    """Scores brought to 0…1 over each request's positions; all equal gives 0."""
    scores, filled = candidates.scores, candidates.filled & np.isfinite(candidates.scores)
    low = np.min(scores, axis=1, keepdims=True, initial=np.inf, where=filled)
    high = np.max(scores, axis=1, keepdims=True, initial=-np.inf, where=filled)
    span = np.where(high > low, high - low, 1)
    return np.where(filled & (high > low), (scores - low) / span, 0).astype(np.float32)
