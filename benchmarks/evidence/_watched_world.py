"""A made-up shop that is watched: what it has, who asks, and what is clicked; a bundle of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel import config as configs
from funnel.artifacts import Store
from funnel.data import Column, Dataset, Schema
from funnel.pipeline import build, prepare, train_towers

PLACES, DEVICES, KINDS = ("home", "search", "basket"), ("phone", "desktop", "tablet"), 6
USERS, ITEMS, EVENTS = 400, 300, 25
BEGIN, DAYS, DAY = 1_735_689_600, 42, 86_400  # from a Wednesday in 2025, six weeks

SCHEMA = Schema(
    items=(Column(name="category", kind="category"), Column(name="price", kind="number")),
    events=(
        Column(name="place", kind="category", context=True),
        Column(name="device", kind="category", context=True),
        Column(name="budget", kind="number", context=True),
        Column(name="idle", kind="number", context=True),
    ),
)


@dataclass(frozen=True)
class Mix:
    """Who asks, and where: shares of places and devices, the middle budget, and how busy the busiest are."""

    places: tuple[float, ...] = (0.5, 0.3, 0.2)
    devices: tuple[float, ...] = (0.5, 0.4, 0.1)
    budget: float = 30.0
    busy: float = 0.7


WEEKDAY = Mix()
WEEKEND = Mix((0.6, 0.25, 0.15), (0.65, 0.22, 0.13), 33.0, 0.6)
CAMPAIGN = Mix((0.6, 0.2, 0.2), (0.6, 0.3, 0.1), 26.0, 0.5)


@dataclass(frozen=True)
class World:
    """category: int [items]. price: float [items]. taste: float [users, kinds]."""

    category: NDArray[np.int64]
    price: NDArray[np.float64]
    taste: NDArray[np.float64]

    def fit(self, user: int, place: int, budget: float) -> NDArray[np.float64]:
        """How well each item fits: float [items], a logarithm."""
        apart = np.abs(np.log(self.price) - np.log(max(budget, 0.01)))
        return 1.5 * (self.category % 3 == place) + self.taste[user, self.category] - np.minimum(apart, 3.0)


def world(seed: int = 0) -> World:
    """The same for the same seed."""
    rng = np.random.default_rng(seed)
    category = rng.integers(KINDS, size=ITEMS)
    return World(category, np.round(rng.lognormal(3.3, 0.6, ITEMS), 2), rng.normal(size=(USERS, KINDS)))


def moment(rng: np.random.Generator, mix: Mix) -> dict[str, Any]:
    """What is known when somebody asks."""
    return {
        "place": PLACES[rng.choice(3, p=mix.places)],
        "device": DEVICES[rng.choice(3, p=mix.devices)],
        "budget": None if rng.random() < 0.05 else round(float(rng.lognormal(np.log(mix.budget), 0.5)), 2),
        "idle": round(float(rng.lognormal(6.0, 1.5)), 1),
    }


def dataset(of: World, seed: int) -> Dataset:
    """What was clicked in six weeks."""
    rng, rows = np.random.default_rng(seed), []
    for user in range(USERS):
        for time in (BEGIN + np.sort(rng.integers(DAYS * DAY, size=EVENTS))).tolist():
            said = moment(rng, WEEKDAY)
            budget = 30.0 if said["budget"] is None else said["budget"]
            chance = np.exp(2 * of.fit(user, PLACES.index(said["place"]), budget))
            rows.append((user, int(rng.choice(ITEMS, p=chance / chance.sum())), time, *said.values()))
    names = ["user_id", "item_id", "time", "place", "device", "budget", "idle"]
    items = {"item_id": np.arange(ITEMS), "category": [f"kind {c}" for c in of.category], "price": of.price}
    return Dataset.from_frames(
        SCHEMA, pd.DataFrame(rows, columns=names), items=pd.DataFrame(items), name="shop"
    )


def built(folder: Path, versions: int) -> list[str]:
    """So many bundles of the same six weeks, trained with other seeds, in `folder/indexes`; the first is
    published. What is there already is taken."""
    store, of = Store(folder / "indexes"), world()
    mark = folder / hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    names = mark.read_text().split() if mark.exists() else []
    for seed in range(len(names), versions):
        config = configs.configure(
            "shop", seed=seed,
            split={"kind": "time", "protocol": "event", "ranker": 0.6, "test": 0.85, "exclude_seen": False},
            towers={"d": 16, "layers": 1, "heads": 1, "epochs": 4, "history": 20},
            ranker={"trees": 60, "leaves": 15, "lists": 1500},
            retrieve={"k": 100, "sources": ["towers", "covisitation", "popular"]},
            evaluate={"ks": [10], "latency_requests": 2}, gates={"holdout": 400},
        )  # fmt: skip
        prepared = prepare(config, dataset(of, 1))
        version = build(prepared, train_towers(prepared, Store(folder / "embeddings")), store).version
        if not names:
            store.publish(version)
        names.append(version)
        mark.write_text(" ".join(names))
    return names[:versions]
