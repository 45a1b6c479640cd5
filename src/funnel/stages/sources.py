"""Sources of candidates: each finds k items a request, best first, obeying `exclude` and `allow`."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from funnel.ranker import contains
from funnel.stages.order import best, first
from funnel.types import Bool, Float32, Int32, Int64, Requests

if TYPE_CHECKING:
    from funnel.features import Statistics

Found = tuple[Int32, Float32]


class Source(Protocol):
    """Finds items for requests without looking at any other source."""

    @property
    def name(self) -> str:
        """Its column in Candidates.sources."""

    def find(self, requests: Requests, k: int) -> Found:
        """(rows int32 [B, k], scores float32 [B, k]), descending, ties by row, padded with −1 and −inf.

        Nothing excluded, nothing that is not allowed; k items wherever k pass and the source knows them.
        """


def blocked(requests: Requests, items: Int32) -> Bool:
    """Places whose item the request excludes or does not allow: bool [B, K]. Empty places are not blocked."""
    filled = items >= 0
    mask = np.zeros(items.shape, dtype=np.bool_)
    if requests.exclude is not None:
        mask |= contains(requests.exclude, items)
    if requests.allow is not None:
        rows = np.maximum(items, 0)
        allow = requests.allow
        allowed = allow[rows] if allow.ndim == 1 else np.take_along_axis(allow, rows, axis=1)
        mask |= filled & ~allowed
    return mask


def fetch_sizes(requests: Requests, k: int) -> Int64:
    """How many to fetch so that k are left when the excluded are dropped: int64 [B].

    k and the length of the request's own exclusion list, rounded up to a power of two so that a batch falls
    into few groups; a request's group does not depend on the rest of the batch.
    """
    if requests.exclude is None:
        return np.full(len(requests), k, dtype=np.int64)
    lengths = requests.exclude.lengths
    rounded = 2 ** np.ceil(np.log2(np.maximum(lengths, 16))).astype(np.int64)
    return k + np.where(lengths > 0, rounded, 0)


class CovisitationSource:
    """Items that were met together with the request's recent history."""

    name = "covisitation"

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def find(self, requests: Requests, k: int) -> Found:
        """See `Source.find`. A request without a history gets nothing."""
        return self._statistics.covisitation.top(
            requests.history, k, exclude=requests.exclude, allow=requests.allow
        )


class PopularSource:
    """Items with the most events in the window before the request; the score is their number.

    An item without an event is not returned. Where the log has a clock, the count stops at the last full tick
    before the request (a 4096th of the log's span), so that requests of one moment share one ranking.
    window: seconds, None = all that is known.
    """

    name = "popular"

    def __init__(self, statistics: Statistics, window: int | None = None) -> None:
        self._statistics = statistics
        self._window = window
        spans = [seconds for seconds in statistics.windows if seconds is not None]
        self._tick = max(1, min(spans) // 16) if spans else None
        self._kept = lru_cache(maxsize=256)(self._ranking)

    def find(self, requests: Requests, k: int) -> Found:
        """See `Source.find`."""
        rows = np.full((len(requests), k), -1, dtype=np.int32)
        scores = np.full((len(requests), k), -np.inf, dtype=np.float32)
        tick = self._tick
        times = requests.times // tick * tick if tick else np.zeros(len(requests), dtype=np.int64)
        own_filter = requests.allow is not None and requests.allow.ndim == 2
        own = np.arange(len(requests)) if own_filter else np.zeros(len(requests), dtype=np.int64)
        keys, group = np.unique([times, fetch_sizes(requests, k), own], axis=1, return_inverse=True)
        for number, (time, size, _) in enumerate(keys.T.tolist()):
            members = np.flatnonzero(group == number)
            part = requests.take(members) if keys.shape[1] > 1 else requests
            found, counts = self._passing(part, time, size)
            found = np.where(blocked(part, found), np.int32(-1), found)
            rows[members], scores[members] = first(found, counts, k)
        return rows, scores

    def _passing(self, requests: Requests, time: int, size: int) -> Found:
        """The ranking that all these requests share, one row each."""
        allow = requests.allow
        if allow is None:
            found, counts = self._kept(time, size)
        else:
            passing = np.flatnonzero(allow if allow.ndim == 1 else allow[0]).astype(np.int32)
            found, counts = self._counted(passing, time, size)
        shape = (len(requests), size)
        return np.broadcast_to(found, shape), np.broadcast_to(counts, shape)

    def _ranking(self, time: int, size: int) -> Found:
        return self._counted(self._statistics.popular(time, size, self._window), time, size)

    def _counted(self, items: Int32, time: int, size: int) -> Found:
        """These items by their number of events: [1, size] each."""
        times = np.full(len(items), time, dtype=np.int64)
        counts = self._statistics.counts(items, times, self._window)
        return best(np.where(counts > 0, items, -1)[None], counts[None].astype(np.float32), size)
