"""The items with most events at a moment, and the first k of them that a request may have."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.counts import EventCounts
from funnel.features.kernels import Bitmaps, longest, passes, put_all, slot_of, table_bits
from funnel.features.past_popular import PastRanking
from funnel.types import Float32, Int32, Int64, Lists

log = logging.getLogger(__name__)

#: Has something done in the background.
Later: TypeAlias = Callable[[Callable[[], object]], None]

#: A time and a window.
Moment: TypeAlias = tuple[int, int | None]

#: Moments whose rankings are kept.
KEPT = 8

#: As many requests of one moment are worth its whole ranking, whoever waits for it.
_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class Ranking:
    """Every item with an event in a window, most events first, ties by row.

    items, counts: int32 [n].
    """

    items: Int32
    counts: Int32

    @classmethod
    def of(cls, events: EventCounts, time: int, window: int | None) -> Ranking:
        """As known at `time`: events with time − window ≤ t < time."""
        items = np.arange(events.n_items if time > events.end else len(events.offsets) - 1, dtype=np.int32)
        counts = events.count(items, np.full(len(items), time, dtype=np.int64), [window], cut=True)[:, 0]
        with_events = np.flatnonzero(counts > 0)
        order = with_events[np.argsort(-counts[with_events], kind="stable")]
        return cls(frozen(items[order]), frozen(counts[order]))

    def pick(self, members: Int64, excluded: Lists, allow: Bitmaps, rows: Int32, scores: Float32) -> None:
        """For each request among `members`, the first items that it may have: into rows and scores [B, k]."""
        _pick(self.items, self.counts, members, excluded, allow, rows, scores)


class Rankings:
    """The rankings at a few moments, each computed when it is first used, and kept.

    Most requests of a ranking are later than its moment. An event that arrives after the ranking was computed
    is not in it.
    """

    def __init__(self, events: EventCounts) -> None:
        self._events = events
        self._kept: dict[Moment, Ranking] = {}

    def __len__(self) -> int:
        """How many are kept; at most `KEPT`."""
        return len(self._kept)

    def at(self, time: int, window: int | None, requests: int = 1) -> Ranking | PastRanking:
        """See `Ranking.of`. requests: how many it is for."""
        ranking = self._kept.get((time, window))
        return self._computed(time, window) if ranking is None else ranking

    def _computed(self, time: int, window: int | None) -> Ranking:
        ranking = Ranking.of(self._events, time, window)
        newest = list(self._kept.items())[1 - KEPT :]
        self._kept = {**dict(newest), (time, window): ranking}
        return ranking


class LiveRankings(Rankings):
    """Rankings while it serves, which no request waits for.

    That of the end of what was fitted is `fitted`'s, to which events that come change nothing. Another one is
    computed in the background, one at a time. Until it is there, a request of an earlier moment reads as much
    of it as it needs, see `PastRanking`, and to one of a later moment the latest that was computed before its
    moment stands for it: at first that of the end of what was fitted.

    last: the moment of the end of what was fitted. later: has something done in the background.
    """

    def __init__(self, events: EventCounts, fitted: Rankings, last: int, later: Later) -> None:
        super().__init__(events)
        self._fitted, self._last, self._later = fitted, last, later
        self._busy_in = 0  # the process that computes: a child of a fork has no part in it

    def at(self, time: int, window: int | None, requests: int = 1) -> Ranking | PastRanking:
        """The ranking at a moment, or one that stands for it."""
        if time == self._last:
            return self._fitted.at(time, window)
        kept = self._kept
        if (ranking := kept.get((time, window))) is not None:
            return ranking
        if time < self._last and requests >= _TOGETHER:
            return self._computed(time, window)
        self._begin(time, window)
        if time < self._last:
            return self._past(time, window)
        earlier = [key for key in kept if key[1] == window and self._last < key[0] < time]
        return kept[max(earlier)] if earlier else self._fitted.at(self._last, window)

    def _past(self, time: int, window: int | None) -> PastRanking:
        every = self._fitted.at(self._last, None)
        return PastRanking(every.items, every.counts, self._events, time, window)

    def _begin(self, time: int, window: int | None) -> None:
        if self._busy_in == os.getpid():
            return
        self._busy_in = os.getpid()
        try:
            self._later(lambda: self._compute(time, window))
        except RuntimeError as error:  # no thread to be had: the next request tries again
            self._busy_in = 0
            log.warning("the popular items stay those of an earlier day: %s", error)

    def _compute(self, time: int, window: int | None) -> None:
        try:
            self._computed(time, window)
        finally:
            self._busy_in = 0


@compiled
def _pick(items: Any, counts: Any, members: Any, excluded: Any, allow: Any, rows: Any, scores: Any) -> None:
    """See `Ranking.pick`."""
    bits = table_bits(longest(excluded, members))
    keys = np.empty(1 << bits, dtype=np.int32)
    for row in members:
        put_all(keys, bits, excluded, row)
        size = 0
        for position in range(len(items)):
            if size == rows.shape[1]:
                break
            item = items[position]
            if keys[slot_of(keys, bits, item)] != item and passes(allow, row, item):
                rows[row, size] = item
                scores[row, size] = counts[position]
                size += 1
