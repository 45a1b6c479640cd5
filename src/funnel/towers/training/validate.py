"""How good the towers are on held-out requests: every item scored exactly, excluded ones left out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funnel.features.encoders import Spec
from funnel.towers.inputs import histories, user_columns
from funnel.towers.training.model import QueryTower, tensors
from funnel.towers.training.workers import PARTS
from funnel.types import Clock, Examples, Float32, Requests

#: Scores that each thread holds at once, 64 MiB of float32; and numbers of history vectors, of which the
#: layers make several times as many: few enough for a core's cache, which halves the time.
CHUNK, READ = 1 << 24, 1 << 19


@dataclass(frozen=True, slots=True)
class TorchEncoder:
    """Requests to queries by torch: the reference that the exported tower must agree with.

    query: in eval mode. vectors: item vectors [n_items, d]. limit: items of a history that are read.
    """

    query: QueryTower
    vectors: Tensor
    specs: Mapping[str, Spec]
    limit: int
    clock: Clock
    context_specs: Mapping[str, Spec] = field(default_factory=dict)

    @torch.no_grad()
    def encode(self, requests: Requests) -> Float32:
        """Queries: float32 [B, d]."""
        padded = histories(requests, self.limit, self.clock, kinds=self.query.kinds is not None)
        columns = user_columns(self.specs, requests.user_features, len(requests))
        context = user_columns(self.context_specs, requests.context, len(requests))
        out = self.query(
            self.vectors[torch.from_numpy(padded.items.astype(np.int64))],
            torch.from_numpy(padded.gaps),
            tensors(columns, list(self.specs)),
            torch.from_numpy(padded.lengths),
            tensors(context, list(self.context_specs)),
        )
        array: Float32 = out.numpy()
        return array


def ndcg(encoder: TorchEncoder, examples: Examples, k: int, pool: Executor | None = None) -> float:
    """Mean NDCG@k of exact search over all items, what `exclude` holds left out (Järvelin & Kekäläinen 2002).

    The ideal has min(k, targets) first positions. 0 where there are no examples. pool: threads that look at
    some of the examples each.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.clip(examples.targets.lengths, 1, k) - 1]
    n_items, d = encoder.vectors.shape
    size = max(1, min(CHUNK // n_items, READ // (encoder.limit * d), -(-len(examples) // PARTS)))
    parts = [np.arange(at, min(at + size, len(examples))) for at in range(0, len(examples), size)]

    def gained(rows: NDArray[np.int64]) -> float:
        hits = _hits(encoder, examples.take(rows), k)
        return float((hits @ discounts[: hits.shape[1]] / ideal[rows]).sum())

    return sum(map(gained, parts) if pool is None else pool.map(gained, parts)) / max(1, len(examples))


@torch.no_grad()
def _hits(encoder: TorchEncoder, part: Examples, k: int) -> NDArray[np.bool_]:
    """Which of the best k positions hold a target: bool [B, k]."""
    scores = torch.from_numpy(encoder.encode(part.requests)) @ encoder.vectors.T
    exclude = part.requests.exclude
    if exclude is not None:
        scores[_pairs(exclude.list_of, exclude.values)] = -torch.inf
    best, positions = scores.topk(min(k, scores.shape[1]), dim=1)
    wanted = torch.zeros(scores.shape, dtype=torch.bool)
    wanted[_pairs(part.targets.list_of, part.targets.values)] = True
    hits: NDArray[np.bool_] = (wanted.gather(1, positions) & (best > -torch.inf)).numpy()
    return hits


def _pairs(rows: NDArray[np.int64], items: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
    known = items >= 0
    return torch.from_numpy(rows[known]), torch.from_numpy(items[known].astype(np.int64))
