"""Scores rows with a LightGBM model, without LightGBM and faster."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from funnel.ranker.trees.kernels import PIECE, score
from funnel.ranker.trees.plan import plan
from funnel.ranker.trees.text import parse
from funnel.types import Float32, Int64


class Forest:
    """The trees of a model in LightGBM's text format. Immutable, and safe to call from many threads.

    Scores are those of `lightgbm.Booster.predict(raw_score=True)` to the last bit, for float32 rows: every
    row takes the same branches, and the trees are added in the same order.

    Raises: BundleError for text that is no such model, is cut, or has several scores a row or linear leaves.
    """

    def __init__(self, text: str) -> None:
        model = parse(text)
        self.names = model.names
        self.trees = len(model.trees)
        self._plan = plan(model)

    def lists(self, matrix: Float32, lengths: Int64, *, threads: int = 1) -> NDArray[np.float64]:
        """Raw scores of each list's first rows, −inf behind them: float64 [B, K].

        matrix: float32 [B, K, F]. lengths: how many of the K rows a list has. What is the same in all rows of
        a list (a feature of the user, say) is looked at once a list. threads: share the lists.
        """
        b, k, f = matrix.shape
        out = np.empty((b, k))
        out.fill(-np.inf)
        starts = np.arange(b, dtype=np.int64) * k
        self._score(matrix.reshape(b * k, f), starts, starts + lengths, out.reshape(-1), threads)
        return out

    def rows(self, matrix: Float32, *, threads: int = 1) -> NDArray[np.float64]:
        """Raw scores of rows [N, F]: float64 [N]."""
        out = np.empty(len(matrix))
        starts = np.arange(0, len(matrix), PIECE, dtype=np.int64)
        self._score(matrix, starts, np.minimum(starts + PIECE, len(matrix)), out, threads)
        return out

    def _score(
        self, matrix: Float32, starts: Int64, ends: Int64, out: NDArray[np.float64], threads: int
    ) -> None:
        matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        if threads <= 1 or len(starts) < 2:
            score(matrix, starts, ends, self._plan, out)
        else:
            parts = zip(np.array_split(starts, threads), np.array_split(ends, threads), strict=True)
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda part: score(matrix, *part, self._plan, out), parts))
