"""Columns that come in batches, each value checked as it comes, kept in the least that it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.data.columnar.columns import Coded, ColumnOf, Objects, Plain
from funnel.data.columnar.dictionary import NumberDictionary, TextDictionary
from funnel.data.columnar.growing import GrowingArray
from funnel.data.columnar.table import TRUTHS
from funnel.data.keys import as_times
from funnel.types import Int32, Int64
from funnel.values.ids import as_ids
from funnel.values.where import Where


class Collected(Protocol):
    """A column that grows."""

    def add(self, column: pd.Series, where: Where) -> None:
        """A batch of it. Raises: DataError for a value that is wrong, with its row in the whole table."""
        ...

    def whole(self) -> ColumnOf:
        """All of it."""
        ...

    def part(self) -> Any:
        """All of it so far, in a form that can go to another process, for `add_part`."""
        ...

    def add_part(self, part: Any) -> None:
        """Rows that another process has collected."""
        ...


class KeyDictionary:
    """The distinct ids of one key in all tables that are added: int64 as long as all are, else text."""

    def __init__(self) -> None:
        self._ids: NumberDictionary | TextDictionary = NumberDictionary()

    def __len__(self) -> int:
        return len(self._ids)

    def codes(self, ids: pd.Series) -> Int32:
        """The codes of ids that are whole numbers or text: int32 [n]."""
        if isinstance(self._ids, NumberDictionary) and pd.api.types.is_integer_dtype(ids.dtype):
            return self._ids.codes(ids.to_numpy(dtype=np.int64))
        if isinstance(self._ids, NumberDictionary):
            self._ids = _in_writing(self._ids)
        return self._ids.codes(ids.astype("str"))

    def values(self) -> pd.Series:
        """The ids by code, which is the order of their appearance."""
        return self._ids.values()


def _in_writing(numbers: NumberDictionary) -> TextDictionary:
    texts = TextDictionary()
    if len(numbers):
        texts.codes(numbers.values().astype("str"))
    return texts


class IdColumn:
    """A key that is an id, in the numbers of a dictionary that several tables share."""

    def __init__(self, ids: KeyDictionary, rows: int) -> None:
        self._ids, self._codes = ids, GrowingArray(np.int32, rows)

    def add(self, column: pd.Series, where: Where) -> None:
        """See `Collected`."""
        self._codes.add(self._ids.codes(as_ids(column, where)))

    def whole(self) -> Coded:
        """See `Collected`. The ids are those of all tables so far."""
        return Coded(self._codes.whole(), self._ids.values())

    def part(self) -> tuple[Int32, pd.Series]:
        """See `Collected`."""
        return self._codes.whole(), self._ids.values()

    def add_part(self, part: tuple[Int32, pd.Series]) -> None:
        """See `Collected`. Ids come in the order of their appearance, and so get the codes of that."""
        codes, ids = part
        self._codes.add(self._ids.codes(ids)[codes])


class TimeColumn:
    """Times as seconds; what is in writing waits for the whole column, since one date among numbers makes all
    of them dates."""

    def __init__(self, where: str, rows: int, bounded: bool) -> None:
        self._where, self._bounded, self._seconds = where, bounded, GrowingArray(np.int64, rows)
        self._written: list[pd.Series] = []

    def part(self) -> tuple[Int64, list[pd.Series]]:
        """See `Collected`."""
        return self._seconds.whole(), self._written

    def add_part(self, part: tuple[Int64, list[pd.Series]]) -> None:
        """See `Collected`."""
        self._seconds.add(part[0])
        self._written += part[1]

    def add(self, column: pd.Series, where: Where) -> None:
        """See `Collected`."""
        typed = pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(
            column.dtype
        )
        if self._written or not typed:
            self._written.append(column)
        else:
            self._seconds.add(as_times(column, where, bounded=self._bounded))

    def whole(self) -> Plain:
        """See `Collected`. Raises: DataError for what is in writing."""
        if self._written:
            first = len(self._seconds)
            column, self._written = pd.concat(self._written, ignore_index=True), []
            self._seconds.add(as_times(column, Where(self._where, first), bounded=self._bounded))
        return Plain(self._seconds.whole())


class WordColumn:
    """Words, checked by a function that gives them as pandas' `str`."""

    def __init__(self, read: Callable[[pd.Series, str], pd.Series], rows: int) -> None:
        self._read, self._words, self._codes = read, TextDictionary(), GrowingArray(np.int32, rows)

    def add(self, column: pd.Series, where: Where) -> None:
        """See `Collected`."""
        self._codes.add(self._words.codes(self._read(column, where)))

    def whole(self) -> Coded:
        """See `Collected`."""
        return Coded(self._codes.whole(), self._words.values()).narrow()

    def part(self) -> tuple[Int32, pd.Series]:
        """See `Collected`."""
        return self._codes.whole(), self._words.values()

    def add_part(self, part: tuple[Int32, pd.Series]) -> None:
        """See `Collected`."""
        codes, texts = part
        self._codes.add(np.append(self._words.codes(texts), np.int32(-1))[codes])


class PlainColumn:
    """Numbers or truth values without a gap, checked by a function, of one type."""

    def __init__(self, read: Callable[[pd.Series, str], pd.Series], dtype: Any, rows: int) -> None:
        self._read, self._values = read, GrowingArray(dtype, rows)

    def add(self, column: pd.Series, where: Where) -> None:
        """See `Collected`."""
        self._values.add(self._read(column, where).to_numpy(self._values.dtype))

    def whole(self) -> Plain:
        """See `Collected`."""
        return Plain(self._values.whole())

    def part(self) -> NDArray[Any]:
        """See `Collected`."""
        return self._values.whole()

    def add_part(self, part: NDArray[Any]) -> None:
        """See `Collected`."""
        self._values.add(part)


class TruthColumn:
    """Truth values with gaps, in the form of `boolean`."""

    def __init__(self, read: Callable[[pd.Series, str], pd.Series], rows: int) -> None:
        self._read, self._codes = read, GrowingArray(np.int8, rows)

    def add(self, column: pd.Series, where: Where) -> None:
        """See `Collected`."""
        truths = self._read(column, where)
        self._codes.add(truths.astype("Int8").fillna(-1).to_numpy(np.int8))

    def whole(self) -> Coded:
        """See `Collected`."""
        return Coded(self._codes.whole(), TRUTHS)

    def part(self) -> NDArray[np.int8]:
        """See `Collected`."""
        return self._codes.whole()

    def add_part(self, part: NDArray[np.int8]) -> None:
        """See `Collected`."""
        self._codes.add(part)


class ObjectColumn:
    """Lists and vectors."""

    def __init__(self, read: Callable[[pd.Series, str], pd.Series]) -> None:
        self._read = read
        self._parts: list[pd.Series] = []

    def add(self, column: pd.Series, where: Where) -> None:
        """See `Collected`."""
        self._parts.append(self._read(column, where))

    def whole(self) -> Objects:
        """See `Collected`."""
        parts, self._parts = self._parts, []
        return Objects(pd.concat(parts, ignore_index=True) if parts else pd.Series([], dtype=object))

    def part(self) -> list[pd.Series]:
        """See `Collected`."""
        return self._parts

    def add_part(self, part: list[pd.Series]) -> None:
        """See `Collected`."""
        self._parts += part
