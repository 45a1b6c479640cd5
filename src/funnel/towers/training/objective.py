"""One training step's loss: which items are encoded, and what the queries are compared with."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from funnel import plugins
from funnel.towers.config import TowersConfig
from funnel.towers.training.batches import Packed, Sets
from funnel.towers.training.losses import Drawn
from funnel.towers.training.model import TwoTowers
from funnel.towers.training.negatives import Negatives
from funnel.types import Clock, Int64


class Objective:
    """Holds the encoded columns as tensors and turns a step into a loss.

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
        self._name = config.loss_for(len(counts), clock)
        options = config.options.get(self._name)
        self._loss = plugins.make("loss", self._name, config, len(counts), options=options)

    def __call__(self, step: Packed | Sets, rng: np.random.Generator) -> Tensor:
        """Mean loss over the step's targets; `rng` draws the negatives."""
        target, query_of = torch.from_numpy(step.targets), torch.from_numpy(step.query_of)
        read = torch.from_numpy(step.read.values.astype(np.int64) if isinstance(step, Sets) else step.items)
        if not getattr(self._loss, "sampled", True):
            vectors = self._model.items(torch.arange(self._n_items), self._items)
            return self._checked(self._loss(self._queries(step, read, vectors), vectors, target, query_of))
        shared = step.query_of if isinstance(step, Sets) else None
        drawn = Drawn(*(torch.from_numpy(a) for a in self.negatives.draw(step.targets, rng, shared)))
        rows, local = torch.unique(torch.cat([target, drawn.items, read.flatten()]), return_inverse=True)
        vectors = self._model.items(rows, [column[rows] for column in self._items])
        at = local.split([len(target), len(drawn.items), read.numel()])
        queries = self._queries(step, at[2].view(read.shape), vectors)
        positives, negatives = vectors[at[0]], vectors[at[1]]
        return self._checked(self._loss(queries, positives, negatives, target, query_of, drawn))

    def _checked(self, loss: Tensor) -> Tensor:
        """Raises: FunnelError where a loss is none that towers can be trained with."""
        if not isinstance(loss, Tensor) or loss.dim() or not torch.isfinite(loss):
            raise plugins.refused(f"loss {self._name!r}", "a finite scalar tensor is expected")
        return loss

    def _queries(self, step: Packed | Sets, read: Tensor, vectors: Tensor) -> Tensor:
        """Queries of all that ask, multiplied by 1 / temperature: [Q, d]. read: rows of `vectors`."""
        user = [column[torch.from_numpy(step.users)] for column in self._users]
        query = self._model.query
        if isinstance(step, Sets):
            queries = query.sets(read, torch.from_numpy(step.read.offsets), vectors, user)
        else:
            rest = (step.first, step.starts, step.asks)
            history, gaps = F.embedding(read, vectors), torch.from_numpy(step.gaps)
            queries = query.packed(history, gaps, user, *(torch.from_numpy(a) for a in rest))
        return queries * self._model.scale()
