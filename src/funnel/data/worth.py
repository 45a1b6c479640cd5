"""What an event that came after a request was worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funnel.data.histories import pair_keys
from funnel.types import Int32, Int64, Log


def worth_after(log: Log, code: int | None, users: Int32, items: Int32, times: Int64) -> NDArray[np.float64]:
    """The value of the first event of each user with each item at its time or later: float64 [N].

    log: with values. code: of the kind of events; None for all of them. users, items: rows [N]. times: [N],
    as the log has them. NaN where there is no such event, or nothing is known of values.
    """
    out = np.full(len(users), np.nan)
    if log.values is None or not len(users):
        return out
    events = log if code is None else log.where(log.of_code(code))
    assert events.values is not None
    wanted, of = np.unique(pair_keys(users, items, log.n_items), return_inverse=True)
    pairs = pair_keys(events.users, events.items, log.n_items)
    pair = np.minimum(np.searchsorted(wanted, pairs), len(wanted) - 1)
    same = np.flatnonzero(wanted[pair] == pairs)
    same = same[np.lexsort((events.times[same], pair[same]))]  # stable: of equal times, in the log's order
    moments, number = np.unique(np.concatenate([events.times[same], times]), return_inverse=True)
    keys = np.concatenate([pair[same], of]) * len(moments) + number
    at = np.searchsorted(keys[: len(same)], keys[len(same) :], side="left")
    there = at < len(same)
    there[there] = pair[same[at[there]]] == of[there]
    out[there] = events.values[same[at[there]]]
    return out
