"""A log cut into training sequences, and some of them side by side, so that no time is wasted on padding.

Where events are sets there is no next one to find: each step hides a part of a user's items, and one query
from the others has to find them all (as in Mult-VAE's and EASE's training, Liang et al. 2018).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.distinct import distinct
from funnel.towers.inputs import gap_buckets, with_kinds
from funnel.towers.training.kinds import alone, end_to_end, joined, read_log, repeats_of
from funnel.types import Int32, Int64, Log, Ragged

#: Share of a set that is read while the rest is looked for.
READ = 0.5

#: Share of the positions that ask without knowing the moment, so that the tower learns to stand without.
UNKNOWN = 0.1


@dataclass(frozen=True, slots=True)
class Sequences:
    """Consecutive items of one user each. Place p of a sequence is trained to find item p from those before
    it.

    items: int32 lists of at most history + 1. gaps: buckets of the same shape. users: int32 [S].
    skip: int64 [S], leading items that are read only: another sequence trains them, or they are of a set.
    sets: place `skip` asks for all that follow. rows: of the same shape, of the events in their table; None
    where nothing is known of their moments. asks: of the same shape, how often each place asks, 0 for those
    that are read only; None where all but those ask once.
    """

    items: Ragged
    gaps: Ragged
    users: Int32
    skip: Int64
    sets: bool = False
    rows: Ragged | None = None
    asks: Ragged | None = None

    def __len__(self) -> int:
        return len(self.users)

    @property
    def positions(self) -> int:
        """Items that are looked for."""
        return int(self.n_targets.sum())

    @property
    def n_targets(self) -> Int64:
        """How many are looked for in each sequence: int64 [S]."""
        if self.asks is None:
            return self.items.lengths - self.skip
        return np.add.reduceat(np.append(self.asks.values, 0), self.asks.offsets[:-1])

    def take(self, chosen: Int64) -> Sequences:
        """Some of them."""
        return Sequences(
            self.items.take(chosen), self.gaps.take(chosen), self.users[chosen], self.skip[chosen], self.sets,
            None if self.rows is None else self.rows.take(chosen),
            None if self.asks is None else self.asks.take(chosen),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Packed:
    """Sequences side by side in rows of equal width, each behind a START place of its own.

    items, gaps: int64 [R, W], 0 where START or nothing stands. first: int64 [R, W], the column of START of
    the sequence that a place belongs to; where nothing stands the place's own. starts: int64 [S], where START
    stands, counted through the rows, and whose sequence follows: users int32 [S]. asks, targets: int64 [P],
    the positions that ask and the item that each should find. moments: int64 [P], the row of the event that
    each should find, for what was known before it, −1 where the position does not know; None
    where nothing is known.
    """

    items: Int64
    gaps: Int64
    first: Int64
    starts: Int64
    users: Int32
    asks: Int64
    targets: Int64
    moments: Int64 | None = None

    @property
    def query_of(self) -> Int64:
        """int64 [P]: every target has a query of its own."""
        return np.arange(len(self.targets))


@dataclass(frozen=True, slots=True)
class Sets:
    """What is read of some users' sets and what is looked for.

    read: item rows, a list a user. targets: int64 [P] item rows. query_of: int64 [P], ascending: whose.
    """

    users: Int32
    read: Ragged
    targets: Int64
    query_of: Int64


def sequences(log: Log, history: int, rng: np.random.Generator) -> Sequences:
    """The log cut into sequences of at most history + 1 items, every event trained exactly once.

    A list that is longer is covered by windows that overlap by half, so that an event of a long list is found
    from at least history / 2 items. Where the clock is "none" each list is put in a random order first, and
    about half of it, at least one item, is left to be found: `skip` is then how much is read.

    Where events are of several kinds, those that are in no history are found each from the history before it,
    and read by none. Sets are read without kinds.
    """
    if log.clock == "none":
        return _sets(log.by_user()[0], history, rng)
    if log.kinds is not None:
        return _of_kinds(log, history, rng)
    items, times = log.by_user()
    index, skip, users = _windows(items, history + 1)
    gaps = Ragged(gap_buckets(times, log.clock)[index.values], index.offsets)
    rows = None if log.rows is None else Ragged(log.rows[log.order_by_user()][index.values], index.offsets)
    return Sequences(Ragged(items.values[index.values], index.offsets), gaps, users, skip, rows=rows)


def _of_kinds(log: Log, history: int, rng: np.random.Generator) -> Sequences:
    """Sequences of what is read, and one for each event that is found and never read."""
    read, lonely = read_log(log), alone(log, history)
    items, times = read.by_user()
    order, n = read.order_by_user(), len(read)
    windows, skip, users = _windows(items, history + 1)
    index = end_to_end(windows, joined(np.arange(n), lonely, np.arange(n, n + len(lonely.rows))))
    skip = np.concatenate([skip, lonely.ends - lonely.starts])

    def all_of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(read, name)[order], getattr(log, name)[lonely.rows]])

    assert log.event_kinds is not None
    kinds, gaps = all_of("kinds"), np.append(gap_buckets(times, log.clock), np.zeros_like(lonely.rows))
    asks = repeats_of(kinds, log.event_kinds, rng)[index.values]
    asks[np.arange(len(asks)) - index.offsets[index.list_of] < skip[index.list_of]] = 0
    unknown = (rng.random(len(index)) < UNKNOWN)[index.list_of]  # as where a caller gives items alone
    marks = with_kinds(gaps[index.values], np.where(unknown, -1, kinds[index.values]))
    whole = Sequences(
        items=Ragged(all_of("items")[index.values], index.offsets),
        gaps=Ragged(marks, index.offsets),
        users=np.concatenate([users, log.users[lonely.rows]]),
        skip=skip,
        rows=None if log.rows is None else Ragged(all_of("rows")[index.values], index.offsets),
        asks=Ragged(asks, index.offsets),
    )
    return whole.take(np.flatnonzero(whole.n_targets))


def _sets(items: Ragged, history: int, rng: np.random.Generator) -> Sequences:
    """One sequence a user with items, each item once, shuffled; at most `history` of them are read."""
    n_items = int(items.values.max(initial=0)) + 1
    pairs = distinct(items.list_of * n_items + items.values)
    users, lengths = np.unique(pairs // n_items, return_counts=True)
    shuffled = (pairs % n_items)[np.lexsort((rng.random(len(pairs)), pairs // n_items))]
    lists = Ragged.from_lengths(shuffled.astype(np.int32), lengths)
    read = np.minimum(rng.binomial(lengths, READ), np.minimum(lengths - 1, history))
    gaps = Ragged(np.zeros(len(shuffled), dtype=np.int64), lists.offsets)
    return Sequences(lists, gaps, users.astype(np.int32), read, sets=True)


def _windows(lists: Ragged, longest: int) -> tuple[Ragged, Int64, Int32]:
    """Windows over each list: what is in each as indices of values, leading items already trained, whose."""
    total = lists.lengths
    stride = (longest + 1) // 2
    n = np.where(total > 0, 1 + np.maximum(0, -((longest - total) // stride)), 0)
    of = np.repeat(np.arange(len(total), dtype=np.int64), n)
    number = np.arange(len(of)) - np.repeat(np.cumsum(n) - n, n)
    # The last window ends with the list, so that it too is as long as a window may be.
    start = np.minimum(number * stride, np.maximum(total[of] - longest, 0))
    skip = np.where(number == 0, 0, (number - 1) * stride + longest - start)
    starts, lengths = lists.offsets[:-1][of] + start, np.minimum(total[of] - start, longest)
    positions = np.arange(lengths.sum()) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    return Ragged.from_lengths(positions, lengths), skip, of.astype(np.int32)


def packed(sequences: Sequences, chosen: Int64, rng: np.random.Generator) -> Packed:
    """Some sequences. Position p of a sequence holds item p - 1, and from `skip` on asks for item p."""
    items, gaps = sequences.items.take(chosen), sequences.gaps.take(chosen)
    lengths = items.lengths
    width = int(lengths.max())
    row, column, n_rows = _fit(lengths, width)
    position = np.arange(len(items.values)) - np.repeat(items.offsets[:-1], lengths)
    at = np.repeat(row * width + column, lengths) + position
    inside = np.flatnonzero(position > 0)
    read, since = np.zeros((2, n_rows * width), dtype=np.int64)
    read[at[inside]], since[at[inside]] = items.values[inside - 1], gaps.values[inside - 1]
    first = np.tile(np.arange(width), n_rows)
    first[at] = np.repeat(column, lengths)
    asks = _targets_at(sequences, chosen, position, lengths)
    return Packed(
        items=read.reshape(n_rows, width),
        gaps=since.reshape(n_rows, width),
        first=first.reshape(n_rows, width),
        starts=row * width + column,
        users=sequences.users[chosen],
        asks=at[asks],
        targets=items.values[asks].astype(np.int64),
        moments=None if sequences.rows is None else _moments(sequences.rows.take(chosen).values[asks], rng),
    )


def targets_of(sequences: Sequences, chosen: Int64) -> Int64:
    """What some sequences look for, one after the other: int64 [P]."""
    items = sequences.items.take(chosen)
    position = np.arange(len(items.values)) - np.repeat(items.offsets[:-1], items.lengths)
    return items.values[_targets_at(sequences, chosen, position, items.lengths)].astype(np.int64)


def _targets_at(sequences: Sequences, chosen: Int64, position: Int64, lengths: Int64) -> NDArray[Any]:
    """What picks the positions that ask, each as often as it does."""
    if sequences.asks is None:
        return position >= np.repeat(sequences.skip[chosen], lengths)
    return np.repeat(np.arange(len(position)), sequences.asks.take(chosen).values)


def _moments(rows: Int32, rng: np.random.Generator) -> Int64:
    """The rows of events, −1 for the share that does not know them."""
    return np.where(rng.random(len(rows)) < UNKNOWN, -1, rows.astype(np.int64))


def _fit(lengths: Int64, width: int) -> tuple[Int64, Int64, int]:
    """Lists into rows, the longest first, each where the least is left over: row and first column of each,
    number of rows."""
    row, column = np.empty((2, len(lengths)), dtype=np.int64)
    left: list[tuple[int, int]] = []  # positions left in a row and the row, in order
    n_rows = 0
    for i in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[i])
        at = bisect_left(left, (length, -1))
        if at < len(left):
            free, row[i] = left.pop(at)
        else:
            free, row[i], n_rows = width, n_rows, n_rows + 1
        column[i] = width - free
        insort(left, (free - length, int(row[i])))
    return row, column, n_rows


def sets_of(sequences: Sequences, chosen: Int64) -> Sets:
    """Some sets. The first `skip` of each are read, all the rest is asked for."""
    items, read = sequences.items.take(chosen), sequences.skip[chosen]
    position = np.arange(len(items.values)) - np.repeat(items.offsets[:-1], items.lengths)
    known = position < read[items.list_of]
    return Sets(
        users=sequences.users[chosen],
        read=Ragged.from_lengths(items.values[known], read),
        targets=items.values[~known].astype(np.int64),
        query_of=items.list_of[~known],
    )
