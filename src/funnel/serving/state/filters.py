"""Filters over a catalogue that changes while it serves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.allow import packed, put_bits
from funnel.catalogue.condition import Condition
from funnel.catalogue.layout import laid_out
from funnel.catalogue.where import Bitmap, Filters
from funnel.distinct import distinct
from funnel.types import Int32

#: Rows whose change is remembered, so that a bitmap can be brought up to date; an older one is made anew.
_REMEMBERED = 200_000


class ChangedRows:
    """Which rows were changed, in order. One thread at a time may add, while others read: what they read is
    not written by them, and is made before it is put in place."""

    def __init__(self, room: int) -> None:
        self._mask = np.zeros(room, dtype=np.bool_)
        self._every = np.empty(1024, dtype=np.int32)
        self._n_every = 0
        self._latest: deque[tuple[int, Int32]] = deque()
        self._n_latest = self._first = self.version = 0

    def add(self, rows: Int32) -> None:
        """These were changed just now."""
        self._put(distinct(rows[~self._mask[rows]]))
        self._latest.append((self.version + 1, rows))
        self._n_latest += len(rows)
        while self._n_latest > _REMEMBERED and len(self._latest) > 1:
            self._first = self._latest[0][0]  # before it is gone: who reads looks at this last
            self._n_latest -= len(self._latest.popleft()[1])
        self.version += 1

    def _put(self, new: Int32) -> None:
        count = self._n_every + len(new)
        if count > len(self._every):
            larger = np.empty(2 * count, dtype=np.int32)
            larger[: self._n_every] = self._every[: self._n_every]
            self._every = larger
        self._every[self._n_every : count] = new
        self._mask[new] = True
        self._n_every = count

    def every(self) -> Int32:
        """All that ever were, each once: int32 [m]."""
        count = self._n_every  # first: an array that is put in place since has these too
        return self._every[:count]

    def recent_interactions(self, version: int) -> Int32 | None:
        """Those behind a version, maybe more than once; None where that is not known any more."""
        latest = list(self._latest)
        if version < self._first:
            return None
        some = [rows for number, rows in latest if number > version]
        return np.concatenate(some) if some else np.empty(0, dtype=np.int32)


class LiveFilters(Filters):
    """As the filters of the bundle, but a changed row goes by its values now.

    A bitmap that is kept is brought up to date when it is asked for: that costs by the rows changed since.
    room: rows that there are arrays for. values: some rows' values of a column, as they are now.
    """

    def __init__(
        self, own: Filters, room: int, changed: ChangedRows, values: Callable[[str, Int32], list[Any]]
    ) -> None:
        super().__init__(own.columns, room)
        self._own, self._changed, self._values = own, changed, values

    def mask(self, condition: Condition) -> NDArray[np.bool_]:
        """See `Filters.mask`."""
        mask = super().mask(condition)
        rows = self._changed.every()
        mask[rows] = self._passing(condition, rows)
        return mask

    def _bitmap(self, condition: Condition) -> Bitmap:
        version, kept = self._changed.version, self.cache.get(condition)
        rows = None if kept is None else self._changed.recent_interactions(kept.version)
        if kept is None or rows is None:
            bits = packed(self.mask(condition))
        elif not len(rows):
            return kept.bits
        else:
            bits = kept.bits.copy()  # requests on their way go by the one that is kept
            rows = distinct(rows)
            put_bits(bits, rows, self._passing(condition, rows))
        bits.flags.writeable = False
        self.cache.put(condition, bits, version)
        return bits

    def _passing(self, condition: Condition, rows: Int32) -> NDArray[np.bool_]:
        """Whether some rows pass: bool, shape of rows."""
        passing = np.zeros(len(rows), dtype=np.bool_)
        if len(rows):
            column = laid_out(condition.column, pd.Series(self._values(condition.column, rows)))
            passing[column.rows_of(condition)] = True
        return passing
