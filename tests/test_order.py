"""The one order, against a sort of tuples."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.order import best

SCORES = st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 2**31 - 1), SCORES), max_size=12, unique_by=lambda p: p[0]),
    st.integers(1, 15),
)
def test_best_equals_sorting_tuples(pairs: list[tuple[int, float]], k: int) -> None:
    items = np.array([[item for item, _ in pairs]], dtype=np.int32).reshape(1, -1)
    scores = np.array([[score for _, score in pairs]], dtype=np.float32).reshape(1, -1)
    expected = sorted((-score, item) for item, score in pairs if item >= 0)[:k]
    rows, values = best(items, scores, k)
    padding = k - len(expected)
    assert rows[0].tolist() == [item for _, item in expected] + [-1] * padding
    assert values[0].tolist() == [-score for score, _ in expected] + [-np.inf] * padding


def test_nan_is_the_worst_score() -> None:
    rows, scores = best(np.array([[4, 2, 7]], np.int32), np.array([[np.nan, 1, -np.inf]], np.float32), 3)
    assert rows.tolist() == [[2, 4, 7]]
    assert scores.tolist() == [[1, -np.inf, -np.inf]]
