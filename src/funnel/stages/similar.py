"""The neighbours of an item: its own vector and its co-visitations, instead of a user's query."""

from __future__ import annotations

import numpy as np

from funnel.types import Float32, Requests
from funnel.vectors import ItemVectors

#: What the rank by vectors weighs beside that by co-visitation: it decides where that has nothing to say.
VECTOR_WEIGHT = 0.02


class ItemQueries:
    """The vector of the newest item of each history as the query.

    item_vectors: [n_items, d].
    """

    def __init__(self, item_vectors: ItemVectors) -> None:
        self._vectors = item_vectors

    @property
    def item_vectors(self) -> ItemVectors:
        """[n_items, d]."""
        return self._vectors

    def encode(self, requests: Requests) -> Float32:
        """float32 [B, d]; zeros for a request without a history."""
        newest = requests.history.last(1)[:, 0]
        vectors = self._vectors[np.maximum(newest, 0)]
        return np.where((newest >= 0)[:, None], vectors, np.float32(0)).astype(np.float32)
