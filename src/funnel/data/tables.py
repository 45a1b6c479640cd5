"""Cleaning the tables of a data set: checked, sorted, completed, with a note for each repair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import pandas as pd

from funnel.data.keys import as_ids, as_times, same_type
from funnel.data.schema import Schema, TableName
from funnel.errors import DataError
from funnel.types import Clock


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
    return (
        Tables(
            events=_clean_events(checked.events, clock, notes),
            users=_clean_entities(schema, checked, "users", "user_id", notes),
            items=_clean_entities(schema, checked, "items", "item_id", notes),
            impressions=None if impressions is None else _clean_impressions(impressions, clock, notes),
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
    counted = "time" in events.columns and clock != "none"
    if counted:
        events = _by_time(events, "events.time")
    if counted or clock == "none":
        events = _without_repeats(events.assign(time=events["time"] if counted else 0), "events", notes)
    if clock == "none":
        # Nothing orders them, so nothing may depend on how a file does.
        keys = ["user_id", "item_id", *(["split"] if "split" in events.columns else [])]
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


def _by_time(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Sorted by the exact time (stable), which is then cut to whole seconds."""
    times = as_times(frame["time"], where)
    order = np.argsort(times, kind="stable")
    in_order = bool((order[1:] > order[:-1]).all())
    frame = frame.assign(time=np.floor(times).astype(np.int64))
    return frame if in_order else frame.take(order).reset_index(drop=True)


def _without_repeats(rows: pd.DataFrame, table: str, notes: list[str]) -> pd.DataFrame:
    comparable = [name for name in rows.columns if rows[name].dtype != object]
    codes = [pd.factorize(rows[name])[0] for name in comparable if name != "time"]
    codes.append(rows["time"].to_numpy())
    codes += [pd.factorize(rows[name].map(repr))[0] for name in rows.columns if name not in comparable]
    repeats = pd.DataFrame(dict(enumerate(codes))).duplicated().to_numpy()
    if not repeats.any():
        return rows
    notes.append(f"{table}: {int(repeats.sum())} that repeat an earlier one in every column dropped")
    return rows[~repeats].reset_index(drop=True)


def _clean_entities(
    schema: Schema, tables: Tables, table: TableName, key: str, notes: list[str]
) -> pd.DataFrame:
    """The users or the items: one row an id, sorted, and a row for each id that only events know."""
    frame = getattr(tables, table)
    logs = [log[key].drop_duplicates() for log in (tables.events, tables.impressions) if log is not None]
    named = pd.concat(logs, ignore_index=True).drop_duplicates()
    given = frame is not None
    if not given:
        frame = _without_features(schema, table, key, named.iloc[:0])
        if schema.columns(table):
            notes.append(f"{table}: no table, so that no {table[:-1]} has features")
    repeats = frame[key].duplicated(keep="last").to_numpy()
    if repeats.any():
        notes.append(f"{table}: {int(repeats.sum())} rows whose {key} comes again later dropped")
        frame = frame[~repeats]
    unknown = named[~named.isin(frame[key]).to_numpy()]
    if len(unknown):
        frame = pd.concat([frame, _without_features(schema, table, key, unknown)], ignore_index=True)
        if given:
            notes.append(f"{table}: {len(unknown)} of {len(named)} that events name added, without features")
    return frame.sort_values(key, kind="stable", ignore_index=True)


def _without_features(schema: Schema, table: TableName, key: str, ids: pd.Series) -> pd.DataFrame:
    if required := [column.name for column in schema.columns(table) if column.required]:
        raise DataError(
            f"{table} has no row for {f'{len(ids)} ids (such as {ids.iloc[0]})' if len(ids) else 'any id'} "
            f"that events name, but {', '.join(required)} is required: add rows, or do not require it"
        )
    return schema.check(pd.DataFrame({key: ids}), table)


def _clean_impressions(frame: pd.DataFrame, clock: Clock, notes: list[str]) -> pd.DataFrame:
    positions = pd.to_numeric(frame["position"], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~((positions >= 0) & (positions < 2**31) & (positions % 1 == 0))
    if bad.any():
        raise DataError(f"impressions.position is a whole number from 0; row {int(bad.argmax())} has none")
    frame = frame.assign(position=positions.astype(np.int32), clicked=_as_clicks(frame["clicked"]))
    if "time" not in frame.columns or clock == "none":
        frame = frame.assign(time=0)
    frame = _without_repeats(_by_time(frame, "impressions.time"), "impressions", notes)
    appearance = pd.factorize(frame["request_id"])[0]
    order = np.lexsort((frame["position"].to_numpy(), appearance, frame["time"].to_numpy()))
    front = ["request_id", "user_id", "item_id", "time", "position", "clicked"]
    return frame.take(order).reset_index(drop=True)[front + [n for n in frame.columns if n not in front]]


def _as_clicks(column: pd.Series) -> pd.Series:
    words = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
    clicks = column.astype("str").str.lower().map(words)
    if clicks.isna().any():
        row = int(clicks.isna().to_numpy().argmax())
        raise DataError(f"impressions.clicked is true or false, but row {row} holds {column.iloc[row]!r}")
    return clicks == 1.0
