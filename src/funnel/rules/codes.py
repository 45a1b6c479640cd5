"""Values of an item column as numbers, by row, kept up with a catalogue that changes while it serves."""

from __future__ import annotations

import threading
from itertools import chain, count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.catalogue.layout import Numbers, Terms
from funnel.catalogue.tables import Catalogue
from funnel.compiling import compiled
from funnel.distinct import distinct
from funnel.processes import PerProcess
from funnel.types import Int32, Int64
from funnel.values.words import word

_NO_ROWS = np.empty(0, dtype=np.int32)

#: So many values that the bundle has not are known before those that no item has any more are forgotten; and
#: then twice those that are left, and so many. To forget costs nothing a change, on average.
VALUES = 1024


class ColumnCodes:
    """For each row the codes of its values; equal values of the column have equal codes.

    The column `item_id` has the row itself as its code. Caught up in place, after a change, by whoever looks
    first. A code is never given to another value, also after its own was forgotten.
    """

    def __init__(self, catalogue: Catalogue, name: str) -> None:
        self._catalogue, self._name = catalogue, name
        self._version = 0
        self._lock = PerProcess(threading.Lock)
        self._most = VALUES
        self._own: dict[int, Int32] = {}
        self._is_own = np.zeros(0, dtype=np.bool_)
        self._rows, self._offsets, self._known = _NO_ROWS, np.zeros(1, dtype=np.int64), _KnownValues([])
        if name != "item_id":
            self._rows, self._offsets, values = _laid_out(catalogue, name)
            self._known = _KnownValues(values)

    def of(self, rows: Int32) -> Int32:
        """Codes of some rows: int32 [n, W], −1 where there are fewer."""
        if self._name == "item_id":
            return rows[:, None]
        self._catch_up()
        codes = _gathered(self._rows, self._offsets, rows)
        if self._own:
            positions = np.flatnonzero(self._is_own[np.minimum(rows, len(self._is_own) - 1)])
            pairs = zip(positions.tolist(), rows[positions].tolist(), strict=True)
            own = {position: self._own[row] for position, row in pairs if row in self._own}
            width = max([codes.shape[1], *map(len, own.values())])
            wider = np.full((len(rows), width), -1, dtype=np.int32)
            wider[:, : codes.shape[1]] = codes
            for position, some in own.items():
                wider[position] = -1
                wider[position, : len(some)] = some
            return wider
        return codes

    def code(self, value: Any, keep: bool = False) -> int:
        """The code of one value, which no item needs to have. keep: never to forget it."""
        if self._name == "item_id":
            return self._catalogue.ids.row(value)
        column = self._catalogue.layout.get(self._name)
        written = column is not None and column.kinds == {"text"} and not isinstance(value, str)
        with self._lock.get():
            code = self._known.code(word(value, self._name) if written else value, keep)
            self._forget_unused()
            return code

    def figures(self) -> tuple[int, int]:
        """How many values beside the bundle's are known, and how many may be."""
        return self._known.size, self._most

    def _catch_up(self) -> None:
        if self._catalogue.changes != self._version:
            with self._lock.get():
                self._catch_up_alone()

    def _catch_up_alone(self) -> None:
        version = self._catalogue.changes
        rows = self._catalogue.changed_since(self._version)
        if len(rows):
            rows = distinct(rows)
            self._make_room(int(rows[-1]) + 1)
            for row, value in zip(rows.tolist(), self._catalogue.values_of(self._name, rows), strict=True):
                codes = self._known.codes(value)
                if np.array_equal(codes, distinct(self._bundled(row))):
                    self._own.pop(row, None)  # most changes are of other columns
                else:
                    self._own[row] = codes
            self._is_own[rows] = True
            self._forget_unused()
        self._version = version

    def _forget_unused(self) -> None:
        if self._known.size > self._most:
            used = chain.from_iterable(map(np.ndarray.tolist, self._own.values()))
            self._known.forget_others(set(used))
            self._most = VALUES + 2 * self._known.size

    def _bundled(self, row: int) -> Int32:
        inside = row + 1 < len(self._offsets)
        return self._rows[self._offsets[row] : self._offsets[row + 1]] if inside else _NO_ROWS

    def _make_room(self, n: int) -> None:
        if n > len(self._is_own):
            more = np.zeros(max(n, 2 * len(self._is_own), len(self._offsets)), dtype=np.bool_)
            more[: len(self._is_own)] = self._is_own
            self._is_own = more


class _KnownValues:
    """Codes of values: their position among those of the bundle, or the next number."""

    def __init__(self, values: Any) -> None:
        self._values = values
        self._by: dict[Any, int] | None = None
        self._next = count(len(values))
        self._kept: set[int] = set()

    @property
    def size(self) -> int:
        """How many are known that the bundle has not."""
        return 0 if self._by is None else max(0, len(self._by) - len(self._values))

    def code(self, value: Any, keep: bool = False) -> int:
        if self._by is None:
            self._by = {_key(value): code for code, value in enumerate(self._values)}
        key = _key(value)
        code = self._by.get(key)
        if code is None:
            code = self._by[key] = next(self._next)
        if keep:
            self._kept.add(code)
        return code

    def codes(self, value: Any) -> Int32:
        """Of what an item has in the column: none, one or several values."""
        values = value if isinstance(value, list | tuple | set | frozenset | np.ndarray) else [value]
        there = [each for each in values if each is not None and each == each]
        return distinct([self.code(each) for each in there]).astype(np.int32)

    def forget_others(self, used: set[int]) -> None:
        """Forget the values that neither the bundle, nor a rule, nor these codes have."""
        there, known = len(self._values), self._by or {}
        self._by = {
            key: code for key, code in known.items() if code < there or code in used or code in self._kept
        }


def _key(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return isinstance(value, bool), value  # Python takes True and 1 for equal


def _laid_out(catalogue: Catalogue, name: str) -> tuple[Int32, Int64, Any]:
    """Codes by row, one behind the other, their offsets int64 [n + 1], and the values by code."""
    column = catalogue.layout[name]
    values: Any
    if isinstance(column, Numbers):
        values, codes = np.unique(column.sorted, return_inverse=True)
    else:
        assert isinstance(column, Terms)
        values, codes = column.terms, np.repeat(np.arange(len(column.terms)), np.diff(column.offsets))
    n = catalogue.n_laid_out
    order = np.lexsort((codes, column.rows))
    rows, codes = column.rows[order], codes[order]
    first = np.ones(len(rows), dtype=np.bool_)  # a value that a list has twice counts once
    first[1:] = (rows[1:] != rows[:-1]) | (codes[1:] != codes[:-1])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows[first], minlength=n))])
    return codes[first].astype(np.int32), offsets.astype(np.int64), values


@compiled
def mark_any(codes: Int32, wanted: Int32, out: NDArray[np.bool_]) -> None:
    """Mark the rows that have any of the wanted codes. codes: int32 [n, W]. out: bool [n]."""
    for i in range(len(codes)):
        for w in range(codes.shape[1]):
            for code in wanted:
                out[i] |= codes[i, w] == code


@compiled
def _gathered(codes: Int32, offsets: Int64, rows: Int32) -> Int32:
    """Codes of rows: int32 [n, W], −1 where there are fewer."""
    width = 1
    for row in rows:
        if row + 1 < len(offsets):
            width = max(width, offsets[row + 1] - offsets[row])
    out: Int32 = np.empty((len(rows), width), dtype=np.int32)
    for i in range(len(rows)):
        row, n = rows[i], 0
        if row + 1 < len(offsets):
            n = offsets[row + 1] - offsets[row]
        for w in range(width):
            out[i, w] = codes[offsets[row] + w] if w < n else -1
    return out
