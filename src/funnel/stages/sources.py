"""Sources of candidates: each finds k items a request, best first, obeying `exclude` and `allow`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.order import best
from funnel.plugins import register
from funnel.ranker import contains
from funnel.types import Bool, Float32, Int32, Int64, Requests

if TYPE_CHECKING:
    from funnel.features import Statistics
    from funnel.features.neighbours import Neighbours
    from funnel.stages.parts import Parts

Retrieved = tuple[Int32, Float32]


class Source(Protocol):
    """Finds items for requests without looking at any other source.

    Of plugins: `@register("source", NAME)` on what makes one from `Parts`, or None.
    """

    @property
    def name(self) -> str:
        """Its column in Candidates.sources. One that can find no item without an event has `by_events = True`
        beside it."""

    def find(self, requests: Requests, k: int) -> Retrieved:
        """(rows int32 [B, k], scores float32 [B, k]), descending, ties by row, padded with −1 and −inf.

        Nothing excluded, nothing that is not allowed; k items wherever k pass and the source knows them.
        """

    def score(self, requests: Requests, items: Int32) -> Float32:
        """The source's scores of given items: float32 [B, K], −inf where it would not return one."""


@runtime_checkable
class RetrievalScore(Protocol):
    """A source whose `find` scores items otherwise than its `score`."""

    def retrieval_score(self, requests: Requests, items: Int32) -> Float32:
        """What `find` would give to given items: float32 [B, K], −inf where it would not return one."""


def excluded(requests: Requests, items: Int32) -> Bool:
    """Positions whose item the request excludes or does not allow: bool [B, K]; false at empty ones."""
    lists = requests.exclude
    mask = np.zeros(items.shape, dtype=np.bool_) if lists is None else contains(lists, items)
    if requests.allow is not None:
        request = np.arange(len(items))[:, None]
        mask |= (items >= 0) & ~requests.allow.holds(request, np.maximum(items, 0))
    return mask


def choose(requests: Requests, items: Int32, scores: Float32, k: int) -> Retrieved:
    """The k best scored items that each request may be given, ties by row; for a source's `find`.

    items: int32 [B, W], -1 is none. scores: float32 [B, W], -inf where an item is not to be returned. Returns
    rows int32 and scores float32, both [B, k].
    """
    left_out = excluded(requests, items) | ~(scores > -np.inf)
    chosen = np.where(left_out, np.int32(-1), items)
    return best(np.asarray(chosen, dtype=np.int32), np.asarray(scores, dtype=np.float32), k)


def fetch_sizes(requests: Requests, k: int) -> Int64:
    """How many to fetch so that k are left when the excluded are dropped: int64 [B].

    k and the length of the request's own exclusion list, rounded up to a power of two so that a batch falls
    into few groups; a request's group does not depend on the rest of the batch.
    """
    if requests.exclude is None:
        return np.full(len(requests), k, dtype=np.int64)
    return _fetch_sizes(requests.exclude.rows.offsets, k)


@compiled
def _fetch_sizes(offsets: Any, k: int) -> Any:
    sizes = np.full(len(offsets) - 1, k)
    for row in range(len(sizes)):
        length, power = offsets[row + 1] - offsets[row], 16
        while power < length:
            power *= 2
        sizes[row] += power if length > 0 else 0
    return sizes


@register("source", "covisitation")
def covisitation(parts: Parts) -> Source:
    """Items that have users in common with the history."""
    return CovisitationSource(parts.statistics)


@register("source", "spectral")
def spectral(parts: Parts) -> Source | None:
    """Items near to the history in the graph of users and items; for sets only."""
    lists = parts.statistics.spectral
    return None if lists is None else NeighbourSource("spectral", lists)


@register("source", "popular")
def popular(parts: Parts) -> Source:
    """Items with the most events of late."""
    return PopularSource(parts.statistics, parts.statistics.recent_window)


class NeighbourSource:
    """Items in the lists of those of the request's recent history."""

    by_events = True

    def __init__(self, name: str, lists: Neighbours) -> None:
        self.name = name
        self._lists = lists

    def find(self, requests: Requests, k: int) -> Retrieved:
        """See `Source.find`. A request without a history gets nothing."""
        return self._lists.top(requests.history, k, exclude=requests.exclude, allow=requests.allow)

    def score(self, requests: Requests, items: Int32) -> Float32:
        """See `Source.score`."""
        return _positive(self._lists.scores(requests.history, items))


class CovisitationSource(NeighbourSource):
    """Items that have users in common with the request's recent history."""

    def __init__(self, statistics: Statistics) -> None:
        super().__init__("covisitation", statistics.covisitation)


class PopularSource:
    """Items with the most events in the window before the request; the score is their number.

    An item without an event is not returned. window: seconds, None = all that is known.
    """

    name = "popular"
    by_events = True

    def __init__(self, statistics: Statistics, window: int | None = None) -> None:
        self._statistics = statistics
        self._window = window

    def find(self, requests: Requests, k: int) -> Retrieved:
        """See `Source.find`."""
        return self._statistics.most_popular(
            requests.times, k, self._window, exclude=requests.exclude, allow=requests.allow
        )

    def score(self, requests: Requests, items: Int32) -> Float32:
        """See `Source.score`; counted up to the request itself."""
        return _positive(self._statistics.counts(items, requests.times[:, None], self._window))

    def retrieval_score(self, requests: Requests, items: Int32) -> Float32:
        """See `RetrievalScore`; `find` counts up to the moment of the ranking that it reads."""
        return _positive(self._statistics.ranked_counts(items, requests.times, self._window))


class ShownSource:
    """The order in which a request's items were shown: what a ranker of such lists has to beat."""

    name = "shown"

    def find(self, requests: Requests, k: int) -> Retrieved:
        """Nothing: only shown items have a position."""
        shape = (len(requests), k)
        return np.full(shape, -1, dtype=np.int32), np.full(shape, -np.inf, dtype=np.float32)

    def score(self, requests: Requests, items: Int32) -> Float32:
        """Minus the position in the list; −inf for items that are not in it."""
        scores = np.full(items.shape, -np.inf, dtype=np.float32)
        if requests.shown is not None:
            for row in range(len(items)):
                order = {item: position for position, item in enumerate(requests.shown.items[row].tolist())}
                scores[row] = [-order.get(item, np.inf) for item in items[row].tolist()]
        return scores


def _positive(scores: NDArray[Any]) -> Float32:
    """−inf for what is not above zero."""
    return np.where(scores > 0, scores, -np.inf).astype(np.float32)
