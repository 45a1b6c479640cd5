"""A long table of batches: each is checked by the schema as it comes, and then forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from funnel.data.columnar.collect import (
    Collected,
    IdColumn,
    KeyDictionary,
    ObjectColumn,
    PlainColumn,
    TimeColumn,
    TruthColumn,
    WordColumn,
)
from funnel.data.columnar.table import IDS, Table
from funnel.data.columns import ColumnKind
from funnel.data.event_kinds import amounts, kind_words
from funnel.data.impression_columns import clicks, positions
from funnel.data.schema import KEYS, OPTIONAL, Schema, TableName
from funnel.errors import DataError
from funnel.types import Clock
from funnel.values.arrow import plain
from funnel.values.where import GapError, Where, row_of
from funnel.values.words import words


@dataclass(frozen=True)
class CollectedRows:
    """Rows of a table as a process has collected them. columns: what `Collected.part` gives of each."""

    rows: int
    names: list[str]
    columns: dict[str, Any]


class TableBuilder:
    """Events or impressions, added in batches that all have the same columns.

    ids: of each key, shared by the tables. rows: how many are expected, which spares copies.
    """

    def __init__(
        self,
        schema: Schema,
        table: TableName,
        clock: Clock,
        ids: Mapping[str, KeyDictionary],
        rows: int = 0,
    ) -> None:
        self.about = schema, table, clock
        self._schema, self._table, self._clock = self.about
        self._ids, self._expected = ids, rows
        self._collected: dict[str, Collected] = {}
        self._gap: tuple[str, GapError] | None = None
        self.rows = 0
        self.names: list[str] = []

    def add_all(self, batches: Iterable[pd.DataFrame]) -> None:
        """Every batch, in order. Raises: DataError for the first value that is wrong, with its row among all;
        where a column has gaps, with how many there are in all."""
        for batch in batches:
            self.add(batch)
        self.check_gaps()

    def check_gaps(self) -> None:
        """Raises: DataError for a column with gaps, with how many there are in what was added."""
        if self._gap is not None:
            raise self._gap[1]

    def add(self, batch: pd.DataFrame) -> None:
        """Further rows."""
        self._schema.check_names(batch, self._table, without=() if self._clock == "time" else ("time",))
        if not self._collected:
            self.names = [str(name) for name in batch.columns]
            self._collected = {name: self._collector(name) for name in self._wanted(batch)}
        first, self.rows = self.rows, self.rows + len(batch)
        if self._gap is not None:
            name, gap = self._gap
            self._gap = name, gap.with_more(self._gaps(name, batch, first), len(batch))
            return
        for name in self._collected:
            try:
                self._add_column(name, batch, first)
            except GapError as gap:
                self._gap = name, gap.with_more(0, first)  # rows before it, which have none
                return

    def collected(self) -> CollectedRows:
        """What was added so far, for `add_collected` of another process."""
        return CollectedRows(self.rows, self.names, {name: of.part() for name, of in self._collected.items()})

    def add_collected(self, part: CollectedRows) -> bool:
        """Further rows, which were checked; False, and nothing is added, where gaps are counted already."""
        if self._gap is not None:
            return False
        if part.rows == 0:
            return True
        if not self._collected:
            self.names = part.names
            self._collected = {name: self._collector(name) for name in part.columns}
        for name, of in part.columns.items():
            self._collected[name].add_part(of)
        self.rows += part.rows
        return True

    def table(self) -> Table:
        """All rows, ids by their codes in the dictionaries."""
        return Table({name: column.whole() for name, column in self._collected.items()})

    def _gaps(self, name: str, batch: pd.DataFrame, first: int) -> int:
        try:
            self._add_column(name, batch, first)
        except GapError as gap:
            return gap.gaps
        return 0

    def _add_column(self, name: str, batch: pd.DataFrame, first: int) -> None:
        where = Where(f"{self._table}.{name}", first)
        declared = {column.name: column for column in self._schema.columns(self._table)}
        if name in declared:
            values = self._schema.check_column(batch, self._table, declared[name], first)
        else:
            values = plain(batch[name]).reset_index(drop=True)
        self._collected[name].add(values, where)

    def _wanted(self, batch: pd.DataFrame) -> list[str]:
        keys = [name for name in KEYS[self._table] + OPTIONAL[self._table] if name in batch.columns]
        return [*keys, *(column.name for column in self._schema.columns(self._table))]

    def _collector(self, name: str) -> Collected:
        rows = self._expected
        if name in IDS:
            return IdColumn(self._ids[name], rows)
        match name:
            case "time" if name in KEYS[self._table]:
                return TimeColumn(f"{self._table}.time", rows, bounded=self._clock == "time")
            case "kind" if self._table == "events":
                return WordColumn(kind_words, rows)
            case "value" if self._table == "events":
                return PlainColumn(amounts, np.float64, rows)
            case "split" if self._table == "events":
                return WordColumn(_split_words, rows)
            case "position" if self._table == "impressions":
                return PlainColumn(positions, np.int32, rows)
            case "clicked" if self._table == "impressions":
                return PlainColumn(clicks, np.bool_, rows)
        kinds = {column.name: column.kind for column in self._schema.columns(self._table)}
        return _of_kind(kinds[name], rows)


def _of_kind(kind: ColumnKind, rows: int) -> Collected:
    """For a declared column, which is in the form of its kind."""
    if kind == "number":
        return PlainColumn(_as_it_is, np.float64, rows)
    if kind == "boolean":
        return TruthColumn(_as_it_is, rows)
    if kind in ("multi_category", "vector"):
        return ObjectColumn(_as_it_is)
    return WordColumn(_as_it_is, rows)


def _as_it_is(column: pd.Series, where: str) -> pd.Series:
    return column


def _split_words(column: pd.Series, where: str) -> pd.Series:
    strange = ~column.isin(["train", "test"]).to_numpy()
    if strange.any():
        row = int(strange.argmax())
        raise DataError(
            f'events.split is "train" or "test", but row {row_of(where, row)} holds {column.iloc[row]!r}'
        )
    return words(column, where)
