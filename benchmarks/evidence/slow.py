"""How often a month without a slow change is told to have one, and how long after the effect one is told of.

    python -m benchmarks.evidence slow [--quick]

Fifty months as those of `calm`, and fifty drifts as that of `faults`, each by chance of its own: whole hours
are drawn, not minutes, and only what tells of slow changes looks at them. So a month takes seconds, and what
is seldom is seen. Pools of real answers are made once, as there.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.evidence._calendar import BEGIN, DAYS
from benchmarks.evidence._drift import WEEK, drawn_hour, levels_of, passed
from benchmarks.evidence._hours import hours_of
from benchmarks.evidence._made import edges_of
from benchmarks.evidence._pool import Pool
from benchmarks.evidence._watched import used
from benchmarks.evidence._watched_world import built, world
from benchmarks.evidence._watching import Hour
from benchmarks.evidence.calm import PROCESSES, Pools, pools_of
from benchmarks.evidence.calm import drawn_hour as calm_hour
from benchmarks.serving import save
from funnel.monitoring.alarm import Alarm
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.drift import Drift
from funnel.monitoring.memory import HOUR, MonitorMemory

#: Months, and drifts; and days of a drift.
TIMES, LONGEST = 50, WEEK + 10


def main(quick: bool, results: Path) -> None:
    """Let months and drifts pass, and print what was told."""
    logging.disable(logging.ERROR)
    console, work = Console(), Path(tempfile.gettempdir()) / "funnel-watched"
    work.mkdir(exist_ok=True)
    pools = pools_of(work, quick, console)
    version, *_ = built(work, 1)
    state = used(work / "indexes", version, world(), work / "used.sqlite")
    levels = levels_of(work / "indexes", version, quick, state)
    edges = edges_of(work / "indexes", version)
    about = measured(pools, levels, edges["context budget"], 2 if quick else TIMES, 16 if quick else DAYS)
    console.print(about)
    if not quick:
        save("evidence-slow", about, results)


def measured(pools: Pools, levels: list[Pool], bounds: list[float], times: int, days: int) -> dict[str, Any]:
    """Of so many months and drifts. bounds: of the bins of budgets."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        months = list(pool.map(partial(month, pools, days), range(times)))
        drifts = list(pool.map(partial(told_after, levels), range(times)))
    effect_at = passed(bounds)
    behind = [24 * (at - effect_at) for at, _ in drifts if at is not None]
    return {
        "months": times, "days": days, "false_alarms": sum(map(len, months)),
        "months_with_one": sum(map(bool, months)), "told": [told for told in months if told],
        "drifts": times, "drifts_told": len(behind), "days_to_effect": round(effect_at, 2),
        "hours_behind": {
            "median": round(float(np.median(behind)), 1) if behind else None,
            "least": round(min(behind), 1) if behind else None,
            "most": round(max(behind), 1) if behind else None,
        },
        "within_a_day": sum(hours <= 24 for hours in behind),
        "other_alarms_of_drifts": sum(others for _, others in drifts),
        "shared_machine": True,
    }  # fmt: skip


def month(pools: Pools, days: int, seed: int) -> list[dict[str, Any]]:
    """What is told in a month in which nothing is wrong."""
    hours = (calm_hour(pools, hour) for hour in range(24 * days))
    return [
        {"seed": seed, "day": hour // 24, "hour": hour % 24, "alarm": alarm.key, "effect": alarm.value}
        for hour, alarm in alarms_of(hours, seed)
    ]


def told_after(levels: list[Pool], seed: int) -> tuple[float | None, int]:
    """Days from the beginning of a drift to the first alarm that tells of it; None for none. And how many
    others there are before it."""
    hours = (drawn_hour(levels, number) for number in range(24 * LONGEST))
    others = 0
    for hour, alarm in alarms_of(hours, seed):
        if "context budget" in alarm.key:
            return (hour + 1) / 24 - WEEK, others
        others += 1
    return None, others


def alarms_of(hours: Iterable[Hour], seed: int) -> Iterator[tuple[int, Alarm]]:
    """New alarms, and the hours at whose end they are told: as the monitor has them, where nothing else is
    wrong."""
    config = MonitorConfig()
    memory, drift, open_before = MonitorMemory(config.days, config.anchor_days), Drift(config), set[str]()
    begin = BEGIN // HOUR
    for number, counts in enumerate(hours_of(hours, seed)):
        memory.keep(begin + number, counts)
        alarms: Sequence[Alarm] = drift.look(HOUR * (begin + number + 1.0), begin + number, memory)
        yield from ((number, alarm) for alarm in alarms if alarm.key not in open_before)
        open_before = {alarm.key for alarm in alarms}
