"""A data set in figures, before anything is learned from it.

How many rows, which gaps, which values that can hardly be meant, how unequal users and items are, which time
it spans, and how much of each part of the split is new to what was trained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from funnel.data.dataset import Dataset
from funnel.data.events_config import EventsConfig
from funnel.data.schema import TableName
from funnel.data.split_config import SplitConfig
from funnel.data.splits import split
from funnel.errors import ConfigError, DataError
from funnel.profile.columns import RECORD, ColumnProfile, profile_column
from funnel.profile.log import ImpressionProfile, Span, SplitPart, request_part, shown, span, training_part
from funnel.profile.tail import Tail, tail
from funnel.settings import Settings
from funnel.values.notebook import as_html
from funnel.values.words import word

_FEW = 20  # an event column with at most so many values is a label


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
            profile_column(name, column, table[column.name])
            for name, table in tables.items()
            for column in dataset.schema.columns(name)
        ),
        balance=_balance(dataset),
        users=tail(np.bincount(log.users, minlength=log.n_users)),
        items=tail(np.bincount(log.items, minlength=log.n_items)),
        span=span(log) if dataset.clock == "time" else None,
        protocol=config.kind,
        parts=parts,
        impressions=None if dataset.impressions is None else shown(dataset.impressions),
        notes=notes,
    )


def _usual_split(dataset: Dataset) -> SplitConfig:
    if "split" in dataset.events.columns:
        return SplitConfig(kind="given")
    return SplitConfig(kind="leave_one_out" if dataset.clock == "order" else "time")


def _tables(dataset: Dataset) -> dict[TableName, pd.DataFrame]:
    tables: dict[TableName, pd.DataFrame] = {
        "events": dataset.events,
        "users": dataset.users,
        "items": dataset.items,
    }
    return tables if dataset.impressions is None else tables | {"impressions": dataset.impressions}


def _balance(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Event columns with few values, the published split, and clicks."""
    few = ("number", "category", "boolean")
    wanted = [column.name for column in dataset.schema.events if column.kind in few]
    labels = {f"events.{name}": dataset.events[name] for name in (*wanted, "split") if name in dataset.events}
    if dataset.impressions is not None:
        labels["impressions.clicked"] = dataset.impressions["clicked"].map({True: "clicked", False: "not"})
    counts = {name: values.value_counts() for name, values in labels.items()}
    return {name: _named(count) for name, count in counts.items() if len(count) <= _FEW}


def _named(counts: pd.Series) -> dict[str, int]:
    counts = counts.sort_index() if pd.api.types.is_numeric_dtype(counts.index.dtype) else counts
    return {_name(value): int(n) for value, n in counts.items()}


def _name(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(word(value, ""))
