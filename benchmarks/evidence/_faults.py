"""Kinds of faults of a running service: what each does to a shop that is asked meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.evidence._watched import Shop
from funnel.types import Requests


def column_zeroed(shop: Shop) -> None:
    """Callers send 0 as the budget."""
    shop.hooks.said = lambda said: {**said, "budget": 0.0}


def column_zeroed_in_memory(shop: Shop) -> None:
    """The prices that are served are overwritten; nobody changed them."""
    contents = shop.live.served().contents
    contents.catalogue.features["price"][:] = 0
    contents.candidate_features().refresh(np.arange(len(contents.catalogue.ids), dtype=np.int32))


def column_zeroed_by_feed(shop: Shop) -> None:
    """A feed patches all prices to 0."""
    ids = shop.live.contents.catalogue.ids.values.tolist()
    shop.live.items.patch(ids, {"price": [0.0] * len(ids)})


def columns_swapped(shop: Shop) -> None:
    """Callers send the budget as the idle seconds, and the other way round."""
    shop.hooks.said = lambda said: {**said, "budget": said["idle"], "idle": said["budget"]}


def milliseconds(shop: Shop) -> None:
    """Callers send milliseconds for seconds."""
    shop.hooks.said = lambda said: {**said, "idle": 1000 * said["idle"]}


def log_not_followed(shop: Shop) -> None:
    """The process does not look at the log of events any more."""
    follower = shop.live._parts.follower
    position = follower.state.position()
    follower.follow = lambda: follower.overlay  # type: ignore[method-assign]
    assert position is not None


def histories_stale(shop: Shop) -> None:
    """What users did lately is not read: histories are those of the bundle."""
    shop.live.users.events_of_each = lambda user_ids: [[] for _ in user_ids]  # type: ignore[method-assign]


def other_vectors(shop: Shop) -> None:
    """The item vectors are those of other towers."""
    vectors = shop.live.overlay.vectors
    rotation, _ = np.linalg.qr(shop.rng.normal(size=(vectors.shape[1], vectors.shape[1])))
    vectors[:] = (vectors @ rotation).astype(np.float32)


def constant_scores(shop: Shop) -> None:
    """The ranker gives everything the same score."""
    ranker: Any = shop.live.served().contents.ranker
    ranker.predict_lists = lambda matrix, lengths, threads=1: np.zeros(matrix.shape[:2])


def clock_behind(shop: Shop) -> None:
    """The process's clock is five minutes behind."""
    shop.hooks.skew = -300.0


def clock_ahead(shop: Shop) -> None:
    """It is ninety seconds ahead."""
    shop.hooks.skew = 90.0


def feedback_lost(shop: Shop) -> None:
    """No event arrives."""
    shop.hooks.observed = False


def feedback_half_lost(shop: Shop) -> None:
    """Every second event is lost."""
    observe = shop.live.observe
    shop.live.observe = lambda *events: observe(*events[::2]) if events else None  # type: ignore[method-assign]


def source_dead(shop: Shop) -> None:
    """Co-visitation finds nothing, in what is served."""
    _silence(shop, "covisitation")


def towers_dead(shop: Shop) -> None:
    """The towers find nothing, in what is served."""
    _silence(shop, "towers")


def _silence(shop: Shop, name: str) -> None:
    source: Any = next(s for s in shop.live.served().contents.sources() if s.name == name)

    def nothing(requests: Requests, *others: Any) -> Any:
        shape = (len(requests), others[-1])
        return np.full(shape, -1, dtype=np.int32), np.full(shape, -np.inf, dtype=np.float32)

    kind = type(source)  # whose objects may not be written to
    methods = {"__slots__": (), "find": staticmethod(nothing), "search": staticmethod(nothing)}
    source.__class__ = type(kind.__name__, (kind,), methods)


def filter_empties(shop: Shop) -> None:
    """A page sends a filter that nothing passes, in a tenth of the requests."""
    shop.hooks.where = lambda rng: {"category": "kind 99"} if rng.random() < 0.1 else None


def filter_empties_all(shop: Shop) -> None:
    """All requests bring a filter that nothing passes."""
    shop.hooks.where = lambda rng: {"category": "kind 99"}


def calibration_lower(shop: Shop) -> None:
    """Half as many clicks as before, of the same lists."""
    shop.hooks.liking = 0.5


def calibration_higher(shop: Shop) -> None:
    """Twice as many."""
    shop.hooks.liking = 2.0


class Fault(NamedTuple):
    """ways: in which it is put in. kinds: of alarms that tell of it."""

    ways: tuple[Callable[[Shop], None], ...]
    kinds: frozenset[str]


def _fault(*ways: Callable[[Shop], None], kinds: str) -> Fault:
    return Fault(ways, frozenset(kinds.split()))


#: The kinds that are to be seen; a slow drift is beside them.
FAULTS = {
    "a column zeroed": _fault(
        column_zeroed, column_zeroed_in_memory, column_zeroed_by_feed, kinds="context feature golden replay"
    ),
    "two columns swapped": _fault(columns_swapped, kinds="context feature missing"),
    "milliseconds for seconds": _fault(milliseconds, kinds="context feature"),
    "stale histories": _fault(log_not_followed, histories_stale, kinds="stale history"),
    "other towers' vectors": _fault(other_vectors, kinds="golden replay"),
    "constant scores": _fault(constant_scores, kinds="flat golden scores"),
    "a clock that is off": _fault(clock_behind, clock_ahead, kinds="clock delay join"),
    "feedback lost": _fault(feedback_lost, feedback_half_lost, kinds="join clicks"),
    "a source dead": _fault(source_dead, towers_dead, kinds="source golden replay"),
    "a filter that empties": _fault(filter_empties, filter_empties_all, kinds="empty"),
    "calibration shifted": _fault(calibration_lower, calibration_higher, kinds="calibration clicks"),
}
