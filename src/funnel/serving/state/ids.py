"""Ids of a catalogue that grows while it serves: those of the bundle, sorted, and behind them the later
ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.catalogue.ids import Ids
from funnel.types import Int32
from funnel.values.ids import written


class GrowingIds:
    """As a `Vocabulary`, but ids that are added have the rows behind those of `base`, in the order of adding.

    Looking one up and adding one cost the same however many there are. One thread at a time may add.
    """

    def __init__(self, base: Ids) -> None:
        self.base, self._n = base, len(base)
        self._later: list[Any] = []
        self._rows: dict[str, int] = {}
        self._dropped: dict[str, int] = {}

    def __len__(self) -> int:
        return self._n + len(self._later)

    @property
    def values(self) -> NDArray[Any]:
        """The id of each row: a copy of all of them where some were added."""
        if not self._later:
            return self.base.values
        own = np.asarray(self.base.values)
        return np.concatenate([own, np.array(self._later, dtype=own.dtype)])

    def take(self, rows: NDArray[Any]) -> list[Any]:
        """The ids of some rows."""
        n = self._n
        rows = np.asarray(rows)
        if not self._later:
            return self.base.take(rows)
        own = iter(self.base.take(rows[rows < n]))
        return [next(own) if row < n else self._later[row - n] for row in rows.tolist()]

    def row(self, value: Any) -> int:
        """The row of one id, −1 where unknown."""
        row = self.base.row(value)
        return row if row >= 0 or not self._rows else self._rows.get(written(value) or "", -1)

    def rows(self, values: Any) -> Int32:
        """The rows of many ids, −1 where unknown: int32 [n]."""
        rows = self.base.rows(values)
        if self._rows:
            values = list(values)
            for position in np.flatnonzero(rows < 0).tolist():
                rows[position] = self._rows.get(written(values[position]) or "", -1)
        return rows

    def add(self, ids: Sequence[Any]) -> Int32:
        """The rows of ids, those that are new at the end: int32 [n]. One that was dropped has its row again,
        and what was counted of it."""
        rows = self.rows(ids)
        for position in np.flatnonzero(rows < 0).tolist():
            item_id, name = ids[position], str(ids[position])
            if name not in self._rows:
                if name not in self._dropped:
                    self._later.append(item_id)
                self._rows[name] = self._dropped.pop(name, len(self) - 1)
            rows[position] = self._rows[name]
        return rows

    def drop(self, ids: Sequence[Any]) -> None:
        """Know none of these any more that were added. Their rows stay: requests on their way have them."""
        for name in map(str, ids):
            if name in self._rows:
                self._dropped[name] = self._rows.pop(name)
