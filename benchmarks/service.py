"""What HTTP adds to `Live.recommend`, and how much a service answers.

    python -m benchmarks.service --indexes indexes [--quick]

One worker is kept on one core, the load comes from the other. Requests of users drawn with a seed, one after
another, take turns with `Live.recommend` in this process on the worker's core. Then 64 clients ask as fast as
they are answered; then two workers; then FastAPI over the glue of `benchmarks.latency`, by the same load. At
last requests arrive by chance at 80% of what one worker can answer of such, a tenth of them clicks, while
items are changed, and bundles published in turns.
"""

from __future__ import annotations

import os
import shutil

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.derived import served
from benchmarks.latency import drawn
from benchmarks.service_load import Asked, Load, arriving, closed
from benchmarks.service_server import (
    Running,
    fastapi_glue,
    funnel_serve,
    memory,
    own_memory,
    processor_seconds,
)
from benchmarks.service_steady import disturbed, second
from benchmarks.serving import RESULTS, percentiles, save
from funnel import Live
from funnel.artifacts import Store

#: Clients of the load that saturates, and items of an answer.
CLIENTS, TOP = 64, 10


class Measured:
    """What takes turns: this process on the worker's core, and the load on the other."""

    def __init__(self, live: Live, cores: tuple[int, int], seed: int) -> None:
        self.live, self._core, self.load_core = live, cores[0], cores[1]
        self.users = drawn(live.contents, 5000, seed)
        self._every = os.sched_getaffinity(0)
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    @property
    def requests(self) -> list[Asked]:
        return [("/v1/recommend", {"user_id": user, "k": TOP}) for user in self.users]

    def embedded(self, seconds: float) -> list[float]:
        """Seconds of each `Live.recommend`."""
        os.sched_setaffinity(0, {self._core})
        taken, start = list[float](), time.perf_counter()
        while time.perf_counter() - start < seconds:
            began = time.perf_counter()
            self.live.recommend(self.users[len(taken) % len(self.users)], TOP)
            taken.append(time.perf_counter() - began)
        return taken

    def close(self) -> None:
        """Give back the cores, and end the load's process."""
        os.sched_setaffinity(0, self._every)
        self._pool.shutdown()

    def loaded(self, load: Callable[..., Load], running: Running, requests: list[Asked], *more: Any) -> Load:
        """What comes of a load from the other core."""
        return self._pool.submit(load, self.load_core, running.port, requests, *more).result()


def one_by_one(measured: Measured, running: Running, seconds: float, rounds: int) -> dict[str, Any]:
    """`Live.recommend` and one client, in turns."""
    embedded, http = list[float](), list[float]()
    used = {"Live.recommend": 0.0, "http": 0.0}
    for _ in range(rounds):
        before = time.process_time()
        embedded += measured.embedded(seconds)
        used["Live.recommend"] += time.process_time() - before
        before = processor_seconds(running)
        load = measured.loaded(closed, running, measured.requests, 1, seconds)
        assert not load.wrong, load.wrong[:3]
        http += load.seconds
        used["http"] += processor_seconds(running) - before
    alone, over = percentiles(embedded), percentiles(http)
    return {
        "Live.recommend": alone | {"a_second": round(1 / float(np.mean(embedded)), 1)},
        "http": over | {"a_second": round(1 / float(np.mean(http)), 1)},
        "adds_ms": {name: round(over[name] - alone[name], 4) for name in over},
        # Of a machine that is busy with other things, processor time is what can be said.
        "processor_ms": {
            "Live.recommend": round(1000 * used["Live.recommend"] / len(embedded), 4),
            "http": round(1000 * used["http"] / len(http), 4),
        },
        "share_of_a_second": round(float(np.mean(embedded) / np.mean(http)), 3),
    }


def saturated(measured: Measured, running: Running, seconds: float, rounds: int) -> dict[str, Any]:
    """The median of rounds."""
    used = processor_seconds(running)
    loads = [measured.loaded(closed, running, measured.requests, CLIENTS, seconds) for _ in range(rounds)]
    wrong = [text for load in loads for text in load.wrong]
    middle = sorted(loads, key=lambda load: load.a_second)[len(loads) // 2]
    answers = sum(len(load.seconds) for load in loads)
    about = {
        "a_second": round(middle.a_second, 1), "wrong": len(wrong), "clients": CLIENTS,
        "processor_ms": round(1000 * (processor_seconds(running) - used) / max(answers, 1), 4),
    }  # fmt: skip
    return about | {"milliseconds": percentiles(middle.seconds)}


def main(
    indexes: Annotated[Path, typer.Option(help="where the bundle is published")] = Path("indexes"),
    version: str = "current",
    users: Annotated[int | None, typer.Option(help="made of the bundle's; default: its own")] = None,
    trees: int = 300,
    leaves: int = 63,
    minutes: Annotated[float, typer.Option(help="of the load that arrives by chance")] = 10.0,
    seconds: Annotated[float, typer.Option(help="of each turn")] = 5.0,
    rounds: int = 5,
    seed: int = 0,
    glue: Annotated[bool, typer.Option(help="whether FastAPI over the glue is measured too")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="a fraction of it, to see that it works")] = False,
    work: Annotated[Path, typer.Option(help="where what is made for it is kept")] = Path("build/latency"),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Print and save what HTTP adds, and how much one worker, two, and the other stack answer."""
    if quick:
        minutes, seconds, rounds = 0.25, 1.0, 2
    source = Store(indexes).path(version)
    store, name = served(source, work, users=users, trees=trees, leaves=leaves)
    shutil.rmtree(store.folder / "live", ignore_errors=True)
    store.publish(name)
    cores = sorted(os.sched_getaffinity(0))[:2]
    live = Live(store.folder)
    measured = Measured(live, (cores[0], cores[-1]), seed)
    about: dict[str, Any] = {
        "quick": quick, "ads": len(live.contents.catalogue.ids), "users": len(live.contents.users.ids),
        "trees": trees, "leaves": leaves, "seed": seed, "cores": len(cores), "seconds_a_turn": seconds,
        "rounds": rounds, "load": os.getloadavg(),
    }  # fmt: skip
    with funnel_serve(store.folder, 1, cores[:1]) as running:
        measured.loaded(closed, running, measured.requests, 1, 1.0)
        about["one_by_one"] = one_by_one(measured, running, seconds, rounds)
        about["saturated"] = saturated(measured, running, seconds, rounds)
    with funnel_serve(store.folder, 2, cores) as running:
        about["two_workers"] = saturated(measured, running, seconds, rounds)
        about["mib_of_each_worker_alone"] = own_memory(running)
    if glue:
        model = work / source.name / f"ranker-{trees}x{leaves}" / "model.txt"
        with fastapi_glue(store.folder, name, model, work / "peers-service", cores[:1]) as running:
            about["fastapi_glue"] = one_by_one(measured, running, seconds, 1) | {
                "saturated": saturated(measured, running, seconds, 1)
            }
    other = second(store, name)
    with funnel_serve(store.folder, 1, cores[:1]) as running:
        about["steady"] = steady(measured, running, store, (name, other), seconds, 60 * minutes)
    measured.close()
    about |= summary(about)
    print(save("service-quick" if quick else "service", about, results).read_text())  # noqa: T201


def steady(
    measured: Measured, running: Running, store: Store, versions: tuple[str, str], turn: float, seconds: float
) -> dict[str, Any]:
    """Requests that arrive by chance, a tenth of them clicks, while items and bundles change."""
    items = measured.live.contents.catalogue.ids.values[:1000].tolist()
    requests = [
        ("/v1/events", {"events": [{"user_id": user, "item_id": items[number % len(items)]}]})
        if number % 10 == 0
        else (path, body)
        for number, (user, (path, body)) in enumerate(zip(measured.users, measured.requests, strict=True))
    ]
    capacity = measured.loaded(closed, running, requests, CLIENTS, turn).a_second
    rate = 0.8 * capacity
    every = max(5.0, seconds / 20)
    with disturbed(running, store, versions, items, every, measured.load_core) as seen:
        began = memory(running)
        load = measured.loaded(arriving, running, requests, rate, seconds)
    spans = percentiles(load.seconds or [float("nan")])
    return {
        "capacity_a_second": round(capacity, 1), "asked_a_second": round(rate, 1),
        "answers": len(load.seconds), "errors": len(load.wrong), "first_errors": load.wrong[:3],
        "milliseconds": spans,
        "p99_by_p50": round(spans["p99"] / spans["p50"], 2), "mib_at_the_start": began, **seen.about(),
    }  # fmt: skip


def summary(about: dict[str, Any]) -> dict[str, Any]:
    """The figures that goals are set for."""
    alone = about["one_by_one"]["Live.recommend"]["a_second"]
    figures = {
        "http_adds_p50_ms": about["one_by_one"]["adds_ms"]["p50"],
        "one_by_one_by_live": about["one_by_one"]["share_of_a_second"],
        "saturated_by_live": round(about["saturated"]["a_second"] / alone, 2),
        "two_workers_by_one": round(about["two_workers"]["a_second"] / about["saturated"]["a_second"], 2),
    }
    if "fastapi_glue" in about:
        other = about["fastapi_glue"]
        figures["times_fastapi_glue_one_by_one"] = round(
            about["one_by_one"]["http"]["a_second"] / other["http"]["a_second"], 2
        )
        figures["times_fastapi_glue_saturated"] = round(
            about["saturated"]["a_second"] / other["saturated"]["a_second"], 2
        )
    return {"figures": figures}


if __name__ == "__main__":
    typer.run(main)
