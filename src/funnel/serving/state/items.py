"""The items of a bundle in use, which may be changed: `live.items`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from funnel.data.records import plain
from funnel.distinct import distinct
from funnel.errors import BundleError, DataError
from funnel.serving import arguments
from funnel.serving.state import encode
from funnel.serving.state.follower import Follower
from funnel.serving.state.log import ItemChange, Patch
from funnel.serving.state.overlay import PATCHED, Overlay
from funnel.values.ids import written


class LiveItems:
    """Items that come, change and go while a bundle serves, for every process on the store.

    A change is checked, written to the store's log, and then to what is served, before the call returns. So
    what was acknowledged is in the next answer of every process, and survives this one. Changes are kept by
    id with the time at which they were made: one that is older than the data of a bundle is not made on it.
    On a server more than 1,000 items are changed in parts, each whole; where one is refused, the error says
    how many were changed before, and the call may be made again.
    """

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    @property
    def waiting(self) -> int:
        """Changed items that are searched beside the index."""
        return len(self._follower.overlay.index.beside)

    @property
    def state(self) -> str:
        """Names the changes that are served: equal for equal ones."""
        return f"{self._follower.overlay.items_at}"

    def upsert(self, items: pd.DataFrame) -> None:
        """Add items, or replace all columns of those that are there. On return every answer knows them.

        items: `item_id` and every column that the schema declares, None where a value is not known. A value
        that the bundle never saw, such as a new category, is encoded as unknown and can be filtered on.
        A new item's vector is that of its columns; its counts start at zero. Costs by the number of items.
        Beyond 20,000 that are searched beside the index the call builds a new index first.

        Raises: DataError for a missing, unknown or wrong column, naming it; BundleError when the log cannot
        be written or the bundle cannot encode new items; FunnelError naming the extra where a text's encoder
        is not installed. Nothing is changed then.
        """
        overlay = self._follower.follow()
        records = encode.checked(items, overlay.own, overlay.bundle.schema)
        if not records:
            return
        if overlay.own.item_encoder is None or overlay.own.catalogue.encoder is None:
            raise BundleError(
                "this bundle was built without what encodes new items; build it again with this version"
            )
        overlay.own.catalogue.encoder.check()
        written = {str(record["item_id"]): record for record in records}
        self._follower.state.upsert(written, self._now(overlay))
        self._follower.follow()
        self._follower.wait_if_crowded()

    def patch(self, ids: Iterable[Any], columns: Mapping[str, Any]) -> list[Any]:
        """Change single columns of items: a price, a bid, what is in stock. On return every answer knows
        them.

            live.items.patch([7, 8], {"price": [9.5, 12.0], "active": True})

        columns: for each a value an item, in the order of ids, or one for all; None where it is not known.
        Numbers, booleans and categories can be patched. The item's vector stays as it is: where that should
        follow, upsert the item. What is given many items at once costs about 10 microseconds an item.

        Returns the ids that are not there; the others are changed all the same.
        Raises: FunnelError when `ids` is no list or `columns` no mapping; DataError for a column that is
        unknown, of another kind, holds a value of another kind (or none where it is required), or has another
        number of values; BundleError when the log cannot be written. Nothing is changed then.
        """
        given = arguments.ids(ids, "ids")
        columns = arguments.columns_by_name(columns, "columns", '{"price": 9.5}')
        overlay = self._follower.follow()
        patches, missing = _patches(overlay, self._now(overlay), given, columns)
        self._write(patches)
        return missing

    def patch_each(self, changes: Mapping[Any, Mapping[str, Any]]) -> list[Any]:
        """`patch`, with columns of its own for each item: all of them are changed, or none; of more than
        1,000 on a server, of each all columns or none.

            live.items.patch_each({7: {"price": 9.5}, 8: {"active": True}})

        Returns the ids that are not there. Raises: see `patch`.
        """
        changes = arguments.columns_by_item(changes, "changes")
        overlay = self._follower.follow()
        now, groups = self._now(overlay), {}  # type: float, dict[tuple[str, ...], list[Any]]
        for item, columns in changes.items():
            groups.setdefault(tuple(sorted(columns, key=str)), []).append(item)
        patches: list[Patch] = []
        missing: list[Any] = []
        for names, ids in groups.items():
            more, gone = _patches(
                overlay, now, ids, {name: [changes[item][name] for item in ids] for name in names}
            )
            patches, missing = patches + more, missing + gone
        self._write(patches)
        return missing

    def get(self, item_id: Any) -> dict[str, Any] | None:
        """An item's columns as they are now, all but vectors; None where it is unknown or deleted."""
        catalogue = self._follower.follow().catalogue
        rows = np.array([catalogue.ids.row(arguments.known(item_id))], dtype=np.int32)
        if rows[0] < 0 or not catalogue.is_living(rows)[0]:
            return None
        return catalogue.records(rows)[0]

    def changes(self, calls: int = 20, most: int = 100) -> list[dict[str, Any]]:
        """What the last calls of any process changed, the latest first, as plain values: the item's id in
        writing, what became of it ("upserted", "deleted", "patched", "forgotten"), the column and the value
        of a patch, and seconds since 1970. Of an item that was changed again only the last is known.

        calls: how many are looked at. most: changes that are returned.
        Raises: FunnelError where one of them is no whole number of at least 0; BundleError when the log
        cannot be read.
        """
        calls, most = arguments.whole(calls, "calls", 0), arguments.whole(most, "most", 0)
        changes = self._follower.state.changes_after(max(0, self._follower.follow().items_at - calls))
        rows = [
            {"item_id": item.item_id, "what": _what(item), "time": item.time} for item in changes.items
        ] + [
            {"item_id": p.item_id, "what": "patched", "time": p.time, "column": p.column, "value": p.value}
            for p in changes.patches
        ]
        return sorted(rows, key=lambda change: -change["time"])[:most]

    def _now(self, overlay: Overlay) -> float:
        """The time of a change, which is not before the data of the bundle that it is made on, whatever
        clocks say."""
        return max(self._follower.state.now(), overlay.bundle.data_read)

    def _write(self, patches: list[Patch]) -> None:
        if patches:
            self._follower.state.patch(patches)
            self._follower.follow()

    def delete(self, ids: Iterable[Any]) -> list[Any]:
        """Take items out. On return no answer holds them, from any source; as history they still count.

        Returns the ids that were not there; the others are deleted all the same.
        Raises: FunnelError when `ids` is no list; BundleError when the log cannot be written.
        """
        given, overlay = arguments.ids(ids, "ids"), self._follower.follow()
        rows = np.array([overlay.catalogue.ids.row(item) for item in given], dtype=np.int32)
        there = (rows >= 0) & overlay.catalogue.is_living(np.maximum(rows, 0))
        if there.any():
            gone = overlay.catalogue.ids.take(distinct(rows[there]))
            self._follower.state.delete([str(item) for item in gone], self._now(overlay))
            self._follower.follow()
        return [item for item, known in zip(given, there.tolist(), strict=True) if not known]

    def forget(self, ids: Iterable[Any]) -> None:
        """Drop what was changed of items: they are as the bundle has them, and gone where it has not.

        Raises: FunnelError when `ids` is no list; BundleError when the log cannot be written.
        """
        given, overlay = arguments.ids(ids, "ids"), self._follower.follow()
        names = [str(item) for item in map(written, given) if item is not None]
        if names:
            self._follower.state.forget_items(names, self._now(overlay))
            self._follower.follow()

    def compact(self) -> None:
        """Build a new index over the items as they are now. Requests go on meanwhile, and so do changes.

        It is done in the background whenever it is due.
        """
        self._follower.follow()
        self._follower.compact()


def _what(item: ItemChange) -> str:
    if item.deleted:
        return "deleted"
    return "forgotten" if item.item is None else "upserted"


def _patches(
    overlay: Overlay, now: float, ids: list[Any], columns: Mapping[str, Any]
) -> tuple[list[Patch], list[Any]]:
    """Patches of the items that are there, and the ids that are not. Raises: DataError."""
    values = {name: _column(overlay, name, some, len(ids)) for name, some in columns.items()}
    rows = overlay.catalogue.ids.rows(ids)
    there = (rows >= 0) & overlay.catalogue.is_living(np.maximum(rows, 0))
    names = [written(item) for item in ids]
    patches = [
        Patch(str(names[position]), name, some[position], now)
        for name, some in values.items()
        for position in np.flatnonzero(there).tolist()
    ]
    return patches, [item for item, known in zip(ids, there.tolist(), strict=True) if not known]


def _column(overlay: Overlay, name: str, values: Any, n: int) -> list[Any]:
    """Values of a column as plain ones, an item each. Raises: DataError."""
    columns = {column.name: column for column in overlay.bundle.schema.items if column.kind in PATCHED}
    if name not in columns:
        known = ", ".join(columns) or "none"
        raise DataError(f"items.{name} cannot be patched; these can: {known}. Upsert the item for the others")
    return plain(arguments.one_each(values, n, f"items.{name}"), columns[name], f"items.{name}")
