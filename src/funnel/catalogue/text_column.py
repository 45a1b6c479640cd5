"""Columns of texts, and of lists of texts, that are read by row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray


class TextColumn:
    """Texts as Arrow holds them, some missing, read in place.

    Arrow's own way makes an array, and an object for each text, before the text: for the ten items of an
    answer that takes many times as long as the texts.
    """

    def __init__(self, array: Any) -> None:
        """array: of `pa.string()` or `pa.large_string()`."""
        array = pa.concat_arrays([array]) if array.offset else array  # it begins where its buffers do
        valid, starts, data = array.buffers()
        begins = memoryview(starts or b"")
        self._starts = begins.cast("i") if pa.types.is_string(array.type) else begins.cast("q")
        self._data = memoryview(data or b"")
        self._valid = None if valid is None else memoryview(valid).cast("B")

    @staticmethod
    def can_read(array: Any) -> bool:
        """Whether it is an array of texts."""
        return bool(pa.types.is_string(array.type) or pa.types.is_large_string(array.type))

    def at(self, rows: NDArray[Any]) -> list[str | None]:
        """The texts of some rows, None where one is missing."""
        return self.of(rows.tolist())

    def of(self, rows: Iterable[int]) -> list[str | None]:
        """The same of rows as Python's numbers."""
        starts, data, valid = self._starts, self._data, self._valid
        return [
            str(data[starts[at] : starts[at + 1]], "utf-8")
            if valid is None or valid[at >> 3] >> (at & 7) & 1
            else None
            for at in rows
        ]


class TextLists:
    """The same of lists of texts."""

    def __init__(self, array: Any) -> None:
        """array: of lists or large lists of what `TextColumn` can read."""
        array = pa.concat_arrays([array]) if array.offset else array
        valid, starts = array.buffers()[:2]
        begins = memoryview(starts or b"")
        self._starts = begins.cast("i") if pa.types.is_list(array.type) else begins.cast("q")
        self._texts = TextColumn(array.values)
        self._valid = None if valid is None else memoryview(valid).cast("B")

    @staticmethod
    def can_read(array: Any) -> bool:
        """Whether it is an array of lists of texts."""
        lists = pa.types.is_list(array.type) or pa.types.is_large_list(array.type)
        return bool(lists and TextColumn.can_read(array.values))

    def at(self, rows: NDArray[Any]) -> list[list[str | None] | None]:
        """The lists of some rows, None where one is missing."""
        starts, valid, some = self._starts, self._valid, rows.tolist()
        texts = self._texts.of([at for row in some for at in range(starts[row], starts[row + 1])])
        lists: list[list[str | None] | None] = []
        begin = 0
        for row in some:
            end = begin + starts[row + 1] - starts[row]
            lists += [texts[begin:end] if valid is None or valid[row >> 3] >> (row & 7) & 1 else None]
            begin = end
        return lists
