"""What the benchmarks of the monitor put in is what they say, and what they expect can be told."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.evidence._drift import truth
from benchmarks.evidence._faults import FAULTS
from benchmarks.evidence._watched_world import WEEKDAY
from benchmarks.evidence.faults import week
from funnel.monitoring.counts import Counts, Rate
from funnel.monitoring.edges import Bins
from funnel.monitoring.kinds import KINDS


def test_each_fault_has_ways_and_kinds_of_alarms_that_there_are() -> None:
    assert len(FAULTS) == 11  # the twelfth is a slow drift
    for fault in FAULTS.values():
        assert fault.kinds <= set(KINDS)
        assert all(way.__doc__ for way in fault.ways)


def test_the_drift_passes_the_effect_within_its_week() -> None:
    """By the world's own distribution of budgets, in bins of its tenths."""
    bounds = Bins.of(np.random.default_rng(0).lognormal(np.log(WEEKDAY.budget), 0.5, 4000)).bounds
    effects = [truth(list(bounds), days) for days in (0.0, 2.0, 4.0, 7.0, 9.0)]
    assert effects[0] == pytest.approx(0.0)
    assert effects[1] < 0.2 < effects[3] == effects[4]
    assert effects == sorted(effects)


def test_a_week_is_of_whole_hours_up_to_now() -> None:
    counts = Counts()
    counts.answers = 600
    counts.rate(Rate("empty"), 6, 600)
    memory = week([counts], {}, np.random.default_rng(0))
    assert len(memory.hours) == 7 * 24
    assert {one.answers for one in memory.hours.values()} == {36_000}
