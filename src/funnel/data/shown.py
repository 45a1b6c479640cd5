"""Lists that were shown, as requests with targets."""

from __future__ import annotations

import numpy as np
import pandas as pd

from funnel.data.dataset import Dataset
from funnel.data.histories import Cutoffs, Histories
from funnel.errors import DataError
from funnel.types import Ragged, Shown


def shown_columns(dataset: Dataset) -> tuple[str, ...]:
    """What is known of a shown item: its position, and the declared columns of numbers and truth values."""
    named = (c.name for c in dataset.schema.impressions if c.kind in ("number", "boolean") and not c.context)
    return ("position", *named)


def shown_requests(dataset: Dataset, histories: Histories, start: int, end: int | None) -> Cutoffs:
    """One request a list of the window with a click, after what the user did strictly before.

    The clicked items are the targets. An item that a list shows twice counts once, at its first
    position, clicked if either was. end: None for a window without one. Raises DataError where the data has
    no impressions.
    """
    if dataset.impressions is None:
        raise DataError(
            f'{dataset.name} has no impressions: the protocol "shown" needs the lists that were shown'
        )
    frame = _once(dataset.impressions)
    number, requests = pd.factorize(frame["request_id"])
    clicked = np.bincount(number, frame["clicked"], len(requests)) > 0
    times = np.zeros(len(requests), dtype=np.int64)
    times[number] = frame["time"]
    inside = clicked & (times >= start) & (True if end is None else times < end)
    rows = np.lexsort((frame["position"], number, times[number]))
    rows = rows[inside[number[rows]]]
    original = frame.index.to_numpy()[rows]
    frame, number = frame.iloc[rows], number[rows]
    _, first, lengths = np.unique(number, return_index=True, return_counts=True)
    order = np.argsort(first)
    first, lengths = first[order], lengths[order]
    items = dataset.item_vocabulary.rows(frame["item_id"])
    columns = {name: frame[name].to_numpy(np.float32, na_value=np.nan) for name in shown_columns(dataset)}
    users = dataset.user_vocabulary.rows(frame["user_id"].iloc[first])
    hit = frame["clicked"].to_numpy(np.bool_)
    list_of = np.repeat(np.arange(len(lengths)), lengths)
    return Cutoffs(
        users=users,
        ends=histories.ends(users, times[number[first]]),
        times=times[number[first]],
        targets=Ragged.from_lengths(items[hit], np.bincount(list_of[hit], minlength=len(lengths))),
        shown=Shown(Ragged.from_lengths(items, lengths), columns),
        rows=original[first],
    )


def _once(impressions: pd.DataFrame) -> pd.DataFrame:
    """Each item of a list once."""
    pair = ["request_id", "item_id"]
    if not impressions.duplicated(pair).any():
        return impressions
    clicked = impressions.groupby(pair)["clicked"].transform("any")
    ordered = impressions.assign(clicked=clicked).sort_values("position", kind="stable")
    return ordered.drop_duplicates(pair).sort_index()
