"""Which items go with which in a set: a low-pass filter of the graph of users and items, as neighbour lists.

Scores of all items for a history x are D^β [h(L̃) + α V Vᵀ] D^−β x (ChebyCF: Park et al., SIGIR 2025, arXiv
2505.00552): D the items' counts, L̃ = I − 2 R̃ᵀR̃ with R̃ of `spectral.normalised`, whose eigenvalues lie in
[−1, 1], the low frequencies first; h lets these through and others less (`plateau`), as a series of Chebyshev
polynomials; V are the strongest directions, which are let through once more. It is linear in the history, so
it is a matrix: of each column the strongest entries are kept, and a history's scores are a sum over its
items' lists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.data.columnar.grouping import counted, grouped
from funnel.distinct import distinct
from funnel.features.arrays import frozen
from funnel.features.kernels import heap_push, heap_sort
from funnel.features.neighbour_writer import NeighbourWriter
from funnel.features.neighbours import Neighbours
from funnel.features.recent import REACH
from funnel.features.spectral import directions, normalised
from funnel.types import Float32, Log

#: The paper's settings for the data set that its table and ours share.
ORDER, FLATNESS, DIRECTIONS, EXTRA, POWER = 8, 1.5, 512, 0.2, 0.4

#: Above this many items the directions take too much memory.
MOST_ITEMS = 100_000

#: Items times events, above which users are left out by chance: so much takes ten minutes or so.
MOST_WORK = 5e10

#: Columns made in one go, side by side, so that an event is read once for all of them.
_LANES = 64


def plateau(order: int, flatness: float) -> NDArray[np.float64]:
    """Coefficients [order + 1] of the Chebyshev series that meets the filter at the extrema of the order's
    polynomial: 1 at −1, falling to 0 at 1, the flatter around 0 the higher `flatness`, with 1/2 at 0.
    """
    x = np.cos(np.pi * np.arange(order + 1) / order)
    heights = 0.5 - 0.5 * np.sign(x) * np.abs(x) ** flatness
    return np.asarray(chebyshev.chebfit(x, heights, order), dtype=np.float64)


def fit_spectral(log: Log, *, n: int = 200, seed: int = 0, folder: Path | None = None) -> Neighbours | None:
    """The `n` items that the filter gives most for each item alone; an item itself is not among them.

    None where the events have an order, which this does not read, or there are too many items (MOST_ITEMS) or
    too few events. folder: see `fit_covisitation`. seed: of the search for directions, and of the users that
    are left out where there is more than MOST_WORK.
    Time: items times events times the filter's order; memory: 64 numbers an item and a user, and
    `DIRECTIONS` an item.
    """
    if log.clock != "none" or log.n_items > MOST_ITEMS:
        return None
    log = _within_reach(log, seed)
    rows = distinct(log.items)  # what has no event is near to nothing
    known = replace(log, items=np.searchsorted(rows, log.items).astype(np.int32), n_items=len(rows))
    axes, _ = directions(normalised(known), DIRECTIONS, seed)
    if not axes.size:
        return None
    graph, low = _graph(known), frozen(axes, np.float32)
    terms, series = _Terms.of(graph), plateau(ORDER, FLATNESS).astype(np.float32)
    writer = NeighbourWriter.at(folder, "spectral")
    sizes = np.zeros(log.n_items, dtype=np.int64)
    for first in range(0, len(rows), _LANES):
        stop = min(first + _LANES, len(rows))
        columns = _filtered(first, stop, graph, series, terms)
        columns[:, : stop - first] += EXTRA * (low @ low[first:stop].T)
        sizes[rows[first:stop]], items, weights = _strongest(first, stop, n, columns, graph.power)
        writer.items.add(rows[items])
        writer.weights.add(weights)
    return writer.neighbours(sizes, 1.0, REACH["none"])


def _within_reach(log: Log, seed: int) -> Log:
    """The log, or as much of it as MOST_WORK allows, user by user."""
    share = MOST_WORK / max(len(log) * len(distinct(log.items)), 1)
    if share >= 1:
        return log
    kept = np.random.default_rng(seed).random(log.n_users) < share
    return log.where(kept[log.users])


class _Graph(NamedTuple):
    """Users' items and items' users, each once; scales: 1 over the number of a user's items, over the root
    of that of an item's users; power: that number to the power β."""

    items: NDArray[Any]
    item_offsets: NDArray[np.int64]
    users: NDArray[Any]
    user_offsets: NDArray[np.int64]
    by_user: Float32
    by_item: Float32
    power: Float32


def _graph(log: Log) -> _Graph:
    pairs = distinct(log.users.astype(np.int64) * log.n_items + log.items)
    users, items = pairs // log.n_items, (pairs % log.n_items).astype(np.int32)
    order, user_offsets = grouped(items, log.n_items)
    sizes = np.bincount(users, minlength=log.n_users)
    counts = np.maximum(counted(items, log.n_items), 1)
    return _Graph(
        items,
        np.append(0, np.cumsum(sizes)),
        users[order].astype(np.int32),
        user_offsets,
        (1 / np.maximum(sizes, 1)).astype(np.float32),
        (counts**-0.5).astype(np.float32),
        (counts**POWER).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class _Terms:
    """Arrays that every block of columns uses again: two terms of the series and their sum, float32 [n_items,
    _LANES], and sums by user, float32 [n_users, _LANES]."""

    before: Float32
    now: Float32
    total: Float32
    by_user: Float32

    @classmethod
    def of(cls, graph: _Graph) -> _Terms:
        n_items, n_users = len(graph.by_item), len(graph.by_user)
        return cls(*(np.zeros((n, _LANES), dtype=np.float32) for n in (n_items, n_items, n_items, n_users)))


def _filtered(first: int, stop: int, graph: _Graph, series: Float32, terms: _Terms) -> Float32:
    """h(L̃) of the unit vectors of items first … stop: float32 [n_items, _LANES]; further lanes are 0. It is
    `terms.total`."""
    before, now = terms.before, terms.now
    before[:] = 0
    before[np.arange(first, stop), np.arange(stop - first)] = 1
    np.multiply(before, series[0], out=terms.total)
    now[:] = 0
    _step(before, now, terms.by_user, graph, np.float32(1), terms.total, series[1])
    for coefficient in series[2:]:
        # T_k+1 = 2 L̃ T_k − T_k−1, in the place of T_k−1.
        _step(now, before, terms.by_user, graph, np.float32(2), terms.total, coefficient)
        before, now = now, before
    return terms.total


@compiled(fastmath={"contract"})
def _step(x: Any, out: Any, sums: Any, graph: Any, times: Any, total: Any, weight: Any) -> None:
    """out = times · L̃ x − out; total += weight · out. sums: scratch. Lanes go side by side."""
    lanes = np.empty(_LANES, dtype=np.float32)
    for user in range(len(sums)):
        for lane in range(_LANES):
            lanes[lane] = 0
        for at in range(graph.item_offsets[user], graph.item_offsets[user + 1]):
            of: Any = np.uint32(graph.items[at])
            scale = graph.by_item[of]
            for lane in range(_LANES):
                lanes[lane] += scale * x[of, lane]
        for lane in range(_LANES):
            sums[user, lane] = lanes[lane] * graph.by_user[user]
    for item in range(len(out)):
        for lane in range(_LANES):
            lanes[lane] = 0
        for at in range(graph.user_offsets[item], graph.user_offsets[item + 1]):
            who: Any = np.uint32(graph.users[at])
            for lane in range(_LANES):
                lanes[lane] += sums[who, lane]
        scale = np.float32(2) * graph.by_item[item]
        for lane in range(_LANES):
            out[item, lane] = times * (x[item, lane] - scale * lanes[lane]) - out[item, lane]
            total[item, lane] += weight * out[item, lane]


@compiled
def _strongest(first: int, stop: int, n_kept: int, columns: Any, power: Any) -> Any:
    """Of each column the largest entries above 0, scaled, heaviest first: sizes, items and weights."""
    sizes = np.zeros(stop - first, dtype=np.int64)
    items = np.empty((stop - first) * n_kept, dtype=np.int32)
    weights = np.empty((stop - first) * n_kept, dtype=np.float32)
    total = 0
    for item in range(first, stop):
        best, best_weights = items[total : total + n_kept], weights[total : total + n_kept]
        size = 0
        for other in range(len(columns)):
            weight = columns[other, item - first] * power[other] / power[item]
            if weight > 0 and other != item:
                size = heap_push(best_weights, best, size, weight, other)
        heap_sort(best_weights, best, size)
        sizes[item - first] = size
        total += size
    return sizes, items[:total].copy(), weights[:total].copy()
