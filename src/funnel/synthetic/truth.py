"""What only a made-up world knows: how much each user likes each ad."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.types import Float32

_NAMES = ("users", "items", "bias", "examination")


@dataclass(frozen=True, eq=False)
class LatentTruth:
    """The factors that clicks were drawn from.

    users: float32 [n_users, d]. items: float32 [n_items, d]. bias: float32 [n_items].
    examination: float32 [slots], the probability that somebody looks at a position of the list, from 0.
    """

    users: Float32
    items: Float32
    bias: Float32
    examination: Float32

    def scores(self, users: NDArray[Any]) -> Float32:
        """The logit of a click on each item once it is looked at, for these user rows: float32 [B, n_items].

        Noise is left out: it has no direction, so that this order is the best one possible.
        """
        return np.asarray(self.users[users] @ self.items.T + self.bias, dtype=np.float32)

    @classmethod
    def create(cls, folder: Path, n_users: int, n_items: int, dim: int, examination: Float32) -> LatentTruth:
        """Empty `.npy` files to be filled in place, so that a large world never lies in memory as a whole."""
        folder.mkdir()
        shapes = {"users": (n_users, dim), "items": (n_items, dim), "bias": (n_items,)}
        arrays = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype=np.float32, shape=shape)
            for name, shape in shapes.items()
        }
        np.save(folder / "examination.npy", examination, allow_pickle=False)
        return cls(**arrays, examination=examination)

    @classmethod
    def load(cls, folder: Path) -> LatentTruth:
        """From the `.npy` files, mapped and not read."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _NAMES))
