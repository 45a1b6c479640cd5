"""Ids of a table, each with its row."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from funnel.types import Int32


class Ids(Protocol):
    """The ids of a catalogue: a `Vocabulary`, or one with ids added to it."""

    @property
    def values(self) -> Any:
        """The id of each row: NumPy's array, or `Texts`."""

    def __len__(self) -> int: ...

    def row(self, value: Any) -> int:
        """The row of one id, −1 where unknown."""

    def rows(self, values: Any) -> Int32:
        """The rows of many ids, −1 where unknown."""

    def take(self, rows: NDArray[Any]) -> list[Any]:
        """The ids of some rows, as plain values."""
