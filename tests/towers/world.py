"""A small world where the next item follows from the last one: groups of items, walked in a circle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from funnel.features.encoders import Spec
from funnel.towers.config import TowersConfig
from funnel.types import Clock, Examples, Features, Log, Ragged, Requests

GROUPS, SIZE = 6, 5
N_ITEMS = GROUPS * SIZE
#: The last item of each group is never in the log.
COLD = np.arange(SIZE - 1, N_ITEMS, SIZE)

ITEM_SPECS = {"group": Spec("category", GROUPS + 1, 1), "place": Spec("multi_category", SIZE + 1, 2)}
USER_SPECS = {
    "likes": Spec("category", GROUPS + 1, 1),
    "age": Spec("number", 2, 2),
    "tags": Spec("multi_category", GROUPS + 1, 3),
    "taste": Spec("vector", 4, 4),
}

SMALL = TowersConfig(
    d=16, history=8, heads=2, layers=1, batch=128, epochs=12, dropout=0.1, lr=0.01, averaging=0.9
)


@dataclass(frozen=True)
class World:
    """Everything that `train` takes."""

    log: Log
    item_features: Features
    user_features: Features
    validation: Examples

    def arguments(self) -> tuple[Any, ...]:
        return (self.log, self.item_features, ITEM_SPECS, self.user_features, USER_SPECS, self.validation)


def world(clock: Clock = "time", n_users: int = 150, seed: int = 0) -> World:
    """Each user walks through one group; the one before the last event is what validation asks for."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, GROUPS, n_users)
    lengths = rng.integers(3, 15, n_users)
    starts = rng.integers(0, SIZE - 1, n_users)
    lists = [
        g * SIZE + (s + np.arange(n)) % (SIZE - 1) for g, s, n in zip(group, starts, lengths, strict=True)
    ]
    times = [np.cumsum(rng.integers(0, 10_000, n)) for n in lengths]
    users = user_table(group, rng)
    log = Log(
        users=np.repeat(np.arange(n_users, dtype=np.int32), lengths - 1),
        items=np.concatenate([x[:-1] for x in lists]).astype(np.int32),
        times=np.concatenate([t[:-1] for t in times]).astype(np.int64),
        n_users=n_users,
        n_items=N_ITEMS,
        clock=clock,
    )
    requests = Requests(
        users=np.arange(n_users, dtype=np.int32),
        times=np.array([t[-1] for t in times]),
        history=Ragged.from_lists([x[:-1] for x in lists]),
        history_times=Ragged.from_lists([t[:-1] for t in times], np.int64),
        user_features=users,
    )
    return World(log, item_table(), users, Examples(requests, Ragged.from_lists([x[-1:] for x in lists])))


def item_table() -> Features:
    place = np.zeros((N_ITEMS, 2), dtype=np.int32)
    place[:, 0] = 1 + np.arange(N_ITEMS) % SIZE
    return {"group": (1 + np.arange(N_ITEMS) // SIZE).astype(np.int32), "place": place}


def user_table(group: np.ndarray[Any, Any], rng: np.random.Generator) -> Features:
    n = len(group)
    tags = np.zeros((n, 3), dtype=np.int32)
    tags[:, 0] = 1 + group
    age = np.stack([rng.normal(size=n), np.zeros(n)], axis=1).astype(np.float32)
    taste = rng.normal(size=(n, 4)).astype(np.float32)
    return {"likes": (1 + group).astype(np.int32), "age": age, "tags": tags, "taste": taste}


def strangers(histories: list[list[int]], features: Features | None = None) -> Requests:
    """Requests of users never seen, a second between events."""
    history = Ragged.from_lists(histories)
    times = [np.arange(len(h)) for h in histories]
    return Requests(
        users=np.full(len(histories), -1, dtype=np.int32),
        times=np.full(len(histories), 100, dtype=np.int64),
        history=history,
        history_times=Ragged.from_lists(times, np.int64),
        user_features=features or {},
    )


def excluding_seen(examples: Examples) -> Examples:
    return replace(examples, requests=replace(examples.requests, exclude=examples.requests.history))
