"""Slow changes are told of, and steps that come and go are not: hours of counts, as the memory keeps them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.drift import Drift, largest_step, parts_of_change
from funnel.monitoring.memory import MonitorMemory

PRICE = Variable("context", "price")
EVEN, N = np.array([0.25, 0.25, 0.25, 0.25]), 20_000


def moved(share: float) -> np.ndarray:
    """So much from the first to the last: Cohen's w is 2.8 times that."""
    return EVEN + np.array([-share, 0.0, 0.0, share])


def told(
    share: Callable[[float], float],
    days: int,
    config: MonitorConfig | None = None,
    seed: int = 0,
    of: Variable = PRICE,
) -> list[tuple[float, Alarm]]:
    """Days after the first week at which an alarm is new. share: that is moved at a moment, in days since
    the first week."""
    config, rng, found, before = config or MonitorConfig(), np.random.default_rng(seed), [], False
    memory, drift, wobble = MonitorMemory(config.days, config.anchor_days), Drift(config), np.zeros(4)
    for hour in range(24 * (7 + days)):
        counts, at = Counts(), (hour + 0.5) / 24 - 7
        wobble = rng.normal(0, 0.01, 4) if hour % 24 == 0 else wobble  # days differ
        shares = np.clip(moved(share(at)) + wobble - wobble.mean(), 0.01, None)
        counts.bins[of] = rng.multinomial(N, shares / shares.sum()).astype(np.float64)
        memory.keep(hour, counts)
        alarms = drift.look(3600.0 * (hour + 1), hour, memory)
        found += [((hour + 1) / 24 - 7, alarm) for alarm in alarms if not before]
        before = bool(alarms)
    return found


def step(begin: float, end: float, share: float = 0.09) -> Callable[[float], float]:
    """From one day to another one; as large as 0.25, which is more than `drift`."""
    return lambda at: share if begin <= at < end else 0.0


@pytest.mark.parametrize("lasts", [0.5, 1, 2, 3, 4, 5])
def test_a_step_that_comes_and_goes_is_a_campaign(lasts: float) -> None:
    for begin in (3.0, 3.4, 5.75):
        assert told(step(begin, begin + lasts), 13) == []


def test_two_campaigns_in_a_week_are_no_slow_change() -> None:
    assert told(lambda at: step(2, 3.5)(at) + step(6, 8)(at), 14) == []


def test_a_step_that_stays_is_told_of_when_it_is_older_than_a_campaign() -> None:
    ((at, alarm),) = told(step(3.3, 99), 12)
    assert 5 < at - 3.3 < 6
    assert alarm.subject == "context price"
    ((at, _),) = told(step(3.3, 99), 9, MonitorConfig(passing_days=2))
    assert 2 < at - 3.3 < 3


@pytest.mark.parametrize("seed", range(5))
def test_a_change_of_a_little_every_day_is_told_of_within_a_day(seed: int) -> None:
    """w is .0495 a day: it passes .2 after 4.04 days."""
    (at, _), *_ = told(lambda at: min(max(at, 0.0), 7.0) * 0.0175, 8, seed=seed)
    assert 3.5 < at < 5.04


@pytest.mark.parametrize("kind", ["coverage", "scores", "positions"])
def test_what_bundles_are_counted_by_for_themselves_has_no_slow_change(kind: str) -> None:
    """Their bins are each bundle's own, and bundles follow each other every night."""
    assert told(lambda at: min(max(at, 0.0), 7.0) * 0.0175, 8, of=Variable(kind)) == []


def test_a_slow_change_is_told_of_though_a_campaign_came_between() -> None:
    """The campaign alone is none, and is over when the change is large enough."""
    rise = lambda at: min(max(at, 0.0), 12.0) * 0.015  # noqa: E731
    found = told(lambda at: rise(at) - step(1, 2, 0.04)(at), 12)
    assert found
    assert 4 < found[0][0] < 8


def test_an_alarm_names_one_number_that_is_nothing_yet() -> None:
    ((_, alarm), *_) = told(lambda at: min(max(at, 0.0), 7.0) * 0.0175, 6)
    assert alarm.expected == pytest.approx(0.17)
    assert "0.17 is nothing yet" in alarm.sentence
    assert alarm.value is not None
    assert f"{alarm.value:.2f}" in alarm.sentence


def test_the_part_of_a_change_is_that_of_its_direction() -> None:
    """Half of it; another change that has nothing to do with it; and the contrary."""
    usual, last = 1000 * EVEN, 1000 * moved(0.1)
    half, other, contrary = 1000 * moved(0.05), np.array([250.0, 350.0, 150.0, 250.0]), 1000 * moved(-0.1)
    parts = parts_of_change([last, half, other, contrary, usual, 7 * half], 3 * usual)
    assert parts == pytest.approx([1, 0.5, 0, -1, 0, 0.5])


def test_the_largest_step_is_what_came_within_two_days() -> None:
    assert largest_step(np.array([1.0, 1.0, 0.5, 0.0, 0.0])) == 1.0
    assert largest_step(np.array([1.0, 0.8, 0.6, 0.4, 0.2])) == pytest.approx(0.4)
    assert largest_step(np.array([1.0, 1.0, 1.0])) == 0.0
