"""A slow drift: budgets that callers send rise by a fifth in a week."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import lognorm

from benchmarks.evidence._calendar import rate
from benchmarks.evidence._made import Task, edges_of, made
from benchmarks.evidence._pool import Pool
from benchmarks.evidence._watched import NOON
from benchmarks.evidence._watched_world import DAY, WEEKDAY
from benchmarks.evidence._watching import Hour, looks_of
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.monitor import Monitor

RISE, WEEK, LEVELS = 0.2, 7, 2


def drift(store: Path, version: str, quick: bool, state: Path) -> dict[str, Any]:
    """Seven days as they were, then ten in which budgets rise by a fifth in the first week: when the effect
    that counts is passed in truth, and when it is told. state: of the bundle when its data are 12 hours old.
    """
    levels, config, told, others = levels_of(store, version, quick, state), MonitorConfig(), None, []
    hours = [drawn_hour(levels, number) for number in range((WEEK + 10) * 24)]
    for look in looks_of(Monitor(config), hours, NOON - NOON % DAY, 7):
        days = (look.minute + 1) / 1440 - WEEK
        ours = [alarm for alarm in look.alarms if "context budget" in alarm.key]
        others += [f"day {days:.1f}: {alarm.key}" for alarm in look.alarms if alarm not in ours]
        told = days if ours and told is None else told
    effect_at = passed(edges_of(store, version)["context budget"])
    hours_behind = None if told is None else round(24 * (told - effect_at), 1)
    return {
        "effect": config.drift, "days_to_effect": round(effect_at, 2), "days_to_alarm": told,
        "hours_behind": hours_behind, "other_alarms": others,
    }  # fmt: skip


def levels_of(store: Path, version: str, quick: bool, state: Path) -> list[Pool]:
    """Answers before, half-way and behind the rise."""
    edges, n = edges_of(store, version), 2 if quick else 8
    budgets = [WEEKDAY.budget * (1 + RISE * level / LEVELS) for level in range(LEVELS + 1)]
    mixes = [replace(WEEKDAY, budget=budget) for budget in budgets]
    return [made(Task(store, version, mix, 12.0, state, n, edges)) for mix in mixes]


def passed(bounds: list[float]) -> float:
    """Days after which the effect that counts is passed in truth. bounds: of the bins of budgets."""
    return next(hour / 24 for hour in range(24 * 17) if truth(bounds, hour / 24) > MonitorConfig().drift)


def drawn_hour(levels: list[Pool], number: int) -> Hour:
    """Of an hour since the beginning; the drift begins after a week."""
    level = min(max((number + 0.5) / 24 / WEEK - 1, 0.0), 1.0) * LEVELS
    low = min(int(level), LEVELS - 1)
    return Hour(rate(number % 24), 12.0, (levels[low], levels[low + 1]), (1 - level + low, level - low))


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
