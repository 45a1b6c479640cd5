"""What benchmarks/changes.py times, in a process of its own: it runs on the funnel that PYTHONPATH names.

    python -m benchmarks.changes_calls clicks STORE --sizes 1000,10000
    python -m benchmarks.changes_calls items STORE

Prints one line of JSON. Only the public face of funnel is used, so that an earlier one runs it as well.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer

from funnel import Live

#: Different people who click; the bundle knows 2,000 of them.
PEOPLE = 100_000
FILTER = {"category": "category-05", "price": {"lt": 30}}
_CHUNK = 20_000

app = typer.Typer(add_completion=False)


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the longest, of so many."""
    p50, p99, most = 1000 * np.quantile(seconds, [0.5, 0.99, 1.0])
    return {"p50": round(p50, 4), "p99": round(p99, 4), "max": round(most, 3), "n": len(seconds)}


def timed(calls: Iterable[Callable[[], Any]]) -> list[float]:
    """Seconds of each call."""
    taken = []
    for call in calls:
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return taken


def memory() -> float:
    """MiB that are this process's own."""
    gc.collect()
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in one)
    return round(int(line.split()[1]) / 1024, 1)


class Reader:
    """A thread that asks, one request after another, while it is told to; seconds of each."""

    def __init__(self, live: Live) -> None:
        self.live, self.stop, self.seconds = live, threading.Event(), list[float]()
        self.thread = threading.Thread(target=self._work)

    def __enter__(self) -> Reader:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def _work(self) -> None:
        rng = np.random.default_rng(1)
        while not self.stop.is_set():
            began = time.perf_counter()
            self.live.recommend(int(rng.integers(2_000)))
            self.seconds.append(time.perf_counter() - began)


@app.command()
def clicks(
    store: Path, sizes: str = "1000,10000,100000,1000000", calls: int = 2_000, seconds: float = 3.0
) -> None:
    """One click a call, at so many events since the bundle: alone, each before a request, and two hundred a
    second beside a thread that asks, for so many seconds."""
    live, rng = Live(store), np.random.default_rng(0)
    items, now, there = len(live.contents.catalogue.ids), int(time.time()), 0

    def events(n: int) -> list[tuple[int, int, int]]:
        users, rows = rng.integers(PEOPLE, size=n).tolist(), rng.integers(items, size=n).tolist()
        return [(user, item, now) for user, item in zip(users, rows, strict=True)]

    def asked() -> list[float]:
        users = rng.integers(2_000, size=300).tolist()
        return timed(partial(live.recommend, user) for user in users)

    asked()
    found: dict[str, Any] = {"items": items, "before": {"request": milliseconds(asked()), "mib": memory()}}
    found["before"]["reader"] = _beside(live, iter(()), seconds)[1]
    for size in map(int, sizes.split(",")):
        began = time.perf_counter()
        while there < size:
            some = events(min(_CHUNK, size - there))
            live.observe(*some)
            there += len(some)
        live.recommend(1)
        filled, mib = time.perf_counter() - began, memory()
        alone = timed(partial(live.observe, one) for one in events(calls))
        turns: dict[str, list[float]] = {"click": [], "request": []}
        for one in events(300):
            turns["click"] += timed([partial(live.observe, one)])
            turns["request"] += timed([partial(live.recommend, int(rng.integers(2_000)))])
        beside, reader = _beside(live, iter(events(10**6)), seconds)
        there += calls + 300 + beside["n"]
        found[str(size)] = {
            "filled_s": round(filled, 2), "mib": mib, "alone": milliseconds(alone),
            "in_turns": {name: milliseconds(taken) for name, taken in turns.items()},
            "beside_reader": beside, "reader": reader,
        }  # fmt: skip
    live.close()
    typer.echo(json.dumps(found))


def _beside(live: Live, events: Iterator[Any], seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Milliseconds of clicks, two hundred a second, and of the requests of a thread meanwhile."""
    taken, until = [], time.perf_counter() + seconds
    with Reader(live) as reader:
        while time.perf_counter() < until:
            time.sleep(0.005)
            if (one := next(events, None)) is not None:
                taken += timed([partial(live.observe, one)])
    return milliseconds(taken or [0.0]), milliseconds(reader.seconds)


@app.command()
def items(store: Path, calls: int = 300, batch: int = 10_000, batches: int = 10) -> None:
    """One item a call of each kind, a filtered request after each, and prices of many items at once."""
    live, rng = Live(store), np.random.default_rng(0)
    frame = live.contents.catalogue.frame
    n = len(frame)
    for user in range(50):
        live.recommend(user)
        live.recommend(user, where=FILTER)
    found: dict[str, Any] = {"items": n, "mib_before": memory(), "unchanged": {}}
    for name, where in (("request", None), ("filtered", FILTER)):
        taken = timed(partial(live.recommend, user, where=where) for user in range(300))
        found["unchanged"][name] = milliseconds(taken)
    known = frame.take(rng.choice(n, size=calls + 1, replace=False)).reset_index(drop=True)
    known["price"] += 0.01
    new = known.assign(item_id=np.arange(10**9, 10**9 + calls + 1))
    gone = rng.choice(n, size=calls + 1, replace=False).tolist()
    there = rng.choice(n, size=calls + 1, replace=False).tolist()
    kinds: dict[str, Callable[[int], Any]] = {
        "upsert of one that is there": lambda i: live.items.upsert(known.iloc[[i]]),
        "upsert of a new one": lambda i: live.items.upsert(new.iloc[[i]]),
        "delete": lambda i: live.items.delete([gone[i]]),
    }
    if hasattr(live.items, "patch"):
        kinds["patch"] = lambda i: live.items.patch([there[i]], {"price": 1.0 + i})
    for name, change in kinds.items():
        found[name] = _changed(live, change, calls)
    if hasattr(live.items, "patch"):
        found["patches"] = _patched(live, rng, n, batch, batches)
    found["mib_after"] = memory()
    live.close()
    typer.echo(json.dumps(found))


def _changed(live: Live, change: Callable[[int], Any], calls: int) -> dict[str, Any]:
    """Milliseconds of a change, of the request after it with a filter, and of one without."""
    first = timed([partial(change, 0), partial(live.recommend, 0, where=FILTER)])
    taken: dict[str, list[float]] = {"change": [], "filtered": [], "request": []}
    for i in range(1, calls + 1):
        taken["change"] += timed([partial(change, i)])
        taken["filtered"] += timed([partial(live.recommend, i, where=FILTER)])
        taken["request"] += timed([partial(live.recommend, i)])
    names = zip(("first", "first_filtered"), first, strict=True)
    return {name: milliseconds(some) for name, some in taken.items()} | {
        name: round(1000 * seconds, 3) for name, seconds in names
    }


def _patched(live: Live, rng: Any, n: int, batch: int, batches: int) -> dict[str, Any]:
    """Prices of many at once."""
    taken: dict[str, list[float]] = {"change": [], "filtered": []}
    for _ in range(batches):
        ids = rng.choice(n, size=min(batch, n), replace=False).tolist()
        prices = rng.uniform(1, 100, size=len(ids)).tolist()
        taken["change"] += timed([partial(live.items.patch, ids, {"price": prices})])
        taken["filtered"] += timed([partial(live.recommend, 1, where=FILTER)])
    return {
        **{name: milliseconds(some) for name, some in taken.items()},
        "batch": min(batch, n),
        "items_per_second": round(min(batch, n) / float(np.median(taken["change"]))),
    }


if __name__ == "__main__":
    sys.exit(app())
