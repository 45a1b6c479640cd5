"""Metrics of ranked lists, one value a request, named as in the field: "ndcg@10", "recall@500".

Every metric is a function of one thing: the position at which a list shows each target. That is one number a
target, however wide the lists, so positions are found once and kept, and each metric is a sum over them.

A target that the list misses still counts: it stands in every denominator. A request without targets has
the value 0, as in ranx and scikit-learn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from funnel import plugins
from funnel.compiling import compiled
from funnel.errors import ConfigError, DataError
from funnel.plugins import register
from funnel.types import Int32, Int64, Ragged
from funnel.values.nearest import nearest
from funnel.values.shown import shown

Float64 = NDArray[np.float64]


class Metric(Protocol):
    """How good lists are, a number a request: `@register("metric", NAME)`; reports write NAME@k.

    Keyword-only arguments are options.
    """

    def __call__(self, positions: Ragged, k: int, /) -> Float64:
        """positions: of the targets in their request's list, from 0, −1 where the list does not have them,
        a list a request. k: the length of the lists that are shown. Returns finite numbers: float64 [B]."""


def compute(name: str, items: Int32, targets: Ragged) -> Float64:
    """The metric `name` of each list: float64 [B].

    name: "recall@k", "ndcg@k", "mrr@k", "map@k" or "hit_rate@k", k ≥ 1.
    items: int32 [B, K], best first, −1 = empty; a list narrower than k is simply short.
    targets: the item rows that count as right, distinct within a request, one list a request.
    Raises: ConfigError for an unknown name, DataError where the lengths differ.

        compute("ndcg@10", np.array([[3, 1, 2]], np.int32), Ragged.from_lists([[1]]))  # [0.63]
    """
    return compute_all([name], items, targets)[name]


def compute_all(names: Iterable[str], items: Int32, targets: Ragged) -> dict[str, Float64]:
    """Several metrics at once, see `compute`: name -> float64 [B]. Targets are looked up only once."""
    positions = find_positions(items, targets)
    return {name: of_positions(name, positions) for name in names}


def of_positions(name: str, positions: Ragged) -> Float64:
    """The metric `name` from the result of `find_positions`: float64 [B]."""
    metric, k = parse(name)
    return checked(name, plugins.make("metric", metric, positions, k), len(positions))


def parse(name: str) -> tuple[str, int]:
    """ "ndcg@10" -> ("ndcg", 10). Raises: ConfigError with the nearest name where there is no such metric."""
    match = re.fullmatch(r"(\w+)@([1-9]\d*)", name)
    try:
        if match and plugins.find("metric", match[1]):
            return match[1], int(match[2])
    except plugins.UnknownPlugin:
        pass
    known = plugins.names("metric")
    near = nearest(name.split("@")[0], known)
    hint = f"; did you mean {near}@10?" if near else ""
    raise ConfigError(f"no metric {name!r}: write NAME@K with NAME one of {', '.join(known)} and K ≥ 1{hint}")


def checked(name: str, values: Any, n: int) -> Float64:
    """A metric's values as float64 [n]. Raises: FunnelError naming the metric unless there is a finite number
    for each of n requests."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise plugins.refused(f"metric {name!r}", f"numbers are expected ({error})") from error
    if numbers.shape != (n,) or not np.isfinite(numbers).all():
        raise plugins.refused(
            f"metric {name!r}", f"a finite number for each of {n} requests is expected, not {shown(values)}"
        )
    return numbers


def find_positions(items: Int32, targets: Ragged) -> Ragged:
    """For each target its position in its request's list, from 0; −1 where the list does not have it.

    items: int32 [B, K], −1 = empty. The result has the offsets of `targets`. An item that is listed twice
    counts at its first position. Raises: DataError where the lengths differ.
    """
    if len(items) != len(targets):
        raise DataError(
            f"{len(items)} lists of items but {len(targets)} lists of targets; one each is needed"
        )
    size = 1 + max(items.max(initial=-1), targets.values.max(initial=-1))
    values = _find(np.ascontiguousarray(items), targets.values, targets.offsets, np.full(size, -1, np.int64))
    return Ragged(values, targets.offsets)


@compiled  # type: ignore[misc, unused-ignore]
def _find(items: Int32, targets: NDArray[Any], offsets: Int64, slot: Int64) -> Int32:
    """See `find_positions`. slot: int64 [n_items], all −1; it maps items to targets, a request at a time."""
    positions = np.full(len(targets), -1, np.int32)
    for row in range(len(items)):
        for t in range(offsets[row], offsets[row + 1]):
            slot[targets[t]] = t
        for position in range(items.shape[1]):
            item = items[row, position]
            if item >= 0 and slot[item] >= 0:
                positions[slot[item]] = position
                slot[item] = -1
        for t in range(offsets[row], offsets[row + 1]):
            slot[targets[t]] = -1
    return positions


def sum_by(group: Int64, weights: NDArray[Any], n: int) -> Float64:
    """The sum of the weights of each of n groups: float64 [n]."""
    return np.bincount(group, weights=weights, minlength=n).astype(np.float64)


def _sum(positions: Ragged, weights: NDArray[Any]) -> Float64:
    """The sum of a weight a target over each request: float64 [B]."""
    return sum_by(positions.list_of, weights, len(positions))


def _within(positions: Ragged, k: int) -> NDArray[np.bool_]:
    return (positions.values >= 0) & (positions.values < k)


def discounts(k: int) -> Float64:
    """1 / log2(position + 2) for positions from 0: float64 [k]."""
    return 1.0 / np.log2(np.arange(k) + 2.0)


@register("metric", "ndcg")
def ndcg(positions: Ragged, k: int) -> Float64:
    """Discounted binary gain over that of min(k, targets) hits in front (Järvelin & Kekäläinen 2002)."""
    discount = discounts(k)
    gain = np.where(_within(positions, k), discount[np.clip(positions.values, 0, k - 1)], 0.0)
    ideal = np.append(0.0, np.cumsum(discount))[np.minimum(positions.lengths, k)]
    return _sum(positions, gain) / np.where(ideal > 0, ideal, 1.0)


@register("metric", "recall")
def recall(positions: Ragged, k: int) -> Float64:
    """Targets at the first k positions / all targets."""
    return _sum(positions, _within(positions, k)) / np.maximum(positions.lengths, 1)


@register("metric", "mrr")
def mrr(positions: Ragged, k: int) -> Float64:
    """1 / (position of the first target, from 1), 0 where it is not within k."""
    best = np.zeros(len(positions))
    np.maximum.at(
        best,
        positions.list_of,
        np.where(_within(positions, k), 1.0 / np.maximum(positions.values + 1.0, 1.0), 0.0),
    )
    return best


@register("metric", "map")
def map_(positions: Ragged, k: int) -> Float64:
    """Mean over all targets of the precision at its position, 0 for those not within k.

    The denominator is the number of targets, also where that is above k (as in trec_eval and ranx).
    """
    order = np.lexsort((np.where(_within(positions, k), positions.values, k), positions.list_of))
    position = positions.values[order]
    nth = np.arange(len(position)) - np.repeat(positions.offsets[:-1], positions.lengths)
    inside = (position >= 0) & (position < k)
    precision = np.where(inside, (nth + 1.0) / np.where(inside, position + 1.0, 1.0), 0.0)
    return _sum(positions, precision) / np.maximum(positions.lengths, 1)


@register("metric", "hit_rate")
def hit_rate(positions: Ragged, k: int) -> Float64:
    """1 where the first k positions hold a target, else 0."""
    return (_sum(positions, _within(positions, k)) > 0).astype(np.float64)
