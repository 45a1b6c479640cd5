"""Metrics of ranked lists, one value a request, named as in the field: "ndcg@10", "recall@500".

Every metric is a function of one thing: the place at which a list shows each target. That is small (one
number a target, however wide the lists), so places are found once and kept, and each metric is a sum over
them.

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

    def __call__(self, places: Ragged, k: int, /) -> Float64:
        """places: where each list shows each target, from 0, −1 where it does not, a list a request. k: the
        length of the lists that are shown. Returns finite numbers: float64 [B]."""


def compute(name: str, items: Int32, targets: Ragged) -> Float64:
    """The metric `name` of each list: float64 [B].

    name: "recall@k", "ndcg@k", "mrr@k", "map@k" or "hit_rate@k", k ≥ 1.
    items: int32 [B, K], best first, −1 = empty place; a list narrower than k is simply short.
    targets: the item rows that count as right, distinct within a request, one list a request.
    Raises ConfigError for an unknown name, DataError where the lengths differ.
    """
    return compute_all([name], items, targets)[name]


def compute_all(names: Iterable[str], items: Int32, targets: Ragged) -> dict[str, Float64]:
    """Several metrics for the price of one search: name -> float64 [B]."""
    places = find_places(items, targets)
    return {name: of_places(name, places) for name in names}


def of_places(name: str, places: Ragged) -> Float64:
    """The metric `name` from the places of `find_places`: float64 [B]."""
    metric, k = parse(name)
    return checked(name, plugins.make("metric", metric, places, k), len(places))


def parse(name: str) -> tuple[str, int]:
    """ "ndcg@10" -> ("ndcg", 10); ConfigError with the nearest name where there is no such metric."""
    match = re.fullmatch(r"(\w+)@([1-9]\d*)", name)
    try:
        if match and plugins.find("metric", match[1]):
            return match[1], int(match[2])
    except plugins.UnknownPlugin:
        pass
    known = plugins.names("metric")
    near = nearest(name.split("@")[0], known)
    said = f"; did you mean {near}@10?" if near else ""
    raise ConfigError(f"no metric {name!r}: write NAME@K with NAME one of {', '.join(known)} and K ≥ 1{said}")


def checked(name: str, values: Any, n: int) -> Float64:
    """What a metric gave, if it is a finite number a request. Raises: FunnelError naming the metric."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise plugins.refused(f"metric {name!r}", f"numbers are expected ({error})") from error
    if found.shape != (n,) or not np.isfinite(found).all():
        raise plugins.refused(
            f"metric {name!r}", f"a finite number for each of {n} requests is expected, not {shown(values)}"
        )
    return found


def find_places(items: Int32, targets: Ragged) -> Ragged:
    """For each target, the place (from 0) where its request's list shows it, −1 where it does not.

    items: int32 [B, K], −1 = empty. The answer has the offsets of `targets`; a repeated item counts at its
    first place.
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
    """slot: int64 [n_items], all −1; it maps an item to its target while one request is looked at."""
    places = np.full(len(targets), -1, np.int32)
    for row in range(len(items)):
        for t in range(offsets[row], offsets[row + 1]):
            slot[targets[t]] = t
        for place in range(items.shape[1]):
            item = items[row, place]
            if item >= 0 and slot[item] >= 0:
                places[slot[item]] = place
                slot[item] = -1
        for t in range(offsets[row], offsets[row + 1]):
            slot[targets[t]] = -1
    return places


def sum_by(group: Int64, weights: NDArray[Any], n: int) -> Float64:
    """The sum of the weights of each of n groups: float64 [n]."""
    return np.bincount(group, weights=weights, minlength=n).astype(np.float64)


def _sum(places: Ragged, weights: NDArray[Any]) -> Float64:
    """The sum of a weight a target over each request: float64 [B]."""
    return sum_by(places.list_of, weights, len(places))


def _within(places: Ragged, k: int) -> NDArray[np.bool_]:
    return (places.values >= 0) & (places.values < k)


def discounts(k: int) -> Float64:
    """1 / log2(place + 2) for places from 0: float64 [k]."""
    return 1.0 / np.log2(np.arange(k) + 2.0)


@register("metric", "ndcg")
def ndcg(places: Ragged, k: int) -> Float64:
    """Discounted binary gain over that of min(k, targets) hits in front (Järvelin & Kekäläinen 2002)."""
    discount = discounts(k)
    gain = np.where(_within(places, k), discount[np.clip(places.values, 0, k - 1)], 0.0)
    ideal = np.append(0.0, np.cumsum(discount))[np.minimum(places.lengths, k)]
    return _sum(places, gain) / np.where(ideal > 0, ideal, 1.0)


@register("metric", "recall")
def recall(places: Ragged, k: int) -> Float64:
    """Targets in the first k places / all targets."""
    return _sum(places, _within(places, k)) / np.maximum(places.lengths, 1)


@register("metric", "mrr")
def mrr(places: Ragged, k: int) -> Float64:
    """1 / (place of the first target, from 1), 0 where it is not within k."""
    best = np.zeros(len(places))
    np.maximum.at(
        best, places.list_of, np.where(_within(places, k), 1.0 / np.maximum(places.values + 1.0, 1.0), 0.0)
    )
    return best


@register("metric", "map")
def map_(places: Ragged, k: int) -> Float64:
    """Mean over all targets of the precision at each one's place, 0 for those not within k.

    The denominator is the number of targets, also where that is above k (trec_eval's and ranx's reading).
    """
    order = np.lexsort((np.where(_within(places, k), places.values, k), places.list_of))
    place = places.values[order]
    nth = np.arange(len(place)) - np.repeat(places.offsets[:-1], places.lengths)
    inside = (place >= 0) & (place < k)
    precision = np.where(inside, (nth + 1.0) / np.where(inside, place + 1.0, 1.0), 0.0)
    return _sum(places, precision) / np.maximum(places.lengths, 1)


@register("metric", "hit_rate")
def hit_rate(places: Ragged, k: int) -> Float64:
    """1 where the first k places hold a target, else 0."""
    return (_sum(places, _within(places, k)) > 0).astype(np.float64)
