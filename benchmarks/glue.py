"""The stack that people write: FAISS IVF, pandas for the features, Booster.predict, a loop for diversity.

It answers the same requests with the same towers, number of features and trees as the funnel that it is
compared with, and is not made slow on purpose: what was met is dropped with a set, item columns come from one
frame by `take`, LightGBM runs on one thread, diversity is NumPy over the best fifty.
"""

from __future__ import annotations

from typing import Any

import faiss
import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.index.exact import exact_search
from funnel.types import Float32, Requests


class Glue:
    """Made for a bundle and its ranker's LightGBM text.

    recall: of the index at k, reached by the fewest probes. The features of items are a frame with a row an
    item, filled from `matrix` [rows, F], feature rows of real candidates; those that are `constant` in a
    request are put beside them.
    """

    def __init__(
        self,
        contents: Contents,
        model: str,
        matrix: Float32,
        constant: NDArray[np.bool_],
        queries: Float32,
        *,
        k: int = 500,
        recall: float = 0.95,
        seed: int = 0,
    ) -> None:
        self._vectors = np.ascontiguousarray(contents.vectors)
        self._encode, self._k = contents.encoder.encode, k
        self._booster = lightgbm.Booster(model_str=model)
        names = self._booster.feature_name()
        n, filler = len(self._vectors), np.random.default_rng(seed)
        rows = filler.integers(len(matrix), size=n)
        self._items = pd.DataFrame(
            {name: matrix[rows, i] for i, name in enumerate(names) if not constant[i]}, copy=False
        )
        self._user = {name: float(matrix[0, i]) for i, name in enumerate(names) if constant[i]}
        self._names = names
        lists = 2 ** round(np.log2(4 * np.sqrt(n)))
        self.spec = f"IVF{lists},Flat"
        self._index: Any = faiss.index_factory(self._vectors.shape[1], self.spec, faiss.METRIC_INNER_PRODUCT)
        self._index.train(self._vectors[filler.choice(n, min(n, 64 * lists), replace=False)])
        self._index.add(self._vectors)
        wanted = exact_search(self._vectors, queries, k)[0]
        self.probes, self.recall = self._probes(queries, wanted, recall)

    def _probes(self, queries: Float32, wanted: NDArray[np.int32], goal: float) -> tuple[int, float]:
        """The fewest that reach the recall."""
        probes, found = 1, 0.0
        while probes < self._index.nlist:
            self._index.nprobe = probes
            rows = self._index.search(queries, self._k)[1]
            found = float(np.mean([np.isin(w, r).mean() for w, r in zip(wanted, rows, strict=True)]))
            if found >= goal:
                break
            probes = max(probes + 1, probes * 5 // 4)
        return probes, found

    def __call__(self, requests: Requests, top: int = 10) -> list[int]:
        """The best ten item rows of one request."""
        met = set(requests.history.values.tolist())
        query = self._encode(requests)
        _, rows = self._index.search(query, self._k + len(met))
        kept = np.array([row for row in rows[0] if row >= 0 and row not in met][: self._k])
        frame = self._items.take(kept).assign(**self._user)[self._names]
        scores = self._booster.predict(frame, raw_score=True, num_threads=1)
        order = np.argsort(-scores, kind="stable")[:50]
        return self._diverse(kept[order], scores[order], top)

    def _diverse(self, rows: NDArray[np.int64], scores: NDArray[np.float64], top: int) -> list[int]:
        """Maximal marginal relevance, trade-off .8."""
        unit = self._vectors[rows]
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        span = scores.max() - scores.min()
        relevance = (scores - scores.min()) / span if span > 0 else np.zeros_like(scores)
        closest = np.full(len(rows), -1.0)
        picked: list[int] = []
        for _ in range(min(top, len(rows))):
            value = 0.8 * relevance - 0.2 * closest
            value[picked] = -np.inf
            best = int(np.argmax(value))
            picked.append(best)
            closest = np.maximum(closest, unit @ unit[best])
        return [int(row) for row in rows[picked]]
