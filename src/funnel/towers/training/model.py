"""The two towers. An item's vector is both what a query is multiplied with and what a history is read as."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from funnel.features.encoders import Spec
from funnel.towers.config import LEAST_TEMPERATURE, TowersConfig
from funnel.towers.inputs import GAPS
from funnel.towers.training.item_tower import ItemTower
from funnel.towers.training.layers import Attention, ColumnSum, Dropout, FeedForward, Pool, embedding
from funnel.towers.training.ranks import Shard
from funnel.types import Bool, Clock


class QueryTower(nn.Module):
    """Queries from histories of item vectors.

    A START token, made of a learned vector and the user's columns, stands before the history; the output at
    position p is the query after the first p items, so a user without a history has the output at START.
    Beside the layers of a transformer a mean of what was read, weighted by distance, goes straight into the
    query. Sets are read as the mean of START and items.

    What is known at the moment of a request is added to what was read of its history, and a layer looks at
    both: it is another at each position of a history, so that no position but the one that asks knows it.
    Sets know none, for one query stands for many events.

    Where events are of several kinds, an item of a history is read as its vector times a number of its kind,
    plus a vector of it. Sets are read without.
    """

    def __init__(
        self,
        config: TowersConfig,
        specs: Mapping[str, Spec],
        clock: Clock,
        context_specs: Mapping[str, Spec] | None = None,
        kinds: int = 0,
    ) -> None:
        super().__init__()
        d, heads, history, dropout = config.d, config.heads, config.history, config.dropout
        self.normalize = config.normalize
        self.scale = math.sqrt(d) if config.normalize else 1.0
        self.start = embedding(1, d)
        self.user = ColumnSum(specs, d) if specs else None
        self.gaps = nn.Parameter(torch.zeros(GAPS, d)) if clock == "time" else None
        self.kinds: nn.Parameter | None = None
        if kinds and clock != "none":  # the first of each is of an event whose kind is not known
            self.kinds, self.kind_scale = (
                nn.Parameter(torch.zeros(kinds + 1, d)),
                nn.Parameter(torch.ones(kinds + 1)),
            )
        # Of a set half is hidden in each step, which is noise enough.
        self.dropout = Dropout(0.0 if clock == "none" else dropout)
        mixers: list[nn.Module] = []
        self.beside: Pool | None = None
        if clock == "none":
            wide: list[nn.Module] = [_identity(d)]
        elif config.encoder == "pooled":
            mixers = [Pool(d, heads, history)]
            wide = [nn.Sequential(*(FeedForward(d, dropout) for _ in range(config.layers)))]
        else:
            mixers = [Attention(d, heads, history, dropout) for _ in range(config.layers)]
            wide = [FeedForward(d, dropout) for _ in range(config.layers)]
            self.beside = Pool(d, heads, history)
        self.mixers, self.wide = nn.ModuleList(mixers), nn.ModuleList(wide)
        self.norm = nn.LayerNorm(d)
        self.context: ColumnSum | None = None
        if context_specs and clock != "none":
            self.context, self.joined = ColumnSum(context_specs, d), FeedForward(d, dropout)

    def forward(
        self,
        history: Tensor,
        gaps: Tensor | None,
        user: Sequence[Tensor],
        at: Tensor,
        context: Sequence[Tensor] = (),
    ) -> Tensor:
        """The query of each history's first `at` items, int64 [B]: [B, d].

        history: item vectors [B, L, d], right-padded. gaps: int64 [B, L], where the clock is "time" or
            there are kinds (see `with_kinds`).
        user, context: the columns in the order of the specs, first dimension B.
        """
        x = torch.cat([self._start(user, history.shape[0]).unsqueeze(1), self._read(history, gaps)], dim=1)
        if not self.mixers:
            known = torch.arange(x.shape[1], device=at.device) <= at[:, None]
            mean = (known.to(x.dtype) / (at[:, None] + 1)).unsqueeze(1) @ x
            return self._query(self.wide[0](mean.squeeze(1)))
        return self._query(self._in_context(self._layers(x, at=at).squeeze(1), context))

    def packed(
        self, history: Tensor, gaps: Tensor, user: Sequence[Tensor], first: Tensor, starts: Tensor,
        asks: Tensor, context: Sequence[Tensor] = (),
    ) -> Tensor:  # fmt: skip
        """The queries of all positions that ask: [P, d]. Arguments as in `batches.Packed`; history: vectors
        of its items, [R, W, d]; context: columns, first dimension P."""
        x = self._read(history, gaps)
        x = x.flatten(0, 1).index_copy(0, starts, self._start(user, starts.shape[0])).view_as(x)
        read = self._layers(self.dropout(x), first=first, asks=asks)
        return self._query(self._in_context(read, context))

    def _in_context(self, read: Tensor, context: Sequence[Tensor]) -> Tensor:
        """What was read, and what is known at the moment: [n, d]."""
        return read if self.context is None else self.joined(read + self.context(context) * self.scale)

    def _layers(
        self, read: Tensor, at: Tensor | None = None, first: Tensor | None = None, asks: Tensor | None = None
    ) -> Tensor:
        """[B, n, d] -> with `at` [B, 1, d], with `first` and `asks` [P, d]. Arguments as in `Attention`; the
        last layer works on no other position."""
        x, last = read, len(self.mixers) - 1
        for i, (mix, wide) in enumerate(zip(self.mixers, self.wide, strict=True)):
            wanted = (at, first, asks) if i == last else (None, first, None)
            x = wide(mix(x, *wanted))
        return x if self.beside is None else x + self.beside(read, at, first, asks)

    def sets(self, items: Tensor, offsets: Tensor, vectors: Tensor, user: Sequence[Tensor]) -> Tensor:
        """A query for each set: [B, d]. items: rows of `vectors`, the sets one after the other, int64 [n];
        offsets: int64 [B + 1]."""
        total = F.embedding_bag(items, vectors, offsets, mode="sum", include_last_offset=True) * self.scale
        size = offsets.diff().unsqueeze(1) + 1
        return self._query(self.wide[0]((total + self._start(user, size.shape[0])) / size))

    def _read(self, history: Tensor, gaps: Tensor | None) -> Tensor:
        """Item vectors as the layers read them."""
        x = history * self.scale
        if gaps is not None and self.kinds is not None:
            kinds, gaps = gaps // GAPS, gaps % GAPS
            x = x * self.kind_scale[kinds].unsqueeze(-1) + F.embedding(kinds, self.kinds)
        return x if self.gaps is None or gaps is None else x + F.embedding(gaps, self.gaps)

    @property
    def reads_gaps(self) -> bool:
        """Whether the gaps say anything."""
        return self.gaps is not None or self.kinds is not None

    def _start(self, user: Sequence[Tensor], n: int) -> Tensor:
        """The START tokens of n histories: [n, d]."""
        start = self.start.expand(n, -1)
        return start if self.user is None else start + self.user(user)

    def _query(self, x: Tensor) -> Tensor:
        query = self.norm(x)
        return F.normalize(query, dim=-1) if self.normalize else query


class TwoTowers(nn.Module):
    """Both towers, and what similarities are multiplied with in the loss.

    seen: bool [n_items], the items with a training event. shard: of the items, those that are held here.
    """

    def __init__(
        self,
        config: TowersConfig,
        item_specs: Mapping[str, Spec],
        user_specs: Mapping[str, Spec],
        seen: Bool,
        clock: Clock,
        context_specs: Mapping[str, Spec] | None = None,
        kinds: int = 0,
        shard: Shard | None = None,
    ) -> None:
        super().__init__()
        self.items = ItemTower(config, item_specs, seen, shard)
        self.query = QueryTower(config, user_specs, clock, context_specs, kinds)
        temperature, learned = config.temperature_for(clock)
        start = torch.tensor(-math.log(temperature) if config.normalize else 0.0)
        self.log_scale = nn.Parameter(start, requires_grad=learned and config.normalize)

    def scale(self) -> Tensor:
        """1 / temperature; see LEAST_TEMPERATURE."""
        return self.log_scale.clamp(max=math.log(1 / LEAST_TEMPERATURE)).exp()


def _identity(d: int) -> nn.Linear:
    """A linear map that starts as none, so that a set's query starts as the mean of what is in it."""
    linear = nn.Linear(d, d)
    nn.init.eye_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def tensors(columns: Mapping[str, NDArray[np.generic]], names: Sequence[str]) -> list[Tensor]:
    """Columns as tensors, in the order of the names."""
    return [torch.from_numpy(np.ascontiguousarray(columns[name])) for name in names]
