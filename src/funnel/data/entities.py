"""The tables of users and items: one row an id, and checks that the ids of events are in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd

from funnel.data.columnar.table import Table
from funnel.data.schema import KEYS, Schema, TableName
from funnel.data.vocabulary import is_among
from funnel.errors import DataError
from funnel.values.missing import quoted

#: Of the ids that events and impressions name, at least this share has a row where there is a table of them.
LEAST_OVERLAP = 0.1


def clean_entities(
    schema: Schema,
    frame: pd.DataFrame | None,
    named: pd.Series,
    table: Literal["users", "items"],
    notes: list[str],
) -> pd.DataFrame:
    """One row an id, sorted, and a row for each id that only events and impressions know.

    named: their ids, each once, in the order in which they appear, of the type of those in the frame.
    Raises: DataError where fewer than `LEAST_OVERLAP` of those that they name have a row, or where a column
    is required that one of them then lacks.
    """
    (key,) = KEYS[table]
    given = frame is not None
    if frame is None:
        frame = _without_features(schema, table, key, named.iloc[:0])
        if schema.columns(table):
            notes.append(f"{table}: no table, so that no {table[:-1]} has features")
    repeats = frame[key].duplicated(keep="last").to_numpy()
    if repeats.any():
        notes.append(f"{table}: {int(repeats.sum())} rows whose {key} comes again later dropped")
        frame = frame[~repeats]
    unknown = named[~is_among(frame[key], named)]
    if given:
        _check_overlap(frame[key], named, unknown, table)
    if len(unknown):
        frame = pd.concat([frame, _without_features(schema, table, key, unknown)], ignore_index=True)
        if given:
            notes.append(f"{table}: {len(unknown)} of {len(named)} that events name added, without features")
    return frame.sort_values(key, kind="stable", ignore_index=True)


def check_logs_meet(impressions: Table, ids: Mapping[str, pd.Series], in_events: Mapping[str, int]) -> None:
    """Raises: DataError where impressions name no user, or no item, that events name.

    ids: of both, by code; in_events: how many of them, the first ones, are in events.
    """
    for key in ("user_id", "item_id"):
        codes = impressions.codes(key)
        if len(codes) and codes.min() >= in_events[key]:
            theirs, ours = quoted(ids[key].iloc[codes[0]]), quoted(ids[key].iloc[0])
            raise DataError(
                f"impressions.{key} has none of the ids in events.{key} ({theirs} in the one, {ours} in the "
                "other): the same ids are expected in both"
            )


def _check_overlap(ids: pd.Series, named: pd.Series, unknown: pd.Series, table: TableName) -> None:
    with_row = len(named) - len(unknown)
    if not len(ids) or with_row >= LEAST_OVERLAP * len(named):
        return
    without, other = quoted(unknown.iloc[0]), quoted(ids.iloc[0])
    raise DataError(
        f"{table} has a row for only {with_row} of the {len(named)} {table} that events name: {without} "
        f"has none, while {table} has {other}; are the ids written in the same way? Where little is known of "
        "them, add a row for each, with its other columns empty"
    )


def _without_features(schema: Schema, table: TableName, key: str, ids: pd.Series) -> pd.DataFrame:
    if required := [column.name for column in schema.columns(table) if column.required]:
        raise DataError(
            f"{table} has no row for {f'{len(ids)} ids (such as {ids.iloc[0]})' if len(ids) else 'any id'} "
            f"that events name, but {', '.join(required)} is required: add rows, or do not require it"
        )
    return schema.check(pd.DataFrame({key: ids}), table)
