"""Vectors of some items for a training step, and the way of their gradients back into the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from funnel.towers.training.item_tower import ItemTower
from funnel.towers.training.ranks import Ranks


@dataclass(frozen=True, slots=True)
class Touched:
    """What a step says about a table. rows: int64 [k], ascending and each once; None: all of them. gradient:
    [k, d]."""

    rows: Tensor | None
    gradient: Tensor


@dataclass(frozen=True, slots=True)
class EncodedItems:
    """vectors: [n, d]. ids: leaf [k, d], the rows of the tower's ids that they were made from; rows: int64
    [k], which these are; None: all. sent: what a group of processes remembers of who requested what."""

    vectors: Tensor
    ids: Tensor
    rows: Tensor | None
    sent: Any = None


class Lookup(Protocol):
    """What a step needs of the items."""

    def encode(self, items: Tensor) -> EncodedItems:
        """Vectors of items, int64 [n], ascending and each once, by which `back` can go."""

    def back(self, encoded: EncodedItems, gradient: Tensor) -> Touched:
        """gradient: of the vectors, [n, d]. The columns' weights get theirs, the ids' is returned."""


class LocalItems:
    """All items are here. columns: of the whole catalogue, in the order of the tower's specs. whole: whether
    every step reads about all items, so that what it says about ids is a gradient of the whole table."""

    def __init__(self, tower: ItemTower, columns: Sequence[Tensor], *, whole: bool = False) -> None:
        self._tower, self._columns, self._whole = tower, columns, whole

    def encode(self, items: Tensor) -> EncodedItems:
        """See `Lookup`. Only the rows that are read are copied; row 0, which many share, is always one."""
        tower, columns = self._tower, [column[items] for column in self._columns]
        at = tower.id_rows(items)
        if self._whole:
            ids = tower.ids.detach().requires_grad_()
            return EncodedItems(tower.vectors(tower.smoothed(ids), at, columns), ids, None)
        rows, local = torch.unique(torch.cat([at.new_zeros(1), at]), return_inverse=True)
        ids = tower.ids.detach().index_select(0, rows).requires_grad_()
        return EncodedItems(tower.vectors(ids, local[1:], columns), ids, rows.long())

    def back(self, encoded: EncodedItems, gradient: Tensor) -> Touched:
        """See `Lookup`."""
        encoded.vectors.backward(gradient)  # type: ignore[no-untyped-call]
        assert encoded.ids.grad is not None
        return Touched(encoded.rows, encoded.ids.grad)


@dataclass(frozen=True, slots=True)
class _Sent:
    """local: what this process encoded for all. wanted: int64 [m], for each item that was requested, its
    position there. order: int64 [n], by owner, of what this process requested. requested, gave: rows a
    process."""

    local: EncodedItems
    wanted: Tensor
    order: Tensor
    requested: list[int]
    gave: list[int]


class ShardedItems:
    """Each process holds some items (`Shard`), and encodes them for all that ask for them in a step.

    An item is encoded once a step however many processes read it. Row 0 of the ids, which items without an
    event share, is in every process, and its gradient is summed. local: of this process's items, by their
    number among its own.
    """

    def __init__(self, local: LocalItems, ranks: Ranks) -> None:
        self._local, self._ranks = local, ranks

    def encode(self, items: Tensor) -> EncodedItems:
        """See `Lookup`; all processes call it together, each for what it needs itself."""
        size = self._ranks.size
        owner = items % size
        order = owner.argsort(stable=True)
        requested = torch.bincount(owner, minlength=size).tolist()
        wanted, gave = self._ranks.exchange((items // size)[order], requested)
        mine, position = torch.unique(wanted, return_inverse=True)
        local = self._local.encode(mine)
        came = self._ranks.answer(local.vectors.detach()[position], gave, requested)
        vectors = torch.empty_like(came)
        vectors[order] = came
        return EncodedItems(vectors, local.ids, local.rows, _Sent(local, position, order, requested, gave))

    def back(self, encoded: EncodedItems, gradient: Tensor) -> Touched:
        """See `Lookup`; all processes call it together."""
        sent: _Sent = encoded.sent
        came = self._ranks.answer(gradient[sent.order], sent.requested, sent.gave)
        total = torch.zeros_like(sent.local.vectors).index_add_(0, sent.wanted, came)
        touched = self._local.back(sent.local, total)
        self._ranks.add(touched.gradient[:1])
        return touched
