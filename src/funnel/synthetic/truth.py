"""What only a made-up world knows: how much each user likes each ad."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.synthetic.ads import AdsTruth
from funnel.types import Float32

_NAMES = ("users", "items", "bias", "examination")


@dataclass(frozen=True, eq=False)
class LatentTruth:
    """The factors that clicks were drawn from.

    users: float32 [n_users, d]. items: float32 [n_items, d]. bias: float32 [n_items].
    examination: float32 [slots], the probability that somebody looks at a position of the list, from 0.
    ads: of moments, purchases and money; None where the world has clicks alone.
    """

    users: Float32
    items: Float32
    bias: Float32
    examination: Float32
    ads: AdsTruth | None = None

    def scores(self, users: NDArray[Any], times: NDArray[Any] | None = None) -> Float32:
        """The logit of a click on each item once it is looked at, for these user rows: float32 [B, n_items].

        times: seconds [B], of whose moments the logit is, in a world where moments matter; None leaves them
        out. Noise is left out: it has no direction, so that this order is the best one possible.
        """
        logits = np.asarray(self.users[users] @ self.items.T + self.bias, dtype=np.float32)
        if self.ads is not None and times is not None:
            logits += self.ads.lifts(users, times)[:, self.ads.category]
        return logits

    def values(self, users: NDArray[Any], times: NDArray[Any]) -> Float32 | None:
        """What each item is expected to earn once it is looked at: float32 [B, n_items], a click's
        probability times its bid and what its purchases bring. None where the world has no money."""
        if self.ads is None:
            return None
        chance = 1 / (1 + np.exp(-self.scores(users, times)))
        return (chance * self.ads.worth(users)).astype(np.float32)

    def logits(self, users: NDArray[Any], items: NDArray[Any], times: NDArray[Any]) -> NDArray[Any]:
        """The same as `scores` for some items a request [R, S]."""
        scores = np.einsum("rd,rsd->rs", self.users[users], self.items[items]) + self.bias[items]
        if self.ads is not None:
            lifts = self.ads.lifts(users, times)
            scores += np.take_along_axis(lifts, self.ads.category[items].astype(np.int64), axis=1)
        return np.asarray(scores)

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
        return cls(arrays["users"], arrays["items"], arrays["bias"], examination)

    @classmethod
    def load(cls, folder: Path) -> LatentTruth:
        """From the `.npy` files, mapped and not read."""
        users, items, bias, examination = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _NAMES
        )
        ads = AdsTruth.load(folder / "ads") if (folder / "ads").is_dir() else None
        return cls(users, items, bias, examination, ads)
