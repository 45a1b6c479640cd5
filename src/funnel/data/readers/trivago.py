"""trivago's hotel search: what was clicked out of which list, and what each hotel cost there.

P. Knees et al., "RecSys Challenge 2019: Session-based Hotel Recommendations", RecSys 2019.

Events are what people did with a hotel, the column `action` saying what: "clickout item", and, unless left
out, "interaction item image", "… info", "… rating", "… deals" and "search for item". Most clickouts are a
person's first, so the other actions are the history that makes ranking them possible. Actions without a hotel
(filters, destinations, sort orders) are not read. Impressions are the list that each clickout shows, one row
a hotel, with its position (from 0), its price, and whether it was the one clicked; a click may lie outside.
The platform (trivago's site by country) and the device are known at each moment.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from funnel.data.dataset import Dataset
from funnel.data.readers.parsing import Fields, TextTable
from funnel.data.schema import Column, Schema
from funnel.errors import DataError
from funnel.plugins import register

SCHEMA = Schema(
    items=(Column(name="properties", kind="multi_category"),),
    events=(
        Column(name="action", kind="category", required=True),
        Column(name="platform", kind="category", context=True),
        Column(name="device", kind="category", context=True),
        Column(name="city", kind="category"),
    ),
    impressions=(
        Column(name="price", kind="number"),
        Column(name="platform", kind="category", context=True),
        Column(name="device", kind="category", context=True),
    ),
)
CLICKOUT = "clickout item"
INTERACTIONS = (
    *(f"interaction item {part}" for part in ("image", "info", "rating", "deals")),
    "search for item",
)
_TEXTS = ("user_id", "action_type", "reference", "platform", "device", "city", "impressions", "prices")
_FIELDS: Fields = {"timestamp": "int", "step": "int", **dict.fromkeys(_TEXTS, "text")}
_METADATA = "item_metadata.csv"


@register("reader", "trivago")
def read_trivago(path: str | Path, *, interactions: bool = True) -> Dataset:
    """The log at `path`: a Parquet or CSV file, or the folder of one (with item_metadata.csv, or not).

    interactions: also read what people did with hotels beside the clickouts.
    Raises DataError for a missing column, a list that is wrong, or lists and prices of different lengths.
    """
    file = _log_file(Path(path))
    log = _read(file).sort_values(["user_id", "timestamp", "step"], kind="stable", ignore_index=True)
    kept = log[log["action_type"].isin([CLICKOUT, *(INTERACTIONS if interactions else ())])]
    numbered = kept["reference"].str.fullmatch(r"\d{1,18}").to_numpy(dtype=np.bool_)
    dropped = int((~numbered).sum())
    metadata = file.with_name(_METADATA)
    schema = SCHEMA if metadata.is_file() else SCHEMA.model_copy(update={"items": ()})
    return Dataset.from_frames(
        schema,
        _events(kept[numbered]),
        items=_properties(metadata) if metadata.is_file() else None,
        impressions=_impressions(log[(log["action_type"] == CLICKOUT) & (log["impressions"] != "")], file),
        name="trivago",
        notes=[f"{dropped} actions left out whose reference is no item number"] if dropped else [],
    )


def _log_file(path: Path) -> Path:
    if path.is_file():
        return path
    logs = [*path.glob("*.parquet"), *(file for file in path.glob("*.csv") if file.name != _METADATA)]
    if len(logs) != 1:
        names = ", ".join(sorted(file.name for file in logs)) or "none"
        raise DataError(f"{path}: expected one log (.parquet or .csv), found {names}; give the file itself")
    return logs[0]


def _read(file: Path) -> pd.DataFrame:
    if file.suffix == ".csv":
        return TextTable(file, ",", quoted=True).read(_FIELDS)
    schema = pq.read_schema(file)
    absent = [name for name in _FIELDS if name not in schema.names]
    if absent:
        raise DataError(f"{file}: no column {', '.join(absent)}; found {', '.join(schema.names)}")
    frame = pd.read_parquet(file, columns=list(_FIELDS))
    return frame.assign(**{name: frame[name].astype("str").fillna("") for name in _TEXTS})


def _events(actions: pd.DataFrame) -> pd.DataFrame:
    names = {"reference": "item_id", "timestamp": "time", "action_type": "action"}
    events = actions[["user_id", "platform", "device", "city", *names]].rename(columns=names)
    return events.assign(item_id=events["item_id"].astype(np.int64))


def _impressions(clickouts: pd.DataFrame, file: Path) -> pd.DataFrame:
    """One row a hotel shown; a request is a clickout, numbered from 0 by user, time and step."""
    shown, prices = (pc.split_pattern(pa.array(clickouts[name]), "|") for name in ("impressions", "prices"))
    lengths = pc.list_value_length(shown).to_numpy()
    unequal = lengths != pc.list_value_length(prices).to_numpy()
    if unequal.any():
        row = clickouts.iloc[int(unequal.argmax())]
        raise DataError(
            f"{file}, user {row['user_id']} at {row['timestamp']}: impressions and prices must have the same "
            f"length, found {row['impressions'][:40]!r} and {row['prices'][:40]!r}"
        )
    request = np.repeat(np.arange(len(clickouts)), lengths)
    try:
        items = pc.list_flatten(shown).cast(pa.int64()).to_numpy()
        cost = pc.list_flatten(prices).cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{file}: impressions and prices must be numbers with | between them; {error}"
        ) from None
    clicked = clickouts["reference"].to_numpy(dtype=object)[request] == items.astype(np.str_).astype(object)
    return pd.DataFrame(
        {
            "request_id": request,
            "user_id": clickouts["user_id"].to_numpy()[request],
            "item_id": items,
            "time": clickouts["timestamp"].to_numpy()[request],
            "position": np.arange(len(request)) - np.repeat(np.cumsum(lengths) - lengths, lengths),
            "clicked": clicked,
            "price": cost,
            **{name: clickouts[name].to_numpy()[request] for name in ("platform", "device")},
        }
    )


def _properties(path: Path) -> pd.DataFrame:
    """The challenge's table of hotels: what each one offers, with | between."""
    return TextTable(path, ",", quoted=True).read({"item_id": "int", "properties": "text"})
