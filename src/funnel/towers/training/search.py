"""The best of all items for some queries, exactly, whatever the number of items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from funnel.types import Int64, Ragged

#: Items that are scored at once, and scores that each thread holds: 16 MiB of float32.
BLOCK, CHUNK = 1 << 14, 1 << 22

A = TypeVar("A")
B = TypeVar("B")


class Vectors(Protocol):
    """Item vectors [n_items, d] by row: a tensor, or what encodes those that are wanted."""

    @property
    def shape(self) -> Sequence[int]:
        """(n_items, d)."""

    def __getitem__(self, rows: Any) -> Tensor:
        """Those of rows, int64 of any shape, or of a slice."""


@dataclass(frozen=True, slots=True)
class BestItems:
    """The best items of some queries. scores: float32 [B, k], the best first; items: int64 [B, k]."""

    scores: Tensor
    items: Tensor

    @classmethod
    def none(cls, queries: int) -> BestItems:
        """Where none was looked at."""
        return cls(torch.empty(queries, 0), torch.empty(queries, 0, dtype=torch.int64))

    def merged(self, other: BestItems, k: int) -> BestItems:
        """The best k of both."""
        scores, items = torch.cat([self.scores, other.scores], 1), torch.cat([self.items, other.items], 1)
        scores, at = scores.topk(min(k, scores.shape[1]), dim=1)
        return BestItems(scores, items.gather(1, at))


@dataclass(frozen=True, slots=True)
class Excluded:
    """Items that are left out. rows, items: int64 [n], which query's and which item, by item."""

    rows: Int64
    items: Int64

    @classmethod
    def of(cls, lists: Ragged | None) -> Excluded:
        """Item rows, a list a query; none where they are below 0."""
        if lists is None:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64))
        order = np.argsort(lists.values, kind="stable")
        return cls(lists.list_of[order], lists.values[order].astype(np.int64))

    def between(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Rows, and items counted from `first`, of items from `first` to before `last`."""
        part = slice(*np.searchsorted(self.items, [first, last]))
        return torch.from_numpy(self.rows[part]), torch.from_numpy(self.items[part] - first)


@torch.no_grad()
def best_items(
    queries: Tensor, vectors: Vectors, exclude: Ragged | None, k: int, pool: Executor | None, parts: int
) -> BestItems:
    """The k best items of each query, without those that `exclude` holds: item rows, a list a query.

    The items are walked in blocks, of which the queries are looked at a few at a time. pool: threads that do
    so side by side; parts: at least so many parts of the queries.
    """
    n, b = vectors.shape[0], len(queries)
    size = max(1, min(CHUNK // min(n, BLOCK), -(-b // parts)))
    rows = [np.arange(at, min(at + size, b)) for at in range(0, b, size)]
    without = [Excluded.of(None if exclude is None else exclude.take(part)) for part in rows]
    best = [BestItems.none(len(part)) for part in rows]
    for at in range(0, n, BLOCK):
        block = vectors[at : at + BLOCK]

        def looked(i: int, at: int = at, block: Tensor = block, best: list[BestItems] = best) -> BestItems:
            scores = queries[rows[i][0] : rows[i][-1] + 1] @ block.T
            scores[without[i].between(at, at + len(block))] = -torch.inf
            top, items = scores.topk(min(k, len(block)), dim=1)
            return best[i].merged(BestItems(top.cpu(), items.cpu() + at), k)

        best = mapped(pool, looked, range(len(rows)))
    return BestItems(torch.cat([part.scores for part in best]), torch.cat([part.items for part in best]))


def mapped(pool: Executor | None, function: Callable[[A], B], values: Iterable[A]) -> list[B]:
    """A function of each value, in their order; pool: threads that call it side by side."""
    return list(map(function, values) if pool is None else pool.map(function, values))
