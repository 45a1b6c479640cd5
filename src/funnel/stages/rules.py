"""The two stages of rules: what is out of the question before the ranker, and the list behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow
from funnel.catalogue.where import Where
from funnel.compiling import plain
from funnel.rules import Ruleset
from funnel.stages._kernels import filled
from funnel.stages.retrieve import Retrieve
from funnel.stages.sources import excluded
from funnel.stages.stage import positive
from funnel.types import Bool, Candidates, Int32, Ragged, Requests

#: How often candidates are looked for again in place of those that a request cannot be given, before all
#: items are asked whether they can be.
_AGAIN = 2

#: Items that are taken of further searches, where fewer are wanted: other rules may want some of them out.
_AT_LEAST = 16


class Eligible:
    """Drops what frequency caps and budgets keep from a request, and adds what rules need: pinned items, and
    candidates of a kind of which there are too few, or in place of what was dropped.

    What is added has the towers' score and no rank in a source, as an item that none of them returned.

    k: items wanted; more candidates are looked for only where fewer are left.
    """

    def __init__(self, ruleset: Ruleset, retriever: Retrieve, k: int, *, name: str = "eligible") -> None:
        self.name = name
        self._rules, self._retriever = ruleset, retriever
        self._k = positive(k, f"k of {name}")

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """The candidates that may be given, and behind them what is added."""
        kept = self._without_excluded(requests, candidates)
        if requests.shown is not None:  # a given list is ranked, and nothing is added to it
            return kept
        more = [self._more(requests, b, candidates.items[b], kept.items[b]) for b in range(len(kept))]
        return self._with(requests, kept, more) if any(map(len, more)) else kept

    def _without_excluded(self, requests: Requests, candidates: Candidates) -> Candidates:
        if requests.occasion is None or not self._rules.is_live:
            return candidates
        bad = np.zeros(candidates.items.shape, dtype=np.bool_)
        for b, n in enumerate(filled(*plain(candidates.items)).tolist()):
            bad[b, :n] = self._rules.excluded(requests.occasion, b, candidates.items[b, :n])
        return candidates.keep(~bad) if bad.any() else candidates

    def _more(self, requests: Requests, b: int, retrieved: Int32, kept: Int32) -> Int32:
        """Items to add to one list: int32 [m]."""
        retrieved, kept = retrieved[retrieved >= 0], kept[kept >= 0]
        more = [self._pins(requests, b, retrieved)] if self._rules.pins else [kept[:0]]
        for quota in self._rules.quotas:
            own = np.concatenate([kept, *more]) if any(map(len, more)) else kept
            have = int(np.count_nonzero(self._rules.passes(quota.where, own)))
            if have < quota.n:
                known = np.concatenate([retrieved, *more])
                more.append(self._retrieved(requests, b, known, quota.n - have, quota.where))
        missing = self._k - len(kept) - sum(map(len, more))
        if missing > 0 and len(kept) < len(retrieved):
            more.append(self._retrieved(requests, b, np.concatenate([retrieved, *more]), missing))
        return np.concatenate(more).astype(np.int32) if any(map(len, more)) else kept[:0]

    def _pins(self, requests: Requests, b: int, retrieved: Int32) -> Int32:
        """Pinned items that are not among the candidates and may be given."""
        rows = np.array(
            [self._rules.catalogue.ids.row(rule.item) for rule in self._rules.pins], dtype=np.int32
        )
        rows = rows[(rows >= 0) & ~np.isin(rows, retrieved)]
        if not len(rows):
            return rows
        bad = excluded(requests.take(np.array([b])), rows[None])[0]
        return rows[~bad & ~self._excluded(requests, b, rows)]

    def _excluded(self, requests: Requests, b: int, items: Int32) -> Bool:
        return self._rules.excluded(requests.occasion, b, items)

    def _without_all_excluded(self, requests: Requests, b: int, single: Requests) -> Requests:
        """A request whose searches meet nothing that it cannot be given: costs a look at each item that
        passes its filter."""
        mask = _both(self._rules.catalogue.allow({}), single.allow).masks()[0]
        rows = np.flatnonzero(mask).astype(np.int32)
        mask[rows] = ~self._excluded(requests, b, rows)
        return replace(single, allow=Allow.of(mask, 1))

    def _retrieved(
        self, requests: Requests, b: int, known: Int32, wanted: int, where: Where | None = None
    ) -> Int32:
        """Items of a request beside those that are known: at least as many as are wanted, where there are."""
        single = requests.take(np.array([b]))
        if where is not None:
            single = replace(single, allow=_both(self._rules.catalogue.allow(where), single.allow))
        excludes = known[:0] if single.exclude is None else single.exclude[0]
        looked_at, free = [excludes, known], known[:0]
        for search in range(_AGAIN + 1):
            if search == _AGAIN:
                single = self._without_all_excluded(requests, b, single)
            beside = np.concatenate(looked_at).astype(np.int32)
            rows = self._retriever(replace(single, exclude=Ragged.from_lists([beside]))).items[0]
            rows = rows[rows >= 0]
            looked_at.append(rows)
            free = np.concatenate([free, rows[~self._excluded(requests, b, rows)]])
            if not len(rows) or len(free) >= wanted:
                break
        return free[: max(2 * wanted, _AT_LEAST)].astype(np.int32)

    def _with(self, requests: Requests, kept: Candidates, more: list[Int32]) -> Candidates:
        """Items behind the lists, scored below what is there."""
        lengths = kept.filled.sum(axis=1)
        width = int(max(n + len(some) for n, some in zip(lengths.tolist(), more, strict=True)))
        items, scores = _wider(kept.items, width, -1), _wider(kept.scores, width, -np.inf)
        for b, (n, some) in enumerate(zip(lengths.tolist(), more, strict=True)):
            last = float(scores[b, n - 1]) if n else 0.0
            items[b, n : n + len(some)] = some
            scores[b, n : n + len(some)] = last - (1e-6 + 1e-4 * abs(last)) * np.arange(1, len(some) + 1)
        wider = Candidates(
            items, scores, kept.sources, _wider(kept.source_scores, width, np.nan),
            _wider(kept.source_ranks, width, -1),
        )  # fmt: skip
        return self._retriever.complete(requests, wider)


class Rules:
    """The list of k items that keeps to the rules best; see `funnel.rules.search`. The scores are the items'
    own, boosts included, so that they need not fall from position to position.
    """

    def __init__(self, ruleset: Ruleset, k: int, *, name: str = "rules") -> None:
        self.name = name
        self._rules, self._k = ruleset, positive(k, f"k of {name}")

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """At most k positions, and what the rules did to each list."""
        n, width = len(candidates), min(self._k, candidates.items.shape[1])
        columns = np.full((n, width), -1, dtype=np.int64)
        scores = np.full((n, width), -np.inf, dtype=np.float32)
        outcomes = []
        for b in range(n):
            m = int(np.count_nonzero(candidates.items[b] >= 0))
            tiers = None if candidates.tiers is None else candidates.tiers[b, :m]
            chosen, own, outcome = self._rules.arranged(
                candidates.items[b, :m], candidates.scores[b, :m], self._k, requests.occasion, b, tiers
            )
            columns[b, : len(chosen)], scores[b, : len(chosen)] = chosen, own
            outcomes.append(outcome)
        return candidates.reorder(columns, scores, outcomes=tuple(outcomes))


def _both(allow: Allow, other: Allow | None) -> Allow:
    """What passes two filters of one request."""
    return allow if other is None else replace(allow, bits=allow.bits & other.bits[other.filter_of])


def _wider(values: NDArray[Any], width: int, fill: float) -> NDArray[Any]:
    out = np.full((len(values), width, *values.shape[2:]), fill, dtype=values.dtype)
    out[:, : values.shape[1]] = values[:, :width]
    return out
