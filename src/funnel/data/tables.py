"""Cleaning the tables of a data set: checked, sorted, completed, with a note for each repair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd

from funnel.data.batches import Batches
from funnel.data.columnar.collect import KeyDictionary
from funnel.data.columnar.table import IDS, Table
from funnel.data.entities import check_logs_meet, clean_entities
from funnel.data.event_rows import at_rows, clean_events
from funnel.data.impressions import clean_impressions
from funnel.data.schema import Schema, TableName
from funnel.data.table_builder import TableBuilder
from funnel.data.table_parts import add_rows
from funnel.data.vocabulary import rows_among
from funnel.errors import DataError
from funnel.types import Clock, Int32
from funnel.values.ids import as_ids, same_type

_Ids = Mapping[str, KeyDictionary]


@dataclass(frozen=True)
class GivenTables:
    """The tables of a data set before cleaning: the long ones in batches; None where there is none."""

    events: Batches
    users: Any
    items: Any
    impressions: Batches | None


@dataclass(frozen=True)
class Tables:
    """The tables of a data set."""

    events: Table
    users: pd.DataFrame
    items: pd.DataFrame
    impressions: Table | None


def clean(schema: Schema, given: GivenTables, clock: Clock) -> tuple[Tables, list[str]]:
    """The tables as `Dataset` promises them, and what was repaired on the way."""
    if clock not in get_args(Clock):
        raise DataError(f"the clock is {clock!r}: one of {', '.join(get_args(Clock))} is expected")
    notes: list[str] = []
    repairs: dict[str, list[str]] = {name: [] for name in ("events", "users", "items", "impressions")}
    ids = {key: KeyDictionary() for key in IDS}
    events = _long(schema, given.events, "events", clock, ids, notes)
    if not len(events):
        raise DataError("events is empty: at least one event is needed")
    in_events = {key: len(dictionary) for key, dictionary in ids.items()}
    events = clean_events(events, clock, repairs["events"])
    users = _short(schema, given.users, "users", notes)
    items = _short(schema, given.items, "items", notes)
    impressions = None
    if given.impressions is not None:
        impressions = _long(schema, given.impressions, "impressions", clock, ids, notes)
    named = {key: ids.pop(key).values() for key in IDS}  # without their hash tables
    if impressions is not None:
        check_logs_meet(impressions, named, in_events)
        columns = dict(impressions.columns)
        del impressions  # so that a column goes as soon as it is not needed
        impressions = clean_impressions(columns, clock, repairs["impressions"])
    users, user_rows = _entities(schema, users, named["user_id"], "users", repairs["users"])
    items, item_rows = _entities(schema, items, named["item_id"], "items", repairs["items"])
    notes += [note for of_table in repairs.values() for note in of_table]

    def at(table: Table) -> Table:
        table = at_rows(table, "user_id", user_rows, users["user_id"])
        return at_rows(table, "item_id", item_rows, items["item_id"])

    return Tables(at(events), users, items, None if impressions is None else at(impressions)), notes


def _long(
    schema: Schema, batches: Batches, name: TableName, clock: Clock, ids: _Ids, notes: list[str]
) -> Table:
    """A table of batches through the schema, with notes on columns too many and too few."""
    builder = TableBuilder(schema, name, clock, ids, batches.rows)
    add_rows(builder, batches)
    _note_columns(schema, name, builder.names, notes)
    return builder.table()


def _short(schema: Schema, frame: Any, name: Literal["users", "items"], notes: list[str]) -> Any:
    """The same of a table in memory, with ids of one type; None where there is none."""
    if frame is None:
        return None
    table = schema.check(frame, name)
    _note_columns(schema, name, [str(column) for column in frame.columns], notes)
    key = f"{name[:-1]}_id"
    return table.assign(**{key: as_ids(table[key], f"{name}.{key}")})


def _note_columns(schema: Schema, name: TableName, names: list[str], notes: list[str]) -> None:
    if extra := schema.undeclared(names, name):
        notes.append(f"{name}: columns left out, not in the schema: {', '.join(extra)}")
    if lacking := [column.name for column in schema.columns(name) if column.name not in names]:
        notes.append(f"{name}: declared columns that are not there: {', '.join(lacking)}")


def _entities(
    schema: Schema, frame: Any, named: pd.Series, name: Literal["users", "items"], notes: list[str]
) -> tuple[pd.DataFrame, Int32]:
    """The table of all users or items, and the row in it of each id that is named."""
    key = f"{name[:-1]}_id"
    if frame is not None:
        named, own = same_type(named, frame[key])
        frame = frame.assign(**{key: own})
    entities = clean_entities(schema, frame, named, name, notes)
    return entities, rows_among(entities[key], named)
