"""What is known of the items that were changed since the bundle was built."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.features.arrays import frozen
from funnel.types import Bool, Features, Float32, Int32, Int64


@dataclass(frozen=True, eq=False)
class Delta:
    """The changed items, in any order: their row in the catalogue, and all that is known of them now.

    rows: int32 [m], each once. alive: bool [m], false for a deleted item. stamps: int64 [m], the number of
    the change that gave each its vector; 0 where it has the bundle's. frame, features, vectors: one row
    an item.
    """

    rows: Int32
    alive: Bool
    stamps: Int64
    frame: pd.DataFrame
    features: Features
    vectors: Float32

    def __len__(self) -> int:
        return len(self.rows)

    def put(self, other: Delta) -> Delta:
        """With another's items in place of those of the same row."""
        kept = self.take(~np.isin(self.rows, other.rows)) if len(self) else None
        if kept is None or not len(kept):
            return other
        return Delta(
            np.concatenate([kept.rows, other.rows]),
            np.concatenate([kept.alive, other.alive]),
            np.concatenate([kept.stamps, other.stamps]),
            pd.concat([kept.frame, other.frame], ignore_index=True),
            {name: np.concatenate([kept.features[name], new]) for name, new in other.features.items()},
            np.concatenate([kept.vectors, other.vectors]),
        )

    def take(self, places: NDArray[np.bool_] | Int64) -> Delta:
        """The items at these places."""
        return Delta(
            self.rows[places],
            self.alive[places],
            self.stamps[places],
            self.frame.loc[places].reset_index(drop=True),
            {name: values[places] for name, values in self.features.items()},
            self.vectors[places],
        )

    def dead(self) -> Delta:
        """The same items, deleted."""
        return replace(self, alive=np.zeros(len(self), dtype=np.bool_))


def spread(base: NDArray[np.generic], delta: NDArray[np.generic], rows: Int32, n: int) -> NDArray[np.generic]:
    """An array of n rows: those of base, and in the places of `rows` those of delta. Read-only."""
    out = np.empty((n, *base.shape[1:]), dtype=base.dtype)
    out[: len(base)] = base
    out[rows] = delta
    return frozen(out)
