"""Losses over positions: a target each, the query that should find it, and what it is compared with.

Queries come multiplied by 1 / temperature. Every loss is a mean over the P positions. Where the order of
events is known each position has a query of its own; where they are sets, the positions of a user share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from funnel.towers.training.chunked import (
    Correction,
    FullSoftmaxFunction,
    SampledSoftmaxFunction,
    each_alone,
    own_targets,
)


def full_softmax(queries: Tensor, items: Tensor, targets: Tensor, query_of: Tensor) -> Tensor:
    """-mean log softmax(q·V)[target] over all items: the multinomial likelihood where a query has several
    targets (Liang et al. 2018, Mult-VAE).

    queries [Q, d], items [n, d], targets int64 [P], query_of int64 [P], ascending: whose target it is.
    Queries are walked in chunks and the gradient is computed along with the value, so that only a slice of
    the logits exists at a time.
    """
    loss: Tensor = FullSoftmaxFunction.apply(queries, items, targets, query_of)  # type: ignore[no-untyped-call]
    return loss


class FullSoftmax:
    """`full_softmax` as a loss of the registry: it needs the vectors of all items and draws none."""

    sampled, relative = False, True

    def __call__(self, queries: Tensor, items: Tensor, targets: Tensor, query_of: Tensor) -> Tensor:
        return full_softmax(queries, items, targets, query_of)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Negatives that all positions of a step share.

    items: int64 [N], the same item more than once where it was drawn more than once. log_q: float32 [N], log
    of the chance Q that one draw gives that item; [Q, N] where it differs by query. target_log_q: the same
    for each position's target: float32 [P].
    """

    items: Tensor
    log_q: Tensor
    target_log_q: Tensor


@dataclass(frozen=True, slots=True)
class Own:
    """What each query's own targets are to the draws, which they do not count in.

    hit: bool [Q, N], the draws that gave one (accidental hits). number: int64 [Q], how many different
    targets there are. log_rest: [Q], log(1 - Q(T)), Q(T) being the chance that a draw gives any of them.
    log_n: [Q], log of how many draws gave none.
    """

    hit: Tensor
    number: Tensor
    log_rest: Tensor
    log_n: Tensor

    @classmethod
    def of(cls, drawn: Drawn, targets: Tensor, query_of: Tensor, n_queries: int) -> Own:
        """targets, query_of int64 [P]: each query's targets, in any order and more than once if need be."""
        hit = own_targets(targets, query_of, n_queries, drawn.items)
        first = _distinct(targets, query_of, n_queries)
        number = torch.bincount(query_of[first], minlength=n_queries)
        rest = log_rest(drawn, targets, query_of, n_queries)
        return cls(hit, number, rest, (~hit).sum(1).clamp(min=1).log())


@dataclass(frozen=True, slots=True)
class SampledSoftmax:
    """-mean log( e^s+ / (e^s+ + sum over negatives e^s-) ), where a negative that is a target of the same
    query does not count (accidental hits).

    logq says how the draw's bias is corrected, Q(i) being the chance that a draw gives item i:
    "none": not at all.
    "usual": s - log Q for target and negatives alike (Yi et al. 2019, doi 10.1145/3298689.3346996), as it is
        published. It treats the target as if it had been drawn, and is therefore biased.
    "corrected": the target is there for certain, so only negatives are corrected (Khrylchenko et al. 2025,
        arXiv 2507.09331, who write the same gradient as (1 - P(target)) times a loss over the negatives).
        Draws that are none of the query's targets T have the distribution Q(i) / (1 - Q(T)), so
        (1 - Q(T)) / n · sum of e^s- / Q over the n of them is unbiased for the sum of e^s over all items
        outside T (importance sampling; Bengio & Senecal 2008, doi 10.1109/TNN.2007.912312). The paper has
        one target a query, where Q(T) is the target's. Items that no draw can give are left out.
    """

    relative: ClassVar[bool] = True
    logq: Literal["none", "usual", "corrected"] = "corrected"

    def __call__(
        self, queries: Tensor, positives: Tensor, negatives: Tensor, targets: Tensor, query_of: Tensor,
        drawn: Drawn,
    ) -> Tensor:  # fmt: skip
        """queries [Q, d], positives [P, d], negatives [N, d]; targets, query_of int64 [P], ascending.

        Queries are walked in slices, as in `full_softmax`.
        """
        correction = Correction(
            log_q=None if self.logq == "none" else drawn.log_q,
            of_target=drawn.target_log_q if self.logq == "usual" else None,
            rest=log_rest(drawn, targets, query_of, len(queries)) if self.logq == "corrected" else None,
        )
        arguments = targets, query_of, drawn.items, correction
        loss: Tensor = SampledSoftmaxFunction.apply(queries, positives, negatives, *arguments)  # type: ignore[no-untyped-call]
        return loss


@dataclass(frozen=True, slots=True)
class GBCE:
    """Generalised binary cross-entropy: -mean of (beta log sigma(s+) + sum over negatives log(1 -
    sigma(s-))), Petrov & Macdonald 2023 (gSASRec, arXiv 2308.07192).

    beta = a (t (1 - 1/a) + 1/a), a = k / n: it undoes the overconfidence that comes from looking at k of the
    n items that are no targets of the query; t = 1 fully, t = 0 not at all. That holds for negatives drawn
    evenly from those n. Others are weighted by importance: a draw of item i counts a (1 - Q(T)) / (k' Q(i)),
    k' being the draws that gave no target and Q(T) the chance of one, so that the sum over negatives is in
    the mean a times that over all n items, as for even ones, of which each counts 1. k of more than n are
    taken as n. Every item has to have a chance to be drawn.
    """

    n_items: int
    t: float = 0.75

    def beta(self, negatives: int) -> float:
        """The power of the likelihood of a query's only target."""
        return float(self._beta(self._share(negatives, torch.ones(1, dtype=torch.float64))))

    def _share(self, negatives: int, targets: Tensor) -> Tensor:
        """a, for queries with so many targets."""
        return (negatives / (self.n_items - targets).clamp(min=1)).clamp(max=1.0)

    def _beta(self, share: Tensor) -> Tensor:
        return share * (self.t * (1 - 1 / share) + 1 / share)

    def __call__(
        self, queries: Tensor, positives: Tensor, negatives: Tensor, targets: Tensor, query_of: Tensor,
        drawn: Drawn,
    ) -> Tensor:  # fmt: skip
        """As `SampledSoftmax`."""
        positive = (queries[query_of] * positives).sum(1)
        own = Own.of(drawn, targets, query_of, len(queries))
        share = self._share(len(negatives), own.number.to(queries.dtype))
        weight = ((own.log_rest - own.log_n)[:, None] - drawn.log_q).exp() * share[:, None]
        negative = (weight * F.softplus(queries @ negatives.T)).masked_fill(own.hit, 0.0).sum(1)
        return (self._beta(share)[query_of] * F.softplus(-positive) + negative[query_of]).mean()


def _distinct(targets: Tensor, query_of: Tensor, n_queries: int) -> Tensor:
    """One position of each query and target: int64 [≤ P]."""
    if each_alone(query_of, n_queries):
        return query_of
    key = query_of * (targets.max() + 1) + targets
    ordered, order = key.sort(stable=True)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return order[new]


def log_rest(drawn: Drawn, targets: Tensor, query_of: Tensor, n_queries: int) -> Tensor:
    """log(1 - Q(T)) of each query, Q(T) being the chance that a draw gives any of its targets: [Q]."""
    first = _distinct(targets, query_of, n_queries)
    chance = drawn.target_log_q.exp()
    chance = chance.new_zeros(n_queries).index_add(0, query_of[first], chance[first])
    # Estimated frequencies may add up to more than one.
    return torch.log1p(-chance.clamp(max=1 - 1e-6))
