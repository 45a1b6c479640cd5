"""A slow drift: budgets that callers send rise by a fifth in a week."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import lognorm

from benchmarks.evidence._watched import NOON, Shop
from benchmarks.evidence._watched_world import WEEKDAY, World
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.memory import DAY
from funnel.monitoring.monitor import Monitor

RISE, WEEK, LEVELS = 0.2, 7, 2


def drift(store: Path, version: str, of: World, quick: bool, state: Path) -> dict[str, Any]:
    """Seven days as they were, then ten in which budgets rise by a fifth in the first week: when the effect
    that counts is passed in truth, and when it is told."""
    n = 4 if quick else 8
    factors = [1 + RISE * level / LEVELS for level in range(LEVELS + 1)]
    levels = [minutes(store, version, of, factor, n, state) for factor in factors]
    bounds = levels[0].watch.monitor.memory.edges["context budget"]
    config = MonitorConfig()
    monitor, rng = Monitor(config), np.random.default_rng(7)
    told, others, begin = None, [], NOON - NOON % DAY
    for number in range((WEEK + 10) * 24 * 60):
        days = number / 1440 - WEEK
        level = min(max(days / WEEK, 0.0), 1.0) * LEVELS
        low = int(level)
        chosen = levels[min(low + int(rng.random() < level - low), LEVELS)].counted[2:]
        new = monitor.step(begin + 60.0 * (number + 1), chosen[int(rng.integers(len(chosen)))])
        ours = [alarm for alarm in new if "budget" in alarm.subject]
        others += [f"day {days:.1f}: {alarm.key}" for alarm in new if alarm not in ours]
        told = days if ours and told is None else told
    passed = next(day / 24 for day in range(24 * 17) if truth(bounds, day / 24) > config.drift)
    hours = None if told is None else round(24 * (told - passed), 1)
    return {
        "effect": config.drift, "days_to_effect": round(passed, 2), "days_to_alarm": told,
        "hours_behind": hours, "other_alarms": others,
    }  # fmt: skip


def minutes(store: Path, version: str, of: World, factor: float, n: int, state: Path) -> Shop:
    """A shop with budgets of so much, after some minutes. More of its answers are made again than usual: the
    minutes are drawn again and again, and what chance is in them stays."""
    shop = Shop.opened(store, version, of, 0, MonitorConfig(replay=300), state=state, sample=0.4)
    shop.mix = replace(WEEKDAY, budget=WEEKDAY.budget * factor)
    for _ in range(n + 2):
        shop.minute()
    shop.close()
    return shop


def truth(bounds: list[float], days: float) -> float:
    """Cohen's w between the budgets of a day and those that were, by the world's own distribution."""
    factor = 1 + RISE * min(days / WEEK, 1.0)
    now, first = shares(bounds, WEEKDAY.budget * factor), shares(bounds, WEEKDAY.budget)
    both = (now + first) / 2
    return float(np.sqrt((((now - first) ** 2)[both > 0] / both[both > 0]).sum()))


def shares(bounds: list[float], middle: float) -> Any:
    """Of the budgets that are there, those in each bin."""
    below = lognorm.cdf(np.array(bounds), 0.5, scale=middle)
    return 0.95 * np.diff(np.array([0.0, *below, 1.0]))
