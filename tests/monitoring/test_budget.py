"""What a month of chance may be alarms of is shared by all that is looked at, and is kept."""

from __future__ import annotations

import numpy as np
import pytest

from funnel.monitoring.budget import LAYERS, MONTH, chance
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.windows import Like, Windows

METRICS = [Variable("context", name) for name in ("a", "b", "c")]
EVEN = [0.25, 0.25, 0.25, 0.25]


def test_the_shares_of_all_looks_of_a_month_are_the_budget() -> None:
    config = MonitorConfig(false_alarms=0.5)
    looks = {(60, 60.0), (11, 300.0), (11, 86_400.0), (70, 180.0), (60, 3600.0)}
    spent = sum(chance(config, things, every) * things * MONTH / every for things, every in looks)
    assert len(looks) == LAYERS
    assert spent == pytest.approx(0.5)


def test_windows_of_chance_alone_are_told_as_often_as_the_budget_says() -> None:
    """So generous that there is something to count: three pairs of windows in twenty, of three values."""
    config = MonitorConfig(window=60.0, effect=1e-9, false_alarms=0.15 * LAYERS * 3 * MONTH / 60)
    rng, windows, told, n = np.random.default_rng(0), Windows(config), 0, 1500
    hour = Counts()
    hour.bins = {metric: rng.multinomial(10**7, EVEN).astype(np.float64) for metric in METRICS}
    for number in range(n):
        counts = Counts()
        counts.bins = {metric: rng.multinomial(600, EVEN).astype(np.float64) for metric in METRICS}
        told += len(windows.look(60.0 * (number + 1), counts, Like([hour])))
    assert 0.06 * 3 * n < told < 0.16 * 3 * n


def test_days_that_differ_by_so_much_make_no_other_day_an_alarm() -> None:
    """Each day's bundle has its own scores; one that differs by more from all is told of."""
    rng, config = np.random.default_rng(1), MonitorConfig()
    of = [
        [0.25, 0.25, 0.25, 0.25],
        [0.36, 0.25, 0.25, 0.14],
        [0.14, 0.25, 0.25, 0.36],
        [0.25, 0.14, 0.36, 0.25],
    ]
    days = [Counts() for _ in of]
    for day, shares in zip(days, of, strict=True):
        day.bins[METRICS[0]] = rng.multinomial(36_000, shares).astype(np.float64)
    for shares, expected in (([0.25, 0.38, 0.12, 0.25], 0), ([0.02, 0.05, 0.13, 0.8], 1)):
        windows, told = Windows(config), []
        for number in range(9):
            counts = Counts()
            counts.bins[METRICS[0]] = rng.multinomial(600, shares).astype(np.float64)
            told += windows.look(60.0 * (number + 1), counts, Like(days))
        assert (len(told) > 0) == expected
