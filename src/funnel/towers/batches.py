"""A log cut into training sequences, and sequences into steps that waste no time on padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from funnel.towers.inputs import gap_buckets
from funnel.types import Int32, Int64, Log, Ragged


@dataclass(frozen=True, slots=True)
class Sequences:
    """Consecutive items of one user each. Place p of a sequence is trained to find item p from those before
    it.

    items: int32 lists of at most history + 1. gaps: buckets of the same shape. users: int32 [S].
    skip: int64 [S], leading items that are context only, since another sequence trains them.
    """

    items: Ragged
    gaps: Ragged
    users: Int32
    skip: Int64

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences of about the same length, right-padded.

    items, gaps: int64 [B, L]: what the tower reads (all but each sequence's last item).
    targets: int64 [P] item rows, in the order of the true places of `trained`. trained: bool [B, L + 1].
    """

    users: Int32
    items: Int64
    gaps: Int64
    trained: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    targets: Int64


def sequences(log: Log, history: int, rng: np.random.Generator) -> Sequences:
    """The log cut into sequences of at most history + 1 items, every event trained exactly once.

    A list that is longer is covered by windows that overlap by half, so that an event of a long list is found
    from at least history / 2 items. Where the clock is "none" each list is put in a random order first.
    """
    items, times = log.by_user()
    gaps = gap_buckets(times, log.clock)
    values = items.values
    if log.clock == "none":
        values = values[np.lexsort((rng.random(len(values)), items.list_of))]
    starts, lengths, skip, users = _windows(items, history + 1)
    places = np.arange(lengths.sum()) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    cut = Ragged.from_lengths(values[places], lengths)
    return Sequences(cut, Ragged(gaps[places], cut.offsets), users.astype(np.int32), skip)


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
    return max(1, round((len(sequences.items.values) - int(sequences.skip.sum())) / batch))


def _groups(sequences: Sequences, chosen: Int64) -> list[Group]:
    chosen = chosen[np.argsort(sequences.items.lengths[chosen], kind="stable")]
    size = np.floor(np.log(sequences.items.lengths[chosen]) / np.log(1.3))
    return [_group(sequences, part) for part in np.split(chosen, np.flatnonzero(np.diff(size)) + 1)]


def _group(sequences: Sequences, rows: Int64) -> Group:
    items, gaps = sequences.items.take(rows), sequences.gaps.take(rows)
    longest = int(items.lengths.max())
    place = np.arange(longest)
    trained = (place >= sequences.skip[rows][:, None]) & (place < items.lengths[:, None])
    padded = items.last(longest, 0).astype(np.int64)
    return Group(
        users=sequences.users[rows],
        items=padded[:, :-1],
        gaps=gaps.last(longest, 0)[:, :-1],
        trained=trained,
        targets=padded[trained],
    )
