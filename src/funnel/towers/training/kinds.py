"""What kinds of events mean for training: which positions ask, how often, and what is read before them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.types import EventKinds, Int8, Int32, Int64, Log, Ragged

#: Kinds that weigh more ask more often; all together at most so many times as often as each once.
MOST_REPEATED = 2.0


class Alone(NamedTuple):
    """Events that are to be found and in no history, each behind the history before it.

    starts, ends: int64 [n], of that history among the events of all histories by user. rows: int64 [n], the
    events in the log.
    """

    starts: Int64
    ends: Int64
    rows: Int64


def read_log(log: Log) -> Log:
    """The events that are in histories."""
    return log if log.event_kinds is None else log.of_kinds(log.event_kinds.in_history)


def alone(log: Log, history: int) -> Alone:
    """The events of a log with kinds that are to be found and never read. history: items of one at most."""
    assert log.kinds is not None
    assert log.event_kinds is not None
    order = log.order_by_user()
    read = log.event_kinds.in_history[log.kinds[order]]
    positions = np.flatnonzero(log.event_kinds.is_target[log.kinds[order]] & ~read)
    before = np.concatenate([[0], np.cumsum(read)])
    lengths = np.bincount(log.users, minlength=log.n_users)
    first = (np.cumsum(lengths) - lengths)[log.users[order[positions]]]
    ends = before[positions]
    return Alone(np.maximum(before[first], ends - history), ends, order[positions])


def joined(lists: NDArray[np.generic], parts: Alone, last: NDArray[np.generic]) -> Ragged:
    """Slices of an array, one of `last` behind each."""
    lengths = parts.ends - parts.starts + 1
    out = Ragged.from_lengths(np.empty(0, dtype=last.dtype), lengths)
    index = np.repeat(parts.starts - out.offsets[:-1], lengths) + np.arange(out.offsets[-1])
    index[out.offsets[1:] - 1] = np.arange(len(lists), len(lists) + len(last))
    return Ragged(np.concatenate([lists, last])[index], out.offsets)


def end_to_end(first: Ragged, second: Ragged) -> Ragged:
    """The lists of both."""
    values = np.concatenate([first.values, second.values])
    return Ragged.from_lengths(values, np.concatenate([first.lengths, second.lengths]))


def repeats_of(kinds: Int8, of: EventKinds, rng: np.random.Generator) -> Int64:
    """How often each event is to be found, by chance so that its mean is as its kind weighs: int64 [n].

    A loss is a mean over what is asked, so a kind of three times the weight is asked three times as often,
    whatever the loss. Kinds of the least weight ask once, unless all would ask more than `MOST_REPEATED`
    times as often together.
    """
    weights = of.target_weights[kinds].astype(np.float64)
    is_target = weights > 0
    if not is_target.any():
        return np.zeros(len(kinds), dtype=np.int64)
    unit = max(weights[is_target].min(), weights.sum() / (MOST_REPEATED * is_target.sum()))
    return np.floor(weights / unit + rng.random(len(kinds))).astype(np.int64)


def target_counts(log: Log) -> NDArray[np.generic]:
    """How often each item is to be found, by what its events' kinds weigh: [n_items]."""
    if log.kinds is None or log.event_kinds is None or log.clock == "none":
        return np.bincount(log.items, minlength=log.n_items)
    return np.bincount(log.items, log.event_kinds.target_weights[log.kinds], log.n_items)


def rows_of(log: Log, parts: Alone) -> Int32 | None:
    """The rows of the table of events of what is asked alone."""
    return None if log.rows is None else log.rows[parts.rows]
