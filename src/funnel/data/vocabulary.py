"""From external ids to row numbers and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.data.keys import WRITTEN_INTEGER, as_array, as_ids
from funnel.types import Int32

_WRITTEN_INTEGER = re.compile(WRITTEN_INTEGER)
_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Vocabulary:
    """Sorted, distinct ids; the place of an id is its row.

    values: int64 or str ('<U…') [n]. An id is the same id as a number and in writing: 7, 7.0 and "7" find
    the same row, "007" does not. Whatever is no id of the vocabulary has row −1; nothing raises.
    """

    values: NDArray[Any]

    @classmethod
    def of(cls, ids: Any) -> Vocabulary:
        """The distinct ids among these, sorted: integers as int64, anything else as text.

        Raises DataError where one is missing.
        """
        distinct = as_ids(pd.Series(ids), "the vocabulary").drop_duplicates()
        return cls(np.sort(as_array(distinct)))

    def __len__(self) -> int:
        return len(self.values)

    def row(self, value: Any) -> int:
        """The row of one id, −1 where unknown."""
        key = self._key(value)
        if key is None:
            return -1
        place = int(self.values.searchsorted(key))
        return place if place < len(self.values) and self.values[place] == key else -1

    def rows(self, values: Any) -> Int32:
        """The rows of many ids, −1 where unknown: int32 [n]."""
        if isinstance(values, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
            return self._rows_of_column(values)
        array = _flat(values)
        whole, text = array.dtype.kind in "iu", array.dtype.kind == "U"
        if self._integers and whole and array.dtype != np.uint64:
            return self._find(array.astype(np.int64), np.ones(len(array), dtype=np.bool_))
        if not self._integers and (whole or text):
            array = array.astype(np.str_)
            # A longer id cannot be here, and cutting it to our width could make it look like one that is.
            fits = np.strings.str_len(array) <= self._width
            return self._find(array.astype(self.values.dtype), fits)
        return np.fromiter((self.row(value) for value in array), dtype=np.int32, count=len(array))

    def take(self, rows: NDArray[Any]) -> list[Any]:
        """The ids of some rows, as plain values."""
        ids: list[Any] = self.values[rows].tolist()
        return ids

    def save(self, path: Path) -> None:
        """As .npy."""
        np.save(path, self.values, allow_pickle=False)

    @classmethod
    def load(cls, path: Path, mmap: bool = True) -> Vocabulary:
        """From .npy, by default mapped and not read."""
        return cls(np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False).view(np.ndarray))

    @property
    def _integers(self) -> bool:
        return self.values.dtype.kind == "i"

    @property
    def _width(self) -> int:
        return self.values.dtype.itemsize // 4

    def _find(self, keys: NDArray[Any], possible: NDArray[np.bool_]) -> Int32:
        # `keys` have the dtype of `values`: else numpy converts all of `values` at each call.
        if not len(self.values):
            return np.full(len(keys), -1, dtype=np.int32)
        places = np.minimum(self.values.searchsorted(keys), len(self.values) - 1)
        return np.where(possible & (self.values[places] == keys), places, -1).astype(np.int32)

    def _key(self, value: Any) -> NDArray[Any] | None:
        """The value as a scalar array of our dtype; None where it cannot be one of our ids."""
        if isinstance(value, bool | np.bool_):
            return None
        if isinstance(value, float | np.floating):
            value = int(value) if np.isfinite(value) and value == int(value) else None
        if isinstance(value, int | np.integer):
            if not self._integers:
                value = str(value)
            else:
                return np.array(value, dtype=np.int64) if _INT64.min <= value <= _INT64.max else None
        if not isinstance(value, str):
            return None
        if self._integers:
            return np.array(int(value), dtype=np.int64) if _WRITTEN_INTEGER.fullmatch(value) else None
        return np.array(value, dtype=self.values.dtype) if len(value) <= self._width else None

    def _rows_of_column(self, column: Any) -> Int32:
        """A pandas column: each distinct value is looked up once."""
        try:
            codes, distinct = pd.factorize(column)
        except TypeError:  # a value that cannot be hashed
            return self.rows(np.asarray(column, dtype=object))
        found = np.append(self.rows(np.asarray(distinct)), np.int32(-1))
        return found[codes]


def _flat(values: Any) -> NDArray[Any]:
    """As a one-dimensional array, whatever the entries are."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return values
    entries = list(values)
    if len(types := {type(entry) for entry in entries}) == 1 and types <= {int, str}:
        found = np.array(entries)
        if found.dtype.kind in "iuU":  # beyond 64 bits integers come out as objects, or as floats
            return found
    array = np.empty(len(entries), dtype=object)
    for place, entry in enumerate(entries):
        array[place] = entry
    return array
