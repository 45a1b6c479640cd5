"""A small shop whose events are of several kinds: real frames for tests, and a bundle made of them.

Everyone has an aisle and walks through it; now and then somebody buys, and what is viewed after a purchase is
of the next aisle. Some hide what they do not want.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from funnel import config as configs
from funnel.artifacts import Store
from funnel.config import Config
from funnel.data import Column, Dataset, Schema
from funnel.pipeline import Built, prepare, train_towers
from tests.undrawn import build

AISLES, SIZE = 5, 12
EVENTS: dict[str, Any] = {
    "history": {"buy": 3.0, "view": 1.0},
    "targets": ["buy", "view"],
    "negatives": ["hide"],
    "ignore": ["impression"],
}


def shop(users: int = 80, seed: int = 0) -> Dataset:
    """Events with `kind` and `value`, items with an aisle."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int, str, float]] = []
    for user in range(users):
        aisle, at = int(rng.integers(AISLES)), 1_000_000 + int(rng.integers(0, 900_000))
        for item in rng.permutation(SIZE)[: rng.integers(6, SIZE)].tolist():
            kind = rng.choice(["view", "buy", "hide", "impression"], p=[0.6, 0.2, 0.1, 0.1])
            other = (aisle + 2) % AISLES if kind == "hide" else aisle
            rows.append((user, other * SIZE + item, at, str(kind), 9.5 if kind == "buy" else 0.0))
            aisle = (aisle + 1) % AISLES if kind == "buy" else aisle
            at += int(rng.integers(60, 90_000))
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "time", "kind", "value"])
    items = pd.DataFrame({"item_id": np.arange(AISLES * SIZE)})
    items["aisle"] = [f"aisle {item // SIZE}" for item in items["item_id"]]
    schema = Schema(items=(Column(name="aisle", kind="category"),))
    return Dataset.from_frames(schema, events, items=items, name="shop")


def shop_config(**sections: Any) -> Config:
    """A config that is quick on the small shop; sections replace its own."""
    raw: dict[str, Any] = {
        "events": EVENTS,
        "split": {"kind": "time", "protocol": "event", "ranker": 0.6, "test": 0.8, "exclude_seen": ["buy"]},
        "towers": {"d": 16, "layers": 1, "heads": 1, "epochs": 4, "history": 20},
        "ranker": {"trees": 30, "leaves": 7, "lists": 400, "objective": "rank_xendcg"},
        "retrieve": {"k": 40, "sources": ["towers", "popular"]},
        "evaluate": {"ks": [10, 50], "latency_requests": 5},
    }
    return configs.configure("shop", **{**raw, **sections})


def build_shop(where: Path, data: Dataset | None = None, **sections: Any) -> Built:
    """Train, build and publish under `where`."""
    prepared = prepare(shop_config(**sections), shop() if data is None else data)
    built = build(prepared, train_towers(prepared, Store(where / "embeddings")), Store(where / "indexes"))
    Store(where / "indexes").publish(built.version)
    return built
