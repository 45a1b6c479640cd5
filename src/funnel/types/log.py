"""What happened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.types.arrays import Bool, Clock, Float32, Int8, Int32, Int64
from funnel.types.kinds import EventKinds
from funnel.types.ragged import Ragged


@dataclass(frozen=True, slots=True)
class Log:
    """Events as row numbers, oldest first (ties in the order of the source). Where clock is "none" the
    order means nothing, and nothing that is made from a log depends on it.

    users, items: int32 [N]. times: int64 [N], seconds where clock is "time", the position in the user's list
    where it is "order", zero where it is "none". kinds: int8 [N], codes of event_kinds, None where events are
    of one kind. values: float32 [N], such as a price or seconds that were watched; None where none is known.
    rows: int32 [N], the row of each event in the table of events, for what is known of it beside; None where
    nothing is.
    """

    users: Int32
    items: Int32
    times: Int64
    n_users: int
    n_items: int
    clock: Clock = "time"
    kinds: Int8 | None = None
    values: Float32 | None = None
    event_kinds: EventKinds | None = None
    rows: Int32 | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def kind_names(self) -> tuple[str, ...]:
        """The name of each code in `kinds`; empty where events are of one kind."""
        return () if self.event_kinds is None else self.event_kinds.names

    def where(self, mask: NDArray[Any] | slice) -> Log:
        """The events that a boolean mask, an index array or a slice picks; a slice does not copy them."""
        arrays = {
            name: values[mask]
            for name in ("users", "items", "times", "kinds", "values", "rows")
            if (values := getattr(self, name)) is not None
        }
        return replace(self, **arrays)

    def first(self, n: int) -> Log:
        """The first n events, not copied."""
        return self.where(slice(0, n))

    def of_kinds(self, wanted: NDArray[Any]) -> Log:
        """The events of the kinds that a mask over codes picks: bool [kinds]; all where it has none."""
        return self if self.kinds is None or wanted.all() else self.where(wanted[self.kinds])

    def of_code(self, code: int) -> Bool:
        """Which events are of a kind: bool [N]."""
        return np.zeros(len(self), dtype=np.bool_) if self.kinds is None else np.asarray(self.kinds == code)

    def by_user(self) -> tuple[Ragged, Ragged]:
        """Each user's items (int32) and their times (int64), oldest first; one list a user row.

        Where the clock is "none", by item row, whatever the order of the events.
        """
        order = self.order_by_user()
        lengths = np.bincount(self.users, minlength=self.n_users)
        items = Ragged.from_lengths(self.items[order], lengths)
        return items, Ragged(self.times[order], items.offsets)

    def kinds_by_user(self) -> Ragged | None:
        """The kinds of the events of `by_user`, in its order: int8; None where there are no kinds."""
        if self.kinds is None:
            return None
        lengths = np.bincount(self.users, minlength=self.n_users)
        return Ragged.from_lengths(self.kinds[self.order_by_user()], lengths)

    def order_by_user(self) -> Int64:
        """The events in the order of `by_user`, as indices: int64 [N]."""
        if self.clock != "none":
            return np.argsort(self.users, kind="stable")
        keys = (self.items, self.users)
        return np.lexsort(keys if self.kinds is None else (self.kinds, *keys))
