"""What lists in a random order reach, for comparison with measured figures.

For a request with N items that may be returned and T targets, P of them among the N, a uniformly random
order puts a given target at each position with probability 1/N. The expectations below are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from funnel.distinct import distinct, is_in, without
from funnel.errors import DataError
from funnel.evaluation.metrics import Float64, Metric, checked, discounts, parse, sum_by
from funnel.types import Bool, Examples, Int32, Int64, Ragged, Requests

#: So many random lists are drawn for a metric whose expectation has no formula here.
_LISTS = 20_000


def chance_level(names: Iterable[str], examples: Examples, n_items: int) -> dict[str, float]:
    """The expected mean of each metric ("ndcg@10") for random lists that obey exclude and allow.

    names: of funnel's own metrics. n_items: size of the catalogue. Returns name -> mean.
    """
    n = _returnable(examples.requests, n_items).astype(np.float64)
    open_ = _may_return(examples.requests, examples.targets.list_of, examples.targets.values, n_items)
    possible = sum_by(examples.targets.list_of, open_, len(examples))
    totals = examples.targets.lengths.astype(np.float64)
    return {name: float(_expected(name, n, possible, totals).mean()) for name in names}


def _expected(name: str, n: Float64, possible: Float64, totals: Float64) -> Float64:
    """One metric's expectation, request by request: float64 [B]. n, possible, totals: N, P and T above."""
    metric, k = parse(name)
    share = np.divide(possible, n, out=np.zeros_like(n), where=n > 0)  # the chance that a position is a hit
    position = np.arange(k)[:, None]
    exists = position < n  # [k, B]
    if metric == "recall":
        value = share * np.minimum(k, n) / np.maximum(totals, 1)
    elif metric == "ndcg":
        ideal = np.cumsum(discounts(k))[np.minimum(np.maximum(totals, 1), k).astype(np.int64) - 1]
        value = share * (discounts(k)[:, None] * exists).sum(axis=0) / ideal
    elif metric == "map":
        others = np.divide(possible - 1, n - 1, out=np.zeros_like(n), where=n > 1)
        precision = (1 + position * others) / (position + 1)
        value = share * (precision * exists).sum(axis=0) / np.maximum(totals, 1)
    else:
        missed = np.where(exists, 1 - possible / np.maximum(n - position, 1), 1).clip(0).cumprod(axis=0)
        first = -np.diff(missed, axis=0, prepend=1.0)  # the first hit is at this position
        value = (first / (position + 1 if metric == "mrr" else 1)).sum(axis=0)
    return value


def drawn_level(
    metrics: Mapping[str, Metric], k: int, examples: Examples, n_items: int, seed: int
) -> dict[str, float]:
    """The mean of metrics of plugins at k over lists in a random order: `NAME@k` -> mean.

    Their expectation is not known, so it is estimated: lists are drawn for every request, round after round,
    until there are 20,000.
    """
    if not metrics:
        return {}
    rng, rounds = np.random.default_rng(seed), -(-_LISTS // len(examples))
    sums = dict.fromkeys(metrics, 0.0)
    for _ in range(rounds):
        positions = random_positions(examples, n_items, k, rng)
        for name, metric in metrics.items():
            sums[name] += float(checked(name, metric(positions, k), len(positions)).mean())
    return {f"{name}@{k}": total / rounds for name, total in sums.items()}


def random_positions(examples: Examples, n_items: int, k: int, rng: np.random.Generator) -> Ragged:
    """Each target's position in a uniformly random list of k; −1 where it is not listed, or may not be."""
    requests, targets = examples.requests, examples.targets
    request, n = targets.list_of, _returnable(requests, n_items)
    free = _may_return(requests, request, targets.values, n_items)
    position = np.full(len(request), -1, dtype=np.int64)
    bad = free.copy()
    while bad.any():  # rejection: a position that another target of the request has is drawn again
        position[bad] = (rng.random(int(bad.sum())) * n[request[bad]]).astype(np.int64)
        _, first = np.unique((request * (n_items + 1) + position)[free], return_index=True)
        bad[free] = True
        bad[np.flatnonzero(free)[first]] = False
    return Ragged(np.where(position < k, position, -1).astype(np.int32), targets.offsets)


def random_targets(examples: Examples, n_items: int, seed: int) -> Examples:
    """The same requests with as many targets each, drawn anew and uniformly from what may be returned.

    Every figure measured on these must fall to `chance_level`; else the targets leaked into the funnel.
    Raises: DataError where a request has fewer items to return than targets.
    """
    targets, requests = examples.targets, examples.requests
    if (targets.lengths > _returnable(requests, n_items)).any():
        raise DataError(
            "a request has more targets than items that may be returned; none can be drawn for it"
        )
    rng = np.random.default_rng(seed)
    request = targets.list_of
    drawn = np.full(len(request), -1, dtype=np.int32)
    bad = np.ones(len(drawn), dtype=np.bool_)
    while bad.any():  # rejection: what is excluded or already drawn for the request is drawn again
        drawn[bad] = _draw(requests, request[bad], n_items, rng)
        _, first = np.unique(request * n_items + drawn, return_index=True)
        bad = ~_may_return(requests, request, drawn, n_items)
        bad[without(np.arange(len(drawn)), first)] = True
    return replace(examples, targets=Ragged(drawn, targets.offsets))


def _draw(requests: Requests, request: Int64, n_items: int, rng: np.random.Generator) -> Int32:
    """An item for each of these requests: of the catalogue, or of what is shown."""
    if requests.shown is None:
        return rng.integers(n_items, size=len(request), dtype=np.int32)
    items = requests.shown.items
    return items.values[items.offsets[request] + rng.integers(items.lengths[request])]


def _excluded(requests: Requests, n_items: int) -> Int64:
    """request * n_items + item for every excluded pair, distinct and sorted."""
    if requests.exclude is None:
        return np.empty(0, dtype=np.int64)
    known = requests.exclude.values >= 0
    return distinct(requests.exclude.list_of[known] * n_items + requests.exclude.values[known])


def _may_return(requests: Requests, request: Int64, items: Int32, n_items: int) -> Bool:
    """For pairs of a request's number and an item: neither excluded nor outside what is allowed."""
    free = ~is_in(request * n_items + items, _excluded(requests, n_items))
    if requests.allow is None:
        return free
    return free & requests.allow.holds(request, items)


def _returnable(requests: Requests, n_items: int) -> Int64:
    """How many items each request may be given: int64 [B]."""
    if requests.shown is not None:
        return requests.shown.items.lengths
    request, item = np.divmod(_excluded(requests, n_items), max(n_items, 1))
    if requests.allow is None:
        return n_items - np.bincount(request, minlength=len(requests))
    allow = requests.allow
    taken = allow.holds(request, item)
    return allow.counts[allow.filter_of] - sum_by(request, taken, len(requests)).astype(np.int64)
