"""Which items may be returned: a bitmap a filter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Allow:
    """Which items each request of a batch may be given.

    bits: uint64 [F, ⌈n_items / 64⌉], one row a filter: item i is bit i mod 64 of word ⌊i / 64⌋, little end
        first, as in `faiss.IDSelectorBitmap`; bits behind the last item are 0.
    filter_of: int32 [B], the row of `bits` that holds for each request.
    """

    bits: NDArray[np.uint64]
    filter_of: NDArray[np.int32]
    n_items: int

    @classmethod
    def of(cls, masks: NDArray[np.bool_], batch: int | None = None) -> Allow:
        """From bool [n_items], which `batch` requests share, or bool [B, n_items], one a request.

        Raises: DataError for another type or shape.
        """
        masks = np.asarray(masks)
        if masks.dtype != np.bool_ or masks.ndim != (2 if batch is None else 1):
            wanted = "[B, n_items]" if batch is None else "[n_items]"
            raise DataError(
                f"what may be returned is {masks.dtype} of shape {masks.shape}; it must be bool {wanted}"
            )
        filter_of = np.arange(len(masks)) if batch is None else np.zeros(batch)
        return cls(packed(np.atleast_2d(masks)), filter_of.astype(np.int32), masks.shape[-1])

    def __len__(self) -> int:
        return len(self.filter_of)

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many items pass each filter: int64 [F]."""
        return np.bitwise_count(self.bits).sum(axis=1, dtype=np.int64)

    def take(self, rows: NDArray[Any] | slice) -> Allow:
        """For the requests at these rows; the filters are shared, not copied."""
        return replace(self, filter_of=self.filter_of[rows])

    def holds(self, requests: NDArray[Any], items: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether the items pass for the requests, by number and row; the two are broadcast together."""
        items = np.asarray(items)
        words = self.bits[self.filter_of[requests], items >> 6]
        return (words >> (items & 63).astype(np.uint64) & np.uint64(1)).astype(np.bool_)

    def masks(self) -> NDArray[np.bool_]:
        """bool [B, n_items]: large."""
        return unpacked(self.bits, self.n_items)[self.filter_of]


def packed(masks: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """bool [..., n] as bitmaps: uint64 [..., ⌈n / 64⌉]."""
    eights = np.packbits(masks, axis=-1, bitorder="little")
    missing = -eights.shape[-1] % 8
    if missing:
        eights = np.pad(eights, [(0, 0)] * (eights.ndim - 1) + [(0, missing)])
    return np.ascontiguousarray(eights).view("<u8")


def unpacked(bits: NDArray[np.uint64], n: int) -> NDArray[np.bool_]:
    """The inverse of `packed`: bool [..., n]."""
    eights = np.ascontiguousarray(bits).view(np.uint8)
    return np.unpackbits(eights, axis=-1, bitorder="little", count=n).view(np.bool_)


def has_bits(bits: NDArray[np.uint64], items: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether items pass one bitmap uint64 [⌈n / 64⌉]: bool, shape of items."""
    words = bits[items >> 6] >> (items & 63).astype(np.uint64)
    return (words & np.uint64(1)).astype(np.bool_)


def put_bits(bits: NDArray[np.uint64], items: NDArray[Any], passes: bool | NDArray[np.bool_]) -> None:
    """Write to one bitmap whether these items pass, at a cost by their number."""
    passing = np.broadcast_to(passes, items.shape)
    single = np.uint64(1) << (items & 63).astype(np.uint64)
    np.bitwise_or.at(bits, items[passing] >> 6, single[passing])
    np.bitwise_and.at(bits, items[~passing] >> 6, ~single[~passing])
