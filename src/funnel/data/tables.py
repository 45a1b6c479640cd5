"""Cleaning the tables of a data set: checked, sorted, completed, with a note for each repair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args

import pandas as pd

from funnel.data.entities import check_logs_meet, clean_entities
from funnel.data.event_kinds import clean_kinds
from funnel.data.impressions import clean_impressions
from funnel.data.order import by_time, without_repeats
from funnel.data.schema import OPTIONAL, Schema, TableName
from funnel.errors import DataError
from funnel.types import Clock
from funnel.values.ids import as_ids, same_type


@dataclass(frozen=True)
class Tables:
    """The tables of a data set, before or after cleaning."""

    events: pd.DataFrame
    users: Any  # a DataFrame; None before cleaning where there is none
    items: Any
    impressions: pd.DataFrame | None


def clean(schema: Schema, tables: Tables, clock: Clock) -> tuple[Tables, list[str]]:
    """The tables as `Dataset` promises them, and what was repaired on the way."""
    if clock not in get_args(Clock):
        raise DataError(f"the clock is {clock!r}: one of {', '.join(get_args(Clock))} is expected")
    notes: list[str] = []
    timeless = () if clock == "time" else ("time",)
    checked = Tables(
        events=_checked(schema, tables.events, "events", timeless, notes),
        users=_checked(schema, tables.users, "users", (), notes),
        items=_checked(schema, tables.items, "items", (), notes),
        impressions=_checked(schema, tables.impressions, "impressions", timeless, notes),
    )
    if checked.events.empty:
        raise DataError("events is empty: at least one event is needed")
    checked = _with_ids(checked)
    impressions = checked.impressions
    if impressions is not None:
        check_logs_meet(checked.events, impressions)
    logs = [log for log in (checked.events, impressions) if log is not None]
    return (
        Tables(
            events=_clean_events(checked.events, clock, notes),
            users=clean_entities(schema, checked.users, logs, "users", notes),
            items=clean_entities(schema, checked.items, logs, "items", notes),
            impressions=None if impressions is None else clean_impressions(impressions, clock, notes),
        ),
        notes,
    )


def _checked(schema: Schema, frame: Any, table: TableName, without: tuple[str, ...], notes: list[str]) -> Any:
    """The frame through the schema, with notes on columns too many and too few."""
    if frame is None:
        return None
    out = schema.check(frame, table, without=without)
    if extra := schema.undeclared(frame, table):
        notes.append(f"{table}: columns left out, not in the schema: {', '.join(extra)}")
    if lacking := [column.name for column in schema.columns(table) if column.name not in frame.columns]:
        notes.append(f"{table}: declared columns that are not there: {', '.join(lacking)}")
    return out


def _with_ids(tables: Tables) -> Tables:
    """Ids in one type over all tables: int64 where all are integers, else text."""
    frames = {name: getattr(tables, name) for name in ("events", "users", "items", "impressions")}
    for key in ("user_id", "item_id", "request_id"):
        holders = [name for name, frame in frames.items() if frame is not None and key in frame.columns]
        ids = same_type(*(as_ids(frames[name][key], f"{name}.{key}") for name in holders))
        for name, column in zip(holders, ids, strict=True):
            frames[name] = frames[name].assign(**{key: column})
    return replace(tables, **frames)


def _clean_events(events: pd.DataFrame, clock: Clock, notes: list[str]) -> pd.DataFrame:
    if "split" in events.columns:
        _check_split(events["split"])
    events = clean_kinds(events)
    counted = "time" in events.columns and clock != "none"
    if counted:
        events = by_time(events, "events.time", clock, notes)
    if counted or clock == "none":
        events = without_repeats(events.assign(time=events["time"] if counted else 0), "events", notes)
    if clock == "none":
        # Nothing orders them, so nothing may depend on how a file does.
        keys = ["user_id", "item_id", *(name for name in OPTIONAL["events"] if name in events.columns)]
        events = events.sort_values(keys, kind="stable", ignore_index=True)
    if clock == "order":
        events = events.assign(time=events.groupby("user_id", sort=False).cumcount())
        events = events.sort_values("time", kind="stable", ignore_index=True)
    events = events.assign(time=events["time"].astype("int64"))
    front = ["user_id", "item_id", "time"]
    return events[front + [name for name in events.columns if name not in front]]


def _check_split(column: pd.Series) -> None:
    strange = ~column.isin(["train", "test"]).to_numpy()
    if strange.any():
        row = int(strange.argmax())
        raise DataError(f'events.split is "train" or "test", but row {row} holds {column.iloc[row]!r}')
