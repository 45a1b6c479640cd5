"""Which faults of a running service the monitor tells of, and after how long.

    python -m benchmarks.evidence faults [--quick]

A `Live` answers ten requests a second of a made-up shop, and its monitor looks every minute; a fault is put
in while it runs, at a random place of the monitor's windows. Answers, events and their logs are real; only
time is made up. What the monitor knows of other days is a week of hours, each of sixty minutes that were
drawn from healthy ones of the same shop. A slow drift takes days: there minutes are drawn from those of shops
whose callers' budgets are higher by so much.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.evidence._drift import drift
from benchmarks.evidence._faults import FAULTS
from benchmarks.evidence._watched import NOON, Shop, used
from benchmarks.evidence._watched_world import World, built, world
from benchmarks.serving import save
from funnel.monitoring.counts import Counts
from funnel.monitoring.memory import HOUR, MonitorMemory

#: Healthy minutes that are drawn from, and minutes before a fault, at least; minutes that it may take.
HEALTHY, BEFORE, LIMIT = 16, 2, 10


def healthy(
    store: Path, version: str, of: World, minutes: int, seed: int, state: Path
) -> tuple[list[Counts], MonitorMemory]:
    """Counts of healthy minutes, and the bins they are in."""
    shop = Shop.opened(store, version, of, seed, state=state)
    for _ in range(minutes):
        shop.minute()
    shop.close()
    return shop.counted[2:], shop.watch.monitor.memory


def week(minutes: list[Counts], edges: MonitorMemory, rng: np.random.Generator) -> MonitorMemory:
    """A memory of a week of hours up to noon."""
    memory = MonitorMemory(14, 7)
    memory.edges = edges.edges
    for hour in range(int(NOON) // HOUR - 7 * 24, int(NOON) // HOUR):
        counts = Counts()
        for number in rng.integers(len(minutes), size=60).tolist():
            counts.add(minutes[number])
        memory.keep(hour, counts)
    return memory


def trial(shop: Shop, fault: Callable[[Shop], None], memory: MonitorMemory) -> dict[str, Any]:
    """What is told before a fault, and the minutes from it to the first alarm behind it; None for none."""
    shop.watch.monitor.memory = memory
    early = []
    for _ in range(BEFORE + int(shop.rng.integers(3))):
        early += shop.minute()
    shop.watch.monitor.open.clear()
    fault(shop)
    began = shop.now
    while shop.now - began < LIMIT * 60:
        if new := shop.minute():
            told = sorted({alarm.key for alarm in new})
            return {"minutes": (shop.now - began) / 60, "alarms": told[:8], "early": [a.key for a in early]}
    return {"minutes": None, "alarms": [], "early": [alarm.key for alarm in early]}


def main(quick: bool, results: Path) -> None:
    """Put each fault in, and print what is told."""
    logging.disable(logging.ERROR)  # each alarm is also a line of the log
    console, repeats = Console(), 1 if quick else 2
    work = Path(tempfile.gettempdir()) / "funnel-watched"
    work.mkdir(exist_ok=True)
    version, *_ = built(work, 1)
    store, of = work / "indexes", world()
    state = used(store, version, of, work / "state.sqlite")
    minutes, edges = healthy(store, version, of, 12 if quick else HEALTHY, 0, state)
    rows: dict[str, list[dict[str, Any]]] = {}
    for number, (name, ways) in enumerate(FAULTS.items()):
        rows[name] = []
        for repeat, way in enumerate(ways if quick else ways * max(1, -(-repeats // len(ways)))):
            seed = 1000 * (number + 1) + repeat
            shop = Shop.opened(store, version, of, seed, state=state)
            found = trial(shop, way, week(minutes, edges, np.random.default_rng(seed)))
            shop.close()
            rows[name].append({"way": way.__name__, **found})
            console.log(f"{way.__name__}: {found}")
    slow = drift(store, version, of, quick, state)
    console.log(f"slow drift: {slow}")
    trials = [row for some in rows.values() for row in some]
    told = [row for row in trials if row["minutes"] is not None]
    about = {
        "requests_a_second": 10, "limit_minutes": LIMIT, "trials": len(trials), "told": len(told),
        "share": round(len(told) / len(trials), 4),
        "false_before": sum(bool(row["early"]) for row in trials),
        "median_minutes": float(np.median([row["minutes"] for row in told])) if told else None,
        "longest_minutes": max((row["minutes"] for row in told), default=None),
        "faults": rows, "drift": slow, "shared_machine": True,
    }  # fmt: skip
    console.print({name: value for name, value in about.items() if name != "faults"})
    if not quick:
        save("evidence-faults", about, results)
