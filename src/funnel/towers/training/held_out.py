"""The validation of a training, by one process or by all of a group."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from funnel.features.encoders import Spec
from funnel.towers.training.lookup import LocalItems, ShardedItems
from funnel.towers.training.model import TwoTowers
from funnel.towers.training.ranks import Ranks
from funnel.towers.training.search import BestItems, best_items
from funnel.towers.training.validate import Some, TorchEncoder, ndcg_of, queries_of
from funnel.towers.training.workers import PARTS
from funnel.types import Clock, Examples, Ragged

#: Early stopping looks at NDCG@100 of at most this many requests: deep enough that few requests give a
#: steady figure.
VALIDATION_K, VALIDATION_REQUESTS = 100, 4_000


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Requests that early stopping looks at, the same in all processes. n_items: of the whole catalogue."""

    examples: Examples
    n_items: int
    specs: dict[str, Spec]
    context_specs: dict[str, Spec]
    limit: int
    clock: Clock
    ranks: Ranks

    @torch.no_grad()
    def measure(self, model: TwoTowers, columns: list[Tensor], pool: Executor) -> float:
        """NDCG@100. model: in eval mode; columns: of its items. Each process encodes some of the requests,
        and looks for the best of all among its items."""
        queries = self._queries(model, columns, pool)
        exclude, ranks = self.examples.requests.exclude, self.ranks
        here = None if exclude is None else _here(exclude, ranks)
        items = model.items.catalogue(columns)
        best = best_items(queries, items, here, VALIDATION_K, pool, PARTS)
        parts = zip(ranks.gather(best.scores.T), ranks.gather(best.items.T), strict=True)
        whole = BestItems.none(len(queries))
        for rank, (scores, rows) in enumerate(parts):
            whole = whole.merged(BestItems(scores.T, rows.T * ranks.size + rank), VALIDATION_K)
        return ndcg_of(whole, self.examples.targets, VALIDATION_K)

    def _queries(self, model: TwoTowers, columns: list[Tensor], pool: Executor) -> Tensor:
        """Of all requests: [B, d]."""
        requests, ranks = self.examples.requests, self.ranks
        rows = np.array_split(np.arange(len(requests)), ranks.size)[ranks.rank]
        mine = requests.take(rows)
        specs = self.specs, self.limit, self.clock, self.context_specs
        local = LocalItems(model.items, columns)
        lookup = local if ranks.size == 1 else ShardedItems(local, ranks)
        none = torch.empty(0, model.items.ids.shape[1])
        read = torch.from_numpy(TorchEncoder(model.query, none, *specs).reads(mine))
        read = read.to(model.items.ids.device)
        vectors = Some(read, lookup.encode(read).vectors, self.n_items)
        encoder = TorchEncoder(model.query, vectors, *specs)
        return torch.cat(ranks.gather(queries_of(encoder, mine, pool)))


def _here(exclude: Ragged, ranks: Ranks) -> Ragged:
    """Item rows by their number among this process's, −1 for those of others."""
    values = exclude.values
    mine = (values >= 0) & (values % ranks.size == ranks.rank)
    return Ragged(np.where(mine, values // ranks.size, -1).astype(np.int32), exclude.offsets)
