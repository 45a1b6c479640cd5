"""A `Live` that is asked, and answers, and is watched, by a clock of its own: real answers, the real log of
them, the real log of events; only the time is made up."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.evidence._watched_world import (
    BEGIN,
    DAY,
    DAYS,
    ITEMS,
    PLACES,
    USERS,
    WEEKDAY,
    Mix,
    World,
    moment,
)
from funnel import Live
from funnel.artifacts import Store
from funnel.impressions import ImpressionsConfig
from funnel.monitoring.alarm import Alarm
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts
from funnel.monitoring.watching import Watch
from funnel.serving import recording

#: When the data end; and when watching begins: an hour of a Wednesday, after the data.
END = BEGIN + DAYS * DAY
NOON = END + 12 * 3600

#: Events that a shop in use has had, and of them those of the last half hour, as many as there will be.
EVENTS_BEFORE, LATELY = 40_000, 9_000

#: Share of answers that are logged so that they can be made again; seconds that are asked for at once.
SAMPLE, TURN = 0.1, 10


@dataclass
class Hooks:
    """What a fault may put its hand on; each is as it should be.

    said: of what callers say. where: the filter of a request, or none. observed: whether an event arrives.
    skew: seconds that the serving process's clock is off. liking: factor of all clicks.
    """

    said: Callable[[dict[str, Any]], dict[str, Any]] = lambda said: said
    where: Callable[[np.random.Generator], Any] = lambda rng: None
    observed: bool = True
    skew: float = 0.0
    liking: float = 1.0


@dataclass
class Shop:
    """A shop in use. own: the folder of its logs. per_second: requests. mix: who asks."""

    live: Live
    watch: Watch
    of: World
    rng: np.random.Generator
    own: Path
    per_second: float = 10.0
    mix: Mix = WEEKDAY
    now: float = float(NOON)
    hooks: Hooks = field(default_factory=Hooks)
    due: list[tuple[float, int, Any, str]] = field(default_factory=list)
    counted: list[Counts] = field(default_factory=list)

    @classmethod
    def opened(
        cls,
        store: Path,
        version: str,
        of: World,
        seed: int,
        config: MonitorConfig | None = None,
        state: Path | None = None,
        sample: float = SAMPLE,
        now: float = NOON,
        edges: Mapping[str, list[float]] | None = None,
    ) -> Shop:
        """With a state of its own: what happens to it happens to no other. Its logs are in a temporary
        folder. state: one that it begins with. sample: share of answers that are logged with all that makes
        them again. now: when watching begins. edges: bins that are known already."""
        own = Path(tempfile.mkdtemp(prefix="watched-"))
        if state is not None:
            shutil.copy(state, own / "state.sqlite")
        live = Live(
            Store(store), version, state=own / "state.sqlite",
            impressions=ImpressionsConfig(log=True, sample=sample),
        )  # fmt: skip
        live.recording.folder = own / "answers"
        watch = Watch(live, config, answers=own / "answers", folder=own / "monitor")
        watch.monitor.memory.edges = dict(edges or {})
        watch.look(now)
        return cls(live, watch, of, np.random.default_rng(seed), own, now=now)

    def close(self) -> None:
        """Remove what it wrote."""
        self.watch.close()
        self.live.close()
        shutil.rmtree(self.own, ignore_errors=True)

    def minute(self) -> list[Alarm]:
        """A minute of requests, then a look."""
        counts = Counts()
        self.watch.counted = counts.add
        self.ask()
        new = self.watch.look(self.now)
        self.counted.append(counts)
        return new

    def ask(self) -> None:
        """A minute of requests, and what comes of those before."""
        for _ in range(60 // TURN):
            self._turn()
        self.live.recording.flush()

    def _turn(self) -> None:
        """Some seconds: events that are due, then requests."""
        self.now += TURN
        self._observe()
        recording.time = SimpleNamespace(time=lambda: self.now + self.hooks.skew)  # type: ignore[attr-defined]
        groups: dict[str, tuple[Any, list[int], list[dict[str, Any]]]] = {}
        for _ in range(self.rng.poisson(self.per_second * TURN)):
            where = self.hooks.where(self.rng)
            _, users, said = groups.setdefault(repr(where), (where, [], []))
            users.append(int(USERS * self.rng.random() ** (1 / self.mix.busy)))
            said.append(moment(self.rng, self.mix))
        for where, users, said in groups.values():
            heard = [self.hooks.said(dict(one)) for one in said]
            answers = self.live.recommend_many(users, 10, where=where, context=heard)
            for user, one, answer in zip(users, said, answers, strict=True):
                self._click(user, one, answer)

    def _click(self, user: int, said: Mapping[str, Any], answer: Any) -> None:
        """What the user does with a list, which is shown whatever was meant."""
        items = [item.item_id for item in answer.items]
        chances = self.hooks.liking * click_chances(self.of, user, said, items)
        for item, chance in zip(answer.items, chances.tolist(), strict=True):
            if self.rng.random() < chance:
                self.due.append((self.now + self.rng.exponential(25.0), user, item.item_id, answer.id))

    def _observe(self) -> None:
        """Events that have arrived."""
        ready = sorted(event for event in self.due if event[0] <= self.now)
        self.due = [event for event in self.due if event[0] > self.now]
        if ready and self.hooks.observed:
            self.live.observe(
                *((user, item, int(at), None, None, answer) for at, user, item, answer in ready)
            )


def click_chances(of: World, user: int, said: Mapping[str, Any], items: Sequence[int]) -> Any:
    """How probable a click is at each position of a list, in truth: float64 [items]."""
    budget = 30.0 if said.get("budget") is None else said["budget"]
    fit = of.fit(user % USERS, PLACES.index(said["place"]), budget)
    fits = fit[np.array(items, dtype=np.int64) % ITEMS]
    return 0.12 * np.exp(0.5 * (fits - 1)) / (1 + np.arange(len(items))) ** 0.6


def used(store: Path, version: str, of: World, path: Path, hours: float = 6.0, now: float = NOON) -> Path:
    """A state of a shop that was in use for so many hours: events of ten minutes, drawn again and again."""
    if not path.exists():
        shop = Shop.opened(store, version, of, 99, now=now)
        for _ in range(10):
            shop.minute()
        pairs = [(event.user, event.item_id) for event in shop.live.state.events_after(0, 10**6)]
        early = shop.rng.integers(1800, round(3600 * hours), size=EVENTS_BEFORE - LATELY)
        late = shop.rng.integers(1, 1800, size=LATELY)
        times = round(now) - np.sort(np.concatenate([early, late]))[::-1]
        drawn = shop.rng.integers(len(pairs), size=EVENTS_BEFORE)
        shop.close()
        shop = Shop.opened(store, version, of, 99, now=now)
        events = [(*pairs[n], at) for n, at in zip(drawn.tolist(), times.tolist(), strict=True)]
        for begin in range(0, len(events), 5000):
            shop.live.observe(*events[begin : begin + 5000])
        shop.live.close()
        shutil.copy(shop.own / "state.sqlite", path)
        shop.close()
    return path
