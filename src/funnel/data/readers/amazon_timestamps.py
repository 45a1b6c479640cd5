"""Ratings with real time stamps and linked item tables, as heterogeneous-network papers publish Amazon.

`user_item.dat` holds `user item rating seconds` between tabs. Beside it may lie `item_category.dat`,
`item_brand.dat` and `item_view.dat`, each `item,value` a line: an item may have several categories, and
several items that were also viewed. Of several brands the first is taken.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from funnel.data.dataset import Dataset
from funnel.data.readers.parsing import Fields, TextTable, require
from funnel.data.readers.ratings import RATING_COLUMNS, keep_rated
from funnel.data.schema import Column, Schema
from funnel.plugins import register

SCHEMA = Schema(
    items=(
        Column(name="category", kind="multi_category"),
        Column(name="brand", kind="category"),
        Column(name="also_viewed", kind="multi_category"),
    ),
    events=RATING_COLUMNS,
)
_EVENTS: Fields = {"user_id": "int", "item_id": "int", "rating": "float", "time": "int"}
_LINKS = {"category": "item_category.dat", "brand": "item_brand.dat", "also_viewed": "item_view.dat"}


@register("reader", "amazon_timestamps")
def read_amazon_timestamps(path: str | Path, *, min_rating: float | None = None) -> Dataset:
    """The tables in the folder `path`.

    min_rating: keep the ratings at or above it; None keeps all.
    Raises DataError for a missing file, and for a line that is wrong.
    """
    folder = Path(path)
    require(folder, "user_item.dat")
    events = TextTable(folder / "user_item.dat", "\t", names=tuple(_EVENTS)).read(_EVENTS)
    items = pd.DataFrame(
        {column: _links(folder / name) for column, name in _LINKS.items() if (folder / name).is_file()}
    )
    if "brand" in items:
        items["brand"] = items["brand"].str[0]
    return Dataset.from_frames(
        SCHEMA,
        keep_rated(events, min_rating),
        items=items.rename_axis("item_id").reset_index() if len(items) else None,
        name=folder.resolve().name,
    )


def _links(path: Path) -> pd.Series:
    """item -> its values in the order of the file."""
    pairs = TextTable(path, ",", names=("item_id", "value")).read({"item_id": "int", "value": "text"})
    return pairs.groupby("item_id")["value"].agg(list)
