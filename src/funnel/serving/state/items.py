"""The items of a bundle in use, which may be changed: `live.items`."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from funnel.errors import BundleError, FunnelError
from funnel.serving.background import aside
from funnel.serving.loaded import Loaded
from funnel.serving.state import rows as made
from funnel.serving.state.changes import fold, last, records
from funnel.serving.state.delta import Delta
from funnel.serving.state.grown import Base, grown, rebuilt
from funnel.serving.state.ids import GrownIds
from funnel.serving.state.journal import Journal

log = logging.getLogger(__name__)

#: Changed items beyond which a new index is built in the background, and beyond which a change waits for it.
COMPACT_AT, MOST = 2_000, 20_000


class LiveItems:
    """Items that come, change and go while a bundle serves.

    Requests read one reference, `loaded`, and take no lock. A change is encoded, written to the log, and put
    into new contents beside those in use; then the reference is swapped, and the call returns. So what is
    acknowledged is on disk and in the next answer, and every answer is from one state.
    Changes are held by id, not by row: they are made again on each bundle that is taken up.

    Raises: BundleError when the log is damaged, or its changes do not fit the bundle.
    """

    def __init__(self, folder: Path, loaded: Loaded, observed: Callable[[Loaded], None]) -> None:
        self._journal = Journal(folder / "items.log", "items", synced=True)
        self._observed = observed
        #: Held by whoever changes what is served.
        self.changing = threading.RLock()
        self._compacting = threading.Lock()
        self._changes = last(self._journal.read())
        self._loaded, self._own = loaded, loaded.contents
        self._delta: Delta | None = None
        self._ids = GrownIds(self._own.catalogue.ids, [])
        self._adopt(loaded)

    @property
    def loaded(self) -> Loaded:
        """What is served now."""
        return self._loaded

    @property
    def state(self) -> str:
        """Names the changes that were made to the items: equal for equal ones."""
        with self.changing:
            return hashlib.sha256(json.dumps(self._changes).encode()).hexdigest()[:16]

    @property
    def waiting(self) -> int:
        """Changed items that are searched beside the index."""
        delta = self._delta
        return 0 if delta is None else int((delta.alive & (delta.stamps > self._base.stamp)).sum())

    def upsert(self, items: pd.DataFrame) -> None:
        """Add items, or replace all columns of those that are there. On return every answer knows them.

        items: `item_id` and every column that the schema declares, None where a value is not known. A value
        that the bundle never saw, such as a new category, is encoded as unknown and can be filtered on.
        A new item's vector is that of its columns; its counts start at zero. Costs in proportion to the
        catalogue, so give items in batches. Beyond 20,000 changed items the call builds a new index first.

        Raises: DataError for a missing, unknown or wrong column, naming it; BundleError when the log cannot
        be written or the bundle cannot encode new items. Nothing is changed then.
        """
        with self.changing:
            self._open()
            frame = made.checked(items, self._loaded.schema)
            if not len(frame):
                return
            frame = frame.assign(item_id=made.own_ids(self._own, frame["item_id"]))
            ids, delta = self._upserted(frame)
            record = {"do": "upsert", "items": made.to_records(frame)}
            self._journal.append(record)
            fold(self._changes, record)
            self._serve(ids, delta)
        self._compact_if_due()

    def delete(self, ids: Iterable[Any]) -> list[Any]:
        """Take items out. On return no answer holds them, from any source; as history they still count.

        Returns the ids that were not there; the others are deleted all the same.
        Raises: DataError when `ids` is no list; BundleError when the log cannot be written.
        """
        with self.changing:
            self._open()
            given = made.given_ids(ids)
            rows = np.array([self._ids.row(one) for one in given], dtype=np.int32)
            alive = self._alive(rows)
            gone = np.unique(rows[alive])
            if len(gone):
                delta = self._deleted(gone)
                record = {"do": "delete", "ids": self._ids.values[gone].tolist()}
                self._journal.append(record)
                fold(self._changes, record)
                self._serve(self._ids, delta)
        self._compact_if_due()
        return [one for one, there in zip(given, alive, strict=True) if not there]

    def compact(self) -> None:
        """Build a new index over the items as they are now, and write the log without what was replaced.

        Requests go on meanwhile, and so do changes. It is done in the background whenever it is due.
        Raises: BundleError when the log cannot be written.
        """
        with self._compacting:
            with self.changing:
                loaded, own, stamp = self._loaded, self._own, self._stamp
            index = aside(lambda: rebuilt(loaded.contents, loaded.manifest.seed))
            with self.changing:
                if self._own is own:  # no other bundle was taken up meanwhile
                    self._base = Base(index, stamp)
                    self._serve(self._ids, self._delta)
                if self._journal.writing:
                    self._journal.rewrite(records(self._changes))

    def adopt(self, fresh: Loaded) -> None:
        """Serve another bundle, with all changes. Raises: BundleError when they do not fit it."""
        with self.changing:
            if not self._journal.writing:
                self._changes = last(self._journal.read())
            self._adopt(fresh)

    def close(self) -> None:
        """Let another process change the items."""
        with self.changing:
            self._journal.close()

    def _adopt(self, fresh: Loaded) -> None:
        """Make all changes on a bundle's own contents, and serve that."""
        before = self.__dict__.copy()
        self._own = own = fresh.contents
        self._stamp, self._base, self._delta = 0, Base(own.index), None
        self._ids = GrownIds(own.catalogue.ids, [])
        self._statistics = own.statistics.grown(own.statistics.n_items)
        try:
            items = [change.item for change in self._changes.values() if change.item is not None]
            if items:
                frame = made.from_records(items, fresh.schema)
                frame = frame.assign(item_id=made.own_ids(own, frame["item_id"]))
                self._ids, self._delta = self._upserted(frame)
            dead = [one for one, change in self._changes.items() if change.dead]
            rows = np.array([self._ids.row(one) for one in dead], dtype=np.int32)
            if (rows >= 0).any():
                self._delta = self._deleted(rows[rows >= 0])
            loaded = self._with(fresh, self._ids, self._delta)
            self._observed(loaded)
        except FunnelError as error:
            self.__dict__.update(before)
            raise BundleError(
                f"{fresh.version} does not take the changes in {self._journal.path}: {error}"
            ) from error
        self._loaded = loaded

    def _upserted(self, frame: pd.DataFrame) -> tuple[GrownIds, Delta]:
        ids = self._ids.with_(frame["item_id"].tolist())
        self._stamp += 1
        delta = made.upserted(self._own, ids, frame, self._stamp)
        return ids, delta if self._delta is None else self._delta.put(delta)

    def _deleted(self, rows: np.ndarray[Any, Any]) -> Delta:
        """The delta with these rows deleted, which are there."""
        delta = self._delta
        if delta is None:
            return made.untouched(self._own, rows).dead()
        inside = np.isin(delta.rows, rows)
        outside = rows[~np.isin(rows, delta.rows)]
        delta = delta.put(delta.take(inside).dead()) if inside.any() else delta
        return delta.put(made.untouched(self._own, outside).dead()) if len(outside) else delta

    def _alive(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Whether each row is that of an item that was not deleted."""
        dead = self._delta.rows[~self._delta.alive] if self._delta is not None else rows[:0]
        found: np.ndarray[Any, Any] = (rows >= 0) & ~np.isin(rows, dead)
        return found

    def _serve(self, ids: GrownIds, delta: Delta | None) -> None:
        """Swap in contents with these changes."""
        loaded = self._with(self._loaded, ids, delta)
        self._ids, self._delta, self._loaded = ids, delta, loaded

    def _with(self, loaded: Loaded, ids: GrownIds, delta: Delta | None) -> Loaded:
        """A version with these changes, ready to answer."""
        if delta is None:
            contents = replace(self._own, statistics=self._statistics, own=self._own)
        else:
            contents = grown(self._own, self._statistics, ids, delta, self._base)
            self._statistics = contents.statistics
        return loaded.with_contents(contents)

    def _open(self) -> None:
        """Become the one process that changes the items."""
        if self._journal.writing:
            return
        changes = last(self._journal.open())
        if changes != self._changes:  # another process was, since we read
            self._changes = changes
            self._adopt(replace(self._loaded, contents=self._own))

    def _compact_if_due(self) -> None:
        waiting = self.waiting
        if waiting > MOST:
            self.compact()
        elif waiting > COMPACT_AT and not self._compacting.locked():
            threading.Thread(target=self._compact_aside, name="funnel-compact", daemon=True).start()

    def _compact_aside(self) -> None:
        try:
            self.compact()
        except Exception:
            log.exception("compaction failed; changed items go on being searched beside the index")
