"""A slow drift: budgets that callers send rise by a fifth in a week."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence._watched import NOON, Shop
from benchmarks.evidence._watched_world import WEEKDAY, World
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.distributions import difference
from funnel.monitoring.memory import DAY
from funnel.monitoring.monitor import Monitor

RISE, WEEK, LEVELS = 0.2, 7, 5
_BUDGET = Variable("context", "budget")


def drift(store: Path, version: str, of: World, quick: bool, state: Path) -> dict[str, Any]:
    """Seven days as they were, then ten in which budgets rise by a fifth in the first week: when the effect
    that counts is passed in truth, and when it is told."""
    levels = [
        minutes(store, version, of, 1 + RISE * n / LEVELS, 4 if quick else 10) for n in range(LEVELS + 1)
    ]
    config = MonitorConfig()
    monitor, rng = Monitor(config), np.random.default_rng(7)
    passed, told, early, begin = None, None, [], NOON - NOON % DAY
    for number in range((WEEK + 10) * 24 * 60):
        now = begin + 60.0 * (number + 1)
        days = number / 1440 - WEEK
        level = min(max(days / WEEK, 0.0), 1.0) * LEVELS
        low = int(level)
        chosen = levels[min(low + int(rng.random() < level - low), LEVELS)]
        new = monitor.step(now, chosen[int(rng.integers(len(chosen)))])
        if passed is None and days > 0 and number % 60 == 0 and truth(levels, level) > config.drift:
            passed = days
        ours = [alarm for alarm in new if alarm.kind == "drift" and "budget" in alarm.subject]
        early += [alarm.key for alarm in new if alarm not in ours]
        if ours and told is None:
            told = days
            break
    hours = None if told is None or passed is None else round(24 * (told - passed), 1)
    return {
        "effect": config.drift, "days_to_effect": passed, "days_to_alarm": told, "hours_behind": hours,
        "other_alarms": early,
    }  # fmt: skip


def minutes(store: Path, version: str, of: World, factor: float, n: int, state: Path) -> list[Counts]:
    """Minutes of a shop with budgets of so much."""
    shop = Shop.opened(store, version, of, 0, state=state)
    shop.mix = replace(WEEKDAY, budget=WEEKDAY.budget * factor)
    for _ in range(n + 2):
        shop.minute()
    shop.close()
    return shop.counted[2:]


def truth(levels: list[list[Counts]], level: float) -> float:
    """The effect of budgets at a level beside what they were."""
    low = int(level)
    at, first = (pooled(levels[number]) for number in (low, 0))
    above = pooled(levels[min(low + 1, LEVELS)])
    mixed = at + (level - low) * (above - at)
    return difference(mixed * 1000, (first * 1000)[None], 0.0).effect


def pooled(some: list[Counts]) -> Any:
    """Shares of each bin."""
    whole = sum(counts.bins[_BUDGET] for counts in some)
    return whole / whole.sum()
