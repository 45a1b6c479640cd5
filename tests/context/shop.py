"""A small shop whose requests say where, on what and from which country they come."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from funnel import Live
from funnel import config as configs
from funnel.artifacts import Store
from funnel.data import Column, Dataset, Schema
from funnel.pipeline import Prepared, prepare, train_towers
from tests.undrawn import build

PLACES, COUNTRIES = ("home", "search", "basket"), ("DE", "FR", "PL", "IT")
DAY, BEGIN = 86_400, 1_735_689_600

SCHEMA = Schema(
    items=(
        Column(name="category", kind="category"),
        Column(name="countries", kind="multi_category"),
        Column(name="price", kind="number"),
        Column(name="look", kind="vector", size=3),
        Column(name="member_only", kind="boolean"),
    ),
    events=(
        Column(name="place", kind="category", context=True),
        Column(name="country", kind="category", context=True),
        Column(name="limit", kind="number", context=True),
        Column(name="tags", kind="multi_category", context=True),
        Column(name="query", kind="vector", size=3, context=True),
        Column(name="member", kind="boolean", context=True),
        Column(name="note", kind="category"),
    ),
)


def shop(*, users: int = 120, items: int = 80, events: int = 25, seed: int = 0) -> Dataset:
    """What people bought at a place is mostly of the category that fits there."""
    rng = np.random.default_rng(seed)
    category = rng.integers(3, size=items)
    rows = []
    for user in range(users):
        place = rng.integers(3, size=events)
        times = BEGIN + np.sort(rng.integers(40 * DAY, size=events))
        for time, at in zip(times.tolist(), place.tolist(), strict=True):
            chance = np.exp(2.5 * (category == at)) / (1 + np.arange(items)) ** 0.4
            item = int(rng.choice(items, p=chance / chance.sum()))
            rows.append((f"u{user}", item, time, PLACES[at], *_said(rng), "left out"))
    names = ["user_id", "item_id", "time", "place", "country", "limit", "tags", "query", "member", "note"]
    table = pd.DataFrame(
        {
            "item_id": np.arange(items),
            "category": [f"kind {number}" for number in category],
            "countries": [_some(rng, COUNTRIES, 1) for _ in range(items)],
            "price": np.round(rng.uniform(1, 100, size=items), 2),
            "look": list(rng.normal(size=(items, 3)).astype(np.float32)),
            "member_only": rng.random(items) < 0.3,
        }
    )  # fmt: skip
    return Dataset.from_frames(SCHEMA, pd.DataFrame(rows, columns=names), items=table, name="shop")


def _said(rng: np.random.Generator) -> tuple[Any, ...]:
    """A country, a limit, tags, a query and whether it is a member; often one of them is missing."""
    gaps = rng.random(4) < 0.15
    return (
        None if gaps[0] else str(rng.choice(COUNTRIES)),
        None if gaps[1] else float(rng.integers(5, 100)),
        _some(rng, ("new", "sale", "gift"), 0),
        None if gaps[2] else rng.normal(size=3).astype(np.float32),
        None if gaps[3] else bool(rng.random() < 0.5),
    )


def _some(rng: np.random.Generator, of: tuple[str, ...], least: int) -> list[str]:
    return [str(one) for one in rng.choice(of, size=rng.integers(least, len(of)), replace=False)]


@dataclass(frozen=True)
class Shop:
    """A published bundle of it, and what it was made from."""

    data: Dataset
    prepared: Prepared
    folder: Path

    @cached_property
    def live(self) -> Live:
        """The bundle, answering."""
        return Live(self.folder / "indexes")

    def said(self, row: int) -> dict[str, Any]:
        """What was known before an event, by its row, as a caller would say it."""
        event = self.data.events.iloc[row]
        return {
            column.name: None if _gap(event[column.name]) else event[column.name] for column in SCHEMA.context
        }


def _gap(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and bool(np.isnan(value)))


def built_shop(
    where: Path, data: Dataset | None = None, *, towers: Path | None = None, **sections: Any
) -> Shop:
    """Train, build and publish. towers: of an earlier build, whose towers learn from the same."""
    own: dict[str, Any] = {
        "split": {"kind": "time", "protocol": "event", "ranker": 0.6, "test": 0.8, "exclude_seen": False},
        "towers": {"d": 16, "layers": 1, "heads": 1, "epochs": 3, "history": 10},
        "ranker": {"trees": 40, "leaves": 15, "lists": 400},
        "retrieve": {"k": 60, "sources": ["towers", "popular"]},
        "evaluate": {"ks": [10], "latency_requests": 2},
        "context": {"clock": True, "timezone": "Europe/Berlin"},
        "gates": {"holdout": 60},
    }
    data = shop() if data is None else data
    prepared = prepare(configs.configure("shop", **{**own, **sections}), data)
    store = Store(where / "indexes")
    trained = towers or train_towers(prepared, Store(where / "embeddings"))
    version = build(prepared, trained, store).version
    store.publish(version)
    return Shop(data, prepared, where)
