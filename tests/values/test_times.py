"""Moments: seconds are taken, other units are named."""

import numpy as np
import pytest

from funnel.errors import DataError
from funnel.values.times import check_seconds, seconds

TODAY = 1_800_000_000


@pytest.mark.parametrize("value", [TODAY, np.int64(TODAY), float(TODAY), TODAY + 0.9, np.float32(2.0**30)])
def test_seconds_are_taken(value):
    assert seconds(value, "time") == int(value)


@pytest.mark.parametrize(
    ("factor", "unit"), [(10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")]
)
def test_another_unit_is_named_with_its_date(factor, unit):
    with pytest.raises(DataError, match=rf"{unit} \(2027-01-15\)"):
        seconds(TODAY * factor, "time")
    with pytest.raises(DataError, match=f"events.time, row 1, .*{unit}"):
        check_seconds(np.array([TODAY, TODAY * factor]), "events.time")


@pytest.mark.parametrize(
    "value", [None, "1800000000", True, float("nan"), float("inf"), 10**30, 2**63, [], np.array([1])]
)
def test_what_is_no_moment_is_refused(value):
    with pytest.raises(DataError, match="time"):
        seconds(value, "time")


def test_a_number_that_is_too_long_to_be_written_is_refused():
    for value in (10**400, -(10**400), 10**5_000):
        with pytest.raises(DataError, match="time"):
            seconds(value, "time")


def test_a_column_is_taken_whole():
    assert check_seconds(np.array([1.5, 2.0]), "t").tolist() == [1, 2]
    with pytest.raises(DataError, match="row 1"):
        check_seconds(np.array([1.0, np.nan]), "t")
