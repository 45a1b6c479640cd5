"""Lists of different lengths, end to end."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from funnel.types import Ragged


@given(lists=st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6), data=st.data())
def test_a_slice_is_what_its_rows_are_without_a_copy(lists: list[list[int]], data: st.DataObject) -> None:
    ragged = Ragged.from_lists(lists)
    start = data.draw(st.integers(0, len(lists)))
    stop = data.draw(st.integers(0, len(lists) + 2))
    rows = np.arange(start, min(stop, len(lists)))
    some, same = ragged.take(slice(start, stop)), ragged.take(rows)
    assert [row.tolist() for row in some] == [row.tolist() for row in same]
    assert some.offsets.tolist() == same.offsets.tolist()
    assert not len(some.values) or np.shares_memory(some.values, ragged.values)
