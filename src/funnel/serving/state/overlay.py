"""A bundle's contents in use, with the changes of items written into them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np

from funnel.bundle.contents import Contents
from funnel.data import Column
from funnel.data.records import plain
from funnel.distinct import distinct
from funnel.errors import FunnelError
from funnel.index import FaissIndex, IndexConfig, OverlayIndex
from funnel.serving.background import later
from funnel.serving.loaded import Loaded
from funnel.serving.request import of_users
from funnel.serving.state.catalogue import LiveCatalogue
from funnel.serving.state.encode import encoded, fitted
from funnel.serving.state.log import Changes, Counted, ItemChange, Patch
from funnel.serving.state.people import RememberedIds
from funnel.types import Int32

log = logging.getLogger(__name__)

T = TypeVar("T", ItemChange, Patch)

#: Items that can be added before the arrays are laid out anew: so many, or a part of the catalogue.
SPARE, SPARE_PART = 4096, 8

#: Kinds of columns that are changed without encoding the item anew: its vector stays.
PATCHED = ("number", "boolean", "category")

#: Queries that a new index is tuned with.
_QUERIES = 500


class Overlay:
    """What one process serves: a bundle, and the log of changes up to some place.

    Arrays of items are private and have room for more; the pages that nobody wrote to are those of the
    bundle's files, which all processes share. A change is written into them where it belongs. Requests take
    no lock: one that is on its way may see an item as it was or as it is, a later one as it is.

    more: items that are known to come. bundle: without changes. items_at, events_at: how far the log is in
    it. skipped: changes that do not fit the bundle, and events that could not be counted. One thread at a
    time may write.
    """

    def __init__(self, bundle: Loaded, more: int = 0) -> None:
        own, n = bundle.contents, len(bundle.contents.catalogue.ids)
        room = n + more + max(SPARE, (n + more) // SPARE_PART)
        self.bundle, self.own = bundle, own
        self.forgotten: set[str] = set()
        self.catalogue = LiveCatalogue.over(own.catalogue, bundle.schema, room)
        self.vectors = own.vectors.with_room(room)
        self.index = OverlayIndex(own.index, self.vectors, self.catalogue.living_bits)
        self.loaded = bundle.with_contents(
            replace(
                own,
                catalogue=self.catalogue,
                users=replace(own.users, ids=RememberedIds(own.users.ids, self.forgotten)),
                encoder=replace(own.encoder, item_vectors=self.vectors),
                index=self.index,
                statistics=own.statistics.serving(room, later),
                own=own,
            )
        )
        self.items_at = self.events_at = self.skipped = 0
        self._since: list[Int32] | None = None

    @property
    def contents(self) -> Contents:
        """What answers."""
        return self.loaded.contents

    def has_room(self, items: int) -> bool:
        """Whether so many items can be added."""
        return len(self.catalogue.ids) + items <= self.catalogue.room

    def apply(self, changes: Changes) -> None:
        """Write what is known of items and people into what is served, in place of what was known before.

        What cannot be written, for whatever reason, is left out, counted and logged, and nothing else with
        it; that an item is deleted can always be, also where its columns do not fit. There must be room for
        the items. Done again, it changes nothing.
        """
        self.forgotten.update(change.user for change in changes.forgotten)
        self._reset([change for change in changes.items if change.item is None or change.deleted])
        fitting = [self._fitting(change) for change in changes.items if change.item is not None]
        self._each(self._put, [change for change in fitting if change is not None])
        by_column: dict[str, list[Patch]] = {}
        for patch in changes.patches:
            by_column.setdefault(patch.column, []).append(patch)
        for patches in by_column.values():
            self._patch(patches)
        self.items_at = changes.number

    def _reset(self, items: Sequence[ItemChange]) -> None:
        rows = self.catalogue.ids.rows([change.item_id for change in items])
        deleted = np.array([change.deleted for change in items], dtype=np.bool_)[rows >= 0]
        rows = rows[rows >= 0]
        own = rows[rows < len(self.own.catalogue.ids)]
        if len(own):
            for name, values in self.own.catalogue.features.items():
                self.catalogue.features[name][own] = values[own]
            self.vectors[own] = self.own.vectors[own]
        self.catalogue.reset(rows, ~deleted)
        self._changed(rows)
        self.catalogue.ids.drop([change.item_id for change in items if change.item is None])

    def _each(self, write: Callable[[list[T]], None], changes: list[T]) -> None:
        """Write changes together; where that fails, halves of them, so that what is left out is one."""
        if not changes:
            return
        try:
            write(changes)
        except Exception as error:  # of a plugin's encoder, for one: whatever it is, the others are served
            if len(changes) == 1:
                self._leave_out(changes[0].item_id, error)
                return
            half = len(changes) // 2
            self._each(write, changes[:half])
            self._each(write, changes[half:])

    def _leave_out(self, item_id: str, error: Exception) -> None:
        self.skipped += 1
        trace = None if isinstance(error, FunnelError) else error
        log.warning(
            "%s does not take a change of item %s: %s",
            self.bundle.version, item_id, error if trace is None else repr(error), exc_info=trace,
        )  # fmt: skip

    def _put(self, items: list[ItemChange]) -> None:
        """All columns of items that fit the bundle."""
        records = [change.item for change in items if change.item is not None]
        rows = self.catalogue.ids.add([record["item_id"] for record in records])
        features, vectors = encoded(self.own, rows, records)
        for name, values in features.items():
            self.catalogue.features[name][rows] = values
        self.vectors[rows] = vectors
        living = np.array([not change.deleted for change in items], dtype=np.bool_)
        names = list(self.own.catalogue.values)
        self.catalogue.put(rows, [{name: record.get(name) for name in names} for record in records], living)
        self._changed(rows)

    def _fitting(self, change: ItemChange) -> ItemChange | None:
        """An item in the form of the bundle's schema; None where it does not fit it: a text id where it has
        whole numbers, a value of another type, and any where new ones cannot be encoded here."""
        assert change.item is not None
        try:
            if self.own.item_encoder is None or self.own.catalogue.encoder is None:
                raise FunnelError("the bundle was built without what encodes new items; build it again")
            self.own.catalogue.encoder.check()
            return change._replace(item=fitted(change.item, self.own, self.bundle.schema))
        except Exception as error:
            self._leave_out(change.item_id, error)
            return None

    def _patch(self, patches: list[Patch]) -> None:
        """One column of items."""
        column = next((each for each in self.bundle.schema.items if each.name == patches[0].column), None)
        known = self.catalogue.ids.rows([patch.item_id for patch in patches]) >= 0
        if column is None or column.kind not in PATCHED:
            known[:] = False
        self.skipped += int((~known).sum())
        if column is not None:
            some = [patch for patch, fits in zip(patches, known.tolist(), strict=True) if fits]
            self._each(partial(self._write, column), some)

    def _write(self, column: Column, patches: list[Patch]) -> None:
        name, encoder = column.name, self.catalogue.encoder
        values = plain([patch.value for patch in patches], column, f"items.{name}")
        rows = self.catalogue.ids.rows([patch.item_id for patch in patches])
        codes = None if encoder is None else encoder.encode_column(name, values)
        self.catalogue.patch(rows, name, values)
        if codes is not None:
            self.catalogue.features[name][rows] = codes
        self.contents.candidate_features().refresh(rows)

    def _changed(self, rows: Int32) -> None:
        """Let everything that was made of items' columns and vectors go by what they are now."""
        if not len(rows):
            return
        living = self.catalogue.is_living(rows)
        self.index.put(rows[living])
        self.index.drop(rows[~living])
        self.contents.candidate_features().refresh(rows)
        if self._since is not None:
            self._since.append(rows)

    def count(self, events: Sequence[Counted]) -> None:
        """Count events that the bundle's own data do not reach to. Those that cannot be counted, for whatever
        reason, are left out, and told as changes are."""
        try:
            self._count(events)
        except Exception:
            self.skipped += len(events)
            log.exception("%s does not count %d events", self.bundle.version, len(events))
        self.events_at = events[-1].number

    def _count(self, events: Sequence[Counted]) -> None:
        contents, own = self.contents, self.own
        items = contents.catalogue.ids.rows([event.item_id for event in events])
        times = np.array([event.time for event in events], dtype=np.int64)
        if own.statistics.clock == "time":
            new = times >= own.statistics.end
        else:
            users = own.users.ids.rows([event.user for event in events]).tolist()
            pairs = zip(users, items.tolist(), strict=True)
            new = np.array(
                [user < 0 or item not in own.users.history[user] for user, item in pairs], dtype=np.bool_
            )
        if (kinds := own.kinds) is not None:
            codes = np.array([-1 if event.kind is None else kinds.code(event.kind) for event in events])
            contents.statistics.observe_kinds(items[new], times[new], codes[new])
            new &= np.array([self._counts(event.kind) for event in events], dtype=np.bool_)
        contents.statistics.observe(items[new], times[new])

    def _counts(self, kind: str | None) -> bool:
        """Whether the bundle counts events of a kind; those of which nobody said it count."""
        kinds = self.own.kinds
        if kinds is None or kind is None:
            return True
        code = kinds.code(kind)
        return code >= 0 and bool(kinds.in_history[code] or kinds.is_target[code])

    def begin_index(self) -> int:
        """Note from now on what changes; how many items there are."""
        self._since = []
        return len(self.catalogue.ids)

    def built_index(self, n: int) -> FaissIndex:
        """An index of the same kind over the first n items as they are now, tuned to the recall that the
        first
        one had as its goal. Deleted ones are in it, and stay hidden: rows keep their numbers."""
        seed, info = self.bundle.manifest.seed, self.own.index.info  # type: ignore[attr-defined]
        some = np.sort(np.random.default_rng(seed).permutation(len(self.own.users.ids))[:_QUERIES])
        return FaissIndex.build(
            self.vectors.part(0, n),
            IndexConfig(spec=info.spec, k=info.recall_k, recall=info.recall_goal, shards=info.shards),
            self.contents.queries.encode(of_users(self.contents, some)),
            seed=seed,
            towers_fingerprint=info.towers_fingerprint,
        )

    def use_index(self, index: FaissIndex) -> None:
        """Search this one, with what changed while it was built beside it, but for what is gone again."""
        since, self._since = self._since or [], None
        n = np.arange(index.size, len(self.catalogue.ids), dtype=np.int32)
        fresh = distinct(np.concatenate([n, *since])).astype(np.int32)
        fresh = fresh[self.catalogue.is_living(fresh)]
        every = np.arange(index.size, dtype=np.int32)
        self.index.rebase(index, fresh, every[~self.catalogue.is_living(every)])
