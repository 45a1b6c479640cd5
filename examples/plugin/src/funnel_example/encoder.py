"""An encoder: the next item's vector by ridge regression (Hoerl & Kennard 1970), beside the query tower's."""

from __future__ import annotations

from typing import Any

import numpy as np

import funnel

_FILE = "weights.npy"


@funnel.register("encoder", "ridge")
class Ridge:
    """What the mean of the last few vectors leads to next, by least squares over all events, added to the
    query tower's own; without a history the tower's alone."""

    def __init__(
        self, parts: funnel.EncoderParts, *, last: int = 3, share: float = 0.5, strength: float = 10.0
    ) -> None:
        self._last, self._share = last, share
        if parts.known is not None:  # the bundle is built
            learned = _learned(parts.known.by_user()[0], parts.towers.item_vectors, last, strength)
            np.save(parts.folder / _FILE, learned)
        self._weights = np.load(parts.folder / _FILE, allow_pickle=False)

    def encode(self, requests: funnel.Requests, towers: Any) -> Any:
        """See `funnel.Encoder`."""
        queries, vectors = towers.encode(requests), towers.item_vectors
        for i in range(len(requests)):
            history = requests.history[i]
            recent = history[history >= 0][-self._last :]
            if len(recent):
                predicted = vectors[recent].mean(axis=0) @ self._weights
                queries[i] = (1 - self._share) * queries[i] + self._share * predicted
        return queries.astype(np.float32)


def _learned(histories: funnel.Ragged, vectors: Any, last: int, strength: float) -> Any:
    """Weights W [d, d] that make |mean of the last @ W - next|^2 + strength |W|^2 least."""
    d = vectors.shape[1]
    squares, products = strength * np.eye(d), np.zeros((d, d))
    for user in range(len(histories)):
        items = np.asarray(vectors[histories[user]], dtype=np.float64)
        if len(items) < 2:
            continue
        sums = np.concatenate([np.zeros((1, d)), np.cumsum(items, axis=0)])
        ends = np.arange(1, len(items))
        starts = np.maximum(ends - last, 0)
        means = (sums[ends] - sums[starts]) / (ends - starts)[:, None]
        squares += means.T @ means
        products += means.T @ items[1:]
    return np.linalg.solve(squares, products).astype(np.float32)
