"""Ids of a catalogue that has grown: those of the bundle, sorted, and behind them the later ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.bundle.tables import Ids
from funnel.data import Vocabulary
from funnel.types import Int32


class GrownIds:
    """As a `Vocabulary`, but the ids of `later` have the rows behind those of `base`, in their order.

    values: [n], the id of each row.
    """

    def __init__(self, base: Ids, later: list[Any]) -> None:
        behind = np.array(later, dtype=None if later else base.values.dtype)
        order = np.argsort(behind, kind="stable")
        self.base, self.later = base, later
        self._sorted = Vocabulary(behind[order])
        self._rows = np.append(len(base) + order, -1).astype(np.int32)  # −1 is the last place
        self.values: NDArray[Any] = np.concatenate([base.values, behind])

    def __len__(self) -> int:
        return len(self.values)

    def row(self, value: Any) -> int:
        """The row of one id, −1 where unknown."""
        row = self.base.row(value)
        return row if row >= 0 else int(self._rows[self._sorted.row(value)])

    def rows(self, values: Any) -> Int32:
        """The rows of many ids, −1 where unknown: int32 [n]."""
        rows = self.base.rows(values)
        return np.where(rows >= 0, rows, self._rows[self._sorted.rows(values)]).astype(np.int32)

    def with_(self, ids: list[Any]) -> GrownIds:
        """With those of `ids` that are new."""
        new = [one for one, row in zip(ids, self.rows(ids).tolist(), strict=True) if row < 0]
        return GrownIds(self.base, [*self.later, *new]) if new else self
