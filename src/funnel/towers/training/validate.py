"""How good the towers are on held-out requests: every item scored exactly, excluded ones left out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from funnel.distinct import distinct, is_in
from funnel.features.encoders import Spec
from funnel.towers.inputs import histories, user_columns
from funnel.towers.training.model import QueryTower, tensors
from funnel.towers.training.search import BestItems, Vectors, best_items, mapped
from funnel.towers.training.workers import PARTS
from funnel.types import Clock, Examples, Float32, Int64, Ragged, Requests

#: Numbers of history vectors that each thread reads at once, of which the layers make several times as many:
#: few enough for a core's cache, which halves the time.
READ = 1 << 19


@dataclass(frozen=True, slots=True)
class TorchEncoder:
    """Requests to queries by torch: the reference that the exported tower must agree with.

    query: in eval mode. vectors: item vectors [n_items, d]. limit: items of a history that are read.
    """

    query: QueryTower
    vectors: Vectors
    specs: Mapping[str, Spec]
    limit: int
    clock: Clock
    context_specs: Mapping[str, Spec] = field(default_factory=dict)

    @torch.no_grad()
    def encode(self, requests: Requests) -> Float32:
        """Queries: float32 [B, d]."""
        device = self.query.start.device
        padded = histories(requests, self.limit, self.clock, kinds=self.query.kinds is not None)
        columns = user_columns(self.specs, requests.user_features, len(requests))
        context = user_columns(self.context_specs, requests.context, len(requests))
        out = self.query(
            self.vectors[torch.from_numpy(padded.items.astype(np.int64)).to(device)],
            torch.from_numpy(padded.gaps).to(device),
            [column.to(device) for column in tensors(columns, list(self.specs))],
            torch.from_numpy(padded.lengths).to(device),
            [column.to(device) for column in tensors(context, list(self.context_specs))],
        )
        array: Float32 = out.float().cpu().numpy()
        return array

    def reads(self, requests: Requests) -> Int64:
        """The items whose vectors `encode` wants: int64, ascending, each once."""
        kinds = self.query.kinds is not None
        return distinct(histories(requests, self.limit, self.clock, kinds=kinds).items).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Some:
    """Vectors of some items in place of all. items: int64 [m], ascending; vectors: [m, d], theirs; n: how
    many there are in all."""

    items: Tensor
    vectors: Tensor
    n: int

    @property
    def shape(self) -> tuple[int, int]:
        """(n_items, d)."""
        return self.n, self.vectors.shape[1]

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Those of rows, each one of `items`."""
        return self.vectors[torch.searchsorted(self.items, rows)]


def ndcg(encoder: TorchEncoder, examples: Examples, k: int, pool: Executor | None = None) -> float:
    """Mean NDCG@k of exact search over all items, what `exclude` holds left out (Järvelin & Kekäläinen 2002).

    The ideal has min(k, targets) first positions. 0 where there are no examples. pool: threads that look at
    some of the examples each.
    """
    if len(examples) == 0:
        return 0.0
    queries = queries_of(encoder, examples.requests, pool)
    best = best_items(queries, encoder.vectors, examples.requests.exclude, k, pool, PARTS)
    return ndcg_of(best, examples.targets, k)


def queries_of(encoder: TorchEncoder, requests: Requests, pool: Executor | None = None) -> Tensor:
    """Queries of all requests, a few at a time, on the encoder's device: [B, d]."""
    d = encoder.vectors.shape[1]
    size = max(1, min(READ // (encoder.limit * d), -(-len(requests) // PARTS)))
    rows = [np.arange(at, min(at + size, len(requests))) for at in range(0, len(requests), size)]
    parts = mapped(pool, lambda some: encoder.encode(requests.take(some)), rows)
    whole = np.concatenate([np.empty((0, d), np.float32), *parts])
    return torch.from_numpy(whole).to(encoder.query.start.device)


def ndcg_of(best: BestItems, targets: Ragged, k: int) -> float:
    """Mean NDCG@k of what was found. An item that is left out has the score -inf and gains nothing."""
    n = len(targets)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.clip(targets.lengths, 1, k) - 1]
    items, shown = best.items.numpy(), (best.scores > -torch.inf).numpy()
    most = 1 + max(int(items.max(initial=0)), int(targets.values.max(initial=0)))
    wanted = (targets.list_of * most + targets.values)[targets.values >= 0]
    hits = is_in(np.arange(n)[:, None] * most + items, np.sort(wanted)) & shown
    return float((hits @ discounts[: hits.shape[1]] / ideal).mean()) if n else 0.0
