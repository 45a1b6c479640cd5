"""Exact search, the reference: every vector is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from funnel import order
from funnel.allow import Allow
from funnel.distinct import distinct
from funnel.errors import ConfigError
from funnel.index.checks import at_least_one, checked_allow, checked_queries, finite, plain
from funnel.index.kernel import best, passing_rows
from funnel.types import Float32, Int32
from funnel.vectors import ItemVectors, Stored


class ExactIndex:
    """Exact search over vectors [n, d], which are kept as they are and never copied: exact over what they
    hold, in whatever form.

    Beside them a search holds only its result and, with a filter, the passing rows: a batch against millions
    of vectors needs no large memory. A batch is split over `threads`; one query is the work of one thread.

    Raises: DataError when the vectors are no matrix of finite numbers.
    """

    spec = "Flat"

    def __init__(self, vectors: ItemVectors | Float32) -> None:
        self._vectors = finite(plain(vectors))

    @property
    def size(self) -> int:
        """The number of items, n."""
        return len(self._vectors)

    def search(
        self,
        queries: Float32,
        k: int,
        *,
        allow: Allow | None = None,
        params: Mapping[str, int] | None = None,
        threads: int = 1,
    ) -> tuple[Int32, Float32]:
        """See `Index.search`; there are no parameters."""
        if params:
            raise ConfigError(f"search parameters {sorted(params)} are unknown: an exact index has none")
        return exact_search(self._vectors, queries, k, allow=allow, threads=threads)


def exact_search(
    vectors: ItemVectors | Float32, queries: Any, k: int, *, allow: Allow | None = None, threads: int = 1,
    parts: Sequence[tuple[int, int]] = (),
) -> tuple[Int32, Float32]:  # fmt: skip
    """As `Index.search`, over vectors [n, d] that are known to be finite.

    parts: ranges of rows that are searched each by itself, on threads of their own, unless there is a filter.
    """
    held = ItemVectors.of(vectors)
    queries = checked_queries(queries, held.shape[1])
    k, threads = at_least_one("k", k), at_least_one("threads", threads)
    if allow is None and len(parts) > 1:
        return _over(held.stored, queries, k, parts, threads)
    if allow is None:
        return among(held.stored, queries, k, None, threads)
    return by_filter(
        queries,
        k,
        checked_allow(allow, len(queries), len(held)),
        lambda some, bits, passing: among(held.stored, some, k, passing_rows(bits, passing), threads),
    )


def _over(
    vectors: Stored, queries: Float32, k: int, parts: Sequence[tuple[int, int]], threads: int
) -> tuple[Int32, Float32]:
    """The best of the best of each range, by score and row."""

    def within(part: tuple[int, int]) -> tuple[Int32, Float32]:
        rows, scores = among(vectors[part[0] : part[1]], queries, min(k, part[1] - part[0]), None, 1)
        return np.where(rows < 0, rows, rows + np.int32(part[0])), scores

    with ThreadPoolExecutor(min(threads, len(parts))) as pool:
        results = list(pool.map(within, parts))
    rows, scores = (np.concatenate(both, axis=1) for both in zip(*results, strict=True))
    return order.best(rows, scores, k)


def by_filter(
    queries: Float32, k: int, allow: Allow, search: Callable[[Float32, Any, int], tuple[Int32, Float32]]
) -> tuple[Int32, Float32]:
    """The results of one search for each filter: search(its queries, its bitmap, how many items pass it)."""
    rows, scores = nothing(len(queries), k)
    counts = allow.counts
    for number in distinct(allow.filter_of):
        mine = np.flatnonzero(allow.filter_of == number)
        if counts[number]:
            rows[mine], scores[mine] = search(queries[mine], allow.bits[number], int(counts[number]))
    return rows, scores


def in_parts(
    work: Callable[[Float32], tuple[Int32, Float32]], queries: Float32, threads: int
) -> tuple[Int32, Float32]:
    """What `work` finds for the queries, which are split over the threads."""
    if min(threads, len(queries)) == 1:
        return work(queries)
    parts = np.array_split(queries, min(threads, len(queries)))
    with ThreadPoolExecutor(len(parts)) as pool:
        done = list(pool.map(work, parts))
    return np.concatenate([rows for rows, _ in done]), np.concatenate([scores for _, scores in done])


def among(
    vectors: Stored, queries: Float32, k: int, rows: Int32 | None, threads: int
) -> tuple[Int32, Float32]:
    """Exact search among these rows; None: among all."""
    width = len(vectors) if rows is None else len(rows)
    kept = min(k, width)
    if kept == 0 or len(queries) == 0:
        return nothing(len(queries), k)
    return padded(*in_parts(lambda part: best(part, vectors, rows, width, kept), queries, threads), k)


def nothing(batch: int, k: int) -> tuple[Int32, Float32]:
    """A result of empty positions only."""
    return np.full((batch, k), -1, dtype=np.int32), np.full((batch, k), -np.inf, dtype=np.float32)


def padded(rows: Int32, scores: Float32, k: int) -> tuple[Int32, Float32]:
    """A result of at most k positions, filled up to k with −1 and −inf."""
    missing = k - rows.shape[1]
    if missing == 0:
        return rows, scores
    filling = ((0, 0), (0, missing))
    return np.pad(rows, filling, constant_values=-1), np.pad(scores, filling, constant_values=-np.inf)
