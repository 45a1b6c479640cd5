"""One column of a long table in little memory, as pandas' columns have it.

| column       | what it holds                                                          | bytes a row  |
|--------------|------------------------------------------------------------------------|--------------|
| `Coded`      | ids, words and truth values: numbers, and each distinct value once     | 1, 2 or 4    |
| `Plain`      | numbers                                                                | as NumPy's   |
| `Objects`    | lists and vectors                                                      | as pandas'   |
| `RunEncoded` | what is the same in all rows of a list, once a list (run-end encoded)  | none         |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.types import Int64

#: What picks rows: all of them, consecutive ones, or any.
Rows: TypeAlias = slice | NDArray[Any]

#: Rows that are copied at a time, so that what is made on the way is small.
BLOCK = 1 << 20

_SMALL = (np.int8, np.int16)


def taken(values: NDArray[Any], rows: Rows) -> NDArray[Any]:
    """values[rows], without a copy of rows as wider numbers."""
    if isinstance(rows, slice) or len(rows) <= BLOCK or rows.dtype == np.bool_:
        return values[rows]
    out = np.empty(len(rows), dtype=values.dtype)
    for start in range(0, len(rows), BLOCK):
        np.take(values, rows[start : start + BLOCK], out=out[start : start + BLOCK], mode="clip")
    return out


@dataclass(frozen=True, eq=False, slots=True)
class Coded:
    """codes: int8, int16 or int32 [n], positions in values, −1 for none. values: distinct, of any type that
    pandas can extend, or int64."""

    codes: NDArray[Any]
    values: pd.Series

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def nbytes(self) -> int:
        """Bytes of the codes, and of the values."""
        return int(self.codes.nbytes + self.values.memory_usage(index=False))

    def take(self, rows: Rows) -> Coded:
        """Some rows, with the same values."""
        return Coded(taken(self.codes, rows), self.values)

    def series(self, rows: Rows = slice(None)) -> pd.Series:
        """The column, or some rows of it."""
        codes, values = self.codes[rows], self.values.array
        if isinstance(self.values.dtype, np.dtype):
            return pd.Series(self.values.to_numpy()[codes])
        return pd.Series(values.take(codes.astype(np.int64), allow_fill=True))

    def narrow(self) -> Coded:
        """With codes of the least type that holds them."""
        for kind in _SMALL:
            if len(self.values) <= np.iinfo(kind).max and self.codes.dtype.itemsize > np.dtype(kind).itemsize:
                return Coded(self.codes.astype(kind), self.values)
        return self


@dataclass(frozen=True, eq=False, slots=True)
class Plain:
    """values: [n], of a type of NumPy."""

    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return int(self.values.nbytes)

    def take(self, rows: Rows) -> Plain:
        """Some rows."""
        return Plain(taken(self.values, rows))

    def series(self, rows: Rows = slice(None)) -> pd.Series:
        """The column, or some rows of it."""
        return pd.Series(self.values[rows].copy())


@dataclass(frozen=True, eq=False, slots=True)
class Objects:
    """values: Python's objects, as pandas has them."""

    values: pd.Series

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes of the references and of the objects behind them."""
        return int(self.values.memory_usage(index=False, deep=True))

    def take(self, rows: Rows) -> Objects:
        """Some rows."""
        return Objects(self.series(rows))

    def series(self, rows: Rows = slice(None)) -> pd.Series:
        """The column, or some rows of it."""
        return pd.Series(self.values.to_numpy()[rows], dtype=object)


@dataclass(frozen=True, eq=False, slots=True)
class RunEncoded:
    """inner: a column with one row a run. offsets: int64 [runs + 1], where each begins."""

    inner: Coded | Plain
    offsets: Int64

    def __len__(self) -> int:
        return int(self.offsets[-1])

    @property
    def nbytes(self) -> int:
        """Bytes of the values; the offsets are of all columns of a table."""
        return self.inner.nbytes

    def runs_of(self, rows: Rows) -> Int64:
        """The run of each row: int64."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            rows = np.arange(start, stop, step)
        elif rows.dtype == np.bool_:
            rows = np.flatnonzero(rows)
        return np.searchsorted(self.offsets, rows, side="right") - 1

    def take(self, rows: Rows) -> Coded | Plain:
        """Some rows, each with a value of its own."""
        return self.inner.take(self.runs_of(rows))

    def series(self, rows: Rows = slice(None)) -> pd.Series:
        """The column, or some rows of it."""
        return self.inner.series(self.runs_of(rows))


ColumnOf: TypeAlias = Coded | Plain | Objects | RunEncoded
