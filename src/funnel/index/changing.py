"""An index whose items change: what it was built from, less what is hidden, and a few rows beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow, packed
from funnel.index.checks import at_least_one, checked_allow, checked_queries
from funnel.index.exact import among, by_filter
from funnel.index.protocol import Index
from funnel.order import keys, unpacked
from funnel.types import Bool, Float32, Int32

#: How many more than k are fetched so that k are left when the hidden are dropped. Where that is not enough
#: the search is done again with a filter.
_SPARE = 16


class ChangingIndex:
    """Vectors float32 [n, d], of which the first base.size are, with exceptions, those of an index.

    hidden: rows of the base that it must not return: their item is gone, or has another vector now.
    delta: rows that are searched exactly beside the base. living: the `Allow.bits` of one filter
    that lets pass what is not gone, which holds for every search. Immutable.

    A search never returns a row that is gone, and k rows wherever k may be returned.
    """

    def __init__(
        self, base: Index, vectors: Float32, hidden: Int32, delta: Int32, living: NDArray[np.uint64]
    ) -> None:
        self._base, self._vectors = base, vectors
        self._hidden, self._delta, self._living = hidden, delta, living

    @property
    def size(self) -> int:
        """The number of rows, those that are gone among them."""
        return len(self._vectors)

    @property
    def spec(self) -> str:
        """Of the base."""
        return self._base.spec

    def search(
        self,
        queries: Float32,
        k: int,
        *,
        allow: Allow | None = None,
        params: Mapping[str, int] | None = None,
        threads: int = 1,
    ) -> tuple[Int32, Float32]:
        """See `Index.search`. A filter whose bits are those of `living` is none: that holds anyway."""
        queries, k = checked_queries(queries, self._vectors.shape[1]), at_least_one("k", k)
        options: Any = {"params": params, "threads": threads}
        if allow is not None and allow.bits is not self._living:
            allow = checked_allow(allow, len(queries), self.size)
            beside = by_filter(queries, k, allow, lambda some, bits, _: self._beside(some, k, bits, threads))
            return _merged(self._filtered(queries, k, allow, options), beside, k)
        beside = among(self._vectors, queries, k, self._delta, threads)
        return _merged(self._unfiltered(queries, k, options), beside, k)

    def _beside(self, queries: Float32, k: int, bits: NDArray[Any], threads: int) -> tuple[Int32, Float32]:
        """The best of the delta that a filter lets pass."""
        words = bits[self._delta >> 6] >> (self._delta & 63).astype(np.uint64)
        return among(self._vectors, queries, k, self._delta[(words & np.uint64(1)) == 1], threads)

    def _unfiltered(self, queries: Float32, k: int, options: Any) -> tuple[Int32, Float32]:
        """The base's best that are not hidden."""
        if len(self._hidden) == 0:
            return self._base.search(queries, k, **options)
        size = min(self._base.size, k + min(_SPARE, len(self._hidden)))
        rows, scores = self._base.search(queries, size, **options)
        bad = (rows < 0) | self._is_hidden[rows]
        order = np.argsort(bad, axis=1, kind="stable")[:, :k]
        gone = np.take_along_axis(bad, order, axis=1)
        rows = np.where(gone, np.int32(-1), np.take_along_axis(rows, order, axis=1))
        scores = np.where(gone, np.float32(-np.inf), np.take_along_axis(scores, order, axis=1))
        left = self._base.size - len(self._hidden)
        short = np.flatnonzero((rows >= 0).sum(axis=1) < min(k, left))
        if len(short):
            width = rows.shape[1]
            found = self._base.search(queries[short], width, allow=self._visible(len(short)), **options)
            rows[short], scores[short] = found
        return rows, scores

    def _filtered(self, queries: Float32, k: int, allow: Allow, options: Any) -> tuple[Int32, Float32]:
        """The base's best that are not hidden and pass."""
        visible = self._visible(1).bits[0]
        bits = allow.bits[:, : len(visible)] & visible
        return self._base.search(queries, k, allow=Allow(bits, allow.filter_of, self._base.size), **options)

    def _visible(self, batch: int) -> Allow:
        return Allow(self._visible_bits, np.zeros(batch, dtype=np.int32), self._base.size)

    @cached_property
    def _is_hidden(self) -> Bool:
        mask = np.zeros(self._base.size, dtype=np.bool_)
        mask[self._hidden] = True
        return mask

    @cached_property
    def _visible_bits(self) -> NDArray[np.uint64]:
        return packed(~self._is_hidden[None])


def _merged(one: tuple[Int32, Float32], other: tuple[Int32, Float32], k: int) -> tuple[Int32, Float32]:
    """The k best of two results."""
    rows, scores = (np.concatenate(parts, axis=1) for parts in zip(one, other, strict=True))
    return unpacked(np.sort(keys(rows, scores), axis=1), k)
