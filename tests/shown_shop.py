"""A shop that logs what it showed: who looks how far is known, and so is what they click and buy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel import config as configs
from funnel.artifacts import Store
from funnel.data import Column, Dataset, Schema
from funnel.pipeline import prepare, train_towers
from tests.once import once
from tests.tiny import TinyBuild
from tests.undrawn import build

#: How far each position is looked at.
LOOKED = np.array([1.0, 0.7, 0.5, 0.35, 0.25, 0.18])

#: The chance to click what is looked at, of one's own colour and of others; and then to buy, by colour.
LIKED, OTHER = 0.5, 0.08
BOUGHT = {"red": 0.6, "green": 0.1, "blue": 0.3}

COLOURS = tuple(BOUGHT)

VALUE = "p_click * bid + 0.3 * p_purchase * margin"

QUICK: dict[str, Any] = {
    "towers": {"d": 16, "layers": 1, "heads": 1, "epochs": 4, "history": 20},
    "ranker": {"trees": 60, "leaves": 7, "min_data_in_leaf": 30, "objective": "rank_xendcg"},
    "retrieve": {"k": 60, "sources": ["towers", "popular"]},
    "evaluate": {"ks": [5, 20], "latency_requests": 2},
    "gates": {"latency_ms": 10_000.0, "visible_fall": 0.5},
    "split": {"kind": "time", "protocol": "event", "ranker": 0.5, "test": 0.8, "exclude_seen": False},
}


def shop(*, users: int = 240, items: int = 60, lists: int = 6000, seed: int = 0) -> Dataset:
    """Lists of six, the more exposed items higher; clicks at the list's time or after, purchases later."""
    rng = np.random.default_rng(seed)
    colour, taste = rng.integers(3, size=items), rng.integers(3, size=users)
    height = rng.normal(size=items)
    events, shown = [], []
    for number in range(lists):
        user, time = int(rng.integers(users)), 1_700_000_000 + 600 * number
        some = rng.choice(items, 6, replace=False)
        some = some[np.argsort(-height[some] - rng.normal(size=6))]
        for position, item in enumerate(some.tolist()):
            chance = LIKED if colour[item] == taste[user] else OTHER
            clicked = rng.random() < LOOKED[position] * chance
            shown.append((f"r{number}", f"u{user}", f"i{item}", time, position, clicked))
            if clicked:
                events.append((f"u{user}", f"i{item}", time + position, "click", 0.0))
                if rng.random() < BOUGHT[COLOURS[colour[item]]]:
                    events.append((f"u{user}", f"i{item}", time + 60 + position, "purchase", 20.0))
    log = pd.DataFrame(events, columns=["user_id", "item_id", "time", "kind", "value"])
    table = pd.DataFrame(
        {"item_id": [f"i{item}" for item in range(items)], "colour": np.array(COLOURS)[colour]}
    )
    table["bid"], table["margin"] = rng.uniform(0.5, 2.0, items), rng.uniform(1.0, 30.0, items)
    people = pd.DataFrame(
        {"user_id": [f"u{user}" for user in range(users)], "taste": np.array(COLOURS)[taste]}
    )
    columns = ("request_id", "user_id", "item_id", "time", "position", "clicked")
    return Dataset.from_frames(
        Schema(
            users=(Column(name="taste", kind="category"),),
            items=(
                Column(name="colour", kind="category"),
                Column(name="bid", kind="number"),
                Column(name="margin", kind="number"),
            ),
        ),
        log,
        people,
        table,
        impressions=pd.DataFrame(shown, columns=list(columns)),
    )


def built_shop(where: Path, dataset: Dataset, *, towers: Path | None = None, **sections: Any) -> TinyBuild:
    """A bundle of the shop, published. towers: of an earlier build of the same events."""
    merged = {name: {**QUICK.get(name, {}), **sections.get(name, {})} for name in {**QUICK, **sections}}
    config = configs.configure("shop", **merged)
    prepared = prepare(config, dataset)
    embeddings = towers or where / "embeddings"
    built = build(prepared, train_towers(prepared, Store(embeddings)), Store(where / "indexes"))
    Store(where / "indexes").publish(built.version)
    return TinyBuild(config, prepared, built, where / "indexes", embeddings)


def plain_shop(factory: pytest.TempPathFactory) -> TinyBuild:
    """`built_shop` of `shop()`, its lists in the order of VALUE, made once for all tests. Do not change its
    store."""
    return once(factory, "shown-shop", lambda folder: built_shop(folder, shop(), rank={"value": VALUE}))
