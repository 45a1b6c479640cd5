"""A log sorted by user, and requests cut out of it without a Python loop over events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.types import Bool, Examples, Int32, Int64, Log, Ragged, Requests, Shown


@dataclass(frozen=True, slots=True)
class Histories:
    """Every user's events end to end, oldest first; the position of an event is its index here.

    order: int64 [N], the index in the log of the event at each position. users, items, times: the log in that
    order. offsets: int64 [n_users + 1]; the events of a user are at offsets[u] … offsets[u + 1] − 1.
    first: int64 [N], the position of the same user's first event with the same item.
    """

    order: Int64
    users: Int32
    items: Int32
    times: Int64
    offsets: Int64
    first: Int64

    @classmethod
    def of(cls, log: Log) -> Histories:
        """The whole log."""
        order = np.argsort(log.users, kind="stable")
        users, items = log.users[order], log.items[order]
        offsets = np.zeros(log.n_users + 1, dtype=np.int64)
        np.cumsum(np.bincount(users, minlength=log.n_users), out=offsets[1:])
        first = first_equal(pair_keys(users, items, log.n_items))
        return cls(order, users, items, log.times[order], offsets, first)

    def ends(self, users: Int32, times: Int64) -> Int64:
        """For each user and time, the position where the events strictly before it end: int64 [B]."""
        moments, number = np.unique(np.concatenate([self.times, times]), return_inverse=True)
        keys = pair_keys(np.concatenate([self.users, users]), number, len(moments))
        return np.searchsorted(keys[: len(self.times)], keys[len(self.times) :], side="left")

    def strictly_before(self) -> Int64:
        """For each position, where the events of the same user at the same time begin: int64 [N]."""
        starts = changes(self.users) | changes(self.times)
        return np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Requests before their histories are written out.

    users: int32 [B]. ends: int64 [B], the position at which the history of each stops. times: int64 [B].
    targets: B lists of item rows. shown: what each is to choose from, where that is given. rows: int64 [B],
    the row that says what was known at the moment of each request, of impressions where lists were shown,
    else of events; −1 for none, None where no request has one.
    """

    users: Int32
    ends: Int64
    times: Int64
    targets: Ragged
    shown: Shown | None = None
    rows: Int64 | None = None

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[Any]) -> Cutoffs:
        """The requests at these rows."""
        shown = None if self.shown is None else self.shown.take(rows)
        of = None if self.rows is None else self.rows[rows]
        return Cutoffs(
            self.users[rows], self.ends[rows], self.times[rows], self.targets.take(rows), shown, of
        )

    def examples(self, histories: Histories, *, exclude_seen: bool, limit: int | None = None) -> Examples:
        """With histories of at most `limit` events, the last ones; what is excluded stays complete."""
        starts = histories.offsets[self.users]
        lengths = self.ends - starts
        kept = lengths if limit is None else np.minimum(lengths, limit)
        history = _slices(histories.items, self.ends - kept, kept)
        exclude = None
        if exclude_seen:
            exclude = history if (kept == lengths).all() else _slices(histories.items, starts, lengths)
        requests = Requests(
            users=self.users,
            times=self.times,
            history=history,
            history_times=_slices(histories.times, self.ends - kept, kept),
            exclude=exclude,
            shown=self.shown,
        )
        return Examples(requests, self.targets)


def pair_keys(users: NDArray[Any], items: NDArray[Any], n_items: int) -> Int64:
    """One number for each pair of a user and an item, in the order of users, then items: int64."""
    return users.astype(np.int64) * n_items + items


def distinct(keys: NDArray[Any]) -> NDArray[Any]:
    """The distinct keys, sorted. (numpy's own `unique` hashes integers, and is many times slower here.)"""
    keys = np.sort(keys)
    return keys[changes(keys)]


def changes(ordered: NDArray[Any]) -> Bool:
    """Where a value differs from the one before it: bool [N]."""
    starts = np.ones(len(ordered), dtype=np.bool_)
    starts[1:] = ordered[1:] != ordered[:-1]
    return starts


def first_equal(keys: Int64) -> Int64:
    """For each entry, the index of the first one that is equal: int64 [N].

    >>> first_equal(np.array([5, 3, 5])).tolist()
    [0, 1, 0]
    """
    order = np.argsort(keys, kind="stable")
    first = np.empty(len(keys), dtype=np.int64)
    first[order] = order[np.maximum.accumulate(np.where(changes(keys[order]), np.arange(len(keys)), 0))]
    return first


def _slices(values: NDArray[Any], starts: Int64, lengths: Int64) -> Ragged:
    """The lists values[start : start + length]."""
    out = Ragged.from_lengths(values[:0], lengths)
    positions = np.repeat(starts - out.offsets[:-1], lengths)
    positions += np.arange(len(positions))
    return Ragged(values[positions], out.offsets)
