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

import numpy as np
from numpy.typing import NDArray

from funnel.data.columnar.columns import taken
from funnel.data.columnar.grouping import counted, grouped
from funnel.features.array_file import ArrayParts, parts
from funnel.features.arrays import frozen, save_array
from funnel.features.neighbours import Neighbours
from funnel.features.pairs import Positions, Scales, counting
from funnel.features.recent import REACH, members
from funnel.recipes import each
from funnel.types import Clock, Int64, Log, Ragged

#: Items counted in one go, by this process or a worker; bounds the memory that is not the result.
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
    write = _Written.at(folder, "covisitation")
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
    return _fit(log, weighting, n, 0.8, 5, _Written.at(folder, "transitions"))


@dataclass(frozen=True)
class _Written:
    """Where neighbours go while they are counted."""

    folder: Path | None
    name: str
    items: ArrayParts
    weights: ArrayParts

    @classmethod
    def at(cls, folder: Path | None, name: str) -> _Written:
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


def _fit(log: Log, weighting: Weighting, n: int, decay: float, reach: int, written: _Written) -> Neighbours:
    lists = _lists_of(log)
    scales = _scales(lists, weighting, log.n_items)
    positions = _positions(_paired(lists, log.n_items) if log.clock == "none" else lists, log.n_items)
    del lists
    sizes = np.zeros(log.n_items, dtype=np.int64)
    blocks = [(first, min(first + _BLOCK, log.n_items)) for first in range(0, log.n_items, _BLOCK)]
    with counting(positions, scales, n, written.folder) as count:
        counted_blocks = each(count, blocks, threads=1)
        for (first, stop), block in zip(blocks, counted_blocks, strict=True):
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


def _scales(lists: Ragged, weighting: Weighting, n_items: int) -> Scales:
    alike = np.ones(int(lists.lengths.max(initial=0)))
    smoothed = np.maximum(counted(lists.values, n_items), 1) + weighting.smooth
    return Scales(
        ahead=alike if weighting.ahead is None else weighting.ahead,
        back=alike if weighting.back is None else weighting.back,
        user=np.maximum(lists.lengths, 1) ** -weighting.user_power,
        source=smoothed**-weighting.source_power,
        target=smoothed**-weighting.target_power,
    )


def _positions(lists: Ragged, n_items: int) -> Positions:
    of_item, item_offsets = grouped(lists.values, n_items)
    list_of = np.repeat(np.arange(len(lists), dtype=np.int32), lists.lengths)
    return Positions(lists.values, lists.offsets, list_of, of_item, item_offsets)


def _paired(sets: Ragged, n_items: int) -> Ragged:
    """The sets, cut to samples where one is very long."""
    return members(sets, MOST_PAIRED, n_items) if sets.lengths.max(initial=0) > MOST_PAIRED else sets
