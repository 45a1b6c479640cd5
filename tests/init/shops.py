"""A shop's tables in memory, and files of them as this or that program leaves them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from funnel.data import Dataset
from funnel.init import Guess, guess, write

CATEGORIES = ("shoes", "shirts", "hats", "bags")
WORDS = ("red", "blue", "running", "leather", "canvas", "slim", "wool", "straw")


@dataclass(frozen=True)
class Shop:
    """Text tables, as a CSV export has them."""

    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame

    def write(self, folder: Path, sep: str = ",", encoding: str = "utf-8", ending: str = "csv") -> Path:
        """All tables under their names."""
        for name in ("events", "items", "users"):
            save(getattr(self, name), folder / f"{name}.{ending}", sep=sep, encoding=encoding)
        return folder

    def replace(self, **tables: pd.DataFrame) -> Shop:
        """With other tables."""
        return Shop(**{**vars(self), **tables})


def save(table: pd.DataFrame, path: Path, **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, **how)


def shop(n_events: int = 1200, n_users: int = 40, n_items: int = 60, seed: int = 0) -> Shop:
    """Users prefer one category each; a tenth of the views is a purchase. All columns are text."""
    rng = np.random.default_rng(seed)
    category = rng.integers(len(CATEGORIES), size=n_items)
    liked = rng.integers(len(CATEGORIES), size=n_users)
    rows = []
    for number in range(n_events):
        user = int(rng.integers(n_users))
        weight = np.where(category == liked[user], 8.0, 1.0)
        item = int(rng.choice(n_items, p=weight / weight.sum()))
        at = pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(minutes=37 * number)
        kind = "purchase" if rng.random() < 0.1 else "view"
        rows.append((f"u{user}@shop", f"SKU-{item:03d}", kind, at.strftime("%Y-%m-%dT%H:%M:%SZ")))
    vectors = rng.normal(size=(n_items, 8)).round(3)
    items = pd.DataFrame(
        {
            "item_id": [f"SKU-{item:03d}" for item in range(n_items)],
            "title": [f"{' '.join(rng.choice(WORDS, 3))} {item}" for item in range(n_items)],
            "category": [CATEGORIES[one] for one in category],
            "price": rng.lognormal(3, 1, n_items).round(2).astype(str),
            "in_stock": rng.choice(["True", "False"], n_items),
            "image": ["[" + ",".join(map(str, vector)) + "]" for vector in vectors],
        }
    )
    ages = rng.integers(18, 80, n_users).astype(str)
    ages[::7] = ""
    users = pd.DataFrame(
        {
            "user_id": [f"u{user}@shop" for user in range(n_users)],
            "country": rng.choice(["DE", "FR", "NA"], n_users),
            "age": ages,
        }
    )
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "event", "timestamp"])
    return Shop(events, items, users)


def guessed(folder: Path, **told: Any) -> tuple[Guess, Dataset]:
    """What is guessed of the folder, and what the reader reads by it."""
    made = guess(folder, **told)
    write(made, None, data=str(folder))
    return made, Dataset.from_folder(folder)


def kinds(made: Guess, table: str) -> dict[str, str]:
    """The kind of each declared column."""
    return {column.name: column.kind for column in made.description.columns(table)}  # type: ignore[arg-type]


def unused(made: Guess) -> dict[str, str]:
    """Why each thing is not used."""
    return {one.where: one.why for one in made.unused}


def who_what_when(data: Dataset) -> list[tuple[object, object, int]]:
    """The events, in their order."""
    events = data.events
    return list(zip(events["user_id"], events["item_id"], events["time"], strict=True))


def expected(events: pd.DataFrame) -> list[tuple[object, object, int]]:
    """What the events of a `shop` are, by Python alone."""
    return [
        (user, item, int(pd.Timestamp(at).timestamp()))
        for user, item, at in zip(events["user_id"], events["item_id"], events["timestamp"], strict=True)
    ]
