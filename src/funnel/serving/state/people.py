"""Ids of the users that a bundle has, less those who are forgotten."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.catalogue.ids import Ids
from funnel.types import Int32
from funnel.values.ids import digest, written


class RememberedIds:
    """As a `Vocabulary`, but who is forgotten has the row −1. forgotten: see `digest`."""

    def __init__(self, base: Ids, forgotten: Set[str]) -> None:
        self._base, self.forgotten = base, forgotten

    def __len__(self) -> int:
        return len(self._base)

    @property
    def values(self) -> NDArray[Any]:
        """The id of each row."""
        return self._base.values

    def row(self, value: Any) -> int:
        """The row of one id, −1 where unknown."""
        row = self._base.row(value)
        return -1 if row >= 0 and self._forgot(value) else row

    def rows(self, values: Any) -> Int32:
        """The rows of many ids, −1 where unknown: int32 [n]."""
        rows = self._base.rows(values)
        if self.forgotten:
            gone = [row >= 0 and self._forgot(user) for user, row in zip(values, rows.tolist(), strict=True)]
            rows = np.where(gone, np.int32(-1), rows)
        return rows

    def take(self, rows: NDArray[Any]) -> list[Any]:
        """The ids of some rows."""
        return self._base.take(rows)

    def _forgot(self, value: Any) -> bool:
        return bool(self.forgotten) and digest(written(value) or "") in self.forgotten
