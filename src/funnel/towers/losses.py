"""Losses over positions: a query for each, its target, and what the target is compared with.

Queries come multiplied by 1 / temperature. Every loss is a mean over the P positions.
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


def full_softmax(queries: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """-mean log softmax(q·V)[target] over all items.

    queries [P, d], items [n, d], targets int64 [P]. Positions are walked in chunks and the gradient is
    computed along with the value, so that only a slice of the logits exists at a time.
    """
    loss: Tensor = _FullSoftmax.apply(queries, items, targets)  # type: ignore[no-untyped-call]
    return loss


class _FullSoftmax(torch.autograd.Function):
    """d loss / d logits = (softmax - onehot) / P, so both gradients are products of it."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, items: Tensor, targets: Tensor) -> Tensor:
        need = any(ctx.needs_input_grad)
        d_queries, d_items = torch.empty_like(queries), torch.zeros_like(items)
        total = queries.new_zeros((), dtype=torch.float64)
        size = max(LEAST, CHUNK // len(items))
        for at in range(0, len(queries), size):
            q, target = queries[at : at + size], targets[at : at + size, None]
            logits = q @ items.T
            picked = logits.gather(1, target)
            largest = logits.amax(1, keepdim=True)
            odds = logits.sub_(largest).exp_()
            mass = odds.sum(1, keepdim=True)
            total += (mass.log() + largest - picked).sum()
            if need:
                gradient = odds.div_(mass * len(queries))
                gradient.scatter_add_(1, target, torch.full_like(picked, -1 / len(queries)))
                torch.mm(gradient, items, out=d_queries[at : at + size])
                d_items.addmm_(gradient.T, q)
        ctx.save_for_backward(d_queries, d_items)
        return (total / len(queries)).to(queries.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        d_queries, d_items = ctx.saved_tensors
        return d_queries * grads[0], d_items * grads[0], None


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
    """-mean log( e^s+ / (e^s+ + sum over negatives e^s-) ), where a negative that is the target does not
    count.

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
        self, queries: Tensor, positives: Tensor, negatives: Tensor, targets: Tensor, drawn: Drawn
    ) -> Tensor:
        """queries, positives [P, d]; negatives [N, d]; targets int64 [P]. Returns a number."""
        positive = (queries * positives).sum(1)
        negative = queries @ negatives.T
        hit = targets[:, None] == drawn.items
        if self.logq == "usual":
            positive = positive - drawn.target_log_q
            negative = negative - drawn.log_q
        elif self.logq == "corrected":
            others = torch.log1p(-drawn.target_log_q.exp()) - (~hit).sum(1).clamp(min=1).log()
            negative = negative - drawn.log_q + others[:, None]
        negative = negative.masked_fill(hit, -math.inf)
        return (torch.logaddexp(positive, negative.logsumexp(1)) - positive).mean()


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
        self, queries: Tensor, positives: Tensor, negatives: Tensor, targets: Tensor, drawn: Drawn
    ) -> Tensor:
        """As `SampledSoftmax`; a negative that is the target does not count."""
        positive = (queries * positives).sum(1)
        hit = targets[:, None] == drawn.items
        negative = F.softplus(queries @ negatives.T).masked_fill(hit, 0.0)
        return (self.beta(len(negatives)) * F.softplus(-positive) + negative.sum(1)).mean()
