"""Rates that rise are told of soon, and chance is not taken for a rise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binom

from funnel.monitoring.budget import LAYERS, MONTH
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Rate
from funnel.monitoring.rates import RateDetectors, limit, log_ratios

EMPTY = Rate("empty")


def counts(happened: float, n: float, rate: Rate = EMPTY) -> Counts:
    found = Counts()
    found.rate(rate, happened, n)
    return found


def looks(rates: Sequence[float], n: int, seed: int, config: MonitorConfig, like: Counts) -> list[int]:
    """The looks that told of something. rates: the true one at each look."""
    rng, watched, told = np.random.default_rng(seed), RateDetectors(config), []
    for number, rate in enumerate(rates):
        if watched.look(60.0 * number, counts(float(rng.binomial(n, rate)), n), [like]):
            told.append(number)
    return told


def test_a_rise_is_told_of_in_a_few_minutes_and_its_beginning_too() -> None:
    like = counts(600, 60_000)
    watched, rng = RateDetectors(MonitorConfig()), np.random.default_rng(0)
    for number in range(30):
        assert not watched.look(60.0 * number, counts(float(rng.binomial(600, 0.01)), 600), [like])
    for number in range(30, 34):
        if told := watched.look(60.0 * number, counts(float(rng.binomial(600, 0.10)), 600), [like]):
            break
    (alarm,) = told
    assert alarm.kind == "empty"
    assert abs(alarm.since - 29 * 60.0) <= 120
    assert alarm.chance <= 1e-6
    assert alarm.value is not None
    assert alarm.value > 0.05


def test_the_evidence_is_none_on_the_average_at_every_rate_that_is_right() -> None:
    """An e-value: its mean over all outcomes is at most 1, summed exactly."""
    outcomes = np.arange(41)
    for rate in (0.001, 0.02, 0.05):
        chances = binom.pmf(outcomes, 40, rate)
        values = np.array([np.exp(log_ratios(float(k), 40, 0.05)) for k in outcomes])
        assert (chances @ values <= 1 + 1e-9).all()
    assert (binom.pmf(outcomes, 40, 0.2) @ values > 1).all()


def test_false_alarms_are_as_seldom_as_alpha_says() -> None:
    """At the highest right rate: at least 1/alpha looks between two, on the average."""
    config = MonitorConfig(false_alarms=0.01 * LAYERS * MONTH / 60)
    like = counts(600, 60_000)
    right = limit(EMPTY, [like], config)
    assert right is not None
    told = sum(len(looks([right] * 2000, 50, seed, config, like)) for seed in range(10))
    assert told <= 20_000 * 0.01


def test_what_is_mostly_so_is_judged_by_the_rest() -> None:
    """Nineteen in twenty lists get no click: half of the clicks gone is a rise from .95 to .975."""
    join = Rate("join")
    like = counts(57_000, 60_000, join)
    right = limit(join, [like], MonitorConfig())
    assert right is not None
    assert 0.95 < right < 0.97
    rng, watched = np.random.default_rng(1), RateDetectors(MonitorConfig())
    told = [
        n for n in range(60) if watched.look(n, counts(float(rng.binomial(600, 0.99)), 600, join), [like])
    ]
    assert told
    assert told[0] < 10


def test_nothing_is_told_of_what_is_not_known_but_of_what_must_not_be() -> None:
    assert limit(Rate("unknown"), [], MonitorConfig()) is None
    assert limit(Rate("missing", "context price"), [counts(3, 10)], MonitorConfig()) is None
    assert limit(Rate("stale"), [], MonitorConfig()) == MonitorConfig().rate
    assert limit(Rate("empty", "", "place=home"), [], MonitorConfig()) is None


def test_the_highest_of_the_hours_counts() -> None:
    few, many = counts(100, 10_000), counts(3_000, 10_000)
    found = limit(EMPTY, [few, many], MonitorConfig())
    assert found is not None
    assert found > 0.3


def test_minutes_that_vary_by_sessions_count_for_less() -> None:
    """Clusters of fifty answers of a kind: ten times the variance, which the hours before showed."""
    config, like = MonitorConfig(), counts(6_000, 60_000)
    rng, watched = np.random.default_rng(2), RateDetectors(config)
    for _ in range(30):
        watched.begin_hour()
        for minute in range(60):
            watched.look(60.0 * minute, counts(50.0 * rng.binomial(12, 0.1), 600), [like])
    assert watched.dispersion.of(EMPTY) == pytest.approx(50, rel=0.3)
    calm = RateDetectors(config)
    assert calm.look(0.0, counts(250.0, 600), [like])
    assert not watched.look(0.0, counts(250.0, 600), [like])


def test_a_part_alone_is_told_of() -> None:
    like = Counts()
    like.rate(EMPTY, 600, 60_000)
    like.rate(Rate("empty", "", "place=home"), 30, 3_000)
    now = Counts()
    now.rate(EMPTY, 36, 600)
    now.rate(Rate("empty", "", "place=home"), 30, 30)
    (alarm,) = RateDetectors(MonitorConfig()).look(0.0, now, [like])
    assert alarm.part == "place=home"
    assert "place=home" in alarm.sentence
    assert math.isclose(alarm.value or 0, 1.0)
