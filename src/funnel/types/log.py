"""What happened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.types.arrays import Clock, Int32, Int64
from funnel.types.ragged import Ragged


@dataclass(frozen=True, slots=True)
class Log:
    """Events as row numbers, oldest first (ties in the order of the source). Where clock is "none" the
    order means nothing, and nothing that is made from a log depends on it.

    users, items: int32 [N]. times: int64 [N], seconds where clock is "time", the position in the user's list
    where it is "order", zero where it is "none". rows: int32 [N], the row of each event in the table of
    events, for what is known of it beside; None where nothing is.
    """

    users: Int32
    items: Int32
    times: Int64
    n_users: int
    n_items: int
    clock: Clock = "time"
    rows: Int32 | None = None

    def __len__(self) -> int:
        return len(self.items)

    def where(self, mask: NDArray[Any]) -> Log:
        """The events that a boolean mask or an index array picks."""
        rows = None if self.rows is None else self.rows[mask]
        return replace(
            self, users=self.users[mask], items=self.items[mask], times=self.times[mask], rows=rows
        )

    def by_user(self) -> tuple[Ragged, Ragged]:
        """Each user's items (int32) and their times (int64), oldest first; one list a user row.

        Where the clock is "none", by item row, whatever the order of the events.
        """
        order = self.order_by_user()
        lengths = np.bincount(self.users, minlength=self.n_users)
        items = Ragged.from_lengths(self.items[order], lengths)
        return items, Ragged(self.times[order], items.offsets)

    def order_by_user(self) -> Int64:
        """The events in the order of `by_user`, as indices: int64 [N]."""
        if self.clock == "none":
            return np.lexsort((self.items, self.users))
        return np.argsort(self.users, kind="stable")
