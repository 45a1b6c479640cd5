"""The stage that keeps the final list from being ten times the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from funnel.compiling import compiled, plain
from funnel.errors import ConfigError
from funnel.plugins import register
from funnel.stages._kernels import mmr
from funnel.stages.dpp import dpp
from funnel.stages.stage import positive
from funnel.types import Candidates, Float32, Int8, Int32, Int64, Requests
from funnel.vectors import ItemVectors

if TYPE_CHECKING:
    from funnel.stages.parts import Parts


#: Of candidates that are all of one tier.
_ONE_TIER = np.zeros((0, 0), dtype=np.int8)


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
    were. Of candidates in tiers a higher one stays behind, and relevance is that among its own.

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
        items, scores, tiers = plain(
            candidates.items, candidates.scores, _ONE_TIER if candidates.tiers is None else candidates.tiers
        )
        relevance, picks, values = _begun(items, scores, tiers, self._pool, self._k)
        self._pick(self._vectors, items, relevance, tiers, self._trade_off, picks, values)
        picked = candidates.reorder(picks, values)
        if min(self._k, candidates.items.shape[1]) == picks.shape[1]:
            return picked
        return _followed(picked, candidates.top(self._k), picks)

    def skip(self, candidates: Candidates) -> Candidates:
        """The first k positions as they are."""
        return candidates.top(self._k)


def _followed(picked: Candidates, whole: Candidates, picks: Int64) -> Candidates:
    """The picks, and behind them the places of the whole that were not in the pool, below their values."""
    n = picks.shape[1]
    below = np.minimum(picked.scores[:, -1:], 0) + whole.scores[:, n:] - whole.scores[:, n : n + 1]
    scores = np.where(whole.filled[:, n:], below, -np.inf).astype(np.float32)
    columns = np.concatenate(
        [picks, np.broadcast_to(np.arange(n, whole.items.shape[1]), scores.shape)], axis=1
    )
    return whole.reorder(columns, np.concatenate([picked.scores, scores], axis=1))


@compiled
def _begun(items: Int32, scores: Float32, tiers: Int8, pool: int, k: int) -> tuple[Float32, Int64, Float32]:
    """relevance [B, at most pool]: scores brought to 0…1 over each request's pool, of each tier by itself;
    all equal gives 0. tiers: [0, 0] where all are of one. picks, values [B, at most k]: what is not picked
    stays an empty position; those come last, so their own columns can stand for them."""
    n = min(pool, items.shape[1])
    shape = (len(items), min(k, n))
    relevance = np.zeros((len(items), n), dtype=np.float32)
    picks, values = np.empty(shape, dtype=np.int64), np.full(shape, np.float32(-np.inf))
    for b in range(len(items)):
        last = 0
        for j in range(n if len(tiers) else 0):
            last = max(last, tiers[b, j])
        for tier in range(last + 1):
            low, high = np.float32(np.inf), np.float32(-np.inf)
            for j in range(n):
                own = not len(tiers) or tiers[b, j] == tier
                if own and items[b, j] >= 0 and np.isfinite(scores[b, j]):
                    low, high = min(low, scores[b, j]), max(high, scores[b, j])
            for j in range(n):
                own = not len(tiers) or tiers[b, j] == tier
                if own and items[b, j] >= 0 and np.isfinite(scores[b, j]) and high > low:
                    relevance[b, j] = (scores[b, j] - low) / (high - low)
        for j in range(shape[1]):
            picks[b, j] = j
    return relevance, picks, values
