"""Click rates and calibration: sequences that hold at every look, and see what changed."""

from __future__ import annotations

import math

import numpy as np

from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.labels import Labels, half_width

FIRST, PROBABLE = Variable("clicks", "position 1"), Variable("calibration")


def minute(rng: np.random.Generator, chance: float, n: int = 600, factor: float = 1.0) -> Counts:
    counts = Counts()
    for clicked in (rng.random(n) < chance).tolist():
        counts.label(FIRST, clicked)
    said = rng.uniform(0.05, 0.3, size=n)
    for clicked, probable in zip((rng.random(n) < factor * said).tolist(), said.tolist(), strict=True):
        counts.label(PROBABLE, clicked, probable)
    return counts


def hour(seed: int, chance: float) -> Counts:
    rng, counts = np.random.default_rng(seed), Counts()
    for _ in range(60):
        counts.add(minute(rng, chance))
    return counts


def test_the_sequence_is_left_as_seldom_as_alpha_says_whenever_one_looks() -> None:
    """A thousand walks of clicks, looked at a hundred times each: at most alpha of them leave it ever."""
    rng, alpha, left = np.random.default_rng(0), 0.05, 0
    for _ in range(1000):
        clicks = np.cumsum(rng.random(5000) < 0.2)
        for n in range(50, 5001, 50):
            mean = clicks[n - 1] / n
            if abs(mean - 0.2) > half_width(n, math.sqrt(max(mean * (1 - mean), 1e-9)), alpha):
                left += 1
                break
    assert left <= 1000 * alpha


def test_half_of_the_clicks_are_missed_within_ten_minutes() -> None:
    like, rng, watched = hour(1, 0.15), np.random.default_rng(2), Labels(MonitorConfig())
    for number in range(30):
        assert not watched.look(60.0 * number, minute(rng, 0.15), [like])
    told = []
    for number in range(30, 40):
        told += watched.look(60.0 * number, minute(rng, 0.07, factor=0.5), [like])
    assert {(alarm.kind, alarm.subject) for alarm in told} == {("clicks", "position 1"), ("calibration", "")}


def test_a_change_within_what_may_be_is_none() -> None:
    like, rng, watched = hour(1, 0.15), np.random.default_rng(3), Labels(MonitorConfig())
    for number in range(200):
        assert not watched.look(60.0 * number, minute(rng, 0.15 * 1.15, factor=0.87), [like])


def test_more_than_was_probable_is_told_of_too_though_there_are_as_many_clicks() -> None:
    """Only the probabilities are wrong: the rate of the position stays."""
    like, rng, watched, told = hour(1, 0.15), np.random.default_rng(4), Labels(MonitorConfig()), []
    for number in range(15):
        told += watched.look(60.0 * number, minute(rng, 0.15, factor=1.7), [like])
    assert {alarm.kind for alarm in told} == {"calibration"}
    assert told[0].value is not None
    assert told[0].value > 1.4


def test_sessions_of_clicks_are_no_change() -> None:
    """Fifty answers are clicked, or none of them: fifty times the variance, which the hours before showed."""
    like, rng, watched = hour(1, 0.15), np.random.default_rng(6), Labels(MonitorConfig())
    naive = Labels(MonitorConfig())
    told = {True: 0, False: 0}
    for number in range(24 * 60):
        if number % 60 == 0:
            watched.begin_hour()
        counts = Counts()
        x = 50.0 * rng.binomial(12, 0.15)
        counts.labels[FIRST] = np.array([600.0, x, 600.0, x, x, 600.0])
        now = len(watched.look(60.0 * number, counts, [like]))
        told[True] += now if number >= 600 else 0
        told[False] += len(naive.look(60.0 * number, counts, [like]))
    assert told[True] == 0 < told[False]
    assert 20 < watched.dispersion.of(FIRST) < 100


def of_hour(rng: np.random.Generator, day: float) -> Counts:
    """3,000 answers of an hour, of which a share of 0.15 is clicked on an ordinary day."""
    counts, n = Counts(), 3000.0
    x = float(rng.binomial(int(n), 0.15 * day))
    counts.labels[FIRST] = np.array([n, x, n, x, x, n])
    return counts


def days_of(seed: int, deviation: float, n: int = 14) -> list[list[Counts]]:
    """For each hour of the day, that of so many days, which differ."""
    rng = np.random.default_rng(seed)
    days = rng.lognormal(0, deviation, n).tolist()
    return [[of_hour(rng, day) for day in days] for _ in range(24)]


def first_of(watched: Labels, like: list[Counts], factor: float, *, hour: int) -> list[str]:
    """What is told in half of an hour in which so many times the clicks come."""
    rng, told = np.random.default_rng(7), []
    for number in range(60 * hour, 60 * hour + 30):
        counts = minute(rng, 0.15 * factor)
        told += [alarm.key for alarm in watched.look(60.0 * number, counts, like) if alarm.kind == "clicks"]
    return told


def test_a_day_may_be_as_far_from_others_as_these_are_from_each_other() -> None:
    """By how much days differ is learned: where they are alike, the same day is told of."""
    for deviation, expected in ((0.01, ["clicks position 1"]), (0.12, [])):
        watched, days = Labels(MonitorConfig()), days_of(1, deviation)
        like = days[12][:3]
        ratio = max(float(hour.labels[FIRST][1] / 450) for hour in like)
        first_of(watched, like, 1.0, hour=0)
        watched.learn_days(days)
        assert first_of(watched, like, 1.4 * ratio, hour=2)[:1] == expected


def test_half_of_the_clicks_are_missed_whatever_days_are_like() -> None:
    watched, days = Labels(MonitorConfig()), days_of(2, 0.4)
    like = [of_hour(np.random.default_rng(3), 1.0) for _ in range(14)]
    first_of(watched, like, 1.0, hour=0)
    watched.learn_days(days)
    assert "clicks position 1" in first_of(watched, like, 0.5, hour=2)


def test_days_that_differ_are_all_right() -> None:
    like = [hour(1, 0.10), hour(2, 0.20)]
    rng, watched = np.random.default_rng(5), Labels(MonitorConfig())
    assert not any(watched.look(60.0 * n, minute(rng, 0.1 + 0.005 * (n % 20)), like) for n in range(100))
