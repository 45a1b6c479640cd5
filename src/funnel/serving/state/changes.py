"""The changes of items, by id: what a log of them comes to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from funnel.errors import BundleError


class Change(NamedTuple):
    """What is known of an item in the end. item: its columns, None where they are the bundle's."""

    item: dict[str, Any] | None
    dead: bool


def last(records: Iterable[Any]) -> dict[str, Change]:
    """What is known of each id in the end, in the order of their first change.

    Raises: BundleError for a record of no known kind.
    """
    changes: dict[str, Change] = {}
    for record in records:
        fold(changes, record)
    return changes


def fold(changes: dict[str, Change], record: Any) -> None:
    """Take one record in."""
    if record.get("do") == "upsert":
        changes |= {str(item["item_id"]): Change(item, dead=False) for item in record["items"]}
    elif record.get("do") == "delete":
        for one in map(str, record["ids"]):
            changes[one] = Change(changes[one].item if one in changes else None, dead=True)
    else:
        raise BundleError(f"the log of items has a record that this funnel does not know: {record!r:.80}")


def records(changes: dict[str, Change]) -> Iterable[Any]:
    """The shortest log that leads there, in the same order."""
    for one, change in changes.items():
        if change.item is not None:
            yield {"do": "upsert", "items": [change.item]}
        if change.dead:
            yield {"do": "delete", "ids": [one]}
