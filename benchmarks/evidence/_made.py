"""Makes pools of real answers: a `Live` of the made-up shop is asked for some minutes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from benchmarks.evidence._pool import Pool, pool_of
from benchmarks.evidence._watched import END, Shop, click_chances
from benchmarks.evidence._watched_world import Mix, world
from funnel.impressions import read
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counting import Remade
from funnel.monitoring.reference import SecondOverlay
from funnel.monitoring.remaking import remake

#: Share of answers that is made again.
SAMPLED = 0.4


class Task(NamedTuple):
    """A pool to be made. mix: who asks. age: hours since the bundle's data ended, at which `state` is.
    minutes: of ten answers a second. edges: bins that the first bundle gave."""

    store: Path
    version: str
    mix: Mix
    age: float
    state: Path
    minutes: int
    edges: dict[str, list[float]]


def made(task: Task) -> Pool:
    """Real answers, and all that is counted of each. Those of the first minute are made and left out: what
    is popular at this moment is found out in the background then."""
    logging.disable(logging.ERROR)
    of, now = world(), END + 3600 * task.age
    seed = sum(f"{task.version} {task.mix} {task.age}".encode())
    shop = Shop.opened(task.store, task.version, of, seed, MonitorConfig(golden=0, replay=0),
                       state=task.state, sample=SAMPLED, now=now, edges=task.edges)  # fmt: skip
    shop.mix = task.mix
    reference, remade, known = SecondOverlay(shop.live.overlay.bundle, shop.live.state), list[Remade](), 0
    reference.follow_events(shop.live.overlay.events_at)
    for _ in range(task.minutes + 1):
        shop.ask()
        every = sorted(read(shop.own / "answers"), key=lambda impression: impression.time)
        remade += remake(reference, (impression for impression in every[known:] if impression.request))
        known = len(every)
    remade = [one for one in remade if one.impression.time > now + 60]
    impressions = [impression for impression in every if impression.time > now + 60]
    row = shop.live.contents.catalogue.ids.row
    pool = pool_of(shop.watch.measures, row, impressions, remade,
                   lambda shown: click_chances(of, shown.user, shown.context, shown.shown_items))  # fmt: skip
    shop.close()
    return pool


def edges_of(store: Path, version: str) -> dict[str, list[float]]:
    """Bins of a bundle that nothing is known beside."""
    shop = Shop.opened(store, version, world(), 0, MonitorConfig(golden=0))
    shop.close()
    return shop.watch.monitor.memory.edges
