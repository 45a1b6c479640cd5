"""What an error calls a column, and which of its rows it names, where the column comes in parts."""

from __future__ import annotations

from collections.abc import Callable

from funnel.errors import DataError


class Where(str):
    """The name of a column in errors. first: the row of the whole table that its first value is in, where
    the column is a part of a longer one.

    >>> row_of(Where("events.time", 100), 7), row_of("events.time", 7)
    (107, 7)
    """

    first: int

    def __new__(cls, name: str, first: int = 0) -> Where:
        """A name, as text."""
        where = super().__new__(cls, name)
        where.first = first
        return where


def row_of(where: str, row: int) -> int:
    """The number of a row of a part in the whole table."""
    return int(row) + getattr(where, "first", 0)


class GapError(DataError):
    """Rows of a column hold nothing usable. Parts of one column are added, so that the sentence is that of
    the whole.

    sentence: the sentence of how many rows of how many have a gap, and the first of them.
    """

    def __init__(self, sentence: Callable[[int, int, int], str], gaps: int, rows: int, first: int) -> None:
        super().__init__(sentence(gaps, rows, first))
        self.sentence, self.gaps, self.rows, self.first = sentence, gaps, rows, first

    def with_more(self, gaps: int, rows: int) -> GapError:
        """With those of further rows."""
        return GapError(self.sentence, self.gaps + gaps, self.rows + rows, self.first)
