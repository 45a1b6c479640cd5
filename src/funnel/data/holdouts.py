"""Protocols of published tables: the last item of each user, or a split that comes with the data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funnel.data.histories import Cutoffs, Histories, distinct, pair_keys
from funnel.types import Bool, Int32, Int64, Log, Ragged

#: Users with fewer events than this go to training whole.
SHORTEST = 3
#: Users with fewer items than this in a published training part leave none of them to the ranker.
SHORTEST_GIVEN = 5

#: The share of a user's items that is held out; where there is no order, how alike those of items are: the
#: sum of a Beta distribution's two parameters. In logs with a clock, the shares of items' events in the last
#: fifth of the time have 7 to 13 (MovieLens latest-small) and 12 to 14 (Amazon with timestamps), items of at
#: least 20 and 50 events.
_HELD, _SPREAD = 0.1, 12.0


def last_two(histories: Histories) -> tuple[Int32, Int64, Int64]:
    """Users with at least SHORTEST events, and the positions in `histories` of the last but one and of the
    last event of each that is to be found; users with one such event are left out."""
    positions = np.flatnonzero(histories.targeted())
    counts = np.bincount(histories.users[positions], minlength=len(histories.offsets) - 1)
    users = np.flatnonzero((np.diff(histories.offsets) >= SHORTEST) & (counts >= 2)).astype(np.int32)
    ends = np.cumsum(counts)[users]
    return users, positions[ends - 2], positions[ends - 1]


def left_out_requests(histories: Histories, users: Int32, positions: Int64, exclude_seen: bool) -> Cutoffs:
    """One request a user whose target is the event at a position, after everything before it in the user's
    list.

    With exclude_seen, an item that comes earlier in the list makes a request without targets.
    """
    every = np.ones(len(positions), dtype=np.bool_)
    has_target = histories.new(positions, positions) if exclude_seen else every
    targets = Ragged.from_lengths(histories.items[positions[has_target]], has_target)
    kinds = histories.bits(positions[has_target], targets)
    rows = histories.order[positions].astype(np.int64)
    return Cutoffs(
        users, positions, histories.times[positions], targets, rows=rows, target_kinds=kinds
    )  # fmt: skip


def to_find(log: Log) -> Log:
    """The events that are to be found."""
    return log if log.event_kinds is None else log.of_kinds(log.event_kinds.is_target)


def hold_out(log: Log, rng: np.random.Generator) -> tuple[Bool, Int64]:
    """A tenth of each user's distinct items that are to be found, at least one, by chance.

    Where nothing orders the events, some items lose more of theirs than others, as they do when time goes on
    (`_unevenly`): what is chosen on a part that all items lose alike does not hold for what comes later.
    Returns which events are of a pair held out, bool [N], and the pairs (`pair_keys`), sorted. Users with
    fewer than SHORTEST_GIVEN items keep theirs.
    """
    taken = to_find(log)
    pairs = distinct(pair_keys(taken.users, taken.items, log.n_items))
    users = pairs // log.n_items
    counts = np.bincount(users, minlength=log.n_users)
    turns = (
        _unevenly(pairs % log.n_items, log.n_items, rng) if log.clock == "none" else rng.random(len(pairs))
    )
    shuffled = np.lexsort((turns, users))
    rank = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
    wanted = np.where(counts < SHORTEST_GIVEN, 0, np.maximum(1, counts // round(1 / _HELD)))
    held = np.zeros(len(pairs), dtype=np.bool_)
    held[shuffled[rank < wanted[users]]] = True  # shuffling keeps the users in order
    return _among(pair_keys(log.users, log.items, log.n_items), pairs[held]), pairs[held]


def _unevenly(items: Int64, n_items: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A number an event, the least of which are taken first: a draw without replacement in which each item
    has its own chance, from a Beta distribution (Efraimidis & Spirakis 2006).

    items: int64 [N]; returns float64 [N].
    """
    share = rng.beta(_SPREAD * _HELD, _SPREAD * (1 - _HELD), n_items)
    return rng.exponential(size=len(items)) / np.maximum(share, np.finfo(np.float32).tiny)[items]


def _among(keys: Int64, ordered: Int64) -> Bool:
    """Which keys are among others, which are sorted: bool [N]."""
    ends = np.append(ordered, -1)
    among: Bool = ends[np.searchsorted(ordered, keys)] == keys
    return among


def pair_requests(histories: Histories, taken: Log, pairs: Int64, time: int, exclude_seen: bool) -> Cutoffs:
    """One request a user in the pairs (sorted, distinct), after the whole of the user's history.

    With exclude_seen, pairs that are in the history are no targets. taken: the events of the pairs.
    """
    n_items = taken.n_items
    users = distinct(pairs // n_items)
    if exclude_seen:
        seen, _, _ = histories.events(histories.sees, histories.offsets[:1], histories.offsets[:1])
        keys = distinct(pair_keys(histories.users[seen], histories.items[seen], n_items))
        pairs = pairs[~_among(pairs, keys)]
    counts = np.bincount(pairs // n_items, minlength=len(histories.offsets) - 1)
    targets = Ragged.from_lengths((pairs % n_items).astype(np.int32), counts[users])
    return Cutoffs(
        users=users.astype(np.int32),
        ends=histories.offsets[users + 1],
        times=np.full(len(users), time, dtype=np.int64),
        targets=targets,
        target_kinds=_kinds_of(pairs, taken, targets),
    )


def _kinds_of(pairs: Int64, taken: Log, targets: Ragged) -> Ragged | None:
    """The kinds of the events of each pair, as bits."""
    if taken.kinds is None:
        return None
    keys = pair_keys(taken.users, taken.items, taken.n_items)
    inside = _among(keys, pairs)
    bits = np.zeros(len(pairs), dtype=np.int32)
    of_events = np.int32(1) << taken.kinds[inside].astype(np.int32)
    np.bitwise_or.at(bits, np.searchsorted(pairs, keys[inside]), of_events)
    return Ragged(bits, targets.offsets)
