"""The different values of arrays: what NumPy gives, whatever it takes to get there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from funnel.distinct import distinct, is_in, union, without

numbers = arrays.arrays(
    st.sampled_from([np.int32, np.int64, np.float32]),
    arrays.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=30),
    elements=st.integers(-9, 9),
)


@given(numbers)
def test_distinct_is_what_numpy_has(values: np.ndarray) -> None:
    found = distinct(values)
    np.testing.assert_array_equal(found, np.unique(values, return_counts=True)[0])
    assert found.dtype == values.dtype


@given(numbers, numbers)
def test_sets(one: np.ndarray, other: np.ndarray) -> None:
    a, b = set(one.ravel().tolist()), set(other.ravel().tolist())
    assert union(one.ravel(), other.ravel()).tolist() == sorted(a | b)
    assert without(one.ravel(), other.ravel()).tolist() == sorted(a - b)
    there = is_in(one, np.sort(other, axis=None))
    assert there.shape == one.shape
    assert there.ravel().tolist() == [value in b for value in one.ravel().tolist()]


def test_words_and_lists() -> None:
    assert distinct(["b", "a", "b"]).tolist() == ["a", "b"]
    assert distinct([]).tolist() == []


@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_given_stays_as_it_is(read_only: bool) -> None:
    values = np.array([3, 1, 3])
    values.flags.writeable = not read_only
    assert distinct(values).tolist() == [1, 3]
    assert values.tolist() == [3, 1, 3]
