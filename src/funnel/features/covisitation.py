"""Which items have the same users, and which follows which: two weighted neighbour lists, fitted on a log.

Covisitation counts pairs within a user's list, nearer pairs more, later-than more than earlier-than, users
with long lists less (inverse user frequency: Breese, Heckerman & Kadie, UAI 1998), and divides by powers of
both items' counts (cosine is the power one half on either side; a smaller one trusts popular items more:
Aiolli, RecSys 2013). Where the log has no order this is the sparse product X^T X of item-item
collaborative filtering (Sarwar et al., WWW 2001), kept to the top neighbours (Deshpande & Karypis, TOIS
2004). The constants were chosen on validation items of four public logs; all lie on flat ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.data.columnar.columns import taken
from funnel.data.columnar.grouping import counted, grouped
from funnel.features.array_file import ArrayParts, parts
from funnel.features.arrays import frozen, save_array
from funnel.features.kernels import heap_push, heap_sort
from funnel.features.neighbours import Neighbours
from funnel.features.recent import REACH, members
from funnel.types import Clock, Int64, Log, Ragged

#: Items counted in one go; bounds the memory that is not the result.
_BLOCK = 4096

#: Items of a set whose pairs are counted: their number grows with the square.
MOST_PAIRED = 10_000


@dataclass(frozen=True, slots=True)
class Weighting:
    """How a pair of events counts, and what its sum is divided by.

    ahead, back: weight of a later or earlier item of the list, by distance from 1; longer distances do not
    count. None: a set, which has no near and far, all of whose pairs count 1. user_power: a list of length n
    counts n^−user_power. An item with c events is divided by (c + smooth)^power, with its own power as the
    source and as the neighbour.
    """

    ahead: NDArray[np.float64] | None
    back: NDArray[np.float64] | None
    user_power: float
    source_power: float
    target_power: float
    smooth: float


def _covisitation_weighting(clock: Clock) -> Weighting:
    if clock == "none":
        return Weighting(None, None, user_power=0.5, source_power=0.6, target_power=0.35, smooth=0.0)
    near = np.arange(1.0, 51.0) ** -0.5
    return Weighting(near, 0.5 * near, user_power=0.25, source_power=0.4, target_power=0.2, smooth=5.0)


def fit_covisitation(log: Log, *, n: int = 200, folder: Path | None = None) -> Neighbours:
    """The `n` items that go best with each item.

    folder: where the lists are written while they are counted, as `Neighbours.save` would, and mapped from;
    None: they are in memory. Memory beside them: 12 bytes an event and about 50 an item, whatever their
    lists.
    Where nothing orders the log, all pairs of a user's items count alike, whatever the order of the events;
    of a set of more than MOST_PAIRED items those of a sample of so many (`funnel.features.recent.members`).
    """
    decay = 1.0 if log.clock == "none" else 0.8
    write = Written.at(folder, "covisitation")
    return _fit(log, _covisitation_weighting(log.clock), n, decay, REACH[log.clock], write)


def fit_transitions(log: Log, *, n: int = 100, folder: Path | None = None) -> Neighbours | None:
    """The `n` items that follow each item within three steps, weight 1/distance; None without an order.
    folder: see `fit_covisitation`.

    Divided by the source's count plus five: the share of events after the source that are of this item,
    drawn towards zero where the source has few events.
    """
    if log.clock == "none":
        return None
    ahead = 1.0 / np.arange(1.0, 4.0)
    weighting = Weighting(ahead, np.empty(0), user_power=0.0, source_power=1.0, target_power=0.0, smooth=5.0)
    return _fit(log, weighting, n, 0.8, 5, Written.at(folder, "transitions"))


@dataclass(frozen=True)
class Written:
    """Where neighbours go while they are counted."""

    folder: Path | None
    name: str
    items: ArrayParts
    weights: ArrayParts

    @classmethod
    def at(cls, folder: Path | None, name: str) -> Written:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        return cls(
            folder,
            name,
            parts(folder, f"{name}.items", np.int32),
            parts(folder, f"{name}.weights", np.float32),
        )

    def neighbours(self, sizes: Int64, decay: float, reach: int) -> Neighbours:
        """All lists, of these sizes."""
        offsets = frozen(np.append(0, np.cumsum(sizes)))
        if self.folder is not None:
            save_array(self.folder, f"{self.name}.offsets", offsets)
        return Neighbours(
            offsets, frozen(self.items.whole()), frozen(self.weights.whole()), decay, reach, self.folder
        )


class _Positions(NamedTuple):
    """Users' lists end to end (values, offsets), the list of each position, and the positions of each item.

    Those of item i are `of_item[item_offsets[i]:item_offsets[i + 1]]`.
    """

    values: NDArray[Any]
    offsets: Int64
    list_of: NDArray[Any]
    of_item: NDArray[Any]
    item_offsets: Int64


class _Scales(NamedTuple):
    """A weighting with its powers taken: by distance, by user, by item as source and as neighbour."""

    ahead: NDArray[np.float64]
    back: NDArray[np.float64]
    user: NDArray[np.float64]
    source: NDArray[np.float64]
    target: NDArray[np.float64]


def _fit(log: Log, weighting: Weighting, n: int, decay: float, reach: int, written: Written) -> Neighbours:
    lists = _lists_of(log)
    scales = _scales(lists, weighting, log.n_items)
    positions = _positions(_paired(lists, log.n_items) if log.clock == "none" else lists, log.n_items)
    del lists
    sums, touched = np.zeros(log.n_items), np.empty(log.n_items, dtype=np.int32)
    sizes = np.zeros(log.n_items, dtype=np.int64)
    for first in range(0, log.n_items, _BLOCK):
        stop = min(first + _BLOCK, log.n_items)
        block = _count_block(first, stop, n, positions, scales, sums, touched)
        sizes[first:stop] = block[0]
        written.items.add(block[1])
        written.weights.add(block[2])
    return written.neighbours(sizes, decay, reach)


def _lists_of(log: Log) -> Ragged:
    """Each user's items, oldest first; by item row where nothing orders them."""
    if log.clock == "none":
        return log.by_user()[0]
    order, offsets = grouped(log.users, log.n_users)
    return Ragged(taken(log.items, order), offsets)


def _scales(lists: Ragged, weighting: Weighting, n_items: int) -> _Scales:
    alike = np.ones(int(lists.lengths.max(initial=0)))
    smoothed = np.maximum(counted(lists.values, n_items), 1) + weighting.smooth
    return _Scales(
        ahead=alike if weighting.ahead is None else weighting.ahead,
        back=alike if weighting.back is None else weighting.back,
        user=np.maximum(lists.lengths, 1) ** -weighting.user_power,
        source=smoothed**-weighting.source_power,
        target=smoothed**-weighting.target_power,
    )


def _positions(lists: Ragged, n_items: int) -> _Positions:
    of_item, item_offsets = grouped(lists.values, n_items)
    list_of = np.repeat(np.arange(len(lists), dtype=np.int32), lists.lengths)
    return _Positions(lists.values, lists.offsets, list_of, of_item, item_offsets)


def _paired(sets: Ragged, n_items: int) -> Ragged:
    """The sets, cut to samples where one is very long."""
    return members(sets, MOST_PAIRED, n_items) if sets.lengths.max(initial=0) > MOST_PAIRED else sets


@compiled
def _count_block(
    first: int, stop: int, n_kept: int, positions: Any, scales: Any, sums: Any, touched: Any
) -> Any:
    """The neighbours of the items first … stop: sizes, and items and weights end to end.

    sums: float64 [n_items], zero, left zero; touched: int32 [n_items], scratch.
    """
    sizes = np.zeros(stop - first, dtype=np.int64)
    items = np.empty((stop - first) * n_kept, dtype=np.int32)
    weights = np.empty((stop - first) * n_kept, dtype=np.float32)
    total = 0
    for item in range(first, stop):
        n = 0
        for position in positions.of_item[positions.item_offsets[item] : positions.item_offsets[item + 1]]:
            n = _add_pairs(position, positions, scales, sums, touched, n)
        best, best_weights = items[total : total + n_kept], weights[total : total + n_kept]
        size = 0
        for neighbour in touched[:n]:
            weight = np.float32(sums[neighbour] * scales.source[item] * scales.target[neighbour])
            sums[neighbour] = 0.0
            if weight > 0:
                size = heap_push(best_weights, best, size, weight, neighbour)
        heap_sort(best_weights, best, size)
        sizes[item - first] = size
        total += size
    return sizes, items[:total].copy(), weights[:total].copy()


@compiled
def _add_pairs(position: int, positions: Any, scales: Any, sums: Any, touched: Any, n: int) -> int:
    """Count the items on both sides of a position within its list; returns how many are touched by now."""
    user = positions.list_of[position]
    first, stop = positions.offsets[user], positions.offsets[user + 1]
    for other in range(max(first, position - len(scales.back)), min(stop, position + len(scales.ahead) + 1)):
        neighbour = positions.values[other]
        if neighbour == positions.values[position]:
            continue
        if sums[neighbour] == 0.0:
            touched[n] = neighbour
            n += 1
        near = scales.ahead[other - position - 1] if other > position else scales.back[position - other - 1]
        sums[neighbour] += near * scales.user[user]
    return n
