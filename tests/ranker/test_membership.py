"""Membership of items in ragged lists, against a loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.ranker import contains
from funnel.types import Ragged

ROWS = st.integers(-1, 6)


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(ROWS, max_size=5), st.lists(ROWS, min_size=3, max_size=3)), max_size=6))
def test_equals_a_loop(pairs: list[tuple[list[int], list[int]]]) -> None:
    lists = Ragged.from_lists([own for own, _ in pairs])
    items = np.array([wanted for _, wanted in pairs], dtype=np.int32).reshape(len(pairs), 3)
    expected = [[item >= 0 and item in own for item in wanted] for own, wanted in pairs]
    assert contains(lists, items).tolist() == expected


def test_largest_row_is_not_taken_for_the_next_list() -> None:
    top = np.iinfo(np.int32).max
    lists = Ragged.from_lists([[top], [0], [-1]])
    items = np.array([[0, top, -1], [0, top, -1], [0, top, -1]], dtype=np.int32)
    assert contains(lists, items).tolist() == [[False, True, False], [True, False, False], [False] * 3]
