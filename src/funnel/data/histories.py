"""A log sorted by user, and requests cut out of it without a Python loop over events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.data.columnar.columns import taken
from funnel.data.columnar.grouping import first_equal_in_lists, grouped
from funnel.errors import ConfigError
from funnel.types import Bool, EventKinds, Examples, Int8, Int32, Int64, Log, Ragged, Requests, Shown
from funnel.values.nearest import hint

#: Whether seen items are excluded, or the kinds of events that make an item one.
Seen: TypeAlias = bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Histories:
    """Every user's events end to end, oldest first; the position of an event is its index here.

    order: [N], the index in the log of the event at each position. users, items, times: the log in that
    order. offsets: int64 [n_users + 1]; the events of a user are at offsets[u] … offsets[u + 1] − 1.
    first: [N], the position of the same user's first event with the same item. first_seen: the same
    of those events that make an item seen; N where there is none. All three are int32 where N is below 2³¹,
    else int64. kinds: int8 [N], None where events are of
    one kind. reads, asks, sees: bool [N], whether an event is in histories, is to be found, and makes its
    item seen; None where all are. refuses: whether it says no; None
    where none does.
    """

    order: NDArray[Any]
    users: Int32
    items: Int32
    times: Int64
    offsets: Int64
    first: NDArray[Any]
    first_seen: NDArray[Any]
    kinds: Int8 | None = None
    reads: Bool | None = None
    asks: Bool | None = None
    sees: Bool | None = None
    refuses: Bool | None = None

    @classmethod
    def of(cls, log: Log, seen: Seen = True) -> Histories:
        """The whole log. seen: the kinds that make an item seen; where it is no list, those in histories."""
        order, offsets = grouped(log.users, log.n_users)
        users, items, times = (taken(column, order) for column in (log.users, log.items, log.times))
        first = first_equal_in_lists(items, offsets)
        plain = cls(order, users, items, times, offsets, first, first)
        return plain if log.kinds is None else plain._with_kinds(log, seen)

    def _with_kinds(self, log: Log, seen: Seen) -> Histories:
        """The same, by what each kind is for."""
        assert log.kinds is not None
        assert log.event_kinds is not None
        kinds, of = taken(log.kinds, self.order), log.event_kinds
        reads, asks, sees = of.in_history[kinds], of.is_target[kinds], seen_kinds(of, seen)[kinds]
        first_seen = self.first if sees.all() else first_equal_in_lists(self.items, self.offsets, sees)
        refuses = of.is_negative[kinds] if of.is_negative.any() else None
        masks = [None if mask.all() else mask for mask in (reads, asks, sees)]
        return replace(
            self,
            first_seen=first_seen,
            kinds=kinds,
            reads=masks[0],
            asks=masks[1],
            sees=masks[2],
            refuses=refuses,
        )

    def ends(self, users: Int32, times: Int64) -> Int64:
        """For each user and time, the position where the events strictly before it end: int64 [B]."""
        ends = np.empty(len(users), dtype=np.int64)
        _find_ends(self.times, self.offsets, users, np.asarray(times, dtype=np.int64), ends)
        return ends

    def ends_before(self, time: int) -> Int64:
        """For every user, the position where the events strictly before a time end: int64 [n_users]."""
        n_users = len(self.offsets) - 1
        return self.ends(np.arange(n_users, dtype=np.int32), np.full(n_users, time, dtype=np.int64))

    def events(self, of: Bool | None, starts: Int64, ends: Int64) -> tuple[Any, Int64, Int64]:
        """What picks the events of a mask, and where among these the positions starts and ends are."""
        if of is None:
            return slice(None), starts, ends
        before = np.concatenate([[0], np.cumsum(of)])
        return np.flatnonzero(of), before[starts], before[ends]

    def targeted(self) -> Bool:
        """Which events are to be found: bool [N]."""
        return np.ones(len(self.items), dtype=np.bool_) if self.asks is None else self.asks

    def new(self, positions: Int64, ends: Int64) -> Bool:
        """Whether the items of events are not seen yet where histories end: bool [n]."""
        return np.asarray(self.first_seen[positions] >= ends)

    def bits(self, positions: Int64, lists: Ragged) -> Ragged | None:
        """`Examples.target_kinds` of lists of targets, one event each; None where there are no kinds."""
        if self.kinds is None:
            return None
        return Ragged(np.int32(1) << self.kinds[positions].astype(np.int32), lists.offsets)


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Requests before their histories are written out.

    users: int32 [B]. ends: int64 [B], the position at which the history of each stops. times: int64 [B].
    targets: B lists of item rows. shown: what each is to choose from, where that is given. rows: int64 [B],
    the row that says what was known at the moment of each request, of impressions where lists were shown,
    else of events; −1 for none, None where no request has one. target_kinds: see `Examples`.
    """

    users: Int32
    ends: Int64
    times: Int64
    targets: Ragged
    shown: Shown | None = None
    rows: Int64 | None = None
    target_kinds: Ragged | None = None

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[Any]) -> Cutoffs:
        """The requests at these rows."""
        shown = None if self.shown is None else self.shown.take(rows)
        of = None if self.rows is None else self.rows[rows]
        kinds = None if self.target_kinds is None else self.target_kinds.take(rows)
        targets = self.targets.take(rows)
        return Cutoffs(self.users[rows], self.ends[rows], self.times[rows], targets, shown, of, kinds)

    def examples(self, histories: Histories, *, exclude_seen: bool, limit: int | None = None) -> Examples:
        """With histories of at most `limit` events, the last ones; what is excluded stays complete."""
        first = histories.offsets[self.users]
        read, starts, ends = histories.events(histories.reads, first, self.ends)
        kept = ends - starts if limit is None else np.minimum(ends - starts, limit)
        history = _slices(histories.items[read], ends - kept, kept)
        exclude = None
        if exclude_seen:
            seen, since, until = histories.events(histories.sees, first, self.ends)
            same = histories.sees is histories.reads and (kept == ends - starts).all()
            exclude = history if same else _slices(histories.items[seen], since, until - since)
        kinds = histories.kinds
        requests = Requests(
            users=self.users,
            times=self.times,
            history=history,
            history_times=_slices(histories.times[read], ends - kept, kept),
            exclude=exclude,
            shown=self.shown,
            negatives=self._negatives(histories, limit),
            history_kinds=None if kinds is None else _slices(kinds[read], ends - kept, kept),
        )
        return Examples(requests, self.targets, self.target_kinds)

    def _negatives(self, histories: Histories, limit: int | None) -> Ragged | None:
        """What each user said no to, at most `limit` times, the last ones."""
        if histories.refuses is None:
            return None
        picked, starts, ends = histories.events(histories.refuses, histories.offsets[self.users], self.ends)
        kept = ends - starts if limit is None else np.minimum(ends - starts, limit)
        return _slices(histories.items[picked], ends - kept, kept)


def seen_kinds(kinds: EventKinds, seen: Seen) -> Bool:
    """Which kinds make an item seen: bool [kinds]. seen: a list of kinds; else those in histories.

    Raises: ConfigError for a kind that is none of them, with the nearest.
    """
    if isinstance(seen, bool):
        return kinds.in_history
    for name in seen:
        if name not in kinds.names:
            raise ConfigError(f"split.exclude_seen names the kind {name!r}; {hint(name, kinds.names)}")
    return np.array([name in seen for name in kinds.names], dtype=np.bool_)


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
    offsets = Ragged.from_lengths(values[:0], lengths).offsets
    out = np.empty(int(offsets[-1]), dtype=values.dtype)
    _copy_lists(values, np.asarray(starts, dtype=np.int64), offsets, out)
    return Ragged(out, offsets)


@compiled
def _copy_lists(values: Any, starts: Any, offsets: Any, out: Any) -> None:
    for row in range(len(offsets) - 1):
        for at in range(offsets[row + 1] - offsets[row]):
            out[offsets[row] + at] = values[starts[row] + at]


@compiled
def _find_ends(values: Any, offsets: Any, users: Any, times: Any, ends: Any) -> None:
    for row in range(len(users)):
        low, high = offsets[users[row]], offsets[users[row] + 1]
        while low < high:
            middle = (low + high) >> 1
            if values[middle] < times[row]:
                low = middle + 1
            else:
                high = middle
        ends[row] = low
