"""How often the monitor is wrong in a month in which nothing is.

    python -m benchmarks.evidence calm [--quick]

Thirty days of looks, one a minute, from an empty memory: nights and days, weekends, three campaigns, a new
bundle every night and three in the middle of a day. Real answers of a `Live` are made once: of four bundles,
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
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from benchmarks.evidence._calendar import BEGIN, DAYS, MIXES, hour_of
from benchmarks.evidence._drawn import HOUR_CLICKS, REQUESTS, TASTE, Day, drawn, factor, factors
from benchmarks.evidence._looks import Looks
from benchmarks.evidence._pool import Pool, pool_of
from benchmarks.evidence._watched import END, SAMPLE, Shop, click_chances, used
from benchmarks.evidence._watched_world import USERS, built, world
from benchmarks.serving import save
from funnel.impressions import read
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.monitor import Monitor
from funnel.monitoring.reference import SecondOverlay
from funnel.monitoring.remaking import remake

#: Bundles; hours since their data ended, at which answers are made; and shops at a time.
VERSIONS, AGES, PROCESSES = 4, (3.0, 8.0, 27.0), 2

#: Minutes of answers of each, ten a second, and the share of them that is made again.
MINUTES, SAMPLED = 8, 0.4

#: Months, each by chance of its own.
MONTHS = 3


class Task(NamedTuple):
    """A pool to be made. edges: bins that the first bundle gave."""

    store: Path
    version: str
    mix: str
    age: float
    state: Path
    minutes: int
    edges: dict[str, list[float]]


def made(task: Task) -> Pool:
    """Real answers, and all that is counted of each."""
    logging.disable(logging.ERROR)
    of, now = world(), END + 3600 * task.age
    seed = sum(f"{task.version} {task.mix} {task.age}".encode())
    shop = Shop.opened(task.store, task.version, of, seed, MonitorConfig(golden=0, replay=0),
                       state=task.state, sample=SAMPLED, now=now, edges=task.edges)  # fmt: skip
    shop.mix = MIXES[task.mix]
    for _ in range(task.minutes):
        shop.ask()
    impressions = list(read(shop.own / "answers"))
    reference = SecondOverlay(shop.live.overlay.bundle, shop.live.state)
    remade = remake(reference, (impression for impression in impressions if impression.request))
    row = shop.live.contents.catalogue.ids.row
    pool = pool_of(shop.watch.measures, row, impressions, remade,
                   lambda shown: click_chances(of, shown.user, shown.context, shown.shown_items))  # fmt: skip
    shop.close()
    return pool


Pools = Mapping[tuple[int, str, float], Pool]


def pools_of(work: Path, quick: bool, console: Console) -> Pools:
    """All that a month is drawn from."""
    versions, store = built(work, 2 if quick else VERSIONS), work / "indexes"
    states = {age: used(store, versions[0], world(), work / f"used-{age:g}.sqlite", age, END + 3600 * age)
              for age in AGES}  # fmt: skip
    shop = Shop.opened(store, versions[0], world(), 0, MonitorConfig(golden=0))
    edges = shop.watch.monitor.memory.edges
    shop.close()
    minutes = 2 if quick else MINUTES
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        futures = {
            (number, mix, age): pool.submit(
                made, Task(store, version, mix, age, states[age], minutes, edges)
            )
            for number, version in enumerate(versions) for mix in MIXES for age in AGES
        }  # fmt: skip
        for key, future in futures.items():
            console.log(f"{key}: {len(future.result().users)} answers")
    return {key: future.result() for key, future in futures.items()}


def main(quick: bool, results: Path) -> None:
    """Let a month pass, and print what was told."""
    logging.disable(logging.ERROR)
    console, work = Console(), Path(tempfile.gettempdir()) / "funnel-watched"
    work.mkdir(exist_ok=True)
    pools = pools_of(work, quick, console)
    months = [month(pools, seed, 4 if quick else DAYS) for seed in range(1 if quick else MONTHS)]
    about = {
        "months": months, "false_alarms": [len(month["told"]) for month in months],
        "expected_at_most": MonitorConfig().false_alarms,
        "pools": len(pools), "answers_made": sum(len(pool.users) for pool in pools.values()),
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


def month(pools: Pools, seed: int, days: int = DAYS) -> dict[str, Any]:
    """What is told in so many days."""
    rng, monitor, began = np.random.default_rng(seed), Monitor(), time.process_time()
    looks, versions = Looks(monitor.config.settle, monitor.config.replay), 1 + max(key[0] for key in pools)
    taste, told, answers = factors(rng, TASTE, USERS), list[dict[str, Any]](), 0
    day = Day.drawn(rng, USERS)
    for hour in range(24 * days):
        day = Day.drawn(rng, USERS) if hour % 24 == 0 else day
        of = hour_of(hour, versions)
        ages, shares = between(of.age + 0.5)
        some = tuple(pools[of.version, of.mix, age] for age in ages)
        draws = drawn(rng, 3600.0 * hour, of.rate * 3600 / REQUESTS, some, shares,
                      factor(rng, HOUR_CLICKS), day, taste, SAMPLE)  # fmt: skip
        looks.add(draws, some)
        for minute in range(60 * hour, 60 * hour + 60):
            counts = looks.take(minute)
            counts.age = of.age + minute % 60 / 60
            answers += counts.answers
            for alarm in monitor.step(BEGIN + 60.0 * (minute + 1), counts):
                told.append({"day": hour // 24, "hour": hour % 24, "alarm": alarm.key,
                             "sentence": alarm.sentence, "chance": alarm.chance})  # fmt: skip
    return {
        "seed": seed, "days": days, "looks": 1440 * days, "answers": answers, "told": told,
        "cpu_seconds": round(time.process_time() - began, 1),
    }  # fmt: skip
