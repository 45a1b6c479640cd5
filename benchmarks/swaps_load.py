"""Requests and changes of items for benchmarks/swaps.py, and what must hold of the answers."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.swaps_world import EDITIONS
from funnel import Live

THREADS, K = 4, 10
#: New items that the writer upserts in turns, and how many at once; few enough that they are not compacted
#: unasked.
POOL, BATCH = 1_000, 20


#: A filter that only the writer's items pass.
CHANGED = {"not": {"edition": list(EDITIONS)}}


class Answered(NamedTuple):
    """A request and its answer. due, began, ended: seconds of one clock. filtered: whether it asked for
    changed items. items: ids and editions."""

    due: float
    began: float
    ended: float
    version: str
    filtered: bool
    items: tuple[tuple[int, str], ...]


class Span(NamedTuple):
    """From when to when something was under way."""

    began: float
    ended: float


@dataclass
class Writer:
    """Changes the items of a Live, five times a second, while it is told to."""

    live: Live
    items: int
    deleted: dict[int, float] = field(default_factory=dict)  # when each deletion was acknowledged
    upserts: int = 0

    def fill(self) -> None:
        """The whole pool at once, so that all blocks have the same number of changed items."""
        self.live.items.upsert(self.batch(np.arange(POOL)))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change items in a thread meanwhile."""
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(self._work, stop)
            try:
                yield
            finally:
                stop.set()
                done.result()

    def batch(self, places: np.ndarray[Any, Any]) -> pd.DataFrame:
        """Items of the pool, as ads that there are, with the name of the change as their edition."""
        frame = self.live.contents.catalogue.frame.iloc[places % self.items].reset_index(drop=True)
        return frame.assign(item_id=self.items + places, edition=f"change {self.upserts}")

    def _work(self, stop: threading.Event) -> None:
        rng = np.random.default_rng(len(self.deleted))
        while not stop.wait(0.2):
            places = np.arange(BATCH) + BATCH * (self.upserts % (POOL // BATCH))
            self.live.items.upsert(self.batch(places))
            self.upserts += 1
            shown = self.live.recommend(int(rng.integers(self.items // 5)), k=50).items
            victim = next(one.item_id for one in shown if one.item_id < self.items)
            self.live.items.delete([victim])
            self.deleted[victim] = time.perf_counter()


def ask(
    live: Live, n: int, users: Sequence[int], due: Callable[[int], float] | None, over: threading.Event
) -> tuple[list[Answered], list[str]]:
    """Ask for n users with four threads, and on until it is over: each when it is due, or, without that, one
    after the other. Returns the answers, and what was raised."""
    answered: list[Answered] = []
    errors: list[str] = []
    numbers = itertools.count()

    def work() -> None:
        while (number := next(numbers)) < n or not over.is_set():
            at = time.perf_counter() if due is None else due(number)
            if (left := at - time.perf_counter()) > 0:
                time.sleep(left)
            began = time.perf_counter()
            try:
                filtered = number % 10 == 0
                answer = live.recommend(users[number % n], k=K, where=CHANGED if filtered else None)
            except Exception as error:
                errors.append(repr(error))
                continue
            ended = time.perf_counter()
            items = tuple((item.item_id, item.attributes["edition"]) for item in answer.items)
            answered.append(Answered(at, began, ended, answer.version, filtered, items))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answered, errors


def arrivals(n: int, rate: float, rng: np.random.Generator) -> Callable[[int], float]:
    """The moments from now on at which requests arrive, so many a second: n by chance, and those again."""
    start, moments = time.perf_counter(), np.cumsum(rng.exponential(1 / rate, n))
    return lambda number: float(start + number // n * moments[-1] + moments[number % n])


def faults(answered: Sequence[Answered], deleted: dict[int, float], items: int) -> Counter[str]:
    """What is wrong with the answers, and how many held items that were changed."""
    found: Counter[str] = Counter()
    for one in answered:
        edition = one.version.split("-")[0]
        changes: dict[int, set[str]] = defaultdict(set)
        for item, of in one.items:
            if item >= items:
                changes[(item - items) // BATCH].add(of)
            elif of != edition or one.filtered:
                found["of another version" if of != edition else "not filtered"] += 1
            if deleted.get(item, np.inf) < one.began:
                found["deleted items"] += 1
        found["from two states"] += any(len(names) > 1 for names in changes.values())
        found["fewer than k"] += len({item for item, _ in one.items}) < K
        found["with changed items"] += bool(changes)
        found["requests"] += 1
    return found
