"""The monitor as a whole, with counts of its own making: what it learns, tells, keeps and forgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from funnel.errors import DataError
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Rate, Variable
from funnel.monitoring.memory import MonitorMemory
from funnel.monitoring.monitor import OVER, Monitor

PRICE, SCORE = Variable("context", "price"), Variable("scores", "first")
BEGIN = 1_746_403_200.0  # a Monday, at midnight
EVEN = [0.0, 0.25, 0.25, 0.25, 0.25, 0.0, 0.0]
OFF = [0.0, 0.0, 0.0, 0.0, 0.1, 0.9, 0.0]


def minute(rng: np.random.Generator, prices: list[float] = EVEN, empty: float = 0.01, n: int = 600) -> Counts:
    counts = Counts()
    counts.answers = n
    counts.rate(Rate("empty"), float(rng.binomial(n, empty)), n)
    counts.bins[PRICE] = rng.multinomial(n, prices).astype(np.float64)
    return counts


def watched(monitor: Monitor, begin: float, minutes: int, seed: int = 0, **of: object) -> list[str]:
    """Keys of what is told in some minutes. of: of `minute`."""
    rng, told = np.random.default_rng(seed), []
    for number in range(minutes):
        counts = minute(rng, **of)  # type: ignore[arg-type]
        told += [alarm.key for alarm in monitor.step(begin + 60.0 * (number + 1), counts)]
    return told


@pytest.fixture
def taught() -> Monitor:
    """After a day and twelve hours."""
    monitor = Monitor()
    assert watched(monitor, BEGIN, 36 * 60) == []
    return monitor


def test_a_distribution_that_is_another_is_told_of_once_with_its_beginning(taught: Monitor) -> None:
    begin = BEGIN + 36 * 3600
    assert watched(taught, begin, 10, seed=1, prices=OFF) == ["context price"]
    alarm = taught.open["context price"]
    assert begin - 180 <= alarm.since <= begin + 180 < alarm.at
    assert alarm.look
    assert alarm.of_data
    assert alarm.chance < 1e-6


def test_a_rate_that_rises_is_told_of(taught: Monitor) -> None:
    assert watched(taught, BEGIN + 36 * 3600, 5, seed=1, empty=0.3) == ["empty"]


def test_no_answers_are_told_of(taught: Monitor) -> None:
    assert watched(taught, BEGIN + 36 * 3600, 10, seed=1, n=3) == ["traffic"]


def test_what_is_wrong_does_not_become_what_is_usual(taught: Monitor) -> None:
    """A day of it, and the alarm goes on; back to what it was, it is over after an hour."""
    begin = BEGIN + 36 * 3600
    assert watched(taught, begin, 25 * 60, seed=1, prices=OFF) == ["context price"]
    assert "context price" in taught.open
    watched(taught, begin + 25 * 3600, int(OVER // 60) + 10, seed=2)
    assert taught.open == {}


def test_an_outage_does_not_become_what_is_usual_at_its_hour(taught: Monitor) -> None:
    begin, out = BEGIN + 36 * 3600, {"seed": 1, "n": 0}
    assert watched(taught, begin, 60, **out) == ["traffic"]
    assert watched(taught, begin + 3600, 23 * 60, seed=2) == []
    assert watched(taught, begin + 24 * 3600, 10, **out) == ["traffic"]
    taught.accept("traffic")
    assert watched(taught, begin + 24 * 3600 + 600, 30, **out) == []


def test_what_a_part_of_an_hour_had_is_not_what_an_hour_has(taught: Monitor, tmp_path: Path) -> None:
    """A monitor that was killed, and begun anew for the last quarter of an hour."""
    begin, path = BEGIN + 36 * 3600, tmp_path / "memory.json"
    watched(taught, begin, 1, seed=1)
    taught.save(path)
    monitor = Monitor()
    monitor.load(path)
    assert watched(monitor, begin + 45 * 60, 24 * 60 - 45, seed=2) == []
    assert watched(monitor, begin + 24 * 3600, 10, seed=3, n=60) == ["traffic"]


def test_what_people_accept_is_right_from_then_on(taught: Monitor) -> None:
    begin = BEGIN + 36 * 3600
    watched(taught, begin, 10, seed=1, prices=OFF)
    taught.accept("context price")
    assert taught.open == {}
    assert watched(taught, begin + 600, 26 * 60, seed=2, prices=OFF) == []


def test_an_alarm_of_a_part_is_accepted_by_its_key_and_of_that_part_alone() -> None:
    monitor, rng = Monitor(), np.random.default_rng(0)
    parts = ("country=DE", "country=FR", "country=SE")

    def looked(begin: float, minutes: int, *wrong: str) -> list[str]:
        told: list[str] = []
        for number in range(minutes):
            counts = Counts()
            counts.answers = 600
            for part in parts:
                of = 0.9 if part in wrong else 0.02
                counts.rate(Rate("unknown", "", part), float(rng.binomial(200, of)), 200)
            told += [alarm.key for alarm in monitor.step(begin + 60.0 * (number + 1), counts)]
        return told

    begin = BEGIN + 36 * 3600
    assert looked(BEGIN, 36 * 60) == []
    assert set(looked(begin, 10, *parts[:2])) == {"unknown country=DE", "unknown country=FR"}
    monitor.accept("unknown country=DE")
    assert list(monitor.open) == ["unknown country=FR"]
    assert looked(begin + 600, 3 * 60, *parts) == ["unknown country=SE"]
    monitor.accept("unknown")
    assert monitor.open == {}


def test_another_weekend_is_like_the_weekend_before() -> None:
    """The first is not known: a change that is less than twice the effect is let pass then."""
    monitor, told, weekend = Monitor(), [], [0.0, 0.35, 0.3, 0.2, 0.15, 0.0, 0.0]
    for day in range(15):
        prices = weekend if day % 7 >= 5 else EVEN
        told += watched(monitor, BEGIN + 86_400 * day, 24 * 60, seed=day, prices=prices)
    assert told == []


def test_a_slow_change_is_told_of_within_a_day() -> None:
    """A fifth of the lowest quarter moves up in ten days; no hour differs from that of the day before."""
    monitor, told = Monitor(), []
    for day in range(18):
        moved = 0.02 * max(0, day - 6)
        prices = [0.0, 0.25 - moved, 0.25, 0.25, 0.25 + moved, 0.0, 0.0]
        told += [
            (day, key) for key in watched(monitor, BEGIN + 86_400 * day, 24 * 60, seed=day, prices=prices)
        ]
        if told:
            break
    (first,) = told
    assert first[1] == "drift context price"
    # w = sqrt(2 · (.02 n)² / .25) passes .2 on the fourth day of the change, the tenth.
    assert first[0] in (10, 11)


def test_it_goes_on_after_a_restart(taught: Monitor, tmp_path: Path) -> None:
    begin = BEGIN + 36 * 3600
    watched(taught, begin, 10, seed=1, prices=OFF)
    taught.save(tmp_path / "memory.json")
    other = Monitor()
    other.load(tmp_path / "memory.json")
    assert other.open == taught.open
    assert watched(other, begin + 600, 10, seed=2, prices=OFF) == []  # it goes on, and is not new
    assert watched(other, begin + 1200, 5, seed=3, prices=OFF, empty=0.3) == ["empty"]


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"hours": {"x": 1}, "anchor": {}, "edges": {}}', '{"hours": 3}']
)
def test_a_damaged_memory_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    path.write_text(damage)
    with pytest.raises(DataError, match=r"memory\.json"):
        Monitor().load(path)


def test_without_a_memory_it_begins_anew(tmp_path: Path) -> None:
    monitor = Monitor()
    monitor.load(tmp_path / "none.json")
    assert monitor.memory.hours == {}


def test_a_campaign_is_no_slow_change_and_what_stays_is_told_of_when_it_is_older_than_one() -> None:
    """Its effect is more than that of a slow change, and less than that of a window."""
    campaign = [0.0, 0.17, 0.25, 0.25, 0.33, 0.0, 0.0]  # w = .23
    for days, expected in ((2, []), (4, [(18, "drift context price")])):
        monitor, told = Monitor(MonitorConfig(passing_days=2)), []
        for day in range(8, 20):
            prices = campaign if 16 <= day < 16 + days else EVEN
            keys = watched(monitor, BEGIN + 86_400 * day, 24 * 60, seed=day, prices=prices)
            told += [(day, key) for key in keys]
        assert told == expected


def test_a_clock_that_goes_back_is_told_of_and_stops_nothing(taught: Monitor) -> None:
    """By an hour: what was learned stays, alarms go on, and what goes wrong next is seen at once."""
    assert watched(taught, BEGIN + 36 * 3600, 10, seed=1, empty=0.3) == ["empty"]
    known = len(taught.memory.hours)
    assert watched(taught, BEGIN + 35 * 3600, 30, seed=1) == ["clock monitor"]
    assert "empty" in taught.open
    assert watched(taught, BEGIN + 35.5 * 3600, 10, seed=2, prices=OFF) == ["context price"]
    assert len(taught.memory.hours) == known


def test_a_clock_that_goes_forward_is_as_if_nobody_had_looked(taught: Monitor) -> None:
    """By an hour, and back after twenty minutes."""
    begin = BEGIN + 36 * 3600
    assert watched(taught, begin, 10, seed=1, empty=0.3) == ["empty"]
    assert watched(taught, begin + 600 + 3600, 20, seed=1) == []
    assert "empty" in taught.open  # which was told of eleven minutes ago, whatever the clock says
    assert watched(taught, begin + 1800, 10, seed=3) == ["clock monitor"]
    assert watched(taught, begin + 2400, 10, seed=2, prices=OFF) == ["context price"]


def test_a_clock_that_is_years_off_for_an_hour_costs_no_more_than_hours(taught: Monitor) -> None:
    taught.memory = MonitorMemory(2, 2)
    watched(taught, BEGIN + 36 * 3600, 60 * 48)
    (watched(taught, 0.0, 61), watched(taught, 4e9, 61))
    watched(taught, BEGIN + 84 * 3600, 130)
    now = int(BEGIN) // 3600 + 84
    assert sum(now - 48 <= hour for hour in taught.memory.hours) >= 44


def test_a_small_step_back_is_none(taught: Monitor) -> None:
    taught.step(BEGIN + 36 * 3600 + 50, minute(np.random.default_rng(1)))
    assert taught.step(BEGIN + 36 * 3600 + 45, minute(np.random.default_rng(2))) == []


def scored(monitor: Monitor, hours: range, age: float, shares: list[float], seed: int) -> list[str]:
    """Hours of scores; the data were so old in the first of them."""
    rng, keys = np.random.default_rng(seed), []
    for number in range(60 * len(hours)):
        counts = Counts()
        counts.answers, counts.age = 600, age + number // 60
        counts.bins[SCORE] = rng.multinomial(600, shares).astype(np.float64)
        now = BEGIN + 3600.0 * hours.start + 60.0 * (number + 1)
        keys += [alarm.key for alarm in monitor.step(now, counts)]
    return keys


def test_what_a_swap_begins_anew_is_compared_with_hours_whose_data_were_as_old() -> None:
    """Every night at three a bundle is swapped in, and scores are others for two hours; one afternoon too.
    Where they are others at an age at which they never were, it is told."""
    fresh, used = [0.9, 0.05, 0.03, 0.02], [0.25, 0.25, 0.25, 0.25]
    monitor, keys = Monitor(), []
    for day in range(3):
        start = 24 * day
        keys += scored(monitor, range(start, start + 3), 24.0, used, day)
        keys += scored(monitor, range(start + 3, start + 5), 3.0, fresh, day)
        keys += scored(monitor, range(start + 5, start + 24), 5.0, used, day)
    assert keys == []
    assert scored(monitor, range(72, 75), 24.0, used, 3) == []
    assert scored(monitor, range(75, 77), 3.0, fresh, 3) == []
    assert scored(monitor, range(77, 87), 5.0, used, 3) == []
    assert scored(monitor, range(87, 89), 3.0, fresh, 4) == []  # at three in the afternoon
    assert scored(monitor, range(89, 92), 5.0, used, 5) == []
    assert scored(monitor, range(92, 93), 8.0, fresh, 6) == ["scores first"]


def test_the_settings_say_how_much_is_nothing() -> None:
    monitor = Monitor(MonitorConfig(effect=5.0))
    watched(monitor, BEGIN, 30 * 60)
    assert watched(monitor, BEGIN + 30 * 3600, 30, seed=1, prices=OFF) == []
