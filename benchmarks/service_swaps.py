"""What is lost and what is kept when bundles follow one another in a service under load.

    python -m benchmarks.service_swaps --indexes indexes [--minutes 5]

Clients ask all the time, while the same bundle is published under two names in turns, each time as soon as
workers of the other answer. Counted: answers that are none, connections that ended, processes that went on,
and the memory of all processes, and of each worker alone, before each publication. Times depend on what else
the machine does.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.derived import served
from benchmarks.latency import drawn
from benchmarks.service_load import closed
from benchmarks.service_server import Running, funnel_serve, memory, own_memory
from benchmarks.service_steady import second
from benchmarks.serving import RESULTS, save
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents

#: Clients, and items of an answer.
CLIENTS, TOP = 8, 10

#: Seconds that a bundle may take to be served by new workers.
MOST = 300.0


def swapped(running: Running, store: Store, version: str) -> dict[str, Any]:
    """Publish a version, and wait until none of the processes that answer now is there any more."""
    before, began, most = set(running.workers), time.monotonic(), 0.0
    alone, together = own_memory(running), memory(running)
    store.publish(version)
    while before & set(running.workers) or len(running.workers) < len(before):
        if time.monotonic() - began > MOST:
            raise TimeoutError(f"{version} is not served after {MOST:g} seconds")
        most = max(most, memory(running))
        time.sleep(0.25)
    return {
        "mib_of_each_worker_alone": alone, "mib": together, "mib_while_both_are_there": most,
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def main(
    indexes: Annotated[Path, typer.Option(help="where the bundle is published")] = Path("indexes"),
    version: str = "current",
    users: Annotated[int | None, typer.Option(help="made of the bundle's; default: its own")] = None,
    minutes: float = 5.0,
    workers: int = 2,
    seed: int = 0,
    work: Annotated[Path, typer.Option(help="where what is made for it is kept")] = Path("build/latency"),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Print and save what was counted."""
    store, name = served(Store(indexes).path(version), work, users=users, trees=300, leaves=63)
    shutil.rmtree(store.folder / "live", ignore_errors=True)
    store.publish(name)
    contents = load_contents(store.path(name), store.verify(name).towers_fingerprint)
    requests = [("/v1/recommend", {"user_id": user, "k": TOP}) for user in drawn(contents, 5000, seed)]
    about: dict[str, Any] = {"ads": len(contents.catalogue.ids), "users": len(contents.users.ids)}
    del contents
    versions, cores, swaps = [second(store, name), name], sorted(os.sched_getaffinity(0)), list[Any]()
    context = multiprocessing.get_context("spawn")
    with funnel_serve(store.folder, workers, cores) as running, ProcessPoolExecutor(1, context) as pool:
        load = pool.submit(closed, cores[-1], running.port, requests, CLIENTS, 60 * minutes)
        time.sleep(10)  # caches fill
        while not load.done():
            swaps.append(swapped(running, store, versions[len(swaps) % 2]))
        came = load.result()
        about |= {"mib_at_the_end": memory(running), "parents_at_the_end": len(running.parents)}
    about |= {
        "workers": workers, "clients": CLIENTS, "minutes": minutes, "seed": seed, "load": os.getloadavg(),
        "answers": len(came.seconds), "wrong": len(came.wrong), "first_wrong": came.wrong[:3],
        "swaps": swaps,
    }  # fmt: skip
    print(save("service-swaps", about, results).read_text())  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
