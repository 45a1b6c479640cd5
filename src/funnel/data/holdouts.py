"""Protocols of published tables: the last item of each user, or a split that comes with the data."""

from __future__ import annotations

import numpy as np

from funnel.data.histories import Cutoffs, Histories, changes, distinct, pair_keys
from funnel.types import Bool, Int32, Int64, Log, Ragged

#: Users with fewer events than this go to training whole.
SHORTEST = 3
#: Users with fewer items than this in a published training part leave none of them to the ranker.
SHORTEST_GIVEN = 5


def last_two(histories: Histories) -> tuple[Int32, Int64]:
    """Users with at least SHORTEST events, and the position in `histories` of the last event of each."""
    users = np.flatnonzero(np.diff(histories.offsets) >= SHORTEST).astype(np.int32)
    return users, histories.offsets[users + 1] - 1


def left_out_requests(histories: Histories, users: Int32, positions: Int64, exclude_seen: bool) -> Cutoffs:
    """One request a user whose target is the event at a position, after everything before it in the user's
    list.

    With exclude_seen, an item that comes earlier in the list makes a request without targets.
    """
    every = np.ones(len(positions), dtype=np.bool_)
    has_target = histories.first[positions] == positions if exclude_seen else every
    targets = Ragged.from_lengths(histories.items[positions[has_target]], has_target)
    return Cutoffs(users, positions, histories.times[positions], targets, rows=histories.order[positions])


def hold_out(log: Log, rng: np.random.Generator) -> tuple[Bool, Int64]:
    """A tenth of each user's distinct items, at least one, by chance.

    Returns which events are of a pair held out, bool [N], and the pairs (`pair_keys`), sorted. Users with
    fewer than SHORTEST_GIVEN items keep theirs.
    """
    events = pair_keys(log.users, log.items, log.n_items)
    order = np.argsort(events, kind="stable")
    starts = changes(events[order])
    pairs = events[order][starts]
    users = pairs // log.n_items
    counts = np.bincount(users, minlength=log.n_users)
    shuffled = np.lexsort((rng.random(len(pairs)), users))
    rank = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
    wanted = np.where(counts < SHORTEST_GIVEN, 0, np.maximum(1, counts // 10))
    held = np.zeros(len(pairs), dtype=np.bool_)
    held[shuffled[rank < wanted[users]]] = True  # shuffling keeps the users in order
    held_events = np.empty(len(events), dtype=np.bool_)
    held_events[order] = held[np.cumsum(starts) - 1]
    return held_events, pairs[held]


def pair_requests(histories: Histories, n_items: int, pairs: Int64, time: int, exclude_seen: bool) -> Cutoffs:
    """One request a user in the pairs (sorted, distinct), after the whole of the user's history.

    With exclude_seen, pairs that are in the history are no targets.
    """
    users = distinct(pairs // n_items)
    if exclude_seen:
        seen = np.append(distinct(pair_keys(histories.users, histories.items, n_items)), -1)
        pairs = pairs[seen[np.searchsorted(seen[:-1], pairs)] != pairs]
    counts = np.bincount(pairs // n_items, minlength=len(histories.offsets) - 1)
    return Cutoffs(
        users=users.astype(np.int32),
        ends=histories.offsets[users + 1],
        times=np.full(len(users), time, dtype=np.int64),
        targets=Ragged.from_lengths((pairs % n_items).astype(np.int32), counts[users]),
    )
