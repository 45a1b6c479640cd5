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
from funnel.features.kernels import passes, slot_of, table_bits
from funnel.types import Int32

log = logging.getLogger(__name__)

#: Has something done in the background.
Later: TypeAlias = Callable[[Callable[[], object]], None]

#: A time and a window.
Moment: TypeAlias = tuple[int, int | None]

#: Moments whose rankings are kept.
_KEPT = 8


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


class Rankings:
    """The rankings at a few moments, each computed when it is first used, and kept.

    Most requests of a ranking are later than its moment. An event that arrives after the ranking was computed
    is not in it.
    """

    def __init__(self, events: EventCounts) -> None:
        self._events = events
        self._kept: dict[Moment, Ranking] = {}

    def at(self, time: int, window: int | None) -> Ranking:
        """See `Ranking.of`."""
        ranking = self._kept.get((time, window))
        return self._computed(time, window) if ranking is None else ranking

    def _computed(self, time: int, window: int | None) -> Ranking:
        ranking = Ranking.of(self._events, time, window)
        newest = list(self._kept.items())[1 - _KEPT :]
        self._kept = {**dict(newest), (time, window): ranking}
        return ranking


class LiveRankings(Rankings):
    """Rankings of what is observed while it serves, which no request waits for.

    Up to the end of what was fitted they are `fitted`'s, to which events that come change nothing. A later
    one is computed in the background, one at a time, and until it is there the latest that was computed
    before its moment stands for it: at first that of the end of what was fitted.

    later: has something done in the background.
    """

    def __init__(self, events: EventCounts, fitted: Rankings, last: int, later: Later) -> None:
        super().__init__(events)
        self._fitted, self._last, self._later = fitted, last, later
        self._busy_in = 0  # the process that computes: a child of a fork has no part in it

    def at(self, time: int, window: int | None) -> Ranking:
        """The ranking at a moment, or one that stands for it."""
        if time <= self._events.end:
            return self._fitted.at(time, window)
        kept = self._kept
        if (ranking := kept.get((time, window))) is not None:
            return ranking
        self._begin(time, window)
        earlier = [key for key in kept if key[1] == window and key[0] < time]
        return kept[max(earlier)] if earlier else self._fitted.at(self._last, window)

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
def pick(items: Any, counts: Any, members: Any, excluded: Any, allow: Any, rows: Any, scores: Any) -> None:
    """For each request among `members`, the ranking's first that pass: into rows and scores [B, k].

    excluded: Lists of item rows; allow: from `bitmaps`.
    """
    most = 0
    for row in members:
        most = max(most, excluded.offsets[row + 1] - excluded.offsets[row])
    bits = table_bits(most)
    keys = np.empty(1 << bits, dtype=np.int32)
    for row in members:
        keys[:] = -1
        for item in excluded.values[excluded.offsets[row] : excluded.offsets[row + 1]]:
            if item >= 0:
                keys[slot_of(keys, bits, item)] = item
        size = 0
        for position in range(len(items)):
            if size == rows.shape[1]:
                break
            item = items[position]
            if keys[slot_of(keys, bits, item)] != item and passes(allow, row, item):
                rows[row, size] = item
                scores[row, size] = counts[position]
                size += 1
