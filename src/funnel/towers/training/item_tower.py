"""The tower of items: a vector of each, from its id and its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from funnel.features.encoders import Spec
from funnel.towers.config import TowersConfig
from funnel.towers.training.layers import INIT, ColumnSum
from funnel.towers.training.ranks import Shard
from funnel.towers.training.smooth import Smoother
from funnel.types import Bool, Float32

#: Items that are encoded at once where all are: 16 MiB of float32 with 64 numbers each.
PART = 1 << 16


class ItemTower(nn.Module):
    """Item vectors: an id's embedding plus the sum of its columns'.

    Row 0 of the ids is shared by all items without a training event; in training a random share of the items
    wears it in each step, so that it and the columns learn to stand alone.

    seen: bool [n_items], the items that have a training event. shard: those that the tower is of; its items
    are then numbered by their place among these.
    """

    rows: Tensor

    def __init__(
        self, config: TowersConfig, specs: Mapping[str, Spec], seen: Bool, shard: Shard | None = None
    ) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.id_dropout = config.id_dropout if specs else 0.0
        mine = seen if shard is None else seen[shard.rows(len(seen))]
        self.ids = nn.Parameter(_random(len(seen), config.d, shard or Shard()))
        self.columns = ColumnSum(specs, config.d) if specs else None
        rows = np.where(mine, np.arange(1, len(mine) + 1, dtype=np.int32), np.int32(0))
        self.register_buffer("rows", torch.from_numpy(rows), persistent=False)
        self.smoother: Smoother | None = None

    @torch.no_grad()
    def start_from(self, vectors: Float32, smoother: Smoother | None) -> None:
        """Let the ids' embeddings start from such vectors, float32 [n_items, d] of mean square 1, and be
        smoothed."""
        known = self.rows > 0
        self.ids[self.rows[known]] = INIT * torch.from_numpy(vectors)[known]
        self.smoother = smoother

    def forward(self, items: Tensor, columns: Sequence[Tensor], table: Tensor | None = None) -> Tensor:
        """items: int64 [n] rows; columns: theirs, in the order of the specs; table: from `smoothed`, where
        several parts of the catalogue are encoded one after the other. Returns [n, d]."""
        return self.vectors(self.smoothed() if table is None else table, self.id_rows(items), columns)

    def id_rows(self, items: Tensor) -> Tensor:
        """The rows of their ids, 0 for some in training: int32 [n]."""
        rows = self.rows[items]
        if self.training and self.id_dropout:
            rows = rows * (torch.rand(len(rows), device=rows.device) >= self.id_dropout)
        return rows

    def vectors(self, ids: Tensor, at: Tensor, columns: Sequence[Tensor]) -> Tensor:
        """Of items whose embeddings are rows `at`, int [n], of `ids`: [n, d]."""
        vectors = F.embedding(at, ids)
        if self.columns is not None:
            vectors = vectors + self.columns(columns)
        return F.normalize(vectors, dim=-1) if self.normalize else vectors

    def smoothed(self, ids: Tensor | None = None) -> Tensor:
        """The ids' embeddings as they are read: [n_items + 1, d]. ids: others in their place."""
        ids = self.ids if ids is None else ids
        return ids if self.smoother is None else torch.cat([ids[:1], self.smoother(ids[1:])])

    def catalogue(self, columns: Sequence[Tensor]) -> EncodedCatalogue:
        """All items, encoded when they are asked for. columns: of the whole catalogue."""
        return EncodedCatalogue(self, columns)


class EncodedCatalogue:
    """Item vectors [n_items, d] that are encoded when they are asked for: of rows, of a slice, or all."""

    @torch.no_grad()
    def __init__(self, tower: ItemTower, columns: Sequence[Tensor]) -> None:
        self._tower, self._columns, self._table = tower, columns, tower.smoothed().detach()

    @property
    def shape(self) -> tuple[int, int]:
        """(n_items, d)."""
        return len(self._tower.rows), self._table.shape[1]

    @torch.no_grad()
    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Vectors of rows, int64 of any shape, or of a slice."""
        if isinstance(rows, slice):
            rows = torch.arange(*rows.indices(self.shape[0]), device=self._table.device)
        flat = rows.flatten()
        vectors = self._tower(flat, [column[flat] for column in self._columns], self._table)
        return vectors.view(*rows.shape, -1)

    def whole(self) -> Tensor:
        """All of them, a part at a time, so that only the vectors grow with them."""
        n, d = self.shape
        out = torch.empty(n, d, device=self._table.device)
        for at in range(0, n, PART):
            out[at : at + PART] = self[at : at + PART]
        return out


def _random(n: int, d: int, shard: Shard) -> Tensor:
    """Small random vectors of row 0 and the items of a shard, the same as those of the whole catalogue: drawn
    a part at a time, of which the shard keeps its own."""
    generator = torch.Generator().manual_seed(int(torch.randint(1 << 62, ())))
    out = torch.empty(shard.size(n) + 1, d)
    out[0].normal_(0, INIT, generator=generator)
    done = 1
    for at in range(0, n, PART):
        part = torch.empty(min(PART, n - at), d).normal_(0, INIT, generator=generator)
        mine = part[(shard.number - at) % shard.of :: shard.of]
        out[done : done + len(mine)] = mine
        done += len(mine)
    return out
