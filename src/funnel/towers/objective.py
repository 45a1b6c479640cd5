"""One training step's loss: which items are encoded, and what the queries are compared with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from funnel.towers.batches import Group
from funnel.towers.config import TowersConfig
from funnel.towers.losses import GBCE, Drawn, SampledSoftmax, full_softmax
from funnel.towers.model import TwoTowers
from funnel.towers.negatives import Negatives
from funnel.types import Clock, Int64


class Objective:
    """Holds the encoded columns as tensors and turns a step's groups into a loss.

    counts: int64 [n_items], training events. item_columns, user_columns: whole tables, in the specs' order.
    """

    def __init__(
        self,
        config: TowersConfig,
        model: TwoTowers,
        counts: Int64,
        item_columns: list[Tensor],
        user_columns: list[Tensor],
        clock: Clock,
    ) -> None:
        self._model, self._items, self._users = model, item_columns, user_columns
        self._n_items = len(counts)
        self.negatives = Negatives(config, counts)
        losses: dict[str, SampledSoftmax | GBCE] = {
            "sampled_softmax": SampledSoftmax(config.logq),
            "gbce": GBCE(len(counts)),
        }
        self._sampled = losses.get(config.loss_for(len(counts), clock))

    def __call__(self, groups: list[Group], rng: np.random.Generator) -> Tensor:
        """Mean loss over the step's trained places; `rng` draws the negatives."""
        targets = np.concatenate([g.targets for g in groups])
        before = np.cumsum([0, *(int(g.trained.sum()) for g in groups)])
        query_of = torch.from_numpy(
            np.concatenate([g.query_of + first for g, first in zip(groups, before, strict=False)])
        )
        if self._sampled is None:
            vectors = self._model.items(torch.arange(self._n_items), self._items)
            queries = self._queries(groups, vectors, None)
            return full_softmax(queries, vectors, torch.from_numpy(targets), query_of)
        drawn = Drawn(*(torch.from_numpy(a) for a in self.negatives.draw(targets, rng)))
        read = [g.items.ravel() for g in groups]
        rows = torch.from_numpy(np.unique(np.concatenate([targets, drawn.items.numpy(), *read])))
        vectors = self._model.items(rows, [column[rows] for column in self._items])
        queries = self._queries(groups, vectors, rows)
        target = torch.from_numpy(targets)
        positives = vectors[torch.searchsorted(rows, target)]
        negatives = vectors[torch.searchsorted(rows, drawn.items)]
        return self._sampled(queries, positives, negatives, target, query_of, drawn)

    def _queries(self, groups: list[Group], vectors: Tensor, rows: Tensor | None) -> Tensor:
        """Queries of all trained places, flat, multiplied by 1 / temperature: [Q, d]."""
        parts = []
        for group in groups:
            items = torch.from_numpy(group.items).contiguous()
            local = items if rows is None else torch.searchsorted(rows, items)
            users = torch.from_numpy(group.users)
            place = group.at
            at = None if place is None else torch.from_numpy(place)
            out = self._model.query(
                torch.nn.functional.embedding(local, vectors),
                torch.from_numpy(group.gaps),
                [column[users] for column in self._users],
                at,
            )
            parts.append(out[torch.from_numpy(group.trained)] if at is None else out)
        return torch.cat(parts) * self._model.scale()
