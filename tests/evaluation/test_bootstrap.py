"""Intervals: right about known distributions, by user where users repeat, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from funnel.errors import DataError
from funnel.evaluation import interval, paired
from funnel.evaluation.bootstrap import intervals


def test_close_to_the_normal_interval_of_a_mean():
    values = np.random.default_rng(0).random(4000)
    lo, hi = interval(values, seed=1)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert lo == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert hi == pytest.approx(values.mean() + half, abs=0.1 * half)


@pytest.mark.parametrize("n", [2, 37, 3000])
def test_equal_to_scipy(n):
    values = np.random.default_rng(n).random(n)
    options = {"n_resamples": 999, "method": "percentile", "confidence_level": 0.9}
    theirs = stats.bootstrap((values,), np.mean, rng=np.random.default_rng(4), **options).confidence_interval
    assert interval(values, seed=4, level=0.9, resamples=999) == pytest.approx((theirs.low, theirs.high))


def test_columns_together_are_the_columns_alone():
    table, users = np.random.default_rng(0).random((90, 5)), np.arange(90) // 2
    together = intervals(table, users, seed=3)
    for column, bounds in zip(table.T, together.T, strict=True):
        assert interval(column, users, seed=3) == tuple(bounds)


def test_the_seed_decides():
    values = np.random.default_rng(0).random(500)
    assert interval(values, seed=1) == interval(values, seed=1)
    assert interval(values, seed=1) != interval(values, seed=2)


def test_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    runs, inside = 300, 0
    for run in range(runs):
        lo, hi = interval(rng.exponential(size=120), seed=run, level=0.9, resamples=300)
        inside += lo <= 1.0 <= hi
    assert 0.84 <= inside / runs <= 0.95


def test_clusters_widen_the_interval_and_alone_they_change_nothing():
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(150), 8)
    values = rng.normal(size=150)[users] + 0.1 * rng.normal(size=len(users))
    lo, hi = interval(values, seed=1)
    wide_lo, wide_hi = interval(values, users, seed=1)
    assert (wide_hi - wide_lo) == pytest.approx((hi - lo) * np.sqrt(8), rel=0.15)
    assert interval(values, np.arange(len(values)), seed=1) == interval(values, seed=1)
    assert interval(values, np.full(len(values), -1), seed=1)[1] == pytest.approx(hi, abs=0.02)


def test_cluster_coverage():
    """Users have several requests: resampled by user the interval covers, by request it is far too sure."""
    rng = np.random.default_rng(11)
    users = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    runs, by_user, by_request = 200, 0, 0
    for run in range(runs):
        values = rng.normal(size=60)[users] + 0.2 * rng.normal(size=len(users))
        bounds = [interval(values, c, seed=run, resamples=300) for c in (users, None)]
        by_user += bounds[0][0] <= 0 <= bounds[0][1]
        by_request += bounds[1][0] <= 0 <= bounds[1][1]
    assert by_user / runs >= 0.88
    assert by_request / runs <= 0.8


def test_paired_sees_a_small_steady_gain_that_unpaired_intervals_hide():
    rng = np.random.default_rng(5)
    base = rng.random(800)
    gained = base + 0.01 + 0.02 * rng.normal(size=800)
    found = paired(gained, base, seed=1)
    assert found.better
    assert not found.worse
    assert found.lo < found.mean < found.hi
    assert interval(gained, seed=1)[0] < interval(base, seed=1)[1]
    back = paired(base, gained, seed=1)
    assert back.worse
    assert not back.better


def test_paired_false_alarms_stay_near_the_level():
    rng = np.random.default_rng(13)
    alarms = sum(paired(*rng.random((2, 150)), seed=run, resamples=300).better for run in range(300))
    assert alarms / 300 <= 0.06  # 2.5% are expected


def test_one_value_and_equal_values_have_no_width():
    assert interval(np.array([0.3]), seed=1) == (0.3, 0.3)
    assert interval(np.array([0.2, 0.4]), np.array([5, 5]), seed=1) == pytest.approx((0.3, 0.3))
    same = paired(np.ones(9), np.ones(9), seed=1)
    assert (same.mean, same.lo, same.hi, same.better, same.worse) == (0, 0, 0, False, False)


def test_bad_input():
    with pytest.raises(DataError, match="at least one"):
        interval(np.empty(0), seed=1)
    with pytest.raises(DataError, match="finite"):
        interval(np.array([1.0, np.nan]), seed=1)
    with pytest.raises(DataError, match="same requests"):
        paired(np.ones(3), np.ones(4), seed=1)
    with pytest.raises(DataError, match="one each"):
        interval(np.ones(3), np.ones(2), seed=1)
