"""The two ways to the best k give the same rows and the same scores, to the bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from funnel.index.kernel import best, best_of


@given(seed=st.integers(0, 999), n=st.integers(1, 80), d=st.integers(1, 20), k=st.integers(1, 90))
def test_a_query_alone_and_all_at_once(seed: int, n: int, d: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, size=(n, d)).astype(np.float32)  # many ties
    queries = rng.integers(-1, 2, size=(3, d)).astype(np.float32) * np.float32(-0.7)
    rows = np.stack([rng.permutation(n) for _ in range(3)]).astype(np.int32)
    k = min(k, n)
    found, scores = best_of(queries, vectors, rows, k)
    expected, their_scores = best(queries, vectors, None, n, k)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(scores, their_scores)


def test_nobody_is_not_counted() -> None:
    rng = np.random.default_rng(0)
    vectors, query = rng.normal(size=(9, 4)).astype(np.float32), np.ones((1, 4), dtype=np.float32)
    rows = np.array([[-1, 3, -1, 5]], dtype=np.int32)
    for found, scores in (best_of(query, vectors, rows, 3), best(query, vectors, rows[0], 4, 3)):
        assert set(found[0, :2].tolist()) == {3, 5}
        assert found[0, 2] == -1
        assert np.isneginf(scores[0, 2])
