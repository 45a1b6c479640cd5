"""The item tower without torch: vectors of items that no training event knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from funnel.errors import BundleError
from funnel.features.encoders import Spec
from funnel.features.runtime import OnnxSession
from funnel.towers.encoder import read_specs
from funnel.towers.inputs import input_name
from funnel.types import Features, Float32

GRAPH = "item_tower.onnx"

#: Numbers that the graph may hold for the values of a part of the items: 16 MiB of float32.
CHUNK = 1 << 22


@dataclass(frozen=True)
class ItemEncoder:
    """Encodes items by their columns alone, as the towers learned to: the share of training steps in which an
    item is known by its columns only is `TowersConfig.id_dropout`.

    Where items have no columns, all new ones have the same vector.
    """

    specs: Mapping[str, Spec]
    _session: OnnxSession = field(repr=False)

    @classmethod
    def load(cls, folder: Path) -> ItemEncoder | None:
        """An exported version's folder; None for one of an earlier funnel, which exported no item tower.

        Raises: BundleError when a file is damaged.
        """
        if not (folder / GRAPH).exists():
            return None
        try:
            specs = read_specs(json.loads((folder / "towers.json").read_text())["item_specs"])
            graph = (folder / GRAPH).read_bytes()
            return cls(specs, OnnxSession(lambda: graph, 1))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{folder}: the item tower cannot be read: {error}") from error

    def encode(self, columns: Features, n: int | None = None) -> Float32:
        """Vectors float32 [n, d] of items with these encoded columns; n is needed where there are none."""
        rows = len(next(iter(columns.values()))) if n is None else n
        size = max(
            1, CHUNK // (self._session.width * max((spec.width for spec in self.specs.values()), default=1))
        )
        # One part at least, so that there is a shape.
        parts = [self._encode(columns, at, min(at + size, rows)) for at in range(0, max(rows, 1), size)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _encode(self, columns: Features, first: int, stop: int) -> Float32:
        feed = {input_name(name): np.ascontiguousarray(columns[name][first:stop]) for name in self.specs}
        feed["n"] = np.zeros(stop - first, dtype=np.int64)
        vectors: Float32 = self._session.run(None, feed)[0]
        return vectors
