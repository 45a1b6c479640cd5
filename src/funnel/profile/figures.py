"""A data set in figures, before anything is learned from it.

How many rows, which gaps, which values that can hardly be meant, how unequal users and items are, which time
it spans, and how much of each part of the split is new to what was trained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from funnel.data.columnar.columns import Coded, ColumnOf, Plain
from funnel.data.columnar.grouping import counted
from funnel.data.columnar.rows import blocks
from funnel.data.columnar.table import Table, column_of
from funnel.data.dataset import Dataset
from funnel.data.events_config import EventsConfig
from funnel.data.schema import TableName
from funnel.data.split_config import SplitConfig
from funnel.data.splits import split
from funnel.errors import ConfigError, DataError
from funnel.profile.columns import RECORD, ColumnProfile, profile_column, word_counts
from funnel.profile.log import ImpressionProfile, Span, SplitPart, request_part, shown, span, training_part
from funnel.profile.tail import Tail, tail
from funnel.settings import Settings
from funnel.values.notebook import as_html
from funnel.values.words import word

_FEW = 20  # an event column with at most so many values is a label
_CLICKS = pd.Series(["not", "clicked"], dtype="str")


class Profile(Settings):
    """Everything about a data set that a table or a page shows.

    rows: of each table. balance: by "table.column", how many rows have each label. span: None without a
    clock. parts: empty where the data cannot be split so; then `notes` says why.
    """

    name: str
    clock: str
    checksum: str
    rows: dict[TableName, int]
    columns: tuple[ColumnProfile, ...]
    balance: dict[str, dict[str, int]]
    users: Tail
    items: Tail
    span: Span | None
    protocol: str
    parts: tuple[SplitPart, ...]
    impressions: ImpressionProfile | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return self.model_dump(mode="json")

    def to_frame(self) -> pd.DataFrame:
        """A row a column, by "table.column": kind, rows, missing, unexpected, distinct values, examples of
        what is unexpected, the most frequent values, and the range of a number."""
        return pd.DataFrame(
            [column.to_record() for column in self.columns],
            index=pd.Index([f"{column.table}.{column.name}" for column in self.columns], name="column"),
            columns=list(RECORD),
        )

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = ", ".join(f"{n:,} {table}" for table, n in self.rows.items())
        return as_html(self.to_frame(), "; ".join([f"{self.name}: {rows}", *self.notes]))


def profile(
    dataset: Dataset,
    config: SplitConfig | None = None,
    seed: int = 0,
    events: EventsConfig | None = None,
) -> Profile:
    """The figures of a data set, and of its parts under `config` (None: the split that its clock allows) and
    `events`, which says what kinds of events are for."""
    config = config or _usual_split(dataset)
    log, notes = dataset.log, dataset.notes
    parts: tuple[SplitPart, ...] = ()
    try:
        divided = split(dataset, config, seed, events)
        parts = (
            training_part(divided.train),
            request_part("ranker", divided.ranker, divided.train),
            request_part("test", divided.test, divided.train),
        )
        notes += divided.notes
    except (DataError, ConfigError) as error:
        notes += (f"no split: {error}",)
    tables = _tables(dataset)
    return Profile(
        name=dataset.name,
        clock=dataset.clock,
        checksum=dataset.checksum(),
        rows={name: len(table) for name, table in tables.items()},
        columns=tuple(
            profile_column(name, column, _column(table, column.name))
            for name, table in tables.items()
            for column in dataset.schema.columns(name)
        ),
        balance=_balance(dataset),
        users=tail(counted(log.users, log.n_users)),
        items=tail(counted(log.items, log.n_items)),
        span=span(log) if dataset.clock == "time" else None,
        protocol=config.kind,
        parts=parts,
        impressions=None if dataset.impression_table is None else shown(dataset.impression_table),
        notes=notes,
    )


def _usual_split(dataset: Dataset) -> SplitConfig:
    if "split" in dataset.event_table:
        return SplitConfig(kind="given")
    return SplitConfig(kind="leave_one_out" if dataset.clock == "order" else "time")


def _tables(dataset: Dataset) -> dict[TableName, pd.DataFrame | Table]:
    tables: dict[TableName, pd.DataFrame | Table] = {
        "events": dataset.event_table,
        "users": dataset.users,
        "items": dataset.items,
    }
    lists = dataset.impression_table
    return tables if lists is None else tables | {"impressions": lists}


def _column(table: pd.DataFrame | Table, name: str) -> ColumnOf:
    return table.columns[name] if isinstance(table, Table) else column_of(table[name])


def _balance(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Event columns with few values, the published split, and clicks."""
    few = ("number", "category", "boolean")
    wanted = [column.name for column in dataset.schema.events if column.kind in few]
    columns = dataset.event_table.columns
    counts = {f"events.{name}": _few(columns[name]) for name in (*wanted, "split") if name in columns}
    if dataset.impression_table is not None:
        clicks = Coded(dataset.impression_table.array("clicked").view(np.int8), _CLICKS)
        counts["impressions.clicked"] = word_counts(clicks)
    return {name: _named(count) for name, count in counts.items() if count is not None}


def _few(column: ColumnOf) -> pd.Series | None:
    """How often each value is there; None where there are many."""
    if isinstance(column, Coded):
        counts = word_counts(column)
        counts = counts.sort_index() if isinstance(column.values.dtype, pd.BooleanDtype) else counts
        return counts if len(counts) <= _FEW else None
    assert isinstance(column, Plain)
    seen = np.empty(0, dtype=column.values.dtype)
    for rows in blocks(len(column)):
        part = column.values[rows]
        seen = np.unique(np.concatenate([seen, part[~np.isnan(part)]]))
        if len(seen) > _FEW:
            return None
    return pd.Series([int((column.values == value).sum()) for value in seen], index=pd.Index(seen))


def _named(counts: pd.Series) -> dict[str, int]:
    counts = counts.sort_index() if pd.api.types.is_numeric_dtype(counts.index.dtype) else counts
    return {_name(value): int(n) for value, n in counts.items()}


def _name(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(word(value, ""))
