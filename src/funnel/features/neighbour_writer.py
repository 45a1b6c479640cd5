"""Neighbour lists that are written while they are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from funnel.features.array_file import ArrayParts, parts
from funnel.features.arrays import frozen, save_array
from funnel.features.neighbours import Neighbours
from funnel.types import Int64


@dataclass(frozen=True)
class NeighbourWriter:
    """Where neighbours go while they are counted."""

    folder: Path | None
    name: str
    items: ArrayParts
    weights: ArrayParts

    @classmethod
    def at(cls, folder: Path | None, name: str) -> NeighbourWriter:
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
