"""How often the monitor is wrong in a month in which nothing is.

    python -m benchmarks.evidence calm [--quick]

Thirty days of looks, one a minute, from an empty memory: nights and days, weekends, three campaigns, a new
bundle every night and three in the middle of a day. Each minute's counts are those of a real minute of a
`Live` (ten requests a second by day, three by night), drawn by chance among those of its kind: of whom asks,
which bundle answers, and whether it was swapped in a short while ago.
"""

from __future__ import annotations

import logging
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from benchmarks.evidence._watched import Shop, used
from benchmarks.evidence._watched_world import CAMPAIGN, WEEKDAY, WEEKEND, Mix, built, world
from benchmarks.serving import save
from funnel.monitoring.counts import Counts
from funnel.monitoring.memory import DAY, HOUR
from funnel.monitoring.monitor import Monitor

DAYS, SWAP, FRESH = 30, 3, 2

#: Shops at a time.
PROCESSES = 2
BEGIN = 1_746_403_200  # a Monday, at midnight UTC

#: Days and hours of campaigns; days on which a bundle is published at three in the afternoon, too.
CAMPAIGNS = {(12, hour) for hour in range(14, 20)} | {
    *((day, hour) for day in (18, 19) for hour in range(24)),
    *((26, hour) for hour in range(10, 22)),
}
AFTERNOONS = (9, 16, 23)

MIXES: dict[str, Mix] = {"weekday": WEEKDAY, "weekend": WEEKEND, "campaign": CAMPAIGN}


class Kind(NamedTuple):
    """Of minutes: which bundle, who asks, whether by night, and whether it has served a short while."""

    version: int
    mix: str
    night: bool
    fresh: bool


def kind_of(hour: int) -> tuple[Kind, float]:
    """Of an hour since the beginning, and the hours since the bundle's data ended."""
    day, of_day = divmod(hour, 24)
    swaps = sorted(24 * d + SWAP for d in range(day + 1)) + [24 * d + 15 for d in AFTERNOONS]
    past = [swap for swap in swaps if swap <= hour]
    last = max(past, default=-21)
    mix = "campaign" if (day, of_day) in CAMPAIGNS else "weekend" if day % 7 >= 5 else "weekday"
    return Kind(len(past) % 2, mix, not 8 <= of_day < 23, hour - last < FRESH), hour - last + 3.0


def minutes(store: Path, version: str, kind: Kind, n: int, state: Path | None) -> list[dict[str, Any]]:
    """So many real ones, as plain values."""
    logging.disable(logging.ERROR)
    shop = Shop.opened(store, version, world(), sum(kind.mix.encode()) + kind.version, state=state)
    shop.mix, shop.per_second = MIXES[kind.mix], 3.0 if kind.night else 10.0
    for _ in range(n + 3):
        shop.minute()
    shop.close()
    return [counts.to_dict() for counts in shop.counted[3:]]


def main(quick: bool, results: Path) -> None:
    """Let a month pass, and print what was told."""
    logging.disable(logging.ERROR)
    console, work = Console(), Path(tempfile.gettempdir()) / "funnel-watched"
    work.mkdir(exist_ok=True)
    versions = built(work, 1 if quick else 2)
    store = work / "indexes"
    state = used(store, versions[0], world(), work / "used.sqlite")
    kinds = sorted({kind_of(hour)[0] for hour in range(24 * DAYS)})
    n, pools = 3 if quick else 7, dict[Kind, list[Counts]]()
    simulated = sorted({kind._replace(version=kind.version % len(versions)) for kind in kinds})
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        futures = {
            kind: pool.submit(minutes, store, versions[kind.version], kind, n, None if kind.fresh else state)
            for kind in simulated
        }
        for kind, future in futures.items():
            pools[kind] = [Counts.from_dict(raw) for raw in future.result()]
            console.log(f"{kind}: {len(pools[kind])} minutes")
    pools = {kind: pools[kind._replace(version=kind.version % len(versions))] for kind in kinds}
    about = month(pools, np.random.default_rng(3))
    about |= {"kinds_of_minutes": len(kinds), "minutes_of_each": len(pools[kinds[0]]), "shared_machine": True}
    console.print(about)
    if not quick:
        save("evidence-calm", about, results)


def month(pools: dict[Kind, list[Counts]], rng: np.random.Generator) -> dict[str, Any]:
    """What is told in thirty days."""
    monitor, told, began, looks, answers = Monitor(), [], time.process_time(), 0, 0
    for minute in range(DAYS * DAY // 60):
        kind, age = kind_of(minute * 60 // HOUR)
        pool = pools[kind]
        counts = pool[int(rng.integers(len(pool)))]
        counts.age = age
        answers += counts.answers
        looks += 1
        for alarm in monitor.step(BEGIN + 60.0 * (minute + 1), counts):
            told.append({"day": minute // 1440, "hour": minute % 1440 // 60, "alarm": alarm.key,
                         "sentence": alarm.sentence, "chance": alarm.chance})  # fmt: skip
    return {
        "days": DAYS, "looks": looks, "answers": answers, "false_alarms": len(told), "told": told,
        "cpu_seconds": round(time.process_time() - began, 1),
    }  # fmt: skip
