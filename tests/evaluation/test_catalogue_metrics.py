"""Coverage, exposure and popularity bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.errors import DataError
from funnel.evaluation.catalogue import coverage, exposure, gini, percentiles, popularity_bias

LISTS = np.array([[0, 1, 2], [0, 3, -1]], dtype=np.int32)


def test_exposure_counts_the_first_k_and_adds_up():
    assert exposure(LISTS, 3, 6).tolist() == [2, 1, 1, 1, 0, 0]
    assert exposure(LISTS, 1, 6).tolist() == [2, 0, 0, 0, 0, 0]
    parts = exposure(LISTS[:1], 3, 6) + exposure(LISTS[1:], 3, 6)
    assert parts.tolist() == exposure(LISTS, 3, 6).tolist()


def test_coverage():
    assert coverage(exposure(LISTS, 3, 8)) == 4 / 8
    assert coverage(exposure(LISTS, 1, 8)) == 1 / 8
    assert coverage(np.zeros(0, np.int64)) == 0


def test_popularity_of_what_is_shown():
    counts = np.array([10, 0, 5, 1, 0, 0])
    bias = popularity_bias(exposure(LISTS, 3, 6), counts)
    assert bias.average == pytest.approx((10 + 0 + 5 + 10 + 1) / 5)
    share = {0: 5.5 / 6, 1: 1.5 / 6, 2: 4.5 / 6, 3: 3.5 / 6}
    assert bias.percentile == pytest.approx((2 * share[0] + share[1] + share[2] + share[3]) / 5)


def test_nothing_shown_and_lengths_that_differ():
    assert popularity_bias(np.zeros(3, np.int64), np.ones(3)).average == 0
    with pytest.raises(DataError, match="one each"):
        popularity_bias(np.zeros(3, np.int64), np.ones(4))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_percentiles_average_to_a_half_and_keep_the_order(counts):
    values = percentiles(np.array(counts))
    assert values.mean() == pytest.approx(0.5)
    for i, j in zip(range(len(counts)), range(1, len(counts)), strict=False):
        assert (values[i] < values[j]) == (counts[i] < counts[j])


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_gini_equals_the_mean_difference(values):
    x = np.array(values, dtype=float)
    slow = np.abs(x[:, None] - x).mean() / (2 * x.mean()) if x.sum() else 0.0
    assert gini(x) == pytest.approx(slow, abs=1e-12)
