from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from funnel.towers.inputs import GAPS, gap_buckets, histories, missing, user_columns
from funnel.types import Ragged

from .world import USER_SPECS, strangers

LISTS = st.lists(st.lists(st.integers(0, 10**12), max_size=6).map(sorted), max_size=6)


@given(LISTS)
def test_gaps_are_powers_of_two_since_the_event_before(lists: list[list[int]]) -> None:
    got = gap_buckets(Ragged.from_lists(lists, np.int64), "time")
    want = []
    for times in lists:
        for i, t in enumerate(times):
            seconds = t - times[i - 1]
            want.append(0 if i == 0 else min(1 + math.floor(math.log2(1 + seconds)), GAPS - 1))
    assert got.tolist() == want


def test_without_a_clock_gaps_say_nothing() -> None:
    times = Ragged.from_lists([[1, 5, 900]], np.int64)
    assert gap_buckets(times, "order").tolist() == [0, 0, 0]
    assert gap_buckets(times, "none").tolist() == [0, 0, 0]


def test_events_out_of_order_count_as_at_once() -> None:
    assert gap_buckets(Ragged.from_lists([[100, 5]], np.int64), "time").tolist() == [0, 1]


def test_the_newest_known_items_are_read() -> None:
    got = histories(strangers([[1, -1, 2, 3, 4], [], [-1], [7]]), 3, "order")
    assert got.items.tolist() == [[2, 3, 4], [0, 0, 0], [0, 0, 0], [7, 0, 0]]
    assert got.lengths.tolist() == [3, 0, 0, 1]


def test_the_gap_before_the_first_item_that_is_read_is_kept() -> None:
    """As in training, where a window's first event has a gap to the one before the window."""
    got = histories(strangers([[1, 2, 3]]), 2, "time")
    assert got.gaps.tolist() == [[2, 2]]


def test_a_request_without_history_still_has_a_place() -> None:
    got = histories(strangers([[]]), 5, "time")
    assert got.items.shape == got.gaps.shape == (1, 1)


def test_a_column_that_is_not_given_is_missing() -> None:
    columns = user_columns(USER_SPECS, {"likes": np.array([3, 4], dtype=np.int32)}, 2)
    assert columns["likes"].tolist() == [3, 4]
    assert columns["age"].tolist() == [[0, 1], [0, 1]]
    assert columns["tags"].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert missing(USER_SPECS["taste"], 1).tolist() == [[0, 0, 0, 0]]


def test_of_a_long_set_the_same_items_are_read_in_whatever_order_they_come() -> None:
    """Each once, since towers learn sets with each item once."""
    rng = np.random.default_rng(0)
    long = rng.permutation(500)
    lists = [long.tolist(), rng.permutation(long).tolist(), [*long.tolist(), *long[:50].tolist()], [3, -1, 3]]
    padded = histories(strangers(lists), 100, "none")
    assert padded.lengths.tolist() == [100, 100, 100, 1]
    assert padded.items[0].tolist() == padded.items[1].tolist() == padded.items[2].tolist()
    assert len(set(padded.items[0].tolist())) == 100
    assert padded.items[3][0] == 3
    ordered = histories(strangers(lists[:2]), 100, "order")
    assert ordered.items[0].tolist() == long[-100:].tolist()
