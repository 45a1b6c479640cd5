"""Weighted lists of neighbouring items, and the scores that they give the items for a history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from funnel.allow import Allow
from funnel.compiling import plain
from funnel.features.arrays import frozen, load_array, save_array
from funnel.features.evidence import EVIDENCE, Edges, evidence, nearest
from funnel.features.kernels import bitmaps, item_lists
from funnel.features.recent import recent
from funnel.features.spread import top
from funnel.types import Float32, Int32, Int64, Lists, Ragged, growable
from funnel.values.arrays import check_offsets, check_rows, check_within

_ALL = frozen(np.arange(len(EVIDENCE)))
_SUM = frozen(np.arange(1))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """For each item row its neighbours, heaviest first.

    offsets: int64 [n_items + 1]; items int32 and weights float32 (positive) of item i are at
        `offsets[i]:offsets[i + 1]`.
    decay: weight of a history item relative to the one after it; 1 where there is no order.
    reach: how many of the latest history items count, or of a set (see `funnel.features.recent`).
    folder: where they were written while they were fitted; None: nowhere.
    """

    offsets: Int64
    items: Int32
    weights: Float32
    decay: float = 1.0
    reach: int = 1000
    folder: Path | None = None
    edges: Edges = field(init=False, repr=False, compare=False)  #: the lists as compiled code takes them

    def __post_init__(self) -> None:
        edges = Edges(frozen(self.offsets), frozen(self.items), frozen(self.weights))
        object.__setattr__(self, "edges", edges)

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return len(self.offsets) - 1

    def extended(self, n_items: int) -> Neighbours:
        """For a catalogue of n_items, whose further items have no neighbours and are no neighbours."""
        return replace(
            self, offsets=frozen(growable(self.offsets, n_items + 1, self.offsets[-1])), folder=None
        )

    def of(self, item: int) -> tuple[Int32, Float32]:
        """The neighbours of one item and their weights, heaviest first."""
        part = slice(self.offsets[item], self.offsets[item + 1])
        return self.items[part], self.weights[part]

    def scores(self, history: Ragged, items: Int32, *, decay: float | None = None) -> Float32:
        """Decayed sum of the weights that lead from each history [B] to items [B, K]: float32 [B, K].

        0 where no weight does; NaN at empty positions (−1) and for a history without an item of the
        catalogue.
        """
        faded = self.decay if decay is None else decay
        newest = self._counted(history)
        return evidence(self.edges, newest, plain(items)[0], faded, self.reach, _SUM)[:, :, 0]

    def evidence(self, newest_first: Ragged, items: Int32, *, decay: float | None = None) -> Float32:
        """What the weights from a history to each item look like: float32 [B, K, 7], columns `EVIDENCE`.

        newest_first: from `recent`. sum: with decay; share: sum over the sum of all weights that leave the
        history; flat: without decay; best: the largest; hits: the share of history items that have the item
        as a neighbour; last, second: from the newest item and the one before. NaN as in `scores`; second is
        NaN too when the history has one item, share when no weight leaves it.
        """
        faded = self.decay if decay is None else decay
        newest = Lists(newest_first.values, newest_first.offsets)
        return evidence(self.edges, newest, items, faded, self.reach, _ALL)

    def top(
        self,
        history: Ragged,
        k: int,
        *,
        decay: float | None = None,
        exclude: Ragged | None = None,
        allow: Allow | None = None,
    ) -> tuple[Int32, Float32]:
        """The k items with the highest scores for each history: rows int32 [B, k], scores float32 [B, k].

        Descending, ties by item row; −1 and −inf where fewer than k items have a positive score. Items of
        `exclude` never come back, nor those that `allow` leaves out; the next best take their
        positions.
        """
        faded = self.decay if decay is None else decay
        newest = self._counted(history)
        return top(self.edges, newest, faded, k, item_lists(exclude, len(history)), bitmaps(allow))

    def nearest(self, history: Ragged, items: Int32) -> Int32:
        """The recent history's item with the largest weight to each of items: int32 [B, K], −1 for none.

        For explanations ("because you interacted with …"). The newest wins a tie, in a set the first row.
        """
        return nearest(self.edges, self._counted(history), *plain(items))

    def save(self, folder: Path, name: str) -> None:
        """Write `name.offsets.npy`, `name.items.npy` and `name.weights.npy`, unless they are there."""
        if self.folder is not None and self.folder == folder:
            return
        for part in ("offsets", "items", "weights"):
            save_array(folder, f"{name}.{part}", getattr(self, part))

    @classmethod
    def load(cls, folder: Path, name: str, *, decay: float, reach: int) -> Neighbours:
        """Memory-mapped. Raises BundleError when a file is missing, or its numbers are not such lists."""
        offsets = load_array(folder, f"{name}.offsets", "int64", None)
        items = load_array(folder, f"{name}.items", "int32", None)
        weights = load_array(folder, f"{name}.weights", "float32", len(items))
        check_offsets(offsets, len(items), folder / f"{name}.offsets.npy")
        check_rows(items, len(offsets) - 1, folder / f"{name}.items.npy")
        check_within(weights, 0.0, float(np.finfo(np.float32).max), folder / f"{name}.weights.npy")
        return cls(offsets, items, weights, decay, reach)

    def _counted(self, history: Ragged) -> Lists:
        return recent(history, self.reach, self.n_items, ordered=self.decay < 1)
