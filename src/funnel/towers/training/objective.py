"""One training step's loss and its gradients: which items are encoded, and what queries are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from funnel import plugins
from funnel.towers.config import TowersConfig
from funnel.towers.training.batches import Packed, Sets
from funnel.towers.training.devices import Device
from funnel.towers.training.lookup import EncodedItems, LocalItems, Lookup, ShardedItems, Touched
from funnel.towers.training.losses import Drawn
from funnel.towers.training.model import QueryTower, TwoTowers
from funnel.towers.training.negatives import Negatives
from funnel.towers.training.ranks import Ranks
from funnel.towers.training.steps import Part, TrainingStep
from funnel.towers.training.workers import PARTS, Replica
from funnel.types import Bool, Clock, Int64


@dataclass(frozen=True, slots=True)
class _Work:
    """A part of a step. read, positives, negatives: rows of the encoded vectors. share: of the step's
    positions."""

    part: Part
    read: Tensor
    positives: Tensor
    negatives: Tensor | None
    drawn: Drawn | None
    share: float


def offered_items(seen: Bool, *, apart: bool) -> Bool:
    """The items that a target is compared with: bool [n_items]. seen: those with a training event.

    An item without an event may not have been there when the others were chosen, so that it is no evidence
    that its columns are not wanted. As a negative of every query it would teach the towers that new items
    are what nobody wants.

    apart: whether such items can be left out; not where no text says what each of them is, so that a few
    columns would have to tell them from others, and not where a loss gives each item a probability of its
    own, which for one that is never looked at stays what it was by chance.
    """
    return seen if apart else np.ones(len(seen), dtype=np.bool_)


class Objective:
    """Holds the encoded columns as tensors and turns a step into a loss and its gradients.

    model: of one process's items. counts: int64 [n_items], events of each item. target_counts: [n_items], how
    often each is to be found, by what the kinds of its events weigh; default counts. texts: see `train`.
    item_columns: of the model's items; user_columns: whole tables, in the specs' order; context_columns: of
    all events, and a row behind them of what is not known. ranks: the processes that share the steps.

    whole: whether each step says something about all rows of the items' ids: where a loss looks at all items,
    and where ids are smoothed over a graph.
    """

    def __init__(
        self,
        config: TowersConfig,
        model: TwoTowers,
        counts: Int64,
        item_columns: list[Tensor],
        user_columns: list[Tensor],
        clock: Clock,
        context_columns: list[Tensor] | None = None,
        target_counts: NDArray[Any] | None = None,
        *,
        texts: bool = False,
        device: Device = Device(),  # noqa: B008 - it never changes
        ranks: Ranks | None = None,
    ) -> None:
        self._model, self._users, self._device = model, user_columns, device
        self._context, self._ranks = context_columns or [], ranks or Ranks()
        self._replicas = [Replica(model.query, device) for _ in range(PARTS)]
        self._dense = [w for w in model.parameters() if w.requires_grad and w is not model.items.ids]
        self._weights = [w for w in (*model.query.parameters(), model.log_scale) if w.requires_grad]
        self._name = config.loss_for(len(counts), clock)
        options = config.options.get(self._name)
        self._loss = plugins.make("loss", self._name, config, len(counts), options=options)
        self._own = plugins.find("loss", self._name).own
        self.whole = model.items.smoother is not None or not getattr(self._loss, "sampled", True)
        local = LocalItems(model.items, item_columns, whole=self.whole)
        self.items: Lookup = local if self._ranks.size == 1 else ShardedItems(local, self._ranks)
        apart = texts and getattr(self._loss, "relative", False)
        offered = np.flatnonzero(offered_items(counts > 0, apart=apart))
        self._offered = None if getattr(self._loss, "sampled", True) else device.put(offered)
        self.negatives = Negatives(config, counts if target_counts is None else target_counts, offered)

    def seed(self, rng: np.random.Generator) -> None:
        """What dropout draws from now on. Each process of a group draws its own."""
        seeds = rng.integers(1 << 62, size=(self._ranks.size, PARTS))[self._ranks.rank]
        for replica, seed in zip(self._replicas, seeds, strict=True):
            replica.seed(int(seed))

    def __call__(self, step: TrainingStep, rng: np.random.Generator, pool: Executor) -> tuple[float, Touched]:
        """The mean loss over the targets of a step, whose gradients become those of the weights; those of the
        items' ids are returned.

        The pool works on the parts side by side; `rng` draws the negatives, which all of them share. All
        processes of a group call it together, with the same `rng`.
        """
        encoded, work = self._prepare(step, rng)
        leaf = encoded.vectors.detach().requires_grad_()
        done = list(pool.map(lambda part, at: self._part(part, leaf, at.tower), work, self._replicas))
        gradients = [_sum(parts) for parts in zip(*(part for _, part in done), strict=True)]
        gradients = gradients or [None] * (1 + len(self._weights))  # more processes than parts
        for weight, gradient in zip(self._weights, gradients[1:], strict=True):
            weight.grad = gradient
        of_vectors = torch.zeros_like(leaf) if gradients[0] is None else gradients[0]
        touched = self.items.back(encoded, of_vectors)
        return self._ranks.add_gradients(self._dense, sum(loss for loss, _ in done)), touched

    def _prepare(self, step: TrainingStep, rng: np.random.Generator) -> tuple[EncodedItems, list[_Work]]:
        """The vectors of all items that a part of it here names, and the parts' work."""
        put = self._device.put
        targets, read = [put(part.targets) for part in step.parts], [put(_read(part)) for part in step.parts]
        if self._offered is not None:
            encoded = self.items.encode(self._offered)
            at = [torch.searchsorted(self._offered, rows) for rows in (*read, *targets)]
            drawn: list[Drawn | None] = [None] * len(step.parts)
            return encoded, self._work(step, at, None, drawn)
        draws = self._draw(step, rng)
        named = [*read, *targets, put(draws.items)]
        rows, local = torch.unique(torch.cat([items.flatten() for items in named]), return_inverse=True)
        sizes = [items.numel() for items in named]
        at = [flat.view(items.shape) for flat, items in zip(local.split(sizes), named, strict=True)]
        return self.items.encode(rows), self._work(step, at[:-1], at[-1], draws.parts)

    def _work(
        self, step: TrainingStep, at: list[Tensor], negatives: Tensor | None, drawn: Sequence[Drawn | None]
    ) -> list[_Work]:
        """at: where the vectors of what each part reads are, then of its targets."""
        n = len(step.parts)
        each = zip(step.parts, at[:n], at[n:], drawn, step.shares, strict=True)
        return [_Work(part, mine, own, negatives, of, share) for part, mine, own, of, share in each]

    def _draw(self, step: TrainingStep, rng: np.random.Generator) -> _Draws:
        """The step's negatives, as each part's queries and targets need them."""
        items, log_q, target_log_q = self.negatives.draw(step.targets, rng, step.query_of)
        rows, put = self._device.put(items), self._device.put
        common = put(log_q) if step.query_of is None else None
        parts: list[Drawn | None] = [
            Drawn(rows, put(log_q[queries]) if common is None else common, put(target_log_q[own]))
            for own, queries in zip(step.of_part, step.queries, strict=True)
        ]
        return _Draws(items, parts)

    def _part(self, work: _Work, vectors: Tensor, query: QueryTower) -> tuple[float, list[Tensor | None]]:
        """A part's share of the loss, and the gradients of it: of the vectors, then of the weights."""
        with self._device.autocast():
            share = self._checked(self._loss_of(work, vectors, query)) * work.share
        return share.item(), list(torch.autograd.grad(share, [vectors, *self._weights], allow_unused=True))

    def _loss_of(self, work: _Work, vectors: Tensor, query: QueryTower) -> Tensor:
        part, queries = work.part, self._queries(work, vectors, query)
        query_of = self._device.put(part.query_of)
        if work.drawn is None:
            with plugins.calling("loss", self._name):
                loss: Tensor = self._loss(queries, vectors, work.positives, query_of)
            return loss
        assert work.negatives is not None
        positives, negatives = F.embedding(work.positives, vectors), F.embedding(work.negatives, vectors)
        target = self._device.put(part.targets)
        with plugins.calling("loss", self._name):
            of_drawn: Tensor = self._loss(queries, positives, negatives, target, query_of, work.drawn)
        return of_drawn

    def _checked(self, loss: Tensor) -> Tensor:
        """Raises: FunnelError where a loss is none that towers can be trained with. One of funnel's own is
        finite unless training diverges, which is the trainer's to say."""
        if not isinstance(loss, Tensor) or loss.dim() or not (self._own or torch.isfinite(loss)):
            raise plugins.refused(f"loss {self._name!r}", "a finite scalar tensor is expected")
        return loss

    def _queries(self, work: _Work, vectors: Tensor, query: QueryTower) -> Tensor:
        """Queries of all that ask, multiplied by 1 / temperature: [Q, d]."""
        part, put = work.part, self._device.put
        user = [column[put(part.users)] for column in self._users]
        if isinstance(part, Sets):
            queries = query.sets(work.read, put(part.read.offsets), vectors, user)
        else:
            first, starts, asks = map(put, (part.first, part.starts, part.asks))
            history, gaps = F.embedding(work.read, vectors), put(part.gaps)
            queries = query.packed(history, gaps, user, first, starts, asks, self._moments(part))
        return queries.float() * self._model.scale()

    def _moments(self, part: Packed) -> list[Tensor]:
        """What is known at the positions that ask."""
        if part.moments is None:
            return []
        rows = self._device.put(part.moments)
        return [column[rows] for column in self._context]


@dataclass(frozen=True, slots=True)
class _Draws:
    """A step's negatives, int64 [N], and what each part knows of them."""

    items: Int64
    parts: list[Drawn | None]


def _read(part: Part) -> Int64:
    """The items of the histories."""
    return part.read.values.astype(np.int64) if isinstance(part, Sets) else part.items


def _sum(gradients: tuple[Tensor | None, ...]) -> Tensor | None:
    """In the order of the parts, so that the sum is the same each time; None where no part has one."""
    there = [gradient for gradient in gradients if gradient is not None]
    return sum(there[1:], start=there[0]) if there else None
