"""Small parts of the towers: sums of column embeddings, and two ways to read a history."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from funnel.features.encoders import Spec
from funnel.towers.training import fused
from funnel.towers.training.bags import mean_embedding

#: Standard deviation of embeddings at the start.
INIT = 0.02


def embedding(rows: int, d: int) -> nn.Parameter:
    """Small random vectors: [rows, d]."""
    return nn.Parameter(torch.randn(rows, d) * INIT)


class ColumnSum(nn.Module):
    """The sum of what each column of a table says: columns of n rows -> [n, d].

    category: a learned vector each value (0, unknown, has one too). multi_category: the mean over the
    values that are there. number and vector: a linear map.

    Nothing of it is larger than the columns and a few times [n, d], however many columns and values.
    """

    def __init__(self, specs: Mapping[str, Spec], d: int) -> None:
        super().__init__()
        self.kinds = [spec.kind for spec in specs.values()]
        rows = [s.size if s.kind.endswith("category") else s.width for s in specs.values()]
        self.tables = nn.ParameterList([embedding(n, d) for n in rows])

    def forward(self, columns: Sequence[Tensor]) -> Tensor:
        return functools.reduce(torch.add, map(_read, self.kinds, self.tables, columns))


def _read(kind: str, table: Tensor, column: Tensor) -> Tensor:
    if kind == "category":
        return F.embedding(column, table)
    if kind == "multi_category":
        return mean_embedding(table, column)
    return column @ table


class Dropout(nn.Module):
    """Zeroes a share of the numbers in training and scales the rest up: any shape to the same.

    A random byte decides about each number, so the share is one of 256ths. Drawing torch's own took a tenth
    of a training step. generator: what draws them; None is torch's own, which threads share.
    """

    generator: torch.Generator | None = None

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share, self._below = share, min(round(share * 256), 255)

    def forward(self, x: Tensor) -> Tensor:
        if not self.below:
            return x
        kept = self.drawn(x) >= self.below
        return x * kept.to(x.dtype).mul_(256 / (256 - self.below))

    @property
    def below(self) -> int:
        """A number is zeroed where its byte is below this; 0 where none is."""
        return self._below if self.training else 0

    def drawn(self, x: Tensor) -> Tensor:
        """A random byte for each number: uint8 of x's shape; nothing where none decides."""
        if not self.below:
            return torch.empty((0,) * x.dim(), dtype=torch.uint8, device=x.device)
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
        words.random_(-(2**63), None, generator=self.generator)
        return words.view(torch.uint8)[: x.numel()].view(x.shape)


class Distance(nn.Module):
    """A learned number for each head and distance back; the START token has one of its own.

    Relative positions as in Shaw et al. 2018 / T5 (arXiv 1910.10683), without buckets since histories are
    short.
    """

    index: Tensor
    mask: Tensor

    def __init__(self, heads: int, history: int, slope: float) -> None:
        super().__init__()
        back = torch.arange(history + 2, dtype=torch.float32)
        slopes = torch.linspace(0, slope, heads)
        self.bias = nn.Parameter(-slopes[:, None] * torch.log2(1 + back))
        with torch.no_grad():
            self.bias[:, -1] = 0
        position = torch.arange(history + 1)
        index = (position[:, None] - position).clamp(min=0)
        index[:, 0] = history + 1
        self.register_buffer("index", index, persistent=False)
        mask = torch.full((history + 1, history + 1), float("-inf")).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, n: int, first: Tensor | None = None) -> Tensor:
        """To add to attention logits, query position by key position; -inf where the key is later or of
        another list.

        Of a list of n positions, START before all: [heads, n, n]. Of rows of n positions that hold several
        lists: [R, heads, n, n]; first: int64 [R, n], the column of START of the list that a position
        belongs to.
        """
        if first is None:
            index, mask = self.index[:n, :n], self.mask[:n, :n]
            return self.bias[:, index] + mask
        position = torch.arange(n, device=first.device)
        back = self.bias[:, (position[:, None] - position).clamp(min=0)]
        is_start = (first == position)[:, None, None]
        bias = torch.where(is_start, self.bias[:, -1, None, None], back)
        seen = (position[:, None] >= position) & (first[:, :, None] == first[:, None])
        return bias.masked_fill(~seen[:, None], float("-inf"))

    def at(self, n: int, at: Tensor) -> Tensor:
        """Only the query at position at[b] of each list b, int64 [B]: [B, heads, n]."""
        return self(n)[:, at].transpose(0, 1)


class FeedForward(nn.Module):
    """x + W2 gelu(W1 norm(x)): [..., d] -> [..., d]."""

    def __init__(self, d: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.wide, self.narrow = nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.narrow(self._gelu(self.wide(self.norm(x)))))

    def _gelu(self, x: Tensor) -> Tensor:
        if fused.takes(x):
            return fused.gelu(x, self.dropout.drawn(x), self.dropout.below)
        return self.dropout(F.gelu(x))


class Attention(nn.Module):
    """x + causal self-attention over norm(x), with a distance bias: [B, n, d] -> [B, n, d].

    Pre-norm residual attention (Vaswani et al. 2017; SASRec, arXiv 1808.09781, for histories).
    """

    one_kernel = False  # whether the CPU too goes by that of a GPU

    def __init__(self, d: int, heads: int, history: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.query, self.key_value = nn.LayerNorm(d), nn.Linear(d, d), nn.Linear(d, 2 * d)
        self.out, self.dropout = nn.Linear(d, d), Dropout(dropout)
        self.distance = Distance(heads, history, slope=0.0)

    def forward(
        self, x: Tensor, at: Tensor | None = None, first: Tensor | None = None, asks: Tensor | None = None
    ) -> Tensor:
        """With `at`, int64 [B], only that position of each list: [B, 1, d]. first: of rows of several lists,
        as in `Distance`; asks: int64 [P], only these positions, counted through the rows: [P, d]."""
        normed = self.norm(x)
        key, value = self._split(self.key_value(normed)).chunk(2, dim=-1)
        if at is not None:
            x, normed = _at(x, at), _at(normed, at)
        mixed = self._mix(self._split(self.query(normed)), key, value, at, first).transpose(1, 2).flatten(2)
        if asks is not None:
            x, mixed = _picked(x, asks), _picked(mixed, asks)
        return x + self.dropout(self.out(mixed))

    def _mix(
        self, query: Tensor, key: Tensor, value: Tensor, at: Tensor | None, first: Tensor | None
    ) -> Tensor:
        """[B, heads, n, c]. On a GPU in one kernel, which keeps no weights. Torch has none for the CPU with a
        bias that is learned, and there each thread draws its own dropout."""
        on_cpu, n = query.is_cpu and not self.one_kernel, key.shape[2]
        if on_cpu:
            logits = query * query.shape[-1] ** -0.5 @ key.transpose(2, 3)
            if first is not None and fused.takes(logits):
                drawn, below = self.dropout.drawn(logits), self.dropout.below
                return fused.weights(logits, self.distance.bias, first, drawn, below) @ value
        bias = self.distance(n, first) if at is None else self.distance.at(n, at).unsqueeze(2)
        if on_cpu:
            return self.dropout((logits + bias).softmax(-1)) @ value
        dropout = self.dropout.share if self.training else 0.0
        bias = bias.to(query.dtype)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)

    def _split(self, x: Tensor) -> Tensor:
        """[B, n, heads * c] -> [B, heads, n, c]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Pool(nn.Module):
    """Means of what came before, weighted by a learned function of the distance: [B, n, d] -> [B, n, d].

    Each head has its own weights; the heads' means are mapped to one vector. There is no residual: where
    order says nothing the weights become equal, and the last item counts as much as any other.
    """

    def __init__(self, d: int, heads: int, history: int) -> None:
        super().__init__()
        self.distance = Distance(heads, history, slope=2.0)
        self.out = nn.Linear(heads * d, d, bias=False)
        with torch.no_grad():
            self.out.weight.copy_(torch.eye(d).repeat(1, heads) / heads)

    def forward(
        self, x: Tensor, at: Tensor | None = None, first: Tensor | None = None, asks: Tensor | None = None
    ) -> Tensor:
        """As in `Attention`."""
        if at is not None:
            weights = self.distance.at(x.shape[1], at).softmax(-1)
            return self.out((weights @ x).flatten(1).unsqueeze(1))
        mixed = self._weights(x, first).flatten(-3, -2) @ x
        mixed = mixed.view(len(x), -1, *x.shape[1:]).transpose(1, 2).flatten(2)
        return self.out(mixed if asks is None else _picked(mixed, asks))

    def _weights(self, x: Tensor, first: Tensor | None) -> Tensor:
        """[heads, n, n], or of rows of several lists [R, heads, n, n]."""
        rows, n = x.shape[:2]
        if first is None or not fused.takes(x):
            return self.distance(n, first).softmax(-1)
        none = x.new_zeros(rows, len(self.distance.bias), n, n)
        return fused.weights(none, self.distance.bias, first)


def _at(x: Tensor, at: Tensor) -> Tensor:
    """One position of each list: [B, n, d], int64 [B] -> [B, 1, d]."""
    return x.gather(1, at[:, None, None].expand(-1, 1, x.shape[2]))


def _picked(x: Tensor, asks: Tensor) -> Tensor:
    """Some positions, counted through the rows: [R, n, d] -> [P, d]."""
    return x.flatten(0, 1).index_select(0, asks)
