"""Frequency caps over four processes that share one store.

Four processes answer users in turns, each user by another process every hour of the caps' clock, and tell the
store what they showed. A second store, of one process, is asked the same: both must give the same lists, and
no list may show a campaign or an ad more often than the caps allow.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from funnel import Live
from funnel import config as configs
from funnel.artifacts import Store
from funnel.pipeline import build, prepare, train_towers
from funnel.synthetic import SyntheticConfig, write_world

PROCESSES, USERS, HOUR = 4, 40, 3_600

#: Impressions of one campaign, and of one ad, for a user in a day.
CAMPAIGN, AD = 4, 1

_live: Live | None = None

Shown = list[tuple[Any, Any]]


def capped(rounds: int) -> dict[str, int]:
    """So many lists of each user. Returns counts: what there was, and what was wrong."""
    with TemporaryDirectory() as place:
        shared = _store(Path(place))
        alone = Path(shutil.copytree(shared, Path(place) / "alone"))
        four, one = _answers(shared, rounds, PROCESSES), _answers(alone, rounds, 1)
    beyond = sum(_beyond(lists) for lists in four.values())
    every = [some for lists in four.values() for _, some in lists]
    return {
        "processes": PROCESSES,
        "capped lists": len(every),
        "capped impressions": sum(map(len, every)),
        "impressions beyond a cap": beyond,
        "lists that one process gives otherwise": sum(
            a != b for user in four for a, b in zip(four[user], one[user], strict=True)
        ),
        "lists cut short by caps": sum(len(some) < 10 for some in every),
    }


def _answers(folder: Path, rounds: int, processes: int) -> dict[int, list[tuple[int, Shown]]]:
    """By user, when they were answered and what they were shown."""
    found: dict[int, list[tuple[int, Shown]]] = {user: [] for user in range(USERS)}
    start = int(time.time()) // 86_400 * 86_400 - (rounds + 24) * HOUR
    with ExitStack() as stack:
        pools = [
            stack.enter_context(
                ProcessPoolExecutor(1, get_context("spawn"), initializer=_open, initargs=(str(folder),))
            )
            for _ in range(processes)
        ]
        for number in range(rounds):
            at = start + number * HOUR
            turns = [[u for u in found if (u + number) % processes == p] for p in range(processes)]
            asked = [pool.submit(_shown, users, at) for pool, users in zip(pools, turns, strict=True)]
            for users, future in zip(turns, asked, strict=True):
                for user, shown in zip(users, future.result(), strict=True):
                    found[user].append((at, shown))
    return found


def _open(folder: str) -> None:
    global _live
    _live = Live(folder)


def _shown(users: list[int], at: int) -> list[Shown]:
    """Lists of users, each observed as soon as it is there."""
    assert _live is not None
    lists = []
    for user in users:
        answer = _live.recommend(user, 10, time=at)
        if answer.items:
            _live.observe(*[(user, one.item_id, at) for one in answer.items], kind="impression")
        lists.append([(one.item_id, one.attributes["campaign"]) for one in answer.items])
    return lists


def _beyond(lists: list[tuple[int, Shown]]) -> int:
    """Impressions beyond a cap, in one user's lists: counted within the day that ends with each."""
    over = 0
    for at, _ in lists:
        recent = [one for then, some in lists if at - 86_400 < then <= at for one in some]
        for which, most in ((0, AD), (1, CAMPAIGN)):
            counts = Counter(one[which] for one in recent)
            over += sum(max(0, n - most) for n in counts.values())
    return over


def _store(folder: Path) -> Path:
    """A store with a bundle of 600 ads under the two caps; towers trained for one epoch."""
    write_world(SyntheticConfig(users=300, items=600, events_per_user=15), folder / "world")
    day = {"kind": "cap", "per": "1d"}
    raw = {
        "name": "capped", "data": {"reader": "synthetic", "path": str(folder / "world")},
        "split": {"kind": "time", "ranker": 0.8, "test": 0.9, "max_requests": 200},
        "towers": {"d": 16, "layers": 1, "heads": 1, "epochs": 1, "history": 10},
        "ranker": {"trees": 20, "lists": 200}, "retrieve": {"k": 100, "sources": ["towers"]},
        "features": {"names": ["source"]},  # others go by the day, and its first request by a stand-in
        "evaluate": {"ks": [10], "latency_requests": 1},
        "rules": [
            day | {"column": "campaign", "shows": CAMPAIGN}, day | {"column": "item_id", "shows": AD},
        ],
    }  # fmt: skip
    config = configs.parse(json.loads(json.dumps(raw)))
    prepared, store = prepare(config), Store(folder / "indexes")
    version = build(prepared, train_towers(prepared, Store(folder / "embeddings")), store).version
    store.publish(version)
    return store.folder
