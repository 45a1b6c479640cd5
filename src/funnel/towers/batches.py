"""A log cut into training sequences, and sequences into steps that waste no time on padding.

Where events are sets there is no next one to find: each step hides a part of a user's items, and one query
from the others has to find them all (as in Mult-VAE's and EASE's training, Liang et al. 2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from funnel.towers.inputs import gap_buckets
from funnel.types import Int32, Int64, Log, Ragged

#: Share of a set that is read while the rest is looked for.
READ = 0.5


@dataclass(frozen=True, slots=True)
class Sequences:
    """Consecutive items of one user each. Place p of a sequence is trained to find item p from those before
    it.

    items: int32 lists of at most history + 1. gaps: buckets of the same shape. users: int32 [S].
    skip: int64 [S], leading items that are read only: another sequence trains them, or they are of a set.
    sets: place `skip` asks for all that follow.
    """

    items: Ragged
    gaps: Ragged
    users: Int32
    skip: Int64
    sets: bool = False

    def __len__(self) -> int:
        return len(self.users)

    @property
    def positions(self) -> int:
        """Items that are looked for."""
        return len(self.items.values) - int(self.skip.sum())


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences of about the same length, right-padded.

    items, gaps: int64 [B, L]: what the tower reads. trained: bool [B, L + 1], the places that ask: place p
    knows the first p items. targets: int64 [P] item rows. query_of: int64 [P], ascending: for each target
    the number of its query, counting the true places of `trained` row by row.
    """

    users: Int32
    items: Int64
    gaps: Int64
    trained: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    targets: Int64
    query_of: Int64

    @property
    def at(self) -> Int64 | None:
        """The one place that asks in each row: int64 [B]; None where a row has none or several."""
        return self.trained.argmax(1) if (self.trained.sum(1) == 1).all() else None


def sequences(log: Log, history: int, rng: np.random.Generator) -> Sequences:
    """The log cut into sequences of at most history + 1 items, every event trained exactly once.

    A list that is longer is covered by windows that overlap by half, so that an event of a long list is found
    from at least history / 2 items. Where the clock is "none" each list is put in a random order first, and
    about half of it, at least one item, is left to be found: `skip` is then how much is read.
    """
    items, times = log.by_user()
    if log.clock == "none":
        return _sets(items, history, rng)
    gaps = gap_buckets(times, log.clock)
    starts, lengths, skip, users = _windows(items, history + 1)
    places = np.arange(lengths.sum()) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    cut = Ragged.from_lengths(items.values[places], lengths)
    return Sequences(cut, Ragged(gaps[places], cut.offsets), users.astype(np.int32), skip)


def _sets(items: Ragged, history: int, rng: np.random.Generator) -> Sequences:
    """One sequence a user with items, each item once, shuffled; at most `history` of them are read."""
    n_items = int(items.values.max(initial=0)) + 1
    pairs = np.unique(items.list_of * n_items + items.values)
    users, lengths = np.unique(pairs // n_items, return_counts=True)
    shuffled = (pairs % n_items)[np.lexsort((rng.random(len(pairs)), pairs // n_items))]
    lists = Ragged.from_lengths(shuffled.astype(np.int32), lengths)
    read = np.minimum(rng.binomial(lengths, READ), np.minimum(lengths - 1, history))
    gaps = Ragged(np.zeros(len(shuffled), dtype=np.int64), lists.offsets)
    return Sequences(lists, gaps, users.astype(np.int32), read, sets=True)


def _windows(lists: Ragged, longest: int) -> tuple[Int64, Int64, Int64, Int64]:
    """Windows over each list: (start in values, length, leading items already trained, list)."""
    total = lists.lengths
    stride = (longest + 1) // 2
    n = np.where(total > 0, 1 + np.maximum(0, -((longest - total) // stride)), 0)
    of = np.repeat(np.arange(len(total), dtype=np.int64), n)
    number = np.arange(len(of)) - np.repeat(np.cumsum(n) - n, n)
    # The last window ends with the list, so that it too is as long as a window may be.
    start = np.minimum(number * stride, np.maximum(total[of] - longest, 0))
    skip = np.where(number == 0, 0, (number - 1) * stride + longest - start)
    return lists.offsets[:-1][of] + start, np.minimum(total[of] - start, longest), skip, of


def steps(sequences: Sequences, batch: int, rng: np.random.Generator) -> Iterator[list[Group]]:
    """Every sequence once, in random order, about `batch` trained places a step.

    A step is a random draw of sequences whatever their length; within it they are grouped by length.
    """
    order = rng.permutation(len(sequences))
    trained = np.cumsum(sequences.items.lengths[order] - sequences.skip[order])
    n = max(1, round(int(trained[-1]) / batch)) if len(order) else 0
    cuts = np.searchsorted(trained, np.arange(1, n) * trained[-1] / n) if n else np.empty(0, dtype=np.int64)
    for chosen in np.split(order, cuts):
        if len(chosen):
            yield _groups(sequences, chosen)


def count_steps(sequences: Sequences, batch: int) -> int:
    """About how many steps `steps` makes."""
    return max(1, round(sequences.positions / batch))


def _groups(sequences: Sequences, chosen: Int64) -> list[Group]:
    """The chosen sequences, those of about the same length together."""
    lengths = sequences.skip + 1 if sequences.sets else sequences.items.lengths
    chosen = chosen[np.argsort(lengths[chosen], kind="stable")]
    size = np.floor(np.log(lengths[chosen]) / np.log(1.3))
    make = _set_group if sequences.sets else _group
    return [make(sequences, part) for part in np.split(chosen, np.flatnonzero(np.diff(size)) + 1)]


def _group(sequences: Sequences, rows: Int64) -> Group:
    """Every place from `skip` on asks for the item that stands there."""
    items, gaps = sequences.items.take(rows), sequences.gaps.take(rows)
    longest = int(items.lengths.max())
    place = np.arange(longest)
    trained = (place >= sequences.skip[rows][:, None]) & (place < items.lengths[:, None])
    padded = items.last(longest, 0).astype(np.int64)
    targets = padded[trained]
    return Group(
        users=sequences.users[rows],
        items=padded[:, :-1],
        gaps=gaps.last(longest, 0)[:, :-1],
        trained=trained,
        targets=targets,
        query_of=np.arange(len(targets)),
    )


def _set_group(sequences: Sequences, rows: Int64) -> Group:
    """The place after what is read asks for all the rest."""
    items, read = sequences.items.take(rows), sequences.skip[rows]
    longest = max(1, int(read.max()))
    place = np.arange(len(items.values)) - np.repeat(items.offsets[:-1], items.lengths)
    known = place < read[items.list_of]
    padded = np.zeros((len(rows), longest), dtype=np.int64)
    padded[items.list_of[known], place[known]] = items.values[known]
    return Group(
        users=sequences.users[rows],
        items=padded,
        gaps=np.zeros_like(padded),
        trained=np.arange(longest + 1) == read[:, None],
        targets=items.values[~known].astype(np.int64),
        query_of=items.list_of[~known],
    )
