"""A list of items that a caller gives, as rows of the catalogue, and the codes of what cannot be ranked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from funnel.bundle.contents import Contents
from funnel.errors import FunnelError
from funnel.serving import arguments
from funnel.serving.response import DELETED_ITEM, DUPLICATE_ITEMS, NO_ITEMS, UNKNOWN_ITEM
from funnel.types import Bool, Int32, Ragged, Requests, Shown
from funnel.values.shown import shown


def given_items(contents: Contents, items: Iterable[Any]) -> tuple[Int32, list[str]]:
    """The rows of a list's items, each once, in their order; and a code for each that is not among them.

    Raises: FunnelError for what is no list of ids, or more than 10,000 of them.
    """
    ids = arguments.ids(items, "items", arguments.MOST_RANKED)
    rows = np.array([contents.catalogue.ids.row(arguments.known(item)) for item in ids], dtype=np.int32)
    living = is_living(contents, rows)
    reasons = [] if ids else [NO_ITEMS]
    for item, row, there in zip(ids, rows.tolist(), living.tolist(), strict=True):
        if not there:
            reasons.append(f"{UNKNOWN_ITEM if row < 0 else DELETED_ITEM}{shown(item)}")
    kept = np.fromiter(dict.fromkeys(rows[living].tolist()), dtype=np.int32)
    if len(kept) < living.sum():
        reasons.append(DUPLICATE_ITEMS)
    return kept, list(dict.fromkeys(reasons))


def living_item(contents: Contents, version: str, item_id: Any) -> int:
    """The row of an item. Raises: FunnelError when there is none, or it was deleted."""
    row = contents.catalogue.ids.row(arguments.known(item_id))
    if row < 0:
        raise FunnelError(f"item {shown(item_id)} is not in the catalogue of {version}")
    if not is_living(contents, np.array([row], dtype=np.int32))[0]:
        raise FunnelError(f"item {shown(item_id)} was deleted")
    return row


def is_living(contents: Contents, rows: Int32) -> Bool:
    """Whether each row, −1 for none, is that of an item that may be returned."""
    allow = contents.catalogue.living(1)
    if allow is None:
        return rows >= 0
    first = np.zeros(len(rows), dtype=np.int64)
    return (rows >= 0) & allow.holds(first, np.maximum(rows, 0))


def beside(requests: Requests, row: int) -> Requests:
    """The same request, whose newest interaction is with this item, which it does not return."""
    history = np.append(requests.history.values, np.int32(row)).astype(np.int32)
    times = np.append(requests.history_times.values, requests.times - 1)
    offsets = np.array([0, len(history)], dtype=np.int64)
    given = np.empty(0, np.int32) if requests.exclude is None else requests.exclude.values
    exclude = np.append(given, np.int32(row)).astype(np.int32)
    kinds = requests.history_kinds
    return replace(
        requests,
        history_kinds=None if kinds is None else Ragged(np.append(kinds.values, np.int8(-1)), offsets),
        history=Ragged(history, offsets),
        history_times=Ragged(times, offsets),
        exclude=Ragged(exclude, np.array([0, len(exclude)], dtype=np.int64)),
    )


def among(contents: Contents, requests: Requests, rows: Int32) -> Requests:
    """A request that chooses from these items. Where the ranker learned from lists that were shown, their
    order is what it knows as position; else nothing goes by it."""
    lists = Ragged(rows, np.array([0, len(rows)], dtype=np.int64))
    if not contents.shown:
        return replace(requests, shown=Shown(lists))
    position = {"position": np.arange(len(rows), dtype=np.float32)}
    return replace(requests, shown=Shown(lists, position), exclude=None)
