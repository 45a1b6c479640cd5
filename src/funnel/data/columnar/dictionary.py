"""Dictionaries of ids and words that grow batch by batch: each distinct value once, beside a number a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from funnel.data.columnar.growing import GrowingArray
from funnel.data.columnar.interning import (
    LEAST_BITS,
    fill_numbers,
    fill_texts,
    intern_numbers,
    intern_texts,
)
from funnel.errors import DataError
from funnel.types import Int32

#: Distinct values of one column: a code has 32 bits with its sign.
MOST_DISTINCT = 2**31 - 2

_NO_GAPS = np.zeros(0, dtype=np.bool_)


class NumberDictionary:
    """Distinct whole numbers, in the order in which they come."""

    def __init__(self) -> None:
        self._slots = np.zeros(1 << LEAST_BITS, dtype=np.uint64)
        self._keys = np.empty(1 << LEAST_BITS, dtype=np.int64)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def codes(self, values: NDArray[np.int64]) -> Int32:
        """The code of each value; those that are new get the next ones: int32 [n]."""
        self._make_room(len(values))
        codes = np.empty(len(values), dtype=np.int32)
        self._n = intern_numbers(np.ascontiguousarray(values), self._slots, self._keys, self._n, codes)
        return codes

    def values(self) -> pd.Series:
        """The distinct values by code: int64."""
        return pd.Series(self._keys[: self._n])

    def _make_room(self, more: int) -> None:
        most = _checked(self._n + more)
        if most > len(self._keys):
            self._keys = _longer(self._keys, self._n, most)
        if 2 * most > len(self._slots):
            self._slots = np.zeros(_power_of_two(2 * most), dtype=np.uint64)
            fill_numbers(self._slots, self._keys, self._n)


class TextDictionary:
    """Distinct texts, in the order in which they come; their UTF-8 lies end to end."""

    def __init__(self) -> None:
        self._slots = np.zeros(1 << LEAST_BITS, dtype=np.uint64)
        self._arena = np.empty(1 << LEAST_BITS, dtype=np.uint8)
        self._ends = np.zeros((1 << LEAST_BITS) + 1, dtype=np.int64)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def codes(self, column: pd.Series) -> Int32:
        """The code of each text of a column of pandas' `str`, −1 where it is missing: int32 [n]."""
        codes = GrowingArray(np.int32, len(column))
        for chunk in chunks_of(column):
            codes.add(self._codes_of(*text_parts(chunk)))
        return codes.whole()

    def _codes_of(self, starts: Any, data: Any, missing: Any) -> Int32:
        self._make_room(len(starts) - 1, int(starts[-1] - starts[0]))
        codes = np.empty(len(starts) - 1, dtype=np.int32)
        dictionary = self._slots, self._arena, self._ends
        self._n = intern_texts(starts, data, missing, *dictionary, self._n, codes)
        return codes

    def values(self) -> pd.Series:
        """The distinct texts by code, as pandas' `str`; not a copy."""
        ends = pa.py_buffer(self._ends[: self._n + 1])
        texts = pa.py_buffer(self._arena[: self._ends[self._n]])
        return text_series(pa.LargeStringArray.from_buffers(self._n, ends, texts))

    def _make_room(self, more: int, size: int) -> None:
        most = _checked(self._n + more)
        if most + 1 > len(self._ends):
            self._ends = _longer(self._ends, self._n + 1, most + 1)
        used = int(self._ends[self._n])
        if used + size > len(self._arena):
            self._arena = _longer(self._arena, used, used + size)
        if 2 * most > len(self._slots):
            self._slots = np.zeros(_power_of_two(2 * most), dtype=np.uint64)
            fill_texts(self._slots, self._arena, self._ends, self._n)


def chunks_of(column: pd.Series) -> list[Any]:
    """A column of pandas' `str` as large string arrays of Arrow."""
    array = pa.array(column.array, type=pa.large_string(), from_pandas=True)
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return [chunk.cast(pa.large_string()) for chunk in chunks if len(chunk)]


def text_parts(chunk: Any) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.bool_]]:
    """Of a large string array: where each text begins and the last ends, their UTF-8, which are missing
    (nothing where none is)."""
    _, starts, data = chunk.buffers()
    begins = np.frombuffer(starts, dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    texts = np.frombuffer(data or b"", dtype=np.uint8)
    gaps = chunk.is_null().to_numpy(zero_copy_only=False) if chunk.null_count else _NO_GAPS
    return begins, texts, gaps


def text_series(array: Any) -> pd.Series:
    """A string array of Arrow as a column of pandas' `str`, without a copy."""
    return pd.Series(pd.array(array, dtype="str"), copy=False)


def _longer(array: NDArray[Any], used: int, needed: int) -> NDArray[Any]:
    longer = np.empty(max(needed, len(array) * 3 // 2), dtype=array.dtype)
    longer[:used] = array[:used]
    return longer


def _power_of_two(least: int) -> int:
    return 1 << max(LEAST_BITS, int(least - 1).bit_length())


def _checked(distinct: int) -> int:
    if distinct > MOST_DISTINCT:
        raise DataError(f"a column has more than {MOST_DISTINCT:,} values in one table: split the table")
    return distinct
