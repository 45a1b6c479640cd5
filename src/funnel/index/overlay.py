"""An index whose items change: an index as it was built, without hidden rows, and a few rows beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow, has_bits, packed, put_bits
from funnel.distinct import distinct, union, without
from funnel.index.checks import at_least_one, checked_allow, checked_queries
from funnel.index.exact import among, by_filter
from funnel.index.protocol import Index
from funnel.order import keys, unpacked
from funnel.types import Bool, Float32, Int32
from funnel.vectors import ItemVectors

#: How many more than k are fetched so that k are left when the hidden are dropped. Where that is not enough
#: the search is done again with a filter.
_SPARE = 16


@dataclass(slots=True)
class _Base:
    """An index and which of its rows are out of date. Written to in place.

    hidden: bool [base.size], the n_hidden rows that it must not return. visible: the others as a bitmap.
    delta: int32 [m], rows that are searched beside it. changes: odd while a change is under way.

    A row is put beside before it is hidden, so that whoever does not find it in the base finds it there.
    """

    index: Index
    hidden: Bool
    visible: NDArray[np.uint64]
    n_hidden: int
    delta: Int32
    changes: int = 0

    @classmethod
    def of(cls, index: Index) -> _Base:
        hidden = np.zeros(index.size, dtype=np.bool_)
        return cls(index, hidden, packed(~hidden[None]), 0, np.empty(0, dtype=np.int32))

    def hide(self, rows: Int32) -> None:
        inside = rows[rows < self.index.size]
        new = distinct(inside[~self.hidden[inside]])
        self.n_hidden += len(new)
        self.hidden[new] = True
        put_bits(self.visible[0], new, False)


class OverlayIndex:
    """Vectors [n, d], of which the first base.size are, with exceptions, those of an index.

    living: the `Allow.bits` of one filter that lets pass what is not gone, which holds for every search;
    whoever changes items writes to it and to the vectors, and calls `put` or `drop`. Each costs in proportion
    to its rows and to those that are searched beside the base, whatever the catalogue's size. One thread at a
    time may change it while others search.

    A search never returns a row that is gone, and k rows wherever k may be returned.
    """

    def __init__(self, base: Index, vectors: ItemVectors | Float32, living: NDArray[np.uint64]) -> None:
        self._vectors, self._living = ItemVectors.of(vectors), living
        self._base = _Base.of(base)

    def put(self, rows: Int32) -> None:
        """Add or replace rows, with the vectors that they have now."""
        self._change(rows, union(self._base.delta, rows))

    def drop(self, rows: Int32) -> None:
        """Remove rows."""
        self._change(rows, without(self._base.delta, rows))

    def _change(self, rows: Int32, delta: NDArray[Any]) -> None:
        base = self._base
        base.changes += 1
        base.delta = delta.astype(np.int32)
        base.hide(rows)
        base.changes += 1

    def rebase(self, index: Index, fresh: Int32, gone: Int32) -> None:
        """Search another index from now on.

        fresh: int32, rows that changed since its vectors were taken. gone: int32, rows of it that must not be
        returned.
        """
        base = _Base.of(index)
        base.hide(union(fresh, gone).astype(np.int32))
        base.delta = without(fresh, gone).astype(np.int32)
        self._base = base

    @property
    def base(self) -> Index:
        """The index under the overlay, as it was built."""
        return self._base.index

    @property
    def beside(self) -> Int32:
        """Rows that are searched beside the base: int32 [m]."""
        return self._base.delta

    @property
    def size(self) -> int:
        """The number of rows, those that are gone among them."""
        return len(self._vectors)

    @property
    def spec(self) -> str:
        """The spec of the base."""
        return self._base.index.spec

    def search(
        self,
        queries: Float32,
        k: int,
        *,
        allow: Allow | None = None,
        params: Mapping[str, int] | None = None,
        threads: int = 1,
    ) -> tuple[Int32, Float32]:
        """See `Index.search`. A filter whose bits are those of `living` is none: that holds anyway.

        Where rows are changed meanwhile, each is found once, as it was or as it is.
        """
        base, options = self._base, {"params": params, "threads": threads}
        before, delta = base.changes, base.delta
        if base.n_hidden or len(delta) or allow is not None:  # else the base alone is asked, which checks
            queries, k = checked_queries(queries, self._vectors.shape[1]), at_least_one("k", k)
        if allow is not None and allow.bits is self._living:
            allow = None
        if allow is None:
            results = _unfiltered(base, queries, k, options)
        else:
            allow = checked_allow(allow, len(queries), self.size)
            results = _filtered(base, queries, k, allow, options)
        if before % 2 or base.changes != before:
            delta = union(delta, base.delta).astype(np.int32)
            results = _without(results, delta)
        if len(delta) == 0:
            return results
        return _merged(results, self._beside(queries, k, allow, delta, threads), k)

    def _beside(
        self, queries: Float32, k: int, allow: Allow | None, delta: Int32, threads: int
    ) -> tuple[Int32, Float32]:
        """The best of the rows that are searched beside the base."""
        if allow is None:
            return among(self._vectors.stored, queries, k, delta, threads)

        def passing(some: Float32, bits: Any, _: int) -> tuple[Int32, Float32]:
            return among(self._vectors.stored, some, k, delta[has_bits(bits, delta)], threads)

        return by_filter(queries, k, allow, passing)


def _unfiltered(base: _Base, queries: Float32, k: int, options: Any) -> tuple[Int32, Float32]:
    """The base's best that are not hidden."""
    if base.n_hidden == 0:
        return base.index.search(queries, k, **options)
    size = min(base.index.size, k + min(_SPARE, base.n_hidden))
    rows, scores = base.index.search(queries, size, **options)
    bad = (rows < 0) | base.hidden[rows]
    order = np.argsort(bad, axis=1, kind="stable")[:, :k]
    gone = np.take_along_axis(bad, order, axis=1)
    rows = np.where(gone, np.int32(-1), np.take_along_axis(rows, order, axis=1))
    scores = np.where(gone, np.float32(-np.inf), np.take_along_axis(scores, order, axis=1))
    short = np.flatnonzero((rows >= 0).sum(axis=1) < min(k, base.index.size - base.n_hidden))
    if len(short):
        visible = Allow(base.visible, np.zeros(len(short), dtype=np.int32), base.index.size)
        rows[short], scores[short] = base.index.search(
            queries[short], rows.shape[1], allow=visible, **options
        )
    return rows, scores


def _filtered(base: _Base, queries: Float32, k: int, allow: Allow, options: Any) -> tuple[Int32, Float32]:
    """The base's best that are not hidden and pass."""
    bits = allow.bits[:, : base.visible.shape[1]] & base.visible
    return base.index.search(queries, k, allow=Allow(bits, allow.filter_of, base.index.size), **options)


def _without(results: tuple[Int32, Float32], rows: Int32) -> tuple[Int32, Float32]:
    """A result without some rows."""
    out = np.isin(results[0], rows)
    return np.where(out, np.int32(-1), results[0]), np.where(out, np.float32(-np.inf), results[1])


def _merged(first: tuple[Int32, Float32], second: tuple[Int32, Float32], k: int) -> tuple[Int32, Float32]:
    """The k best of two results."""
    rows, scores = (np.concatenate(parts, axis=1) for parts in zip(first, second, strict=True))
    return unpacked(np.sort(keys(rows, scores), axis=1), k)
