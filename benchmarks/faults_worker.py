"""One of the processes of benchmarks/faults_live.py: it changes what is its own and asks, at full speed.

python -m benchmarks.faults_worker FOLDER PROCESS GENERATION
"""

from __future__ import annotations

import itertools
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
import typer

from benchmarks.faults_record import (
    BEACONS,
    MOVIES,
    OWN_USERS,
    PROCESSES,
    USERS,
    Record,
    Shared,
    own_items,
)
from funnel import Live
from funnel.errors import FunnelError

#: Shares of what is done.
KINDS = {"click": 0.5, "upsert": 0.2, "patch": 0.15, "delete": 0.15}
#: A child that has not ended after so many seconds hangs.
PATIENCE = 30.0
ITEM, CLICK = 0, 1


class Worker:
    """Its own users and items, and the beacons of all."""

    def __init__(self, folder: Path, process: int, generation: int) -> None:
        self.shared, self.record = Shared(folder / "shared"), Record(folder, process, generation)
        self._wrong_clock(process)
        self.process, self.generation = process, generation
        self.numbers = itertools.count(generation * 10_000_000 + 1)
        self.rng = np.random.default_rng((process, generation))
        self.items = own_items(process)
        self.live = Live(folder / "indexes")
        self.seen = self.shared.latest.copy()
        self.missing: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
        self.answers, self._parent = 0, os.getppid()

    def _wrong_clock(self, process: int) -> None:
        """time.time is wrong by as much as it is told to be."""
        right, clock = time.time, self.shared.clock
        time.time = lambda: right() + float(clock[process])

    def run(self) -> None:
        """Until told to stop, or killed."""
        self.shared.ready[self.process] = self.generation
        kinds = self.rng.choice(list(KINDS), size=4096, p=list(KINDS.values())).tolist()
        forked = time.monotonic()
        for turn in itertools.count():
            if self.over:
                break
            getattr(self, kinds[turn % len(kinds)])()
            (self.ask, self.ask_for_items, self.ask_for_clicks)[turn % 3]()
            if turn % 10 == 0:
                self.beacon(turn // 10 % 2)
            if time.monotonic() - forked > 1:
                self.record.write("answers", time.monotonic(), self.answers)
                self.answers = 0
                self.fork()
                forked = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether it was told to stop, or nobody is there any more who could tell it."""
        return bool(self.shared.stop[0]) or os.getppid() != self._parent

    def change(self, what: str, key: int, value: float, call: Callable[[], Any]) -> str:
        """Say what is about to be done, do it, and say what came of it."""
        self.record.write("begin", what, key, value)
        why = ""
        try:
            outcome = "not there" if call() else "kept"
        except FunnelError as error:
            outcome, why = "refused", str(error)[:200]
        except Exception as error:
            outcome, why = "refused", repr(error)[:200]
            self.record.write("fault", "error", f"{what}: {why}")
        self.record.write("done", outcome, time.monotonic(), why)
        return outcome

    def click(self) -> None:
        """A user's; the items come in turns, so that none can be missing unnoticed."""
        number = next(self.numbers)
        user, item = USERS + 1000 * self.process + number % OWN_USERS, 1 + number % (MOVIES - 1)
        self.change("click", user, item, lambda: self.live.observe((user, item)))

    def upsert(self) -> None:
        """An item of another year."""
        item, year = int(self.rng.choice(self.items)), float(next(self.numbers))
        before, self.shared.deleted[item] = self.shared.deleted[item], np.inf
        if self.change("upsert", item, year, lambda: self.live.items.upsert(movie(item, year))) == "refused":
            self.shared.deleted[item] = before

    def patch(self) -> None:
        """Another year, where the item is there."""
        item, year = int(self.rng.choice(self.items)), float(next(self.numbers))
        self.change("patch", item, year, lambda: self.live.items.patch([item], {"year": year}))

    def delete(self) -> None:
        """An item; no request that begins from now on may be answered with it."""
        item = int(self.rng.choice(self.items))
        if self.change("delete", item, 0.0, lambda: self.live.items.delete([item])) != "refused":
            self.shared.deleted[item] = time.monotonic()

    def beacon(self, kind: int) -> None:
        """A number that others look for: the year of an item, or the item that a user clicked last."""
        number = int(self.shared.latest[kind, self.process]) + 1
        if kind == ITEM:
            change, key, value = "upsert", BEACONS + self.process, float(number)
            call: Any = lambda: self.live.items.upsert(movie(key, value, "Beacon"))  # noqa: E731
        else:
            change, key, value = "click", USERS + 1000 * self.process + 999, float(1 + number % (MOVIES - 1))
            call = lambda: self.live.observe((key, int(value)))  # noqa: E731
        if self.change(change, key, value, call) == "kept":
            self.shared.acknowledged(kind, self.process, number, time.monotonic())

    def ask(self) -> None:
        """Fifty items; none that was deleted before."""
        began = time.monotonic()
        answer = self.answer(int(self.rng.integers(1, 200)), k=50)
        gone = self.shared.deleted[[item.item_id for item in answer.items]] if answer else np.array([])
        if answer and not self.excused(answer) and (gone <= began).any():
            self.record.write("fault", "deleted item", int((gone <= began).sum()))

    def ask_for_items(self) -> None:
        """What all beacons' items are."""
        expected = self.shared.latest[ITEM].copy()
        answer = self.answer("anybody", k=20, where={"genres": "Beacon"})
        if answer is None:
            return
        years = {item.item_id: item.attributes["year"] for item in answer.items}
        found = [int(years.get(BEACONS + one, 0)) for one in range(PROCESSES)]
        self.compare(ITEM, expected, found, excused=self.excused(answer))

    def ask_for_clicks(self) -> None:
        """What all beacons' users clicked last."""
        expected = self.shared.latest[CLICK].copy()
        found = []
        for one in range(PROCESSES):
            try:
                events = self.live.users.events(USERS + 1000 * one + 999)
            except FunnelError:
                return
            number = int(expected[one])
            ahead = (int(events[-1].item_id) - 1 - number) % (MOVIES - 1) if events else 0
            found.append(number + ahead if ahead < MOVIES // 2 else number + ahead - (MOVIES - 1))
        self.compare(CLICK, expected, found, excused=False)

    def compare(self, kind: int, expected: Any, found: list[int], *, excused: bool) -> None:
        """What was acknowledged before a request must be in its answer. How long after its acknowledgement a
        change was still missing from an answer here, and when it was first seen here, is kept.
        """
        ended = time.monotonic()
        latest = self.shared.latest[kind].copy()
        for one, number in enumerate(found):
            if one == self.process:
                continue
            if number < expected[one] and not excused:
                self.record.write("fault", "stale", f"{kind}: {number} after {int(expected[one])}")
            missing = self.missing[kind, one]
            seen = int(self.seen[kind, one])
            for shown in range(max(seen, number - 8) + 1, number + 1):
                known = shown <= latest[one]
                delay = max(0.0, ended - self.shared.at(kind, one, shown)) if known else 0.0
                late = missing.pop(shown, 0.0)
                self.record.write("visible", kind, round(1000 * delay, 3), ended, round(1000 * late, 3))
            self.seen[kind, one] = max(seen, number)
            for absent in range(max(number, int(latest[one]) - 8) + 1, int(latest[one]) + 1):
                missing[absent] = max(0.0, ended - self.shared.at(kind, one, absent))

    def answer(self, user: Any, **arguments: Any) -> Any:
        """An answer; that there is none is a fault."""
        try:
            answer = self.live.recommend(user, **arguments)
        except Exception as error:
            self.record.write("fault", "no answer", repr(error)[:300])
            return None
        self.answers += 1
        return answer

    def excused(self, answer: Any) -> bool:
        """Whether the answer says that it goes by what was known before."""
        return "state_unreadable" in answer.reasons

    def fork(self) -> None:
        """A child writes and asks, and ends."""
        child = os.fork()
        if child == 0:
            try:
                self.click(), self.upsert(), self.ask(), self.ask_for_items()
                os._exit(0)
            finally:
                os._exit(1)
        for _ in range(10):
            next(self.numbers)
        until = time.monotonic() + PATIENCE
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
            time.sleep(0.001)
        if ended == (0, 0) or ended[1] != 0:
            self.record.write("fault", "child", "hung" if ended == (0, 0) else f"ended with {ended[1]}")


def movie(item: int, year: float, genre: str = "Changed") -> pd.DataFrame:
    """An item of this year."""
    return pd.DataFrame({"item_id": [item], "title": ["changed"], "genres": [[genre]], "year": [year]})


def main(folder: Path, process: int, generation: int) -> None:
    """Be one of the processes."""
    Worker(folder, process, generation).run()


if __name__ == "__main__":
    typer.run(main)
