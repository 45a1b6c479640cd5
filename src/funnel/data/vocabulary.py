"""From external ids to row numbers and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from funnel.data.columnar.columns import Rows
from funnel.data.columnar.table import Table
from funnel.data.keys import as_array
from funnel.errors import BundleError
from funnel.types import Bool, Int32
from funnel.values.arrays import check_rising
from funnel.values.ids import INT64, as_ids, integer, written
from funnel.values.texts import Texts, load_ids, save_ids


@dataclass(frozen=True, eq=False, slots=True)
class Vocabulary:
    """Sorted, distinct ids; the position of an id is its row.

    values: int64 [n], or `Texts`; NumPy's arrays of texts are taken too. An id is the same id as a number and
    in writing: 7, 7.0, "7" and "7.0" find the same row, "007" does not (see `funnel.values.ids.written`).
    Whatever is no id of the vocabulary has row −1; nothing raises.
    """

    values: Any

    def __post_init__(self) -> None:
        if self.values.dtype.kind not in "iu":
            object.__setattr__(self, "values", Texts.of(self.values))

    @classmethod
    def of(cls, ids: Any) -> Vocabulary:
        """The distinct ids among these, sorted: integers as int64, anything else as text.

        Raises DataError where one is missing or cannot be one.
        """
        distinct = as_ids(pd.Series(ids), "the vocabulary").drop_duplicates()
        return cls(np.sort(as_array(distinct)))

    def __len__(self) -> int:
        return len(self.values)

    def row(self, value: Any) -> int:
        """The row of one id, −1 where unknown; the work grows with the logarithm of their number.

        >>> Vocabulary.of(["b", "a"]).row("b"), Vocabulary.of([7]).row("7.0"), Vocabulary.of([7]).row(8)
        (1, 0, -1)
        """
        number = value if type(value) is int and -(2**63) <= value < 2**63 else None
        if number is None or isinstance(self.values, Texts):
            text = written(value)
            if text is None:
                return -1
            if isinstance(self.values, Texts):
                return self.values.find(text)
            number = integer(text)
        position = len(self.values) if number is None else int(self.values.searchsorted(number))
        return position if position < len(self.values) and self.values[position] == number else -1

    def rows(self, values: Any) -> Int32:
        """The rows of many ids, −1 where unknown: int32 [n]."""
        if isinstance(values, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
            return self._rows_of_column(values)
        array = values if isinstance(values, np.ndarray) else None
        if array is not None and array.dtype.kind in "iu" and not isinstance(self.values, Texts):
            possible = array <= INT64.max
            return np.where(possible, self._find(np.where(possible, array, 0).astype(np.int64)), -1)
        texts = [written(value) for value in values]
        if isinstance(self.values, Texts):
            return self.values.find_all(texts)
        numbers = [None if text is None else integer(text) for text in texts]
        is_number = np.array([number is not None for number in numbers], dtype=np.bool_)
        rows = self._find(np.array([number or 0 for number in numbers], dtype=np.int64))
        return np.where(is_number, rows, np.int32(-1))

    def take(self, rows: NDArray[Any]) -> list[Any]:
        """The ids of some rows, as plain values."""
        ids: list[Any] = self.values[rows].tolist()
        return ids

    def has_ids(self, ids: pd.Series) -> bool:
        """Whether these, in a column of pandas, are all of its ids in their order."""
        if len(ids) != len(self):
            return False
        if isinstance(self.values, Texts):
            return isinstance(ids.dtype, pd.StringDtype) and self.values.equals(vocabulary_of(ids).values)
        return not isinstance(ids.dtype, pd.StringDtype) and np.array_equal(self.values, ids.to_numpy())

    def save(self, path: Path) -> None:
        """As .npy; see `funnel.values.texts.save_ids`."""
        save_ids(path, self.values)

    @classmethod
    def load(cls, path: Path, mmap: bool = True) -> Vocabulary:
        """From .npy, by default mapped. Raises BundleError when it is no sorted list of distinct ids."""
        values = load_ids(path, mmap)
        if not isinstance(values, Texts):
            check_rising(values, path, strictly=True)
        elif not values.rising():
            raise BundleError(f"{path}: ids are not in their order, each once; build the bundle again")
        return cls(values)

    def _find(self, keys: NDArray[np.int64]) -> Int32:
        if not len(self.values):
            return np.full(len(keys), -1, dtype=np.int32)
        positions = np.minimum(self.values.searchsorted(keys), len(self.values) - 1)
        return np.where(self.values[positions] == keys, positions, -1).astype(np.int32)

    def _rows_of_column(self, column: Any) -> Int32:
        """A pandas column: each distinct value is looked up once."""
        try:
            codes, distinct = pd.factorize(column)
        except TypeError:  # a value that cannot be hashed
            return self.rows(np.asarray(column, dtype=object))
        distinct = np.asarray(distinct) if distinct.dtype.kind in "iu" else list(distinct)
        rows = np.append(self.rows(distinct), np.int32(-1))
        return rows[codes]


def vocabulary_of(ids: pd.Series) -> Vocabulary:
    """Of sorted, distinct ids in a column of pandas, int64 or `str`; not a copy."""
    if not isinstance(ids.dtype, pd.StringDtype):
        return Vocabulary(ids.to_numpy())
    array = pa.array(ids.array, type=pa.large_string(), from_pandas=True)
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return Vocabulary(Texts(whole))


def rows_among(ids: pd.Series, values: pd.Series) -> Int32:
    """The rows of distinct values among ids, which are sorted, distinct and of the same type: int32 [n].

    Every value is there.
    """
    if not isinstance(ids.dtype, pd.StringDtype):
        return np.searchsorted(ids.to_numpy(), values.to_numpy()).astype(np.int32)
    texts = (pa.array(column.array, type=pa.large_string(), from_pandas=True) for column in (values, ids))
    rows = pc.index_in(next(texts), value_set=next(texts))
    return np.asarray(rows.to_numpy(), dtype=np.int32)


def is_among(ids: pd.Series, values: pd.Series) -> Bool:
    """Which of the values are among ids, both of one type: bool [n]. Pandas' own makes an object an id."""
    if not isinstance(ids.dtype, pd.StringDtype):
        return np.isin(values.to_numpy(), ids.to_numpy())
    texts = (pa.array(column.array, type=pa.large_string(), from_pandas=True) for column in (values, ids))
    among = pc.is_in(next(texts), value_set=next(texts))
    return np.asarray(among.to_numpy(zero_copy_only=False), dtype=np.bool_)


def rows_in(vocabulary: Vocabulary, table: Table, key: str, rows: Rows = slice(None)) -> Int32:
    """The rows of the ids in a column of a table, −1 where unknown: int32 [n].

    Where the column goes by this vocabulary, its codes are the rows.
    """
    ids, codes = table.values(key), table.codes(key, rows)
    if vocabulary.has_ids(ids):
        return codes.astype(np.int32, copy=False)
    return np.append(vocabulary.rows(ids), np.int32(-1))[codes]
