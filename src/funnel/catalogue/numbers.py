"""An item column of numbers by row, kept up with a catalogue that changes while it serves."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funnel.distinct import distinct
from funnel.processes import PerProcess
from funnel.types import Int32

if TYPE_CHECKING:
    from funnel.catalogue.tables import Catalogue

#: Rows whose values are objects at a time.
_BLOCK = 1 << 16


class NumberColumn:
    """For each row its number, NaN where there is none.

    Caught up in place by whoever looks first after a change, which costs by the rows that were changed. One
    at a time: else who read before a change could write behind who read after it, and a budget that is spent
    would not be.
    """

    def __init__(self, catalogue: Catalogue, name: str) -> None:
        self._catalogue, self._name = catalogue, name
        self._version = catalogue.changes
        self._lock = PerProcess(threading.Lock)
        self._values = np.empty(len(catalogue.ids))
        for start in range(0, len(self._values), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(self._values)), dtype=np.int32)
            self._values[rows] = numbers(catalogue.values_of(name, rows))

    def of(self, rows: Int32) -> NDArray[np.float64]:
        """Of some rows, of any shape: float64. A negative row has no number that means anything."""
        self._catch_up()
        return self._values[rows]

    def _catch_up(self) -> None:
        if self._catalogue.changes != self._version:
            with self._lock.get():
                self._catch_up_alone()

    def _catch_up_alone(self) -> None:
        version = self._catalogue.changes
        rows = distinct(self._catalogue.changed_since(self._version))
        if len(rows):
            self._make_room(int(rows[-1]) + 1)
            self._values[rows] = numbers(self._catalogue.values_of(self._name, rows))
        self._version = version

    def _make_room(self, n: int) -> None:
        if n > len(self._values):
            more = np.full(max(n, len(self._values) * 9 // 8), np.nan)
            more[: len(self._values)] = self._values
            self._values = more


def numbers(values: list[Any]) -> NDArray[np.float64]:
    """Plain values as numbers: NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
