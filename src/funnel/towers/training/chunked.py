"""Softmax losses whose logits exist a slice at a time: the gradient is computed along with the value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

#: Logits that are held at once: 2 MiB of float32 stay in a core's cache; a GPU wants large products, 256 MiB.
#: Products want LEAST rows to be quick.
CHUNK, GPU_CHUNK, LEAST = 1 << 19, 1 << 26, 64


@dataclass(frozen=True, slots=True)
class Slice:
    """Some queries and the positions that are theirs. of: int64 [p], which of these queries each is of."""

    queries: slice
    positions: slice
    of: Tensor


def slices(queries: Tensor, query_of: Tensor, n_items: int) -> Iterator[Slice]:
    """All queries, so many at once that their logits for n items are few."""
    chunk = CHUNK if queries.device.type == "cpu" else GPU_CHUNK
    size = max(LEAST, chunk // max(1, n_items))
    ends = [0, *torch.bincount(query_of, minlength=len(queries)).cumsum(0).tolist()]
    for at in range(0, len(queries), size):
        part = slice(ends[at], ends[min(at + size, len(queries))])
        yield Slice(slice(at, at + size), part, query_of[part] - at)


def logits_of(queries: Tensor, items: Tensor, buffer: Tensor) -> Tensor:
    """Products [q, n] in float32, in a buffer that is used again."""
    out = buffer[: len(queries)]
    if torch.is_autocast_enabled(queries.device.type):
        return out.copy_(queries @ items.T)
    return torch.mm(queries, items.T, out=out)


def buffer_for(queries: Tensor, n_items: int) -> Tensor:
    """Room for the logits of a slice."""
    chunk = CHUNK if queries.device.type == "cpu" else GPU_CHUNK
    return queries.new_empty(min(len(queries), max(LEAST, chunk // max(1, n_items))), n_items)


def _gradients(of_logits: Tensor, queries: Tensor, items: Tensor, d_queries: Tensor, d_items: Tensor) -> None:
    """What the gradient of a slice's logits, [q, n], says about both: into d_queries, added to d_items."""
    if torch.is_autocast_enabled(queries.device.type):
        d_queries.copy_(of_logits @ items)
        d_items.add_(of_logits.T @ queries)
    else:
        torch.mm(of_logits, items, out=d_queries)
        d_items.addmm_(of_logits.T, queries)


class FullSoftmaxFunction(torch.autograd.Function):
    """d loss / d logits of a query = (its targets · softmax - their counts) / P: both gradients are products
    of it."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, items: Tensor, targets: Tensor, query_of: Tensor) -> Tensor:
        need = any(ctx.needs_input_grad)
        d_queries, d_items = torch.empty_like(queries), torch.zeros_like(items)
        total, p = queries.new_zeros((), dtype=torch.float64), len(targets)
        counts = torch.bincount(query_of, minlength=len(queries)).to(queries.dtype)
        buffer = buffer_for(queries, len(items))
        for part in slices(queries, query_of, len(items)):
            q, weight, at = (
                queries[part.queries],
                counts[part.queries, None],
                (part.of, targets[part.positions]),
            )
            logits = logits_of(q, items, buffer)
            picked = logits[at]
            largest = logits.amax(1, keepdim=True)
            odds = logits.sub_(largest).exp_()
            mass = odds.sum(1, keepdim=True)
            total += ((mass.log() + largest) * weight).sum() - picked.sum()
            if need:
                gradient = odds.mul_(weight / (mass * p))
                gradient.index_put_(at, torch.full_like(picked, -1 / p), accumulate=True)
                _gradients(gradient, q, items, d_queries[part.queries], d_items)
        ctx.save_for_backward(d_queries, d_items)
        return (total / p).to(queries.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        d_queries, d_items = ctx.saved_tensors
        return d_queries * grads[0], d_items * grads[0], None, None


@dataclass(frozen=True, slots=True)
class Correction:
    """How a sampled softmax allows for the chance of a draw. log_q: [N] or [Q, N], taken from the negatives'
    logits; None: nothing is. of_target: [P], taken from the positives'; None: nothing is. rest: [Q], what is
    added to log of the mean over the draws that give no target; None: it is a sum, and nothing is added."""

    log_q: Tensor | None
    of_target: Tensor | None
    rest: Tensor | None


class SampledSoftmaxFunction(torch.autograd.Function):
    """With m = log of the negatives' mass and s of the positive, loss = log(1 + e^(m - s)): d / ds is
    -sigma(m - s), d / dm the opposite, and d m / d logits the softmax of the negatives."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, positives: Tensor, negatives: Tensor, targets: Tensor, query_of: Tensor,
        items: Tensor, correction: Correction,
    ) -> Tensor:  # fmt: skip
        need = any(ctx.needs_input_grad)
        d_queries, d_negatives = torch.empty_like(queries), torch.zeros_like(negatives)
        total, p = queries.new_zeros((), dtype=torch.float64), len(targets)
        positive = (queries[query_of] * positives).sum(1)
        if correction.of_target is not None:
            positive = positive - correction.of_target
        slopes = torch.empty_like(positive)  # of each position's loss by its negatives' mass
        buffer = buffer_for(queries, len(negatives))
        for part in slices(queries, query_of, len(negatives)):
            q = queries[part.queries]
            logits = logits_of(q, negatives, buffer)
            if correction.log_q is not None:
                logits.sub_(
                    correction.log_q if correction.log_q.ndim == 1 else correction.log_q[part.queries]
                )
            hit = own_targets(targets[part.positions], part.of, len(q), items)
            logits.masked_fill_(hit, -math.inf)
            largest = logits.amax(1, keepdim=True).clamp(min=torch.finfo(logits.dtype).min)
            odds = logits.sub_(largest).exp_()
            mass = odds.sum(1)
            log_mass = mass.log() + largest.squeeze(1)
            if correction.rest is not None:
                log_mass = log_mass + correction.rest[part.queries] - (~hit).sum(1).clamp(min=1).log()
            more = log_mass[part.of] - positive[part.positions]
            total += F.softplus(more).sum()
            if need:
                slope = torch.sigmoid(more)
                slopes[part.positions] = slope
                weight = torch.zeros_like(mass).index_add_(0, part.of, slope) / mass.clamp(min=1e-30)
                gradient = odds.mul_(weight.unsqueeze(1) / p)
                _gradients(gradient, q, negatives, d_queries[part.queries], d_negatives)
        if need:
            slopes = (slopes / p).unsqueeze(1)
            d_queries.index_add_(0, query_of, slopes * positives, alpha=-1)
            ctx.save_for_backward(d_queries, queries[query_of] * -slopes, d_negatives)
        return (total / p).to(queries.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        d_queries, d_positives, d_negatives = ctx.saved_tensors
        grad = grads[0]
        return d_queries * grad, d_positives * grad, d_negatives * grad, None, None, None, None


def own_targets(targets: Tensor, query_of: Tensor, n_queries: int, items: Tensor) -> Tensor:
    """Which of the items are targets of each query itself: bool [n_queries, N]."""
    same = targets[:, None] == items
    if each_alone(query_of, n_queries):
        return same
    own = torch.zeros(n_queries, len(items), dtype=torch.int32, device=items.device)
    return own.index_add_(0, query_of, same.to(torch.int32)) > 0


def each_alone(query_of: Tensor, n_queries: int) -> bool:
    """Whether each position has a query of its own."""
    return len(query_of) == n_queries and torch.equal(
        query_of, torch.arange(n_queries, device=query_of.device)
    )
