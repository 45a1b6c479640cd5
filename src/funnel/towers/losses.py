"""Losses over positions: a target each, the query that should find it, and what it is compared with.

Queries come multiplied by 1 / temperature. Every loss is a mean over the P positions. Where the order of
events is known each position has a query of its own; where they are sets, the positions of a user share one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

#: Logits that full softmax holds at once: 2 MiB of float32 stay in the cache. Products want LEAST rows to
#: be quick.
CHUNK, LEAST = 1 << 19, 64


def full_softmax(queries: Tensor, items: Tensor, targets: Tensor, query_of: Tensor) -> Tensor:
    """-mean log softmax(q·V)[target] over all items: the multinomial likelihood where a query has several
    targets (Liang et al. 2018, Mult-VAE).

    queries [Q, d], items [n, d], targets int64 [P], query_of int64 [P], ascending: whose target it is.
    Queries are walked in chunks and the gradient is computed along with the value, so that only a slice of
    the logits exists at a time.
    """
    loss: Tensor = _FullSoftmax.apply(queries, items, targets, query_of)  # type: ignore[no-untyped-call]
    return loss


class _FullSoftmax(torch.autograd.Function):
    """d loss / d logits of a query = (its targets · softmax - their counts) / P: both gradients are products
    of it."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, items: Tensor, targets: Tensor, query_of: Tensor) -> Tensor:
        need = any(ctx.needs_input_grad)
        d_queries, d_items = torch.empty_like(queries), torch.zeros_like(items)
        total, p = queries.new_zeros((), dtype=torch.float64), len(targets)
        counts = torch.bincount(query_of, minlength=len(queries))
        ends = [0, *counts.cumsum(0).tolist()]
        size = max(LEAST, CHUNK // len(items))
        for at in range(0, len(queries), size):
            q, weight = queries[at : at + size], counts[at : at + size, None].to(queries.dtype)
            part = slice(ends[at], ends[min(at + size, len(queries))])
            places = (query_of[part] - at, targets[part])
            logits = q @ items.T
            picked = logits[places]
            largest = logits.amax(1, keepdim=True)
            odds = logits.sub_(largest).exp_()
            mass = odds.sum(1, keepdim=True)
            total += ((mass.log() + largest) * weight).sum() - picked.sum()
            if need:
                gradient = odds.mul_(weight / (mass * p))
                gradient.index_put_(places, torch.full_like(picked, -1 / p), accumulate=True)
                torch.mm(gradient, items, out=d_queries[at : at + size])
                d_items.addmm_(gradient.T, q)
        ctx.save_for_backward(d_queries, d_items)
        return (total / p).to(queries.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        d_queries, d_items = ctx.saved_tensors
        return d_queries * grads[0], d_items * grads[0], None, None


@dataclass(frozen=True, slots=True)
class Drawn:
    """Negatives that all positions of a step share.

    items: int64 [N]. log_q: float32 [N], log of the chance that one draw gives that item. target_log_q: the
    same for each position's target: float32 [P].
    """

    items: Tensor
    log_q: Tensor
    target_log_q: Tensor


@dataclass(frozen=True, slots=True)
class SampledSoftmax:
    """-mean log( e^s+ / (e^s+ + sum over negatives e^s-) ), where a negative that is a target of the same
    query does not count (accidental hits).

    logq says how the draw's bias is corrected, Q(i) being the chance that a draw gives item i:
    "none": not at all.
    "usual": s - log Q for target and negatives alike (Yi et al. 2019, doi 10.1145/3298689.3346996).
    "corrected": the target is there for certain, so only negatives are corrected: s- - log(n Q(i) / (1 -
    Q(target)))
        with n the negatives that count. Its gradient is that of Khrylchenko et al. 2025 (arXiv 2507.09331),
        where the same is written as (1 - P(target)) times a loss over the negatives.
    """

    logq: Literal["none", "usual", "corrected"] = "corrected"

    def __call__(
        self, queries: Tensor, positives: Tensor, negatives: Tensor, targets: Tensor, query_of: Tensor,
        drawn: Drawn,
    ) -> Tensor:  # fmt: skip
        """queries [Q, d], positives [P, d], negatives [N, d]; targets, query_of int64 [P]."""
        positive = (queries[query_of] * positives).sum(1)
        hit = own_targets(targets, query_of, len(queries), drawn.items)
        negative = queries @ negatives.T
        if self.logq != "none":
            negative = negative - drawn.log_q
        mass = negative.masked_fill(hit, -math.inf).logsumexp(1)[query_of]
        if self.logq == "usual":
            positive = positive - drawn.target_log_q
        elif self.logq == "corrected":
            counted = (~hit).sum(1).clamp(min=1).log()[query_of]
            mass = mass + torch.log1p(-drawn.target_log_q.exp()) - counted
        return (torch.logaddexp(positive, mass) - positive).mean()


@dataclass(frozen=True, slots=True)
class GBCE:
    """Generalised binary cross-entropy: -mean of (beta log sigma(s+) + sum over negatives log(1 -
    sigma(s-))).

    beta = a (t (1 - 1/a) + 1/a), a = negatives / (n_items - 1): it undoes the overconfidence that negative
    sampling brings; t = 1 fully, t = 0 not at all. Petrov & Macdonald 2023 (gSASRec, arXiv 2308.07192).
    """

    n_items: int
    t: float = 0.75

    def beta(self, negatives: int) -> float:
        """The power of the positive's likelihood."""
        a = min(1.0, negatives / max(self.n_items - 1, 1))
        return a * (self.t * (1 - 1 / a) + 1 / a)

    def __call__(
        self, queries: Tensor, positives: Tensor, negatives: Tensor, targets: Tensor, query_of: Tensor,
        drawn: Drawn,
    ) -> Tensor:  # fmt: skip
        """As `SampledSoftmax`."""
        positive = (queries[query_of] * positives).sum(1)
        hit = own_targets(targets, query_of, len(queries), drawn.items)
        negative = F.softplus(queries @ negatives.T).masked_fill(hit, 0.0).sum(1)[query_of]
        return (self.beta(len(negatives)) * F.softplus(-positive) + negative).mean()


def own_targets(targets: Tensor, query_of: Tensor, n_queries: int, items: Tensor) -> Tensor:
    """Which of the items are targets of each query itself: bool [n_queries, N]."""
    same = targets[:, None] == items
    if len(targets) == n_queries and torch.equal(query_of, torch.arange(n_queries)):
        return same
    own = torch.zeros(n_queries, len(items), dtype=torch.int32)
    return own.index_add_(0, query_of, same.to(torch.int32)) > 0
