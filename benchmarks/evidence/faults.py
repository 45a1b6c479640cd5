"""Which faults of a running service the monitor tells of, and after how long.

    python -m benchmarks.evidence faults [--quick]

A `Live` answers ten requests a second of a made-up shop, and its monitor looks every minute; a fault is put
in while it runs, at a random place of the monitor's windows. Answers, events and their logs are real; only
time is made up. What the monitor knows of other days is a week of hours, each of sixty minutes that were
drawn from healthy ones of the same shop. A slow drift takes days: these are drawn, as for `calm`, from
answers to callers whose budgets are higher by so much.
"""

from __future__ import annotations

import logging
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

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

#: Trials at a time.
PROCESSES = 2


class Task(NamedTuple):
    """One trial: a fault, which of its ways, and what the monitor knows."""

    store: Path
    version: str
    state: Path
    name: str
    way: int
    seed: int
    minutes: list[dict[str, Any]]
    edges: dict[str, list[float]]


def healthy(
    store: Path, version: str, of: World, minutes: int, seed: int, state: Path
) -> tuple[list[Counts], MonitorMemory]:
    """Counts of healthy minutes, and the bins they are in."""
    shop = Shop.opened(store, version, of, seed, state=state)
    for _ in range(minutes):
        shop.minute()
    shop.close()
    return shop.counted[2:], shop.watch.monitor.memory


def week(minutes: list[Counts], edges: dict[str, list[float]], rng: np.random.Generator) -> MonitorMemory:
    """A memory of a week of hours up to noon."""
    memory = MonitorMemory(14, 7)
    memory.edges = edges
    for hour in range(int(NOON) // HOUR - 7 * 24, int(NOON) // HOUR):
        counts = Counts()
        for number in rng.integers(len(minutes), size=60).tolist():
            counts.add(minutes[number])
        memory.keep(hour, counts)
    return memory


def trial(task: Task) -> dict[str, Any]:
    """What is told before a fault, and the minutes from it to the first alarm that tells of it; None for
    none."""
    logging.disable(logging.ERROR)  # each alarm is also a line of the log
    fault, rng = FAULTS[task.name], np.random.default_rng(task.seed)
    shop = Shop.opened(task.store, task.version, world(), task.seed, state=task.state)
    shop.watch.monitor.memory = week([Counts.from_dict(raw) for raw in task.minutes], task.edges, rng)
    early: list[str] = []
    for _ in range(BEFORE + int(rng.integers(3))):
        early += [alarm.key for alarm in shop.minute()]
    shop.watch.monitor.open.clear()
    fault.ways[task.way](shop)
    began, told, others = shop.now, list[str](), list[str]()
    while not told and shop.now - began < LIMIT * 60:
        new = shop.minute()
        told += [alarm.key for alarm in new if alarm.kind in fault.kinds]
        others += [alarm.key for alarm in new if alarm.kind not in fault.kinds]
    minutes = (shop.now - began) / 60 if told else None
    shop.close()
    way = fault.ways[task.way].__name__
    return {"fault": task.name, "way": way, "minutes": minutes, "told": told[:8], "others": others[:8],
            "before": early}  # fmt: skip


def tasks(store: Path, version: str, state: Path, quick: bool) -> list[Task]:
    """Each way once, and each fault twice."""
    counted, edges = healthy(store, version, world(), 12 if quick else HEALTHY, 0, state)
    minutes = [counts.to_dict() for counts in counted]
    found = []
    for number, (name, fault) in enumerate(FAULTS.items()):
        ways = range(len(fault.ways)) if quick else range(max(2, len(fault.ways)))
        for n in ways:
            seed, way = 1000 * (number + 1) + n, n % len(fault.ways)
            found.append(Task(store, version, state, name, way, seed, minutes, edges.edges))
    return found


def main(quick: bool, results: Path) -> None:
    """Put each fault in, and print what is told."""
    logging.disable(logging.ERROR)
    console, work = Console(), Path(tempfile.gettempdir()) / "funnel-watched"
    work.mkdir(exist_ok=True)
    version, *_ = built(work, 1)
    store, of = work / "indexes", world()
    state = used(store, version, of, work / "used.sqlite")
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(trial, task) for task in tasks(store, version, state, quick)]
        slow = pool.submit(drift, store, version, quick, state)
        for future in as_completed(futures):
            rows.append(future.result())
            console.log(rows[-1])
            keep(rows, None, len(futures), quick, results)
        about = keep(rows, slow.result(), len(futures), quick, results)
    console.print({name: value for name, value in about.items() if name != "faults"})


def keep(
    rows: list[dict[str, Any]], slow: dict[str, Any] | None, trials: int, quick: bool, results: Path
) -> dict[str, Any]:
    """What is known so far, also in the file: a run that is cut short says so."""
    told = [row["minutes"] for row in rows if row["minutes"] is not None]
    about = {
        "kinds": len(FAULTS) + 1, "requests_a_second": 10, "limit_minutes": LIMIT,
        "trials": len(rows), "trials_meant": trials,
        "told": len(told), "share": round(len(told) / len(rows), 4),
        "false_before": sum(bool(row["before"]) for row in rows),
        "median_minutes": float(np.median(told)) if told else None,
        "longest_minutes": max(told, default=None),
        "faults": rows, "drift": slow, "shared_machine": True,
    }  # fmt: skip
    if not quick:
        save("evidence-faults", about, results)
    return about
