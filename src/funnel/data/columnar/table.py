"""A long table, column by column, that is a frame of pandas where and as far as one is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.data.columnar.columns import BLOCK, Coded, ColumnOf, Objects, Plain, Rows, RunEncoded
from funnel.data.columnar.dictionary import NumberDictionary, TextDictionary
from funnel.distinct import distinct
from funnel.types import Int64

#: The keys that are ids.
IDS = ("user_id", "item_id", "request_id")

#: Truth values by code.
TRUTHS = pd.Series([False, True], dtype="boolean")


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """columns: of one length, in their order."""

    columns: Mapping[str, ColumnOf]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Table:
        """A clean frame; its index is left out."""
        return cls({str(name): (ids_of if name in IDS else column_of)(frame[name]) for name in frame.columns})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    @property
    def nbytes(self) -> int:
        """Bytes of all columns, ids included."""
        return sum(column.nbytes for column in self.columns.values())

    def frame(self, rows: Rows = slice(None), names: Iterable[str] | None = None) -> pd.DataFrame:
        """The table, or some rows and columns of it, numbered from 0."""
        wanted = self.columns if names is None else names
        return pd.DataFrame({name: self.columns[name].series(rows) for name in wanted})

    def take(self, rows: Rows) -> Table:
        """Some rows."""
        return Table({name: column.take(rows) for name, column in self.columns.items()})

    def array(self, name: str, rows: Rows = slice(None)) -> NDArray[Any]:
        """A column of numbers: the values themselves where there is one a row."""
        column = self.columns[name]
        if isinstance(column, RunEncoded):
            return self._plain(column.inner)[column.runs_of(rows)]
        return self._plain(column)[rows]

    def codes(self, name: str, rows: Rows = slice(None)) -> NDArray[Any]:
        """The codes of a column of ids or words."""
        column = self.columns[name]
        if isinstance(column, RunEncoded):
            return self._coded(column.inner).codes[column.runs_of(rows)]
        return self._coded(column).codes[rows]

    def values(self, name: str) -> pd.Series:
        """What the codes of a column stand for."""
        column = self.columns[name]
        return self._coded(column.inner if isinstance(column, RunEncoded) else column).values

    def n_lists(self, name: str) -> int:
        """How many different values a column has that names lists."""
        column = self.columns[name]
        if isinstance(column, RunEncoded):
            return len(column.offsets) - 1
        return len(distinct(self.codes(name)))

    def lists(self, name: str, rows: slice = slice(None)) -> tuple[Int64, int]:
        """The list of each row, by a column that names it, numbered in the order of appearance; and how many
        there are."""
        column = self.columns[name]
        if isinstance(column, RunEncoded) and len(column):
            runs = column.runs_of(rows)
            return (runs - runs[0], int(runs[-1] - runs[0]) + 1) if len(runs) else (runs, 0)
        numbers, distinct = pd.factorize(self.codes(name, rows))
        return numbers.astype(np.int64), len(distinct)

    @staticmethod
    def _plain(column: ColumnOf) -> NDArray[Any]:
        assert isinstance(column, Plain)
        return column.values

    @staticmethod
    def _coded(column: ColumnOf) -> Coded:
        assert isinstance(column, Coded)
        return column


def column_of(values: pd.Series) -> ColumnOf:
    """A column of a clean frame, in the least that it takes."""
    if isinstance(values.dtype, pd.BooleanDtype):
        return Coded(values.astype("Int8").fillna(-1).to_numpy(np.int8), TRUTHS)
    if isinstance(values.dtype, pd.StringDtype):
        texts = TextDictionary()
        parts = [texts.codes(values.iloc[at : at + BLOCK]) for at in range(0, len(values), BLOCK)]
        codes = np.concatenate([*parts, np.empty(0, dtype=np.int32)])
        return Coded(codes, texts.values()).narrow()
    if isinstance(values.dtype, np.dtype) and values.dtype != object:
        return Plain(values.to_numpy())
    return Objects(values.reset_index(drop=True))


def ids_of(values: pd.Series) -> Coded:
    """A column of ids, int64 or text, in their order of appearance."""
    if isinstance(values.dtype, pd.StringDtype):
        column = column_of(values)
        assert isinstance(column, Coded)
        return column
    numbers = NumberDictionary()
    return Coded(numbers.codes(values.to_numpy(dtype=np.int64)), numbers.values())
