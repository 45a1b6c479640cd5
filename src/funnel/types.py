"""The values that walk between the rooms: ragged lists, requests, candidates.

All of them are immutable and hold arrays. Inside funnel an item is a *row* of the catalogue (int32, the
catalogue sorted by external id, −1 for "none"); external ids appear at the boundary only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow
from funnel.order import keys, moved

Int32: TypeAlias = NDArray[np.int32]
Int64: TypeAlias = NDArray[np.int64]
Float32: TypeAlias = NDArray[np.float32]
Bool: TypeAlias = NDArray[np.bool_]

#: Encoded columns of a table, all with the same first dimension. See `funnel.features.encoders`.
Features: TypeAlias = Mapping[str, NDArray[Any]]

#: What orders the events: real time, the order within a user's list, or nothing (a set).
Clock: TypeAlias = Literal["time", "order", "none"]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Lists of different lengths, end to end in one array.

    values: any dtype, [total]. offsets: int64 [n + 1]; list i is `values[offsets[i]:offsets[i + 1]]`.
    """

    values: NDArray[Any]
    offsets: Int64

    @classmethod
    def from_lists(cls, lists: Sequence[Iterable[Any]], dtype: Any = np.int32) -> Ragged:
        """One list an entry, in order."""
        arrays = [np.asarray(list(part), dtype=dtype) for part in lists]
        values = np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype)
        return cls.from_lengths(values, np.array([len(a) for a in arrays], dtype=np.int64))

    @classmethod
    def from_lengths(cls, values: NDArray[Any], lengths: NDArray[Any]) -> Ragged:
        """`values` cut into consecutive lists of these lengths."""
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(values, offsets)

    @classmethod
    def empty(cls, n: int, dtype: Any = np.int32) -> Ragged:
        """n empty lists."""
        return cls(np.empty(0, dtype=dtype), np.zeros(n + 1, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> NDArray[Any]:
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> Int64:
        """int64 [n]."""
        return np.diff(self.offsets)

    @property
    def list_of(self) -> Int64:
        """For each value, the number of the list that it is in: int64 [total]."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def take(self, rows: NDArray[Any]) -> Ragged:
        """The lists at these rows; a negative row gives an empty list."""
        rows = np.asarray(rows, dtype=np.int64)
        known = rows >= 0
        lengths = np.zeros(len(rows), dtype=np.int64)
        lengths[known] = self.lengths[rows[known]]
        out = Ragged.from_lengths(np.empty(0, dtype=self.values.dtype), lengths)
        starts = np.zeros(len(rows), dtype=np.int64)
        starts[known] = self.offsets[rows[known]]
        within = np.arange(out.offsets[-1]) - np.repeat(out.offsets[:-1], lengths)
        return Ragged(self.values[np.repeat(starts, lengths) + within], out.offsets)

    def last(self, n: int, fill: Any = -1) -> NDArray[Any]:
        """The last n of each list, in order: [len(self), n], `fill` on the right of a shorter one."""
        kept = np.minimum(self.lengths, n)
        column = np.arange(n)
        inside = column < kept[:, None]
        out = np.full((len(self), n), fill, dtype=self.values.dtype)
        out[inside] = self.values[((self.offsets[1:] - kept)[:, None] + column)[inside]]
        return out


@dataclass(frozen=True, slots=True)
class Log:
    """Events as row numbers, oldest first (ties in the order of the source).

    users, items: int32 [N]. times: int64 [N], seconds where clock is "time", the place in the user's list
    where it is "order", zero where it is "none".
    """

    users: Int32
    items: Int32
    times: Int64
    n_users: int
    n_items: int
    clock: Clock = "time"

    def __len__(self) -> int:
        return len(self.items)

    def where(self, mask: NDArray[Any]) -> Log:
        """The events that a boolean mask or an index array picks."""
        return replace(self, users=self.users[mask], items=self.items[mask], times=self.times[mask])

    def by_user(self) -> tuple[Ragged, Ragged]:
        """Each user's items (int32) and their times (int64), oldest first; one list a user row."""
        order = np.argsort(self.users, kind="stable")
        lengths = np.bincount(self.users, minlength=self.n_users)
        items = Ragged.from_lengths(self.items[order], lengths)
        return items, Ragged(self.times[order], items.offsets)


@dataclass(frozen=True, slots=True)
class Shown:
    """What each request is to choose from, where that is given: a search page, an auction's bidders.

    items: item rows, a list a request, in the order in which they were shown; each item once.
    columns: what is known of each place at that moment, such as a price: float32 [total], NaN = missing.
    """

    items: Ragged
    columns: Features = field(default_factory=dict)

    def take(self, rows: NDArray[Any]) -> Shown:
        """The lists at these rows."""
        parts = {name: Ragged(values, self.items.offsets).take(rows) for name, values in self.columns.items()}
        return Shown(self.items.take(rows), {name: part.values for name, part in parts.items()})


@dataclass(frozen=True, slots=True)
class Requests:
    """A batch of people asking now.

    users: int32 [B], user rows; −1 for one never seen.
    times: int64 [B], seconds (0 where the data has no clock); what happened at or after it is not known.
    history: item rows that each user met before, oldest first; history_times has the same offsets.
    exclude: item rows never to return; None means nothing is excluded. (Seen items are put here by the
        caller who wants them excluded, so that every stage obeys one list.)
    allow: which items each request may be given; None means every item may be returned.
    user_features: encoded user columns, first dimension B.
    shown: the items to choose from; None where that is the whole catalogue.
    """

    users: Int32
    times: Int64
    history: Ragged
    history_times: Ragged
    exclude: Ragged | None = None
    allow: Allow | None = None
    user_features: Features = field(default_factory=dict)
    shown: Shown | None = None

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[Any]) -> Requests:
        """The requests at these rows."""
        return Requests(
            users=self.users[rows],
            times=self.times[rows],
            history=self.history.take(rows),
            history_times=self.history_times.take(rows),
            exclude=None if self.exclude is None else self.exclude.take(rows),
            allow=None if self.allow is None else self.allow.take(rows),
            user_features={name: column[rows] for name, column in self.user_features.items()},
            shown=None if self.shown is None else self.shown.take(rows),
        )


@dataclass(frozen=True, slots=True)
class Examples:
    """Requests and what happened next: the item rows that each one took."""

    requests: Requests
    targets: Ragged

    def __len__(self) -> int:
        return len(self.requests)

    def take(self, rows: NDArray[Any]) -> Examples:
        """The examples at these rows."""
        return Examples(self.requests.take(rows), self.targets.take(rows))


@dataclass(frozen=True, slots=True)
class Candidates:
    """The one value that walks the stages: for B requests and K places, the items that are left.

    items: int32 [B, K], −1 = empty place; empty places come last.
    scores: float32 [B, K], descending (ties by item row), −inf at empty places.
    sources: the names of the S sources.
    source_scores: float32 [B, K, S], NaN where the source did not score the item.
    source_ranks: int32 [B, K, S], from 0, −1 where the source did not return the item.
    """

    items: Int32
    scores: Float32
    sources: tuple[str, ...]
    source_scores: Float32
    source_ranks: Int32

    @classmethod
    def empty(cls, n: int, sources: tuple[str, ...] = ()) -> Candidates:
        """n requests without a place: where a funnel starts."""
        return cls(
            items=np.empty((n, 0), dtype=np.int32),
            scores=np.empty((n, 0), dtype=np.float32),
            sources=sources,
            source_scores=np.empty((n, 0, len(sources)), dtype=np.float32),
            source_ranks=np.empty((n, 0, len(sources)), dtype=np.int32),
        )

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: NDArray[Any]) -> Candidates:
        """The lists at these rows."""
        return Candidates(
            items=self.items[rows],
            scores=self.scores[rows],
            sources=self.sources,
            source_scores=self.source_scores[rows],
            source_ranks=self.source_ranks[rows],
        )

    @property
    def filled(self) -> Bool:
        """Places that hold an item: bool [B, K]."""
        return self.items >= 0

    def reorder(self, columns: NDArray[Any], scores: Float32 | None = None) -> Candidates:
        """Places taken by column index [B, K'], with new scores [B, K'] or the old ones carried along."""
        items, source_scores, source_ranks = moved(columns, self.items, self.source_scores, self.source_ranks)
        return Candidates(
            items=items,
            scores=np.take_along_axis(self.scores, columns, axis=1) if scores is None else scores,
            sources=self.sources,
            source_scores=source_scores,
            source_ranks=source_ranks,
        )

    def ranked_by(self, scores: Float32) -> Candidates:
        """Reordered by scores [B, K], descending; ties by item row; empty places last with −inf."""
        scores = np.where(self.filled, scores, -np.inf).astype(np.float32)
        columns = np.argsort(keys(self.items, scores), axis=1)
        return self.reorder(columns, np.take_along_axis(scores, columns, axis=1))

    def top(self, k: int) -> Candidates:
        """The first k places."""
        if k >= self.items.shape[1]:
            return self
        return Candidates(
            items=np.ascontiguousarray(self.items[:, :k]),
            scores=np.ascontiguousarray(self.scores[:, :k]),
            sources=self.sources,
            source_scores=np.ascontiguousarray(self.source_scores[:, :k]),
            source_ranks=np.ascontiguousarray(self.source_ranks[:, :k]),
        )

    def keep(self, mask: Bool) -> Candidates:
        """Places where mask [B, K] is false are emptied and moved behind the rest, the order kept."""
        kept = self.filled & mask
        columns = np.argsort(~kept, axis=1, kind="stable")
        moved = self.reorder(columns)
        gone = ~np.take_along_axis(kept, columns, axis=1)
        moved.items[gone] = -1
        moved.scores[gone] = -np.inf
        moved.source_scores[gone] = np.nan
        moved.source_ranks[gone] = -1
        return moved
