"""One training step's loss and its gradients: which items are encoded, and what queries are compared with."""

from __future__ import annotations

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
from funnel.towers.training.losses import Drawn
from funnel.towers.training.model import QueryTower, TwoTowers
from funnel.towers.training.negatives import Negatives
from funnel.towers.training.workers import PARTS, Replica
from funnel.types import Bool, Clock, Int64

Part = Packed | Sets


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

    counts: int64 [n_items], events of each item. target_counts: [n_items], how often each is to be
    found, by what the kinds of its events weigh; default counts. texts: see `train`. item_columns,
    user_columns: whole tables, in the specs' order; context_columns: of all events, and a row behind them
    of what is not known.
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
    ) -> None:
        self._model, self._items, self._users = model, item_columns, user_columns
        self._context = context_columns or []
        self._replicas = [Replica(model.query) for _ in range(PARTS)]
        self._weights = [w for w in (*model.query.parameters(), model.log_scale) if w.requires_grad]
        self._name = config.loss_for(len(counts), clock)
        options = config.options.get(self._name)
        self._loss = plugins.make("loss", self._name, config, len(counts), options=options)
        apart = texts and getattr(self._loss, "relative", False)
        offered = offered_items(model.items.rows.numpy() > 0, apart=apart)
        self._offered = torch.from_numpy(np.flatnonzero(offered))
        self._row_of = torch.from_numpy(np.maximum(np.cumsum(offered) - 1, 0))
        self.negatives = Negatives(
            config, counts if target_counts is None else target_counts, np.flatnonzero(offered)
        )

    def seed(self, rng: np.random.Generator) -> None:
        """What dropout draws from now on."""
        for replica in self._replicas:
            replica.seed(int(rng.integers(1 << 62)))

    def __call__(self, parts: tuple[Part, ...], rng: np.random.Generator, pool: Executor) -> float:
        """The mean loss over the targets of a step, whose gradients become those of the weights.

        parts: of the step, at most PARTS, which the pool works on side by side; `rng` draws the negatives,
        which all of them share.
        """
        work, vectors = self._prepare(parts, rng)
        leaf = vectors.detach().requires_grad_()
        done = list(
            pool.map(lambda part, replica: self._part(part, leaf, replica.tower), work, self._replicas)
        )
        gradients = [_sum(parts) for parts in zip(*(part for _, part in done), strict=True)]
        for weight, gradient in zip(self._weights, gradients[1:], strict=True):
            weight.grad = gradient
        vectors.backward(gradients[0])  # type: ignore[no-untyped-call]
        return sum(loss for loss, _ in done)

    def _prepare(self, parts: tuple[Part, ...], rng: np.random.Generator) -> tuple[list[_Work], Tensor]:
        """Every part's work, and the vectors of all items that one of them names: [n, d]."""
        targets, read = [torch.from_numpy(part.targets) for part in parts], [_read(part) for part in parts]
        n = sum(len(target) for target in targets)
        shares = [len(target) / n for target in targets]
        if not getattr(self._loss, "sampled", True):
            vectors = self._model.items(self._offered, [column[self._offered] for column in self._items])
            at_rows = [[self._row_of[rows] for rows in each] for each in (read, targets)]
            whole = zip(parts, *at_rows, shares, strict=True)
            return [_Work(part, rows, mine, None, None, share) for part, rows, mine, share in whole], vectors
        drawn = self._draw(parts, rng)
        named = [*targets, *read, drawn[0].items]
        rows, local = torch.unique(torch.cat([items.flatten() for items in named]), return_inverse=True)
        at = [
            rows_of.view(items.shape)
            for rows_of, items in zip(local.split([items.numel() for items in named]), named, strict=True)
        ]
        vectors = self._model.items(rows, [column[rows] for column in self._items])
        each = zip(parts, at[len(parts) :], at, drawn, shares, strict=False)
        return [_Work(part, mine, own, at[-1], of, share) for part, mine, own, of, share in each], vectors

    def _draw(self, parts: tuple[Part, ...], rng: np.random.Generator) -> list[Drawn]:
        """The step's negatives, as each part's queries and targets need them."""
        sets = isinstance(parts[0], Sets)
        queries = np.cumsum([0, *(int(part.query_of.max(initial=-1)) + 1 for part in parts)])
        owners = [part.query_of + first for part, first in zip(parts, queries, strict=False)]
        items, log_q, target_log_q = (
            torch.from_numpy(array)
            for array in self.negatives.draw(
                np.concatenate([part.targets for part in parts]),
                rng,
                np.concatenate(owners) if sets else None,
            )
        )
        of_targets = torch.split(target_log_q, [len(part.targets) for part in parts])
        of_queries = torch.split(log_q, np.diff(queries).tolist()) if sets else [log_q] * len(parts)
        return [Drawn(items, mine, own) for mine, own in zip(of_queries, of_targets, strict=True)]

    def _part(self, work: _Work, vectors: Tensor, query: QueryTower) -> tuple[float, list[Tensor | None]]:
        """A part's share of the loss, and the gradients of it: of the vectors, then of the weights."""
        part, queries = work.part, self._queries(work, vectors, query)
        target, query_of = torch.from_numpy(part.targets), torch.from_numpy(part.query_of)
        if work.drawn is None:
            loss = self._loss(queries, vectors, work.positives, query_of)
        else:
            positives, negatives = vectors[work.positives], vectors[work.negatives]
            loss = self._loss(queries, positives, negatives, target, query_of, work.drawn)
        share = self._checked(loss) * work.share
        return share.item(), list(torch.autograd.grad(share, [vectors, *self._weights], allow_unused=True))

    def _checked(self, loss: Tensor) -> Tensor:
        """Raises: FunnelError where a loss is none that towers can be trained with."""
        if not isinstance(loss, Tensor) or loss.dim() or not torch.isfinite(loss):
            raise plugins.refused(f"loss {self._name!r}", "a finite scalar tensor is expected")
        return loss

    def _queries(self, work: _Work, vectors: Tensor, query: QueryTower) -> Tensor:
        """Queries of all that ask, multiplied by 1 / temperature: [Q, d]."""
        part = work.part
        user = [column[torch.from_numpy(part.users)] for column in self._users]
        if isinstance(part, Sets):
            queries = query.sets(work.read, torch.from_numpy(part.read.offsets), vectors, user)
        else:
            first, starts, asks = map(torch.from_numpy, (part.first, part.starts, part.asks))
            history, gaps = F.embedding(work.read, vectors), torch.from_numpy(part.gaps)
            queries = query.packed(history, gaps, user, first, starts, asks, self._moments(part))
        return queries * self._model.scale()

    def _moments(self, part: Packed) -> list[Tensor]:
        """What is known at the positions that ask."""
        if part.moments is None:
            return []
        rows = torch.from_numpy(part.moments)
        return [column[rows] for column in self._context]


def _read(part: Part) -> Tensor:
    """The items of the histories."""
    return torch.from_numpy(part.read.values.astype(np.int64) if isinstance(part, Sets) else part.items)


def _sum(gradients: tuple[Tensor | None, ...]) -> Tensor | None:
    """In the order of the parts, so that the sum is the same each time; None where no part has one."""
    there = [gradient for gradient in gradients if gradient is not None]
    return sum(there[1:], start=there[0]) if there else None
