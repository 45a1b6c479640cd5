"""Requests, and what happened next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow
from funnel.types.arrays import Bool, Features, Int32, Int64
from funnel.types.ragged import Ragged


@dataclass(frozen=True, slots=True)
class Shown:
    """The items that each request is to choose from, where these are given: a search page, the bidders of an
    auction.

    items: item rows, a list a request, in the order in which they were shown; each item once.
    columns: what is known of each shown item at that moment, such as a price: float32 [total], NaN = missing.
    """

    items: Ragged
    columns: Features = field(default_factory=dict)

    def take(self, rows: NDArray[Any] | slice) -> Shown:
        """The lists at these rows."""
        parts = {name: Ragged(values, self.items.offsets).take(rows) for name, values in self.columns.items()}
        return Shown(self.items.take(rows), {name: part.values for name, part in parts.items()})


@dataclass(frozen=True, slots=True)
class Occasion:
    """What is known of a request that is answered live, and of none that is replayed.

    now: int64 [B], seconds of the clock that impressions and budgets go by. keys: int64 [B], a number a
    request by which chance goes. impressions: rows of the items that each user was shown, as far back as
    anybody asks; impression_times has the same offsets. known: whether they could be read.
    """

    now: Int64
    keys: Int64
    impressions: Ragged
    impression_times: Ragged
    known: Bool

    def take(self, rows: NDArray[Any] | slice) -> Occasion:
        """The occasions at these rows."""
        impressions, times = self.impressions.take(rows), self.impression_times.take(rows)
        return Occasion(self.now[rows], self.keys[rows], impressions, times, self.known[rows])


@dataclass(frozen=True, slots=True)
class Requests:
    """A batch of requests.

    users: int32 [B], user rows; −1 for one never seen.
    times: int64 [B], seconds (0 where the data has no clock); what happened at or after it is not known.
    history: rows of the items that each user interacted with before, oldest first; history_times has the
    same offsets. exclude: item rows never to return; None means nothing is excluded. (Seen items are put
        here by the caller who wants them excluded, so that every stage obeys one list.)
    allow: which items each request may be given; None means every item may be returned.
    user_features: encoded user columns, first dimension B. context: encoded columns of what is known at the
        moment of the request, first dimension B; one that is not there is missing for everyone.
    context_numbers: the numbers among them as they are, float64 [B], NaN = missing.
    shown: the items to choose from; None where that is the whole catalogue.
    occasion: what frequency caps and budgets go by; None where a request is replayed, which has neither.
    history_kinds: the code of each history event's kind, int8, offsets as history; None where events are of
        one kind. negatives: rows of the items that each user said no to, oldest first; None where no kind of
        event does.
    seeds: int64 [B], of what is drawn for each list; None where nothing is drawn.
    """

    users: Int32
    times: Int64
    history: Ragged
    history_times: Ragged
    exclude: Ragged | None = None
    allow: Allow | None = None
    user_features: Features = field(default_factory=dict)
    context: Features = field(default_factory=dict)
    context_numbers: Features = field(default_factory=dict)
    shown: Shown | None = None
    occasion: Occasion | None = None
    history_kinds: Ragged | None = None
    negatives: Ragged | None = None
    seeds: Int64 | None = None

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[Any] | slice) -> Requests:
        """The requests at these rows."""
        return Requests(
            users=self.users[rows],
            times=self.times[rows],
            history=self.history.take(rows),
            history_times=self.history_times.take(rows),
            exclude=None if self.exclude is None else self.exclude.take(rows),
            allow=None if self.allow is None else self.allow.take(rows),
            user_features={name: column[rows] for name, column in self.user_features.items()},
            context={name: column[rows] for name, column in self.context.items()},
            context_numbers={name: column[rows] for name, column in self.context_numbers.items()},
            shown=None if self.shown is None else self.shown.take(rows),
            occasion=None if self.occasion is None else self.occasion.take(rows),
            history_kinds=None if self.history_kinds is None else self.history_kinds.take(rows),
            negatives=None if self.negatives is None else self.negatives.take(rows),
            seeds=None if self.seeds is None else self.seeds[rows],
        )


@dataclass(frozen=True, slots=True)
class Examples:
    """Requests and what happened next: the rows of the items that each user then interacted with.

    target_kinds: by what kinds of events each target was taken, a bit a kind (1 << code): int32, offsets as
    targets; a target that was clicked and bought has both. None where events are of one kind.
    """

    requests: Requests
    targets: Ragged
    target_kinds: Ragged | None = None

    def __len__(self) -> int:
        return len(self.requests)

    def take(self, rows: NDArray[Any] | slice) -> Examples:
        """The examples at these rows."""
        kinds = None if self.target_kinds is None else self.target_kinds.take(rows)
        return Examples(self.requests.take(rows), self.targets.take(rows), kinds)

    def has_kind(self, code: int) -> Bool:
        """For each target, whether an event of this kind took it: bool [total]; all where there are no
        kinds."""
        if self.target_kinds is None:
            return np.ones(len(self.targets.values), dtype=np.bool_)
        return np.asarray(self.target_kinds.values >> code & 1, dtype=np.bool_)

    def of_kind(self, code: int) -> Examples:
        """All requests, with the targets of one kind; some may have none."""
        mine = self.has_kind(code)
        lengths = np.bincount(self.targets.list_of[mine], minlength=len(self))
        targets = Ragged.from_lengths(self.targets.values[mine], lengths)
        kinds = None if self.target_kinds is None else Ragged(self.target_kinds.values[mine], targets.offsets)
        return Examples(self.requests, targets, kinds)
