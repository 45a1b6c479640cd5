"""How often the monitor is wrong in a month in which nothing is.

    python -m benchmarks.evidence calm [--quick]

Thirty days of looks, one a minute, from an empty memory: nights and days, weekends, three campaigns, a new
bundle every night and three in the middle of a day. Real answers of a `Live` are made once: of three bundles,
each as old as it was published, eight hours later and a day later, to those who ask on weekdays, weekends and
in campaigns. The month is drawn from them: sessions come by chance, more by day than by night, of people who
differ in how often they come and how much they click, on days that differ; each click is drawn by its true
probability, and comes some time later. So nothing that chance made is seen twice, but for which lists there
are. What is counted of an answer is what the monitor's own code counts of it, and only the sums go to it.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.evidence._calendar import BEGIN, DAYS, MIXES, hour_of
from benchmarks.evidence._made import Task, edges_of, made
from benchmarks.evidence._pool import Pool
from benchmarks.evidence._watched import END, used
from benchmarks.evidence._watched_world import built, world
from benchmarks.evidence._watching import Hour, looks_of
from benchmarks.serving import save
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.monitor import Monitor

#: Bundles; hours since their data ended, at which answers are made; and shops at a time.
VERSIONS, AGES, PROCESSES = 3, (3.0, 8.0, 27.0), 2

#: Minutes of answers of each, ten a second; and months, each by chance of its own.
MINUTES, MONTHS = 4, 2

Pools = Mapping[tuple[int, str, float], Pool]


def pools_of(work: Path, quick: bool, console: Console) -> Pools:
    """All that a month is drawn from."""
    versions, store = built(work, 2 if quick else VERSIONS), work / "indexes"
    states = {age: used(store, versions[0], world(), work / f"used-{age:g}.sqlite", age, END + 3600 * age)
              for age in AGES}  # fmt: skip
    edges, minutes = edges_of(store, versions[0]), 2 if quick else MINUTES
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        futures = {
            (number, name, age): pool.submit(
                made, Task(store, version, mix, age, states[age], minutes, edges)
            )
            for number, version in enumerate(versions) for name, mix in MIXES.items() for age in AGES
        }  # fmt: skip
        for key, future in futures.items():
            console.log(f"{key}: {len(future.result().users)} answers")
    return {key: future.result() for key, future in futures.items()}


def main(quick: bool, results: Path) -> None:
    """Let months pass, and print what was told."""
    logging.disable(logging.ERROR)
    console, work = Console(), Path(tempfile.gettempdir()) / "funnel-watched"
    work.mkdir(exist_ok=True)
    pools = pools_of(work, quick, console)
    days, seeds = 4 if quick else DAYS, range(1 if quick else MONTHS)
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        months = list(pool.map(partial(month, pools, days=days), seeds))
    about = {
        "false_alarms": [len(month["told"]) for month in months],
        "expected_of_chance_at_most": MonitorConfig().false_alarms,
        "days": days, "months": months, "pools": len(pools),
        "answers_made": sum(len(pool.users) for pool in pools.values()),
        "made_again": sum(len(pool.remade.rows) for pool in pools.values()),
        "made_again_otherwise": sum(pool.different for pool in pools.values()),
        "shared_machine": True,
    }  # fmt: skip
    console.print(about)
    if not quick:
        save("evidence-calm", about, results)


def between(age: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The ages on both sides of one, and the share of each."""
    high = next((n for n, other in enumerate(AGES) if other >= age and n), len(AGES) - 1)
    low = AGES[high - 1]
    share = min(max((age - low) / (AGES[high] - low), 0.0), 1.0)
    return (low, AGES[high]), (1 - share, share)


def drawn_hour(pools: Pools, hour: int) -> Hour:
    """Of an hour since the beginning."""
    of = hour_of(hour, 1 + max(version for version, *_ in pools))
    ages, shares = between(of.age + 0.5)
    return Hour(of.rate, of.age, tuple(pools[of.version, of.mix, age] for age in ages), shares)


def month(pools: Pools, seed: int, days: int = DAYS) -> dict[str, Any]:
    """What is told in so many days."""
    began, told, answers, looks = time.process_time(), list[dict[str, Any]](), 0, 0
    hours = (drawn_hour(pools, hour) for hour in range(24 * days))
    for look in looks_of(Monitor(), hours, BEGIN, seed):
        looks, answers = looks + 1, answers + look.answers
        for alarm in look.alarms:
            told.append({"day": look.minute // 1440, "hour": look.minute % 1440 // 60, "alarm": alarm.key,
                         "sentence": alarm.sentence, "chance": alarm.chance})  # fmt: skip
    return {"seed": seed, "days": days, "looks": looks, "answers": answers, "told": told,
            "cpu_seconds": round(time.process_time() - began, 1)}  # fmt: skip
