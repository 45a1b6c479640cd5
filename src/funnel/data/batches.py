"""A long table as it comes: frames of some rows each, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

#: Rows of one batch.
ROWS = 1 << 18


class RowsPart(Protocol):
    """Rows of a table that another process can read as well."""

    def frames(self, first: int) -> Iterator[pd.DataFrame]:
        """These rows, batch by batch. first: the number of their first row in the whole table."""

    def missing(self) -> str:
        """What this process does not have as the one that opened the table; "" where it has all."""


@dataclass(frozen=True, eq=False)
class Batches:
    """Parts of a table, all with the same columns. Going through them reads the table again.

    rows: how many there are; 0 where that is not known before. read: the frames, at least one, which may be
    without rows. parts: the same rows, where others can read them.
    """

    rows: int
    read: Callable[[], Iterator[pd.DataFrame]]
    parts: tuple[RowsPart, ...] = ()

    @classmethod
    def of(cls, frame: Any) -> Batches:
        """Of a frame in memory. What is no frame is passed on as it is, for the schema to refuse."""
        if not isinstance(frame, pd.DataFrame):
            return cls(0, lambda: iter([frame]))
        return cls(len(frame), lambda: _parts(frame))

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return self.read()


def _parts(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for start in range(0, max(len(frame), 1), ROWS):
        yield frame.iloc[start : start + ROWS]
