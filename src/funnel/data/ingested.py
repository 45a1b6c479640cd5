"""What `funnel ingest` brought from live traffic: it lies beside the tables of a data set, in `ingested/`,
and is read with them, in the form that they have.

The files of the tables themselves are never touched, whatever they are. Ids and times are texts and seconds
there, and become what the tables have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from funnel.data.columns import absent, convert, missing
from funnel.data.keys import as_times
from funnel.data.reading import read_table
from funnel.data.schema import KEYS, Column, Schema, TableName
from funnel.data.table_file import TableFile
from funnel.types import Clock
from funnel.values.ids import integer
from funnel.values.truths import truths

FOLDER = "ingested"

#: Beside its events and impressions: what was known at requests whose answers are no lists.
REQUESTS = "requests"

#: The kind that events are of which nobody said one, where events have kinds and this is one of them.
CLICK = "click"

#: What tells the same feedback that was sent again.
_SAME = ["answer", "user_id", "item_id", "kind"]

#: Where there is an order but no clock, live events come behind all others.
_BEHIND = 2**50


def has_ingested(folder: Path) -> bool:
    """Whether there is anything beside the tables of a folder."""
    return (folder / FOLDER).is_dir()


def with_ingested(
    folder: Path, schema: Schema, tables: Mapping[TableName, pd.DataFrame], clock: Clock, notes: list[str]
) -> dict[TableName, pd.DataFrame]:
    """The tables of a folder with what was ingested behind them; notes on what was left out.

    Raises: DataError for a file that cannot be read.
    """
    out = dict(tables)
    if not has_ingested(folder):
        return out
    if "split" in tables["events"].columns:
        notes.append("ingested: left out, since events have a published split")
        return out
    events = _table(folder / FOLDER, "events", "events")
    lists, others = (_table(folder / FOLDER, "impressions", path) for path in ("impressions", REQUESTS))
    base, ids = tables["events"], _Ids.of(tables["events"])
    if events is not None:
        events = _events(_with_context(events, [lists, others], schema), base, clock, notes)
        events = _with_required(schema, "events", ids.of_tables(events, "events", notes), notes)
        out["events"] = _joined(schema, "events", base, events, clock)
    if lists is not None:
        lists, there = ids.of_tables(lists, "impressions", notes), tables.get("impressions")
        lists = _with_required(schema, "impressions", lists, notes)
        if there is not None or len(lists):
            whole = lists if there is None else _joined(schema, "impressions", there, lists, clock)
            out["impressions"] = _declared(schema, "impressions", whole)
    return out


def _table(folder: Path, table: TableName, path: str) -> pd.DataFrame | None:
    """What was ingested below a path, in the form of a table; None where there is nothing."""
    if not any((folder / path).glob("[!.]*.parquet")):
        return None
    frame = read_table(folder, table, TableFile(path=path))
    return None if frame is None or frame.empty else frame


@dataclass(frozen=True)
class _Ids:
    """By key, whether ids of the tables are numbers."""

    numbers: Mapping[str, bool]

    @classmethod
    def of(cls, events: pd.DataFrame) -> _Ids:
        keys = ("user_id", "item_id")
        return cls({key: pd.api.types.is_integer_dtype(events[key].dtype) for key in keys})

    def of_tables(self, frame: pd.DataFrame, table: str, notes: list[str]) -> pd.DataFrame:
        """With ids of the type that the tables have; rows whose ids cannot be such are left out."""
        kept = np.ones(len(frame), dtype=np.bool_)
        columns = {}
        for key in [key for key, are_numbers in self.numbers.items() if are_numbers]:
            ids = [integer(text) for text in frame[key]]
            kept &= np.array([number is not None for number in ids], dtype=np.bool_)
            columns[key] = np.array([number or 0 for number in ids], dtype=np.int64)
        if not kept.all():
            notes.append(f"{table}: {int((~kept).sum()):,} ingested rows left out, whose ids are no numbers")
        return frame.assign(**columns)[kept].reset_index(drop=True)


def _events(own: pd.DataFrame, base: pd.DataFrame, clock: Clock, notes: list[str]) -> pd.DataFrame:
    """Each feedback once, with a kind and a value where the events of the tables have them."""
    again = own["answer"].notna() & own.duplicated(_SAME)
    own = own[~again].reset_index(drop=True)
    if clock == "order":
        own = own.assign(time=_BEHIND + own["number"])
    if "kind" not in base.columns:
        return own.drop(columns="kind")
    unsaid = own["kind"].isna()
    if (base["kind"] == CLICK).any():
        return own.assign(kind=own["kind"].where(~unsaid, CLICK))
    if unsaid.any():
        notes.append(f"events: {int(unsaid.sum()):,} ingested rows left out, of which nobody said the kind")
    return own[~unsaid].reset_index(drop=True)


def _with_context(events: pd.DataFrame, answers: list[pd.DataFrame | None], schema: Schema) -> pd.DataFrame:
    """Events with what was known at the request that their answer was given to."""
    named = ["request_id", *(column.name for column in schema.events if column.context)]
    known = [
        rows[[name for name in named if name in rows.columns]].drop_duplicates("request_id")
        for rows in answers
        if rows is not None
    ]
    return events.join(pd.concat(known).set_index("request_id"), on="answer") if known else events


def _with_required(schema: Schema, table: TableName, own: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Without the rows that lack what the schema requires, which live traffic may not say; of lists, without
    the whole list."""
    lacks = {
        column.name: missing(_values(own, table, column), column.kind)
        for column in schema.columns(table)
        if column.required
    }
    names = [name for name, gaps in lacks.items() if gaps.any()]
    if not names:
        return own
    out = np.logical_or.reduce([lacks[name] for name in names])
    if table == "impressions":
        out = own["request_id"].isin(own["request_id"][out]).to_numpy()
    notes.append(
        f"{table}: {int(out.sum()):,} ingested rows left out, without the required {', '.join(names)}"
    )
    return own[~out].reset_index(drop=True)


def _values(frame: pd.DataFrame, table: TableName, column: Column) -> pd.Series:
    """A declared column in the form of its kind, of missing values where there is none."""
    if column.name not in frame.columns:
        return absent(len(frame), column.kind, column.size)
    return convert(frame[column.name], column.kind, column.size, f"{table}.{column.name}")


def _joined(
    schema: Schema, table: TableName, base: pd.DataFrame, own: pd.DataFrame, clock: Clock
) -> pd.DataFrame:
    """Rows of a table and behind them the ingested ones, in one form."""
    base, own = base.reset_index(drop=True), own.reset_index(drop=True)
    columns: dict[str, Any] = {}
    for name in KEYS[table]:
        if name in base.columns:
            columns[name] = _key(name, base[name], own[name], clock)
    if table == "events" and "kind" in base.columns:
        columns["kind"] = pd.concat([base["kind"].astype(object), own["kind"]], ignore_index=True)
    if table == "events" and "value" in base.columns:  # of which nothing is known it was worth nothing
        columns["value"] = pd.concat([base["value"], own["value"].fillna(0.0)], ignore_index=True)
    for column in schema.columns(table):
        parts = [_values(part, table, column) for part in (base, own)]
        columns[column.name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns)


def _declared(schema: Schema, table: TableName, frame: pd.DataFrame) -> pd.DataFrame:
    """Without columns that the schema does not know, which nobody has to be told of: the form is ours."""
    known = {*KEYS[table], *(column.name for column in schema.columns(table))}
    return frame[[name for name in frame.columns if name in known]]


def _key(name: str, base: pd.Series, own: pd.Series, clock: Clock) -> pd.Series:
    if name == "time":
        seconds = as_times(base, "time", bounded=clock == "time")
        return pd.Series(np.concatenate([seconds, own.to_numpy(dtype=np.int64)]))
    if name == "request_id":
        base = base.astype("str")
    if name == "clicked":
        base = truths(base, "impressions.clicked")
    if name in ("user_id", "item_id") and not pd.api.types.is_integer_dtype(own.dtype):
        base, own = base.astype("str"), own.astype("str")
    return pd.concat([base, own], ignore_index=True)
