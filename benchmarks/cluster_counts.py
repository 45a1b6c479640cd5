"""Whether counts of events would gain by workers of a cluster. results/cluster-counts.json

    python -m benchmarks.cluster_counts

Events of items by chance, in the order of time, are counted in this process; and by two workers of this
machine, each of which counts the events of half the items and sends back its part. Their memory is shared, so
that nothing goes over a network.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import ray
import typer
from rich.console import Console

from benchmarks.serving import RESULTS, save
from funnel.features.counts import EventCounts
from funnel.types import Int32, Int64

console = Console()


def events(n: int, seed: int) -> tuple[Int32, Int64, int]:
    """Items, times, and how many items there are: one for ten events."""
    rng, n_items = np.random.default_rng(seed), n // 10
    items = (rng.zipf(1.2, size=n) % n_items).astype(np.int32)
    return items, np.sort(rng.integers(0, 10**8, size=n)), n_items


def counted(items: Int32, times: Int64, first: int, stop: int) -> tuple[Int64, Int64]:
    """On a worker: what it sends back."""
    mine = (items >= first) & (items < stop)
    counts = EventCounts.build(items[mine] - first, times[mine], stop - first)
    return counts.offsets, counts.times


def by_workers(items: Int32, times: Int64, n_items: int) -> None:
    """The events go to memory that all share once."""
    task, sent = ray.remote(counted), (ray.put(items), ray.put(times))
    ray.get([task.remote(*sent, first, first + n_items // 2) for first in (0, n_items // 2)])


def seconds(work: Callable[[], object], times: int = 7) -> float:
    """The median."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken), 3)


def main(
    sizes: Annotated[list[int] | None, typer.Argument(help="events")] = None,
    results: Path = RESULTS,
    seed: int = 0,
) -> None:
    """Count both ways, save."""
    rows: list[dict[str, Any]] = []
    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR")
    for n in (1000, *(sizes or (10**6, 3 * 10**6, 10**7))):
        items, times, n_items = events(n, seed)
        by_workers(items, times, n_items)  # code is compiled, workers have begun
        here = seconds(partial(EventCounts.build, items, times, n_items))
        workers = seconds(partial(by_workers, items, times, n_items))
        rows.append({"events": n, "here_s": here, "two_workers_s": workers})
        console.print(rows[-1])
    console.print(save("cluster-counts", {"seed": seed, "runs": rows[1:]}, results))


if __name__ == "__main__":
    typer.run(main)
