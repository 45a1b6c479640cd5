"""A catalogue that has changed since the bundle was built."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow, packed, unpacked
from funnel.bundle.tables import Catalogue
from funnel.bundle.where import Bitmap, Where
from funnel.serving.state.delta import Delta
from funnel.types import Bool


@dataclass(frozen=True, eq=False, kw_only=True)
class ChangedCatalogue(Catalogue):
    """The bundle's own catalogue with a delta over it. `frame` is the bundle's: ask `records`.

    ids, features: of all rows, those of deleted items among them.
    """

    own: Catalogue
    delta: Delta

    def records(self, rows: NDArray[Any]) -> list[dict[str, Any]]:
        """See `Catalogue.records`."""
        places = self._places[rows]
        later = iter(self._later.records(places[places >= 0]))
        own = iter(self.own.records(rows[places < 0]))
        return [next(later if place >= 0 else own) for place in places]

    def compile(self, where: Where) -> Bitmap:
        """See `Catalogue.compile`. Deleted items pass no filter."""
        own, n = self.own.compile(where), len(self.ids)
        passing = self.delta.alive & unpacked(self._later.compile(where), len(self.delta))
        bits = self._mask(self.delta.rows[passing])
        bits[: len(own)] |= own & ~self._changed[: len(own)]
        assert len(bits) == -(-n // 64)
        return bits

    def living(self, batch: int) -> Allow | None:
        """See `Catalogue.living`."""
        if self.delta.alive.all():
            return None
        return Allow(self.living_bits, np.zeros(batch, dtype=np.int32), len(self.ids))

    @cached_property
    def living_bits(self) -> Bitmap:
        """The rows of items that were not deleted: a filter, uint64 [1, ⌈n / 64⌉]."""
        mask = np.ones(len(self.ids), dtype=np.bool_)
        mask[self.delta.rows[~self.delta.alive]] = False
        bits = packed(mask[None])
        bits.flags.writeable = False
        return bits

    @cached_property
    def _later(self) -> Catalogue:
        """The changed items alone, each at its place in the delta."""
        return Catalogue(self.ids, self.delta.frame, self.delta.features)

    @cached_property
    def _changed(self) -> Bitmap:
        return self._mask(self.delta.rows)

    @cached_property
    def _places(self) -> NDArray[np.int32]:
        """Of each row in the delta, −1 where it is not there."""
        places = np.full(len(self.ids), -1, dtype=np.int32)
        places[self.delta.rows] = np.arange(len(self.delta), dtype=np.int32)
        return places

    def _mask(self, rows: NDArray[Any]) -> Bitmap:
        mask: Bool = np.zeros(len(self.ids), dtype=np.bool_)
        mask[rows] = True
        return packed(mask)

    def ready(self) -> ChangedCatalogue:
        """The same, with everything made that a request would otherwise wait for."""
        _ = self._later.filters, self._later.values, self.living_bits, self._changed, self._places
        return self
