"""Which items are met together, and which follows which: two weighted neighbour lists, fitted on a log.

Covisitation counts pairs within a user's list, nearer pairs more, later-than more than earlier-than, users
with long lists less (inverse user frequency: Breese, Heckerman & Kadie, UAI 1998), and divides by powers of
both items' counts (cosine is the power one half on either side; a smaller one trusts popular items more:
Aiolli, RecSys 2013). Where the log has no order this is the sparse product X^T X of item-item
collaborative filtering (Sarwar et al., WWW 2001), kept to the top neighbours (Deshpande & Karypis, TOIS
2004). The constants were chosen on validation items of four public logs; all lie on flat ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from funnel.features.arrays import frozen
from funnel.features.kernels import heap_push, heap_sort
from funnel.features.neighbours import Neighbours
from funnel.features.recent import REACH
from funnel.types import Clock, Log

#: Items counted in one go; bounds the memory that is not the result.
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Weighting:
    """How a pair of events counts, and what its sum is divided by.

    ahead, back: weight of a later or earlier item of the list, by distance from 1; longer distances do not
    count. user_power: a list of length n counts n^−user_power. An item with c events is divided by
    (c + smooth)^power, with its own power as the source and as the neighbour.
    """

    ahead: NDArray[np.float64]
    back: NDArray[np.float64]
    user_power: float
    source_power: float
    target_power: float
    smooth: float


def _covisitation_weighting(clock: Clock) -> Weighting:
    if clock == "none":
        flat = np.ones(1000)
        return Weighting(flat, flat, user_power=0.5, source_power=0.6, target_power=0.35, smooth=0.0)
    near = np.arange(1.0, 51.0) ** -0.5
    return Weighting(near, 0.5 * near, user_power=0.25, source_power=0.4, target_power=0.2, smooth=5.0)


def fit_covisitation(log: Log, *, n: int = 200) -> Neighbours:
    """The `n` items that go best with each item. Memory: the result, the log twice and n_items doubles."""
    decay = 1.0 if log.clock == "none" else 0.8
    return _fit(log, _covisitation_weighting(log.clock), n, decay, REACH[log.clock])


def fit_transitions(log: Log, *, n: int = 100) -> Neighbours | None:
    """The `n` items that follow each item within three steps, weight 1/distance; None without an order.

    Divided by the source's count plus five: the share of the times that what was met next was this item,
    drawn towards zero where the source was met only a few times.
    """
    if log.clock == "none":
        return None
    ahead = 1.0 / np.arange(1.0, 4.0)
    weighting = Weighting(ahead, np.empty(0), user_power=0.0, source_power=1.0, target_power=0.0, smooth=5.0)
    return _fit(log, weighting, n, 0.8, 5)


def _fit(log: Log, weighting: Weighting, n: int, decay: float, reach: int) -> Neighbours:
    lists, _ = log.by_user()
    places = np.argsort(lists.values, kind="stable")
    counts = np.bincount(lists.values, minlength=log.n_items)
    starts = np.concatenate([[0], np.cumsum(counts)])
    list_of = lists.list_of
    user_weights = np.maximum(lists.lengths, 1) ** -weighting.user_power
    source = (np.maximum(counts, 1) + weighting.smooth) ** -weighting.source_power
    target = (np.maximum(counts, 1) + weighting.smooth) ** -weighting.target_power
    sums, touched = np.zeros(log.n_items), np.empty(log.n_items, dtype=np.int64)
    sizes, items, weights = [np.zeros(0, np.int64)], [np.empty(0, np.int32)], [np.empty(0, np.float32)]
    for first in range(0, log.n_items, _BLOCK):
        block = _count_block(
            first, min(first + _BLOCK, log.n_items), n, lists.values, lists.offsets, list_of, places, starts,
            weighting.ahead, weighting.back, user_weights, source, target, sums, touched,
        )  # fmt: skip
        filled = np.arange(n) < block[0][:, None]
        sizes.append(block[0])
        items.append(block[1][filled])
        weights.append(block[2][filled])
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
    return Neighbours(
        frozen(offsets), frozen(np.concatenate(items)), frozen(np.concatenate(weights)), decay, reach
    )


@njit(cache=True, nogil=True)
def _add_side(
    values: Any,
    place: int,
    step: int,
    edge: int,
    weights: Any,
    user_weight: float,
    sums: Any,
    touched: Any,
    n: int,
) -> int:
    """Count the items on one side of a place, up to the list's edge; returns how many are touched."""
    item = values[place]
    for distance in range(len(weights)):
        other = place + step * (distance + 1)
        if other == edge:
            break
        neighbour = values[other]
        if neighbour == item:
            continue
        if sums[neighbour] == 0.0:
            touched[n] = neighbour
            n += 1
        sums[neighbour] += weights[distance] * user_weight
    return n


@njit(cache=True, nogil=True)
def _count_block(
    first: int, stop: int, n_kept: int, values: Any, offsets: Any, list_of: Any, places: Any, starts: Any,
    ahead: Any, back: Any, user_weights: Any, source: Any, target: Any, sums: Any, touched: Any,
) -> Any:  # fmt: skip
    """The neighbours of the items first … stop: sizes, and items and weights padded to n_kept a row."""
    sizes = np.zeros(stop - first, dtype=np.int64)
    items = np.full((stop - first, n_kept), -1, dtype=np.int32)
    weights = np.full((stop - first, n_kept), -np.inf, dtype=np.float32)
    for item in range(first, stop):
        n = 0
        for place in places[starts[item] : starts[item + 1]]:
            user = list_of[place]
            weight = user_weights[user]
            n = _add_side(values, place, 1, offsets[user + 1], ahead, weight, sums, touched, n)
            n = _add_side(values, place, -1, offsets[user] - 1, back, weight, sums, touched, n)
        row = item - first
        size = 0
        for neighbour in touched[:n]:
            score = np.float32(sums[neighbour] * source[item] * target[neighbour])
            sums[neighbour] = 0.0
            size = heap_push(weights[row], items[row], size, score, neighbour)
        heap_sort(weights[row], items[row], size)
        sizes[row] = size
    return sizes, items, weights
