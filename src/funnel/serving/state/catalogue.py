"""The catalogue of a bundle in use, with the changes of its items written into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow, has_bits, packed, put_bits
from funnel.catalogue.columns import FilterColumn
from funnel.catalogue.tables import Catalogue
from funnel.catalogue.where import Bitmap, Where
from funnel.data import Schema
from funnel.serving.state.filters import ChangedRows, LiveFilters
from funnel.serving.state.ids import GrowingIds
from funnel.types import Features, Int32, growable


@dataclass(slots=True)
class Written:
    """What is known of changed items beside the bundle. Written to in place.

    records: columns by row that differ from the bundle's, but for those of `numbers`, which hold a value of
    each row. n_living: how many items may be returned.
    """

    n_living: int
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    numbers: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveCatalogue(Catalogue):
    """Changed in place, at a cost by what changes. `frame` is the bundle's own: ask `records`.

    features: private arrays with room for more rows than there are items. ids: of all items, those that were
    deleted among them. living_bits: uint64 [1, ⌈room / 64⌉], the items that were not: a filter.
    """

    ids: GrowingIds
    own: Catalogue
    schema: Schema
    room: int
    living_bits: Bitmap
    changed: ChangedRows
    written: Written

    @classmethod
    def over(cls, own: Catalogue, schema: Schema, room: int) -> LiveCatalogue:
        """A catalogue as a bundle has it, with room for so many items."""
        features: Features = {name: growable(values, room) for name, values in own.features.items()}
        return cls(
            ids=GrowingIds(own.ids), frame=own.frame, features=features, encoder=own.encoder, own=own,
            schema=schema, room=room, living_bits=packed(np.arange(room)[None] < len(own.ids)),
            changed=ChangedRows(room), written=Written(len(own.ids)),
        )  # fmt: skip

    def records(self, rows: NDArray[Any], names: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """See `Catalogue.records`."""
        n, wanted = len(self.own.ids), self.own.displayed if names is None else names
        values = self.own.records(np.where(rows < n, rows, 0), wanted) if n else [{} for _ in rows]
        if not (self.written.numbers or self.written.records):
            return values
        for name in self.written.numbers.keys() & set(wanted):
            for record, value in zip(values, self.written.numbers[name][rows].tolist(), strict=True):
                record[name] = value
        for record, row in zip(values, rows.tolist(), strict=True):
            changed = self.written.records.get(row, {})
            record.update((name, changed[name]) for name in wanted if name in changed)
        return values

    def put(self, rows: Int32, records: Sequence[dict[str, Any]], living: NDArray[np.bool_]) -> None:
        """All columns of items, and whether they may be returned."""
        self.written.records.update(zip(rows.tolist(), records, strict=True))
        self.changed.add(rows)
        self.set_living(rows, living)

    def patch(self, rows: Int32, name: str, values: Sequence[Any]) -> None:
        """One column of items."""
        records, column = self.written.records, self._numbers(name, values)
        if column is None:
            for row, value in zip(rows.tolist(), values, strict=True):
                records[row] = records.get(row, {}) | {name: value}
        else:
            column[rows] = values
            for row in rows.tolist() if records else ():
                if name in records.get(row, {}):
                    records[row] = {key: value for key, value in records[row].items() if key != name}
        self.changed.add(rows)

    def reset(self, rows: Int32, living: NDArray[np.bool_]) -> None:
        """Items have the bundle's columns; those that it has not are gone."""
        own = rows[rows < len(self.own.ids)]
        for row in rows.tolist():
            self.written.records.pop(row, None) if row < len(self.own.ids) else None
        for name, values in self.written.numbers.items():
            values[own] = self.own.values[name][own]
        self.changed.add(rows)
        self.set_living(rows, living & (rows < len(self.own.ids)))

    def _numbers(self, name: str, values: Sequence[Any]) -> NDArray[Any] | None:
        """A column of numbers as an array with room, copied when it is first changed; None where it is of
        another kind or cannot hold these values."""
        own = self.own.values[name]
        given = None if any(value is None for value in values) else np.asarray(values)
        if given is None or not isinstance(own, np.ndarray) or given.dtype.kind not in "iufb":
            return None
        if not np.can_cast(given.dtype, own.dtype, "same_kind"):
            return None
        if name not in self.written.numbers:
            column = growable(own, self.room)
            self.written.numbers[name] = column
        return self.written.numbers[name]

    def set_living(self, rows: NDArray[Any], living: bool | NDArray[np.bool_]) -> None:
        """Whether items may be returned."""
        living = np.broadcast_to(living, rows.shape)
        rows, first = np.unique(rows, return_index=True)
        living = living[first]
        before = has_bits(self.living_bits[0], rows)
        put_bits(self.living_bits[0], rows, living)
        self.written.n_living += int((~before & living).sum()) - int((before & ~living).sum())

    def is_living(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each row is that of an item that may be returned."""
        return has_bits(self.living_bits[0], rows)

    def living(self, batch: int) -> Allow | None:
        """See `Catalogue.living`."""
        if self.written.n_living == len(self.ids):
            return None
        return Allow(self.living_bits, np.zeros(batch, dtype=np.int32), self.room)

    def allow(self, *wheres: Where) -> Allow:
        """See `Catalogue.allow`."""
        bits = [self.compile(where) for where in wheres]
        each = bits[0][None] if len(bits) == 1 else np.stack(bits)  # most requests bring one
        return Allow(each, np.arange(len(wheres), dtype=np.int32), self.room)

    def compile(self, where: Where) -> Bitmap:
        """See `Catalogue.compile`. Deleted items pass no filter."""
        return self.live_filters.compile(where) & self.living_bits[0]

    @cached_property
    def live_filters(self) -> LiveFilters:
        """The columns as they are now, for filters."""
        return LiveFilters(self.own.filters, self.room, self.changed, self.values_of)

    @property
    def layout(self) -> Mapping[str, FilterColumn]:
        """See `Catalogue.layout`."""
        return self.own.layout

    @property
    def changes(self) -> int:
        """See `Catalogue.changes`."""
        return self.changed.version

    def changed_since(self, changes: int) -> Int32:
        """See `Catalogue.changed_since`."""
        rows = self.changed.recent_interactions(changes)
        return self.changed.every() if rows is None else rows

    def values_of(self, name: str, rows: NDArray[Any]) -> list[Any]:
        """Some items' values of one column."""
        written, n = self.written, len(self.own.ids)
        if name in written.numbers:
            values = written.numbers[name][rows].tolist()
        elif n:
            values = self.own.values_of(name, np.where(rows < n, rows, 0))
        else:
            values = [None] * len(rows)
        if not written.records:
            return values
        positions = enumerate(rows.tolist())
        return [written.records.get(row, _NOTHING).get(name, values[position]) for position, row in positions]


_NOTHING: dict[str, Any] = {}
